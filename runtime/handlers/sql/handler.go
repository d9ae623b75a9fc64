package sql

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	wildout "github.com/wildout/wildout/runtime"
)

// The names that manifests use.
const (
	QueryName = "sql.query"
	ExecName  = "sql.exec"
)

const defaultMaxRows = 1000

// Query is the input of sql.query.
type Query struct {
	// SQL is one statement, with $1, $2, … in place of values.
	SQL string `json:"sql"`
	// Args are the values. For PostgreSQL a list of strings or of numbers fits
	// an array parameter as well as a JSON one (behind a transaction pooler
	// only an array); other lists and objects are JSON text, as are all of
	// them for SQLite.
	Args []json.RawMessage `json:"args,omitempty"`
	// MaxRows is the most rows that may come, 1000 by default; more are an
	// error, for no part of a result is left out silently.
	MaxRows int `json:"maxRows,omitempty"`
}

// QueryResult is the output of sql.query.
type QueryResult struct {
	// Rows have one value per column: integers, floats and booleans as such,
	// json and jsonb as JSON, timestamps as RFC 3339 in UTC, dates as
	// 2006-01-02, bytea and BLOB as base64, one-dimensional arrays as lists,
	// all else as text. numeric is a string, for a JSON number would not keep
	// it exact: cast it (::float8, ::bigint) to calculate with it.
	Rows  []Row `json:"rows"`
	Count int   `json:"count"`
}

// Row is a row by column name.
type Row map[string]json.RawMessage

// Exec is the input of sql.exec; see Query.
type Exec struct {
	SQL  string            `json:"sql"`
	Args []json.RawMessage `json:"args,omitempty"`
}

// ExecResult is the output of sql.exec.
type ExecResult struct {
	RowsAffected int64 `json:"rowsAffected"`
}

// Register adds sql.query and sql.exec on db to reg.
func Register(reg *wildout.Registry, db *DB) {
	wildout.Add(reg, QueryName, db.RunQuery)
	wildout.Add(reg, ExecName, db.RunExec)
}

// RunExec runs one statement and counts the rows that it changed. Errors are
// classified.
func (db *DB) RunExec(ctx context.Context, e Exec) (ExecResult, error) {
	args, err := db.prepare(e.SQL, e.Args)
	if err != nil {
		return ExecResult{}, err
	}
	run := db.execPostgres
	if db.Dialect == SQLite {
		run = db.execSQLite
	}
	n, err := run(ctx, e.SQL, args)
	return ExecResult{RowsAffected: n}, Classify(err)
}

// RunQuery runs one statement and returns its rows. What it changes (with
// RETURNING) is kept only when all of its rows can be returned. Errors are
// classified.
func (db *DB) RunQuery(ctx context.Context, q Query) (QueryResult, error) {
	if q.MaxRows < 0 {
		return QueryResult{}, wildout.NonRetriable(fmt.Errorf("maxRows is %d, want 1 or more", q.MaxRows))
	}
	setDefault(&q.MaxRows, defaultMaxRows)
	args, err := db.prepare(q.SQL, q.Args)
	if err != nil {
		return QueryResult{}, err
	}
	var list []Row
	err = db.transact(ctx, "begin", func(conn *stdsql.Conn) error {
		return db.guarded(conn, func() (err error) {
			list, err = queryRows(ctx, conn, q, args)
			return err
		})
	})
	if err != nil {
		return QueryResult{}, Classify(err)
	}
	return QueryResult{Rows: list, Count: len(list)}, nil
}

func queryRows(ctx context.Context, conn *stdsql.Conn, q Query, args []any) ([]Row, error) {
	rows, err := conn.QueryContext(ctx, q.SQL, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return readRows(rows, q.MaxRows)
}

func (db *DB) prepare(text string, raw []json.RawMessage) ([]any, error) {
	if err := db.checkText(text); err != nil {
		return nil, wildout.NonRetriable(err)
	}
	args := make([]any, len(raw))
	for i, r := range raw {
		value, err := db.argument(r)
		if err != nil {
			return nil, wildout.NonRetriable(fmt.Errorf("args[%d]: %w", i, err))
		}
		args[i] = value
	}
	return args, nil
}

// checkText refuses what the database would not refuse. PostgreSQL is always
// asked by the extended protocol, which takes one statement; the driver of
// SQLite runs as many as there are.
func (db *DB) checkText(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errEmpty
	case strings.ContainsRune(text, 0):
		return errors.New("sql has a NUL character, and the database would read no further")
	case db.Dialect == SQLite:
		return checkOne(text)
	case copyIn.MatchString(text):
		return errors.New("a step cannot send data for COPY FROM STDIN: use INSERT with unnest($1::text[])")
	}
	return nil
}

var errEmpty = errors.New("sql is empty")

// readRows reads until the output of a step would be too large. It never
// returns a part of the rows.
func readRows(rows *stdsql.Rows, maxRows int) ([]Row, error) {
	columns, err := newColumns(rows)
	if err != nil {
		return nil, err
	}
	list := []Row{}
	size := 0
	for rows.Next() {
		if len(list) == maxRows {
			return nil, wildout.NonRetriable(fmt.Errorf("the query gives more than %d rows: add a LIMIT, or raise maxRows", maxRows))
		}
		row, n, err := columns.read(rows)
		if err != nil {
			return nil, err
		}
		if size += n; size > wildout.MaxOutputBytes {
			return nil, wildout.NonRetriable(fmt.Errorf("the rows are larger than %d bytes, the limit of a step's output: select fewer columns or rows", wildout.MaxOutputBytes))
		}
		list = append(list, row)
	}
	return list, Classify(rows.Err())
}

// columns are the columns of a result.
type columns struct {
	names, types []string
	values       []any // of the current row
	into         []any // pointers to values
}

func newColumns(rows *stdsql.Rows) (*columns, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, Classify(err)
	}
	c := &columns{values: make([]any, len(types)), into: make([]any, len(types))}
	seen := map[string]bool{}
	for i, t := range types {
		name := t.Name()
		if seen[name] {
			return nil, wildout.NonRetriable(fmt.Errorf("two columns of the result are named %q: give one another name with AS", name))
		}
		seen[name] = true
		c.names = append(c.names, name)
		c.types = append(c.types, t.DatabaseTypeName())
		c.into[i] = &c.values[i]
	}
	if len(types) == 0 {
		return nil, wildout.NonRetriable(errNoRows)
	}
	return c, nil
}

var errNoRows = errors.New("the statement gives no rows, and nothing was changed: use sql.exec, or add RETURNING")

// read reads the current row and says how large it is, in bytes of JSON.
func (c *columns) read(rows *stdsql.Rows) (Row, int, error) {
	if err := rows.Scan(c.into...); err != nil {
		return nil, 0, Classify(err)
	}
	row := make(Row, len(c.names))
	size := 2
	for i, name := range c.names {
		value, err := toJSON(c.values[i], c.types[i])
		if err != nil {
			return nil, 0, wildout.NonRetriable(fmt.Errorf("column %q of type %s: %w", name, c.types[i], err))
		}
		row[name] = value
		size += len(name) + len(value) + 4
	}
	return row, size, nil
}
