package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"

	wildout "github.com/wildout/wildout/runtime"
)

// execSQLite runs a statement for the number of rows that it changed. SQLite
// has one writer, and a transaction that took the lock later could not wait
// for another one.
func (db *DB) execSQLite(ctx context.Context, text string, args []any) (affected int64, err error) {
	err = db.transact(ctx, "begin immediate", func(conn *stdsql.Conn) error {
		before, err := totalChanges(ctx, conn)
		if err != nil {
			return err
		}
		err = db.guarded(conn, func() error {
			result, err := conn.ExecContext(ctx, text, args...)
			if err == nil {
				affected, err = result.RowsAffected()
			}
			return err
		})
		if err != nil {
			return err
		}
		// A statement that changes no rows leaves the number of the one before.
		after, err := totalChanges(ctx, conn)
		if after == before {
			affected = 0
		}
		return err
	})
	return affected, err
}

func totalChanges(ctx context.Context, conn *stdsql.Conn) (n int64, err error) {
	err = conn.QueryRowContext(ctx, "select total_changes()").Scan(&n)
	return n, err
}

// guarded runs fn while SQLite asks a guard about each operation of what it
// compiles on conn. PostgreSQL needs none: see execPostgres and transact.
func (db *DB) guarded(conn *stdsql.Conn, fn func() error) error {
	if db.Dialect != SQLite {
		return fn()
	}
	g := &guard{}
	if err := authorize(conn, g.judge); err != nil {
		return err
	}
	err := fn()
	if failed := authorize(conn, nil); err == nil {
		err = failed
	}
	if g.refusal != nil {
		return wildout.NonRetriable(g.refusal)
	}
	return err
}

func authorize(conn *stdsql.Conn, judge sqlite.AuthorizerFn) error {
	return conn.Raw(func(driverConn any) error {
		registerer, ok := driverConn.(sqlite.AuthorizerRegisterer)
		if !ok {
			return fmt.Errorf("the driver of SQLite (%T) takes no authorizer", driverConn)
		}
		return registerer.RegisterAuthorizer(judge)
	})
}

// guard refuses what would outlast a step: it belongs to the connection, which
// the steps of all runs share, and on PostgreSQL it is reset.
type guard struct{ refusal error }

func (g *guard) judge(action sqlite.AuthorizerActionCode, arg1, arg2, _, trigger string) sqlite.AuthorizerReturnCode {
	var refusal error
	switch action {
	case sqlite.AuthTransaction:
		refusal = fmt.Errorf("%s: %w", arg1, errTransaction)
	case sqlite.AuthSavepoint:
		refusal = fmt.Errorf("SAVEPOINT %s: %w", arg2, errTransaction)
	case sqlite.AuthAttach, sqlite.AuthDetach:
		refusal = errors.New("ATTACH and DETACH would hold for other steps too, and only for some: put the tables into one database")
	case sqlite.AuthCreateTempTable, sqlite.AuthCreateTempIndex, sqlite.AuthCreateTempTrigger, sqlite.AuthCreateTempView:
		refusal = fmt.Errorf("%q would be there for other steps too, and only for some: nothing temporary outlasts a step, write WITH in its statement", arg1)
	case sqlite.AuthPragma:
		if arg2 != "" && !harmlessPragmas[strings.ToLower(arg1)] {
			refusal = fmt.Errorf("PRAGMA %s = %s would hold for other steps too, and only for some: set it in the database URL, with _pragma=%s(%s)", arg1, arg2, arg1, arg2)
		}
	case sqlite.AuthFunction:
		if trigger == "" && sessionFunctions[strings.ToLower(arg2)] {
			refusal = fmt.Errorf("%s() tells of the statement of another step: use RETURNING, or the output rowsAffected", arg2)
		}
	}
	if refusal == nil {
		return sqlite.AuthorizerOK
	}
	g.refusal = refusal
	return sqlite.AuthorizerDeny
}

// harmlessPragmas take an argument and leave nothing with the connection.
var harmlessPragmas = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_list": true, "index_info": true, "index_xinfo": true,
	"foreign_key_list": true, "foreign_key_check": true, "integrity_check": true, "quick_check": true,
	"user_version": true, "application_id": true, "optimize": true, "incremental_vacuum": true, "wal_checkpoint": true,
}

var sessionFunctions = map[string]bool{"last_insert_rowid": true, "changes": true, "total_changes": true}
