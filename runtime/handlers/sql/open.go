package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Dialect is the SQL that a database speaks.
type Dialect string

// The databases that there are.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// DB is a pool of connections that knows its dialect.
type DB struct {
	*stdsql.DB
	Dialect Dialect

	pooled bool // PostgreSQL behind a transaction pooler, see Open
}

// Options configure the pool. A zero value takes its default.
type Options struct {
	// MaxConns is how many connections are open at most: 10.
	MaxConns int
	// MaxIdle is how many of them stay open without work: 2.
	MaxIdle int
	// MaxLifetime is when a connection is replaced, so that a failover or a
	// new replica is noticed: 30 min.
	MaxLifetime time.Duration
	// MaxIdleTime is when one without work is closed: 5 min.
	MaxIdleTime time.Duration
	// ConnectTimeout bounds one connection to PostgreSQL: 10 s, or what
	// connect_timeout in the URL says.
	ConnectTimeout time.Duration
	// BusyTimeout is how long SQLite waits for another writer: 10 s.
	BusyTimeout time.Duration
}

// Validate reports what cannot work.
func (o Options) Validate() error {
	if o.MaxConns < 0 || o.MaxIdle < 0 || o.MaxLifetime < 0 || o.MaxIdleTime < 0 || o.ConnectTimeout < 0 || o.BusyTimeout < 0 {
		return errors.New("counts and durations of a database pool must be more than 0")
	}
	return nil
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxConns, 10)
	setDefault(&o.MaxIdle, 2)
	setDefault(&o.MaxLifetime, 30*time.Minute)
	setDefault(&o.MaxIdleTime, 5*time.Minute)
	setDefault(&o.ConnectTimeout, 10*time.Second)
	setDefault(&o.BusyTimeout, 10*time.Second)
	return o
}

func setDefault[T int | time.Duration](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

// Open opens the database of a URL:
//
//	postgres://user:password@host:5432/name?sslmode=verify-full
//	postgresql://…                  the same
//	sqlite:path/to/file.db          created when missing
//	file:path?mode=ro               SQLite, with its own parameters
//
// PostgreSQL is not contacted: it may be down when a runner starts. Behind a
// pooler that gives each transaction another server connection (PgBouncer,
// Supabase on port 6543) prepared statements would be looked for where they
// were not made; port 6543 or ?pgbouncer=true does without them. No error
// shows the password.
func Open(ctx context.Context, rawURL string, opts Options) (*DB, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	scheme, _, _ := strings.Cut(rawURL, ":")
	switch scheme {
	case "postgres", "postgresql":
		return openPostgres(rawURL, opts)
	case "sqlite", "file":
		return openSQLite(ctx, rawURL, opts)
	}
	return nil, errors.New("the database URL has no scheme that is known (it is not shown, for it may hold a password): want postgres://, postgresql://, sqlite: or file: and a place")
}

func openPostgres(rawURL string, opts Options) (*DB, error) {
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		// pgx redacts the password only where it can find it.
		return nil, errors.New("the database URL cannot be read (it is not shown, for it may hold a password; special characters in the password need %-encoding), want postgres://user:password@host:5432/name?sslmode=verify-full")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = opts.ConnectTimeout
	}
	pooled := config.RuntimeParams["pgbouncer"] == "true" || config.Port == 6543
	delete(config.RuntimeParams, "pgbouncer") // ours: the server would refuse it
	if pooled {
		// One round trip with an unnamed statement, which no other
		// transaction can come between. Parameters stay parameters.
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	db := stdlib.OpenDB(*config)
	setPool(db, opts)
	return &DB{DB: db, Dialect: Postgres, pooled: pooled}, nil
}

func setPool(db *stdsql.DB, opts Options) {
	db.SetMaxOpenConns(opts.MaxConns)
	db.SetMaxIdleConns(min(opts.MaxIdle, opts.MaxConns))
	db.SetConnMaxLifetime(opts.MaxLifetime)
	db.SetConnMaxIdleTime(opts.MaxIdleTime)
}

func openSQLite(ctx context.Context, rawURL string, opts Options) (*DB, error) {
	dsn, memory, err := sqliteDSN(rawURL, opts.BusyTimeout)
	if err != nil {
		return nil, err
	}
	db, err := stdsql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open the SQLite database %s: %w", rawURL, err)
	}
	setPool(db, opts)
	if memory {
		// Each connection to :memory: is a database of its own.
		db.SetMaxOpenConns(1)
		db.SetMaxIdleConns(1)
		db.SetConnMaxLifetime(0)
		db.SetConnMaxIdleTime(0)
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open the SQLite database %s: %w; check that the folder exists and can be written", rawURL, err)
	}
	return &DB{DB: db, Dialect: SQLite}, nil
}

// sqliteDSN adds to the URL what the handlers rely on. SQLite has one writer:
// a transaction takes the write lock when it begins (_txlock), for one that
// took it later could not wait for another writer and would fail at once.
func sqliteDSN(rawURL string, busy time.Duration) (dsn string, memory bool, err error) {
	path, rawQuery, _ := strings.Cut(rawURL, "?")
	if rest, ok := strings.CutPrefix(path, "sqlite:"); ok {
		path = "file:" + (&url.URL{Path: strings.TrimPrefix(rest, "//")}).EscapedPath()
	}
	if path == "file:" {
		return "", false, errors.New("the SQLite URL has no path, want sqlite:path/to/file.db")
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", false, fmt.Errorf("the query of the SQLite URL %s: %w", rawURL, err)
	}
	query["_pragma"] = append([]string{
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
	}, query["_pragma"]...)
	query.Set("_txlock", "immediate")
	query.Set("_time_format", "sqlite") // sorts as text, when all times are UTC
	memory = path == "file::memory:" || query.Get("mode") == "memory"
	return path + "?" + query.Encode(), memory, nil
}
