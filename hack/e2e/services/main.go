// Command services is what a site needs beside wildout, in one container and
// without an image of anybody else: a PostgreSQL that can be stopped, started
// and frozen while its data stays, a mail server that can be closed, and a
// receiver of webhooks. What tests tell it and ask it goes over HTTP
// (control.go). It is for the end-to-end tests alone: whoever reaches it
// controls it.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/wildout/wildout/internal/scenarios/outside"
)

// Where it listens.
const (
	controlAddress = ":8080"
	mailAddress    = ":2525"
	databasePort   = 5432
)

// passwordVariable has the password of the database's superuser, postgres.
const passwordVariable = "POSTGRES_PASSWORD"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	password := os.Getenv(passwordVariable)
	if password == "" {
		return fmt.Errorf("%s is not set: it is the password of the database", passwordVariable)
	}
	c := &control{mail: outside.NewMailServer(mailAddress), database: &postgres{data: "/data/postgres", password: password}}
	if err := c.database.initialize(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.database.start(ctx), c.mail.Open()); err != nil {
		return err
	}
	defer func() { _ = errors.Join(c.mail.Close(), c.database.stop()) }() // the pod goes
	server := &http.Server{Addr: controlAddress, Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control API: %w", err)
	}
	return nil
}
