package schema

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Tx is a transaction under way.
type Tx struct {
	statements
	dialect Dialect
}

// statements is what a *sql.Tx and a *sql.Conn have in common.
type statements interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Lock waits until no other transaction holds the lock of that name; it is
// released with the transaction. What is read after Lock includes what earlier
// holders committed. On SQLite the transaction already excludes all others.
func (tx *Tx) Lock(ctx context.Context, name string) error {
	if tx.dialect == SQLite {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name); err != nil {
		return fmt.Errorf("wait for the lock %s: %w", name, err)
	}
	return nil
}

// Now is the database's clock, the one clock that all runners share. It goes
// on during a transaction: read it after Lock.
func (tx *Tx) Now(ctx context.Context) (time.Time, error) {
	query := "SELECT clock_timestamp()"
	if tx.dialect == SQLite {
		query = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
	}
	var now Time
	if err := tx.QueryRowContext(ctx, query).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return now.Time, nil
}

// Once reports whether this is the first committed transaction to ask for key.
// It leaves a marker in applied_steps, so a counter that is incremented in the
// same transaction counts each key once, however often the step runs.
func (tx *Tx) Once(ctx context.Context, key string) (bool, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return false, err
	}
	n, err := tx.Affected(ctx, `INSERT INTO applied_steps (idempotency_key, applied_at) VALUES ($1, $2)
		ON CONFLICT (idempotency_key) DO NOTHING`, key, At(now))
	return n == 1, err
}

// Affected executes a statement and returns the number of rows it changed.
func (tx *Tx) Affected(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// NewID returns an id for a new row; ids sort by the time they were made.
func NewID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}
