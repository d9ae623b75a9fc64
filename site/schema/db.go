package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Dialect names the kind of database.
type Dialect string

// The databases that the site runs on.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// DB is the site's database. Statements use $1, $2, … on both dialects.
type DB struct {
	pool     *sql.DB
	dialect  Dialect
	classify func(error) error
}

// NewDB wraps an open pool. classify marks the errors that no retry mends; nil
// leaves errors as they are. It fails for an unknown dialect.
func NewDB(pool *sql.DB, dialect Dialect, classify func(error) error) (*DB, error) {
	if pool == nil {
		return nil, errors.New("no database was given: set its URL")
	}
	if dialect != Postgres && dialect != SQLite {
		return nil, fmt.Errorf("unknown SQL dialect %q: use %s or %s", dialect, Postgres, SQLite)
	}
	if classify == nil {
		classify = func(err error) error { return err }
	}
	return &DB{pool: pool, dialect: dialect, classify: classify}, nil
}

// Check says why the database cannot be used right now; nil when it can.
func (db *DB) Check(ctx context.Context) error {
	var one int
	return db.pool.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// Do runs fn in a transaction: committed when fn returns nil, else rolled
// back. On SQLite it takes the write lock at once: a transaction that reads
// first and writes later could not get it any more. what says in errors what
// was being done.
func (db *DB) Do(ctx context.Context, what string, fn func(tx *Tx) error) error {
	run := db.doPostgres
	if db.dialect == SQLite {
		run = db.doSQLite
	}
	if err := run(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, db.classify(err))
	}
	return nil
}

func (db *DB) doPostgres(ctx context.Context, fn func(tx *Tx) error) error {
	native, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer func() { _ = native.Rollback() }()
	if err := fn(&Tx{native, Postgres}); err != nil {
		return err
	}
	return native.Commit()
}

func (db *DB) doSQLite(ctx context.Context, fn func(tx *Tx) error) error {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open a connection: %w", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	// The end must happen even when ctx is over: the connection is reused.
	end := func(how string) error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), how)
		return err
	}
	committed := false
	defer func() {
		if !committed {
			_ = end("ROLLBACK")
		}
	}()
	if err := fn(&Tx{conn, SQLite}); err != nil {
		return err
	}
	if err := end("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}
