package sql

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// endTimeout bounds how long a rollback may take.
const endTimeout = 5 * time.Second

// transact runs fn in a transaction: committed when fn returns nil, else
// rolled back. The connection is handed on as it was.
func (db *DB) transact(ctx context.Context, begin string, fn func(*stdsql.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	if err = fn(conn); err == nil {
		if _, err = conn.ExecContext(ctx, "commit"+db.afterwards()); err == nil {
			return nil
		}
	}
	// A commit that failed leaves the transaction open on SQLite. The rollback
	// must happen though ctx is over: the next step has this connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	_, failed := conn.ExecContext(ctx, "rollback"+db.afterwards())
	// A statement without rows may have changed the session past a rollback.
	if failed != nil || db.Dialect == Postgres && errors.Is(err, errNoRows) {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it
	}
	return err
}

// afterwards is what follows the end of a transaction, in the same round trip.
// Behind a pooler the session is not ours.
func (db *DB) afterwards() string {
	if db.Dialect == Postgres && !db.pooled {
		return "; " + resetSession
	}
	return ""
}
