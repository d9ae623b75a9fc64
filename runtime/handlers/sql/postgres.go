package sql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	wildout "github.com/wildout/wildout/runtime"
)

// resetSession is what DISCARD ALL stands for, but for the prepared statements
// that the driver holds: settings, roles, locks, cursors and temporary tables
// of one step are gone before the next has the connection.
const resetSession = "close all; set session authorization default; reset all; unlisten *; " +
	"select pg_advisory_unlock_all(); discard plans; discard temp; discard sequences"

// execPostgres runs a statement for the number of rows that it changed. It is
// a transaction of its own and not inside one, as VACUUM and procedures that
// commit need it.
func (db *DB) execPostgres(ctx context.Context, text string, args []any) (affected int64, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	err = conn.Raw(func(driverConn any) error {
		c := driverConn.(*stdlib.Conn).Conn()
		tag, err := execExtended(ctx, c, text, args)
		if err != nil {
			return err
		}
		affected = tag.RowsAffected()
		return db.leave(ctx, c, tag)
	})
	return affected, err
}

// execExtended runs a statement by the extended protocol, which takes no
// second one. pgx's Exec would take the simple protocol when there are no
// arguments, its Query never does.
func execExtended(ctx context.Context, c *pgx.Conn, text string, args []any) (pgconn.CommandTag, error) {
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	rows.Close()
	return rows.CommandTag(), rows.Err()
}

// leave hands the connection on as it was. What a statement did beside changing
// rows can be left over, and its tag says whether it could.
func (db *DB) leave(ctx context.Context, c *pgx.Conn, tag pgconn.CommandTag) error {
	switch what := tag.String(); {
	case what == "":
		return wildout.NonRetriable(errEmpty)
	case what == "BEGIN", what == "START TRANSACTION", what == "COMMIT", what == "ROLLBACK", c.PgConn().TxStatus() != 'I':
		// database/sql discards a connection with an open transaction.
		return wildout.NonRetriable(fmt.Errorf("%s: %w", what, errTransaction))
	case tag.Insert(), tag.Update(), tag.Delete(), strings.HasPrefix(what, "MERGE"), db.pooled:
		return nil
	case tag.Select(), what == "CALL", what == "DO":
		if _, err := c.Exec(ctx, resetSession); err == nil {
			return nil
		}
	}
	return c.Close(ctx) // settings, prepared statements and all; the next step opens another
}

var errTransaction = errors.New("a transaction cannot be controlled by steps: each is a transaction of its own; write a function of the database, or one statement WITH the others")

// copyIn waits for data that no step can send, until the step's timeout.
var copyIn = regexp.MustCompile(`(?is)^(\s|--[^\n\r]*|/\*.*?\*/)*copy\s.*\sfrom\s+stdin\b`)
