// Package schematest gives tests a migrated database of the site, on real
// PostgreSQL and on SQLite, so that one suite holds for both. Only for tests.
package schematest

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// Site is a database with all tables and no rows.
type Site struct {
	*schema.DB
	// Pool is for looking behind the handlers' back.
	Pool    *sql.DB
	Dialect schema.Dialect
}

// Each runs the test on both dialects, each time with a database of its own.
// It needs servicetest.Main in TestMain.
func Each(t *testing.T, test func(t *testing.T, site *Site)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "site.db")
		test(t, open(t, "sqlite", "file:"+file+"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)", schema.SQLite))
	})
}

// Postgres returns a site on the shared PostgreSQL server.
func Postgres(t testing.TB) *Site {
	t.Helper()
	return open(t, "pgx", servicetest.SharedPostgres(t).NewDatabase(t), schema.Postgres)
}

func open(t testing.TB, driver, dsn string, dialect schema.Dialect) *Site {
	t.Helper()
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(20)
	t.Cleanup(func() { _ = pool.Close() })
	if err := schema.Migrate(context.Background(), pool, dialect); err != nil {
		t.Fatal(err)
	}
	db, err := schema.NewDB(pool, dialect, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Site{DB: db, Pool: pool, Dialect: dialect}
}

// Count returns the number that the query gives.
func (s *Site) Count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := s.Pool.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// Text returns the text that the query gives.
func (s *Site) Text(t testing.TB, query string, args ...any) (text string) {
	t.Helper()
	if err := s.Pool.QueryRow(query, args...).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

// Exec executes a statement.
func (s *Site) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := s.Pool.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Step returns the context of a handler's attempt at the step with that
// idempotency key.
func Step(key string, attempt int) context.Context {
	return wildout.WithInfo(context.Background(), wildout.RunInfo{
		RunID: "run-of-" + key, Function: "test", Attempt: attempt, IdempotencyKey: key,
	}, nil)
}
