package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	wildout "github.com/wildout/wildout/runtime"
)

// Classify marks the errors of a database that no attempt can mend: a
// constraint, a wrong value, a wrong statement. What is about the server or
// about other transactions is left retriable. The message of a server's error
// gets its SQLSTATE, hint and constraint, but not its detail, which quotes
// rows. A nil err gives nil, and an error already marked is returned as it is.
func Classify(err error) error {
	if err == nil || wildout.IsNonRetriable(err) {
		return err
	}
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &connect):
		return fmt.Errorf("cannot connect to the database: %w; check the database URL, that the server runs, and that a NetworkPolicy or firewall lets this pod reach it", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the statement was stopped before it ended: %w", err)
	case errors.As(err, &server):
		return classifyPostgres(server, err)
	case errors.As(err, &lite):
		return classifySQLite(lite, err)
	case wrongArguments(err):
		return wildout.NonRetriable(err)
	}
	return err
}

func classifyPostgres(server *pgconn.PgError, err error) error {
	described := &stateError{server: server, err: err}
	if permanent(server.Code) || wrongArguments(err) {
		return wildout.NonRetriable(described)
	}
	return described
}

// permanent goes by the classes of PostgreSQL's appendix A.
func permanent(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state {
	case "42P05", "26000":
		return false // a pooler mixed up prepared statements, see hint
	case "25001", "25P01":
		return true // not inside a transaction, or only there: steps never change that
	}
	switch state[:2] {
	case "21", // cardinality
		"22", // data
		"23", // integrity constraint
		"2D", // a procedure commits inside a query
		"3B", // savepoints
		"42", // syntax, or a name or a right that is missing
		"44": // WITH CHECK OPTION
		return true
	}
	return false
}

// stateError is a server's error with what a person needs to find its cause.
type stateError struct {
	server *pgconn.PgError
	err    error
}

func (e *stateError) Unwrap() error { return e.err }

func (e *stateError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (SQLSTATE %s)", e.server.Message, e.server.Code)
	for _, part := range []struct{ name, value string }{
		{"table", e.server.TableName},
		{"column", e.server.ColumnName},
		{"constraint", e.server.ConstraintName},
		{"hint", e.server.Hint},
		{"hint", e.hint()},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, "; %s: %s", part.name, part.value)
		}
	}
	if e.server.Position > 0 {
		fmt.Fprintf(&b, "; at character %d", e.server.Position)
	}
	return b.String()
}

func (e *stateError) hint() string {
	switch {
	case e.server.Code == "42P05", e.server.Code == "26000":
		return "a transaction pooler cannot keep prepared statements, add ?pgbouncer=true to the database URL"
	case e.server.Code == "42601" && strings.Contains(e.server.Message, "multiple commands"):
		return "sql has more than one statement, use one step for each"
	case e.server.Code == "25P01", strings.HasPrefix(e.server.Code, "3B"):
		return errTransaction.Error()
	case e.server.Code == "25001", strings.HasPrefix(e.server.Code, "2D"):
		return "sql.query runs in a transaction, use sql.exec"
	case strings.HasPrefix(e.server.Code, "53"):
		return "the server is out of connections, memory or disk"
	case e.server.Code == "25006":
		return "the server is read-only, perhaps a replica or in a failover"
	}
	return ""
}

// classifySQLite goes by the primary result code, the low byte. A statement
// that does not compile has the general code, as has little else.
func classifySQLite(lite *sqlite.Error, err error) error {
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG:
		return wildout.NonRetriable(err)
	}
	return err
}

// wrongArguments recognises, by their text, the errors of arguments that do not
// fit a statement and that have no type or code of their own.
func wrongArguments(err error) bool {
	text := err.Error()
	for _, part := range []string{
		"failed to encode args[",      // pgx: the value does not fit the type
		"arguments, got ",             // pgx: expected 2 arguments, got 1
		"bind message supplies ",      // the server, when pgx does not ask it first; the code says less
		"missing argument with index", // sqlite
		"missing named argument",      // sqlite
	} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
