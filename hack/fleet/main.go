// Command fleet measures what many functions cost one API server and one
// operator: how long until all of them are Ready, what the operator needs
// while nothing happens and while events flow, and what a restart, a change and
// a deletion of all cost. Nodes and runners are fake (KWOK); the API server, its
// controllers, the operator and Redis are real. README.md says how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// run measures, prints the figures to out, and leaves nothing behind in the
// cluster. Progress goes to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(progress, nil))
	ctrl.SetLogger(logr.Discard()) // of client libraries; what fails is returned
	folder, err := os.MkdirTemp("", "wildout-fleet-")
	if err != nil {
		return fmt.Errorf("make a folder for logs: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w (the logs of all processes are in %s)", err, folder)
			return
		}
		err = os.RemoveAll(folder)
	}()
	ground, err := prepare(ctx, o, folder, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ground.leave(context.WithoutCancel(ctx))) }()
	figures, err := measure(ctx, ground)
	if figures != nil { // what was measured before something failed is worth reading
		err = errors.Join(figures.print(out), err)
	}
	return err
}
