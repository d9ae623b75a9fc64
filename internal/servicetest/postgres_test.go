package servicetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestSharedPostgresGivesEachTestItsDatabase(t *testing.T) {
	var dsns []string
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			dsn := SharedPostgres(t).NewDatabase(t)
			execute(t, dsn, "CREATE TABLE mine (id int)") // fails where the other's is
			dsns = append(dsns, dsn)
		})
	}
	for _, dsn := range dsns {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			_ = conn.Close(context.Background())
			t.Errorf("%s is still there after its test", dsn)
		}
	}
}

func TestPostgresComesBackWithItsData(t *testing.T) {
	p := StartPostgres(t)
	dsn := p.NewDatabase(t)
	execute(t, dsn, "CREATE TABLE kept (id int)")
	for name, end := range map[string]func(*Postgres){
		"stopped": (*Postgres).Stop, "killed": (*Postgres).Kill,
	} {
		execute(t, dsn, "INSERT INTO kept VALUES (1)")
		end(p)
		if listening(address(p.cluster.server.port)) {
			t.Errorf("%s: it still listens", name)
		}
		p.Start()
	}
	if got := count(t, dsn, "kept"); got != 2 {
		t.Errorf("%d rows are left, want 2", got)
	}
}

func TestPostgresPause(t *testing.T) {
	p := StartPostgres(t)
	conn, err := pgx.Connect(context.Background(), p.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	answered := make(chan error, 1)
	p.Pause()
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT 1")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("an open connection of a paused server answers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	p.Resume()
	if err := <-answered; err != nil {
		t.Errorf("the connection did not survive the pause: %v", err)
	}
}

func TestPostgresFolder(t *testing.T) {
	debian := t.TempDir()
	for _, version := range []string{"9", "15", "16", "common"} {
		bin := filepath.Join(debian, version, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if version == "16" {
			continue // installed in part: a client without a server
		}
		if err := os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := postgresFolder(debian)
	if want := filepath.Join(debian, "15", "bin"); err != nil || got != want {
		t.Errorf("postgresFolder: %s, %v, want %s", got, err, want)
	}
}

func TestMissingPostgresSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := postgresFolder(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "make services") {
		t.Errorf("error %v, want one that names `make services`", err)
	}
	if _, err := startRedis(t.TempDir(), redisConfig{}); err == nil || !strings.Contains(err.Error(), "make services") {
		t.Errorf("error %v, want one that names `make services`", err)
	}
}

func execute(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, dsn, table string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
