package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "postgres"
	startTimeout = time.Minute
)

// postgres is a PostgreSQL server and its data, which stay when it is stopped.
type postgres struct {
	data     string // folder
	password string

	mu   sync.Mutex
	cmd  *exec.Cmd // nil while stopped
	done chan struct{}
}

// initialize makes the cluster, unless an earlier container of the pod did.
func (p *postgres) initialize(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.data, "PG_VERSION")); err == nil {
		return nil
	}
	file := filepath.Join(os.TempDir(), "password")
	if err := os.WriteFile(file, []byte(p.password), 0o600); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	defer os.Remove(file)
	initdb := exec.CommandContext(ctx, "initdb", "-D", p.data, "-U", superuser, "--pwfile", file, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if said, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, said)
	}
	access, err := os.OpenFile(filepath.Join(p.data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = access.WriteString("host all all all scram-sha-256\n")
		err = errors.Join(err, access.Close())
	}
	if err != nil {
		return fmt.Errorf("let other pods in: %w", err)
	}
	return nil
}

// start starts the server and returns when it answers.
func (p *postgres) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	cmd := exec.Command("postgres", "-D", p.data, "-c", "listen_addresses=*", "-c", "port="+strconv.Itoa(databasePort), //nolint:noctx // it outlives the request that starts it
		"-c", "unix_socket_directories=", "-c", "max_connections=400", "-c", "shared_buffers=64MB",
		"-c", "fsync=off", // nobody cuts the power
		"-c", "timezone=UTC")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // stop says how
		close(done)
	}()
	p.cmd, p.done = cmd, done
	return p.awaitReady(ctx)
}

func (p *postgres) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := p.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			p.cmd = nil
			return errors.New("PostgreSQL exited: its log says why")
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL is not ready after %s: %w", startTimeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *postgres) ping(ctx context.Context) error {
	address := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, p.password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(databasePort)), Path: "/postgres"}
	conn, err := pgx.Connect(ctx, address.String())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// stop ends the server in order: it cuts its connections and writes everything
// out (a fast shutdown).
func (p *postgres) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := p.signalAll(syscall.SIGCONT); err != nil { // a frozen one takes no other signal
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	<-p.done
	p.cmd = nil
	return nil
}

// pause freezes the server and all that serve a connection.
func (p *postgres) pause() error { return p.freeze(syscall.SIGSTOP) }

func (p *postgres) resume() error { return p.freeze(syscall.SIGCONT) }

func (p *postgres) freeze(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errors.New("PostgreSQL is stopped: start it first")
	}
	return p.signalAll(s)
}

// signalAll signals the server, then its children: a frozen parent makes no
// more of them.
func (p *postgres) signalAll(s syscall.Signal) error {
	parent := p.cmd.Process.Pid
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to PostgreSQL: %w", s, err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …: a name may hold spaces and brackets.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("send %s to process %d of PostgreSQL: %w", s, pid, err)
		}
	}
	return nil
}
