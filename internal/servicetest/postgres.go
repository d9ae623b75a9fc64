package servicetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server of its own for one test, or the one that
// the tests of a process share.
type Postgres struct {
	t       testing.TB
	cluster *cluster
}

// The signals of PostgreSQL. An immediate shutdown stands in for SIGKILL: it
// loses as much and takes the child processes and the shared memory along,
// which would keep the next start from the data.
const (
	fastShutdown      = syscall.SIGINT
	immediateShutdown = syscall.SIGQUIT
)

// cluster is a PostgreSQL data directory and its server.
type cluster struct{ server *server }

type postgresConfig struct{ fsync bool }

// PostgresOption changes how a PostgreSQL server is set up.
type PostgresOption func(*postgresConfig)

// Fsync makes commits survive the loss of the machine, not only of the
// server. Off by default: tests kill servers, not machines, and it is slow.
func Fsync() PostgresOption { return func(c *postgresConfig) { c.fsync = true } }

// StartPostgres starts a PostgreSQL server that is stopped when the test ends.
// It takes a second or two; SharedPostgres is cheaper for tests that do not
// disturb the server.
func StartPostgres(t testing.TB, opts ...PostgresOption) *Postgres {
	t.Helper()
	var config postgresConfig
	for _, opt := range opts {
		opt(&config)
	}
	dir, err := clusterFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the cluster: %v", err)
		}
	})
	c, err := startCluster(dir, config)
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{t: t, cluster: c}
	t.Cleanup(p.Kill) // nobody reads its data again
	return p
}

// clusterFolder makes a temporary folder. Those of testing.TB do not do: they
// are in one that only the user of the test may enter.
func clusterFolder() (string, error) { return os.MkdirTemp("", "wildout-postgres-") }

func startCluster(dir string, config postgresConfig) (*cluster, error) {
	programs, err := findPostgres()
	if err != nil {
		return nil, err
	}
	data, err := programs.initialize(dir)
	if err != nil {
		return nil, err
	}
	s := &server{
		name:    "postgres",
		logFile: filepath.Join(dir, "server.log"),
		onDeath: immediateShutdown,
		family:  childrenOf,
	}
	c := &cluster{server: s}
	s.command = func() *exec.Cmd {
		return programs.command("postgres", data, "-D", data,
			"-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(s.port),
			"-c", "unix_socket_directories=", // their paths have a length limit
			"-c", "fsync="+strconv.FormatBool(config.fsync),
			"-c", "max_connections=200", "-c", "timezone=UTC")
	}
	s.ready = func(ctx context.Context) error { return c.execute(ctx, "SELECT 1") }
	if err := s.startAnywhere(); err != nil {
		return nil, err
	}
	return c, nil
}

// DSN returns the connection URL of a database of the server.
func (p *Postgres) DSN(database string) string { return p.cluster.dsn(database) }

func (c *cluster) dsn(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: address(c.server.port),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// NewDatabase returns the connection URL of a fresh, empty database, which is
// dropped when the test t ends.
func (p *Postgres) NewDatabase(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := p.cluster.execute(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		if !p.cluster.server.usable() {
			return // it goes with the server
		}
		if err := p.cluster.execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return p.cluster.dsn(name)
}

// execute runs one statement in the database postgres.
func (c *cluster) execute(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// Start starts the server again after Stop or Kill, on the same port and with
// the same data.
func (p *Postgres) Start() {
	p.t.Helper()
	p.check(p.cluster.server.start())
}

// Stop ends the server in order: it cuts its connections and writes
// everything out (a fast shutdown).
func (p *Postgres) Stop() {
	p.t.Helper()
	p.check(p.cluster.server.stop(fastShutdown))
}

// Kill ends the server at once; the next start goes through crash recovery.
func (p *Postgres) Kill() {
	p.t.Helper()
	p.check(p.cluster.server.stop(immediateShutdown))
}

// Pause freezes the server and every process that serves a connection:
// connections stay open and nothing answers. A frozen server outlives a test
// process that is killed.
func (p *Postgres) Pause() {
	p.t.Helper()
	p.check(p.cluster.server.pause())
}

// Resume lets a paused server go on.
func (p *Postgres) Resume() {
	p.t.Helper()
	p.check(p.cluster.server.resume())
}

func (p *Postgres) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// childrenOf lists the child processes of pid, from /proc.
func childrenOf(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, path := range stats {
		fields, err := statFields(path)
		if err != nil || fields[1] != strconv.Itoa(pid) {
			continue // it may have ended since
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		children = append(children, child)
	}
	return children, nil
}

// statFields returns what follows the name in /proc/…/stat: the state, the
// parent, ….
func statFields(path string) ([]string, error) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// pid (name) state parent …: a name may hold spaces and brackets.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return nil, fmt.Errorf("%s is cut off", path)
	}
	return fields, nil
}
