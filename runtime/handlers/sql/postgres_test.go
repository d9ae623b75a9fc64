package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

func openDB(t *testing.T, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// pooled is the URL as behind a transaction pooler.
func pooled(url string) string {
	if strings.Contains(url, "?") {
		return url + "&pgbouncer=true"
	}
	return url + "?pgbouncer=true"
}

// postgresModes opens a database of its own in both ways.
func postgresModes(t *testing.T) map[string]*DB {
	t.Helper()
	url := servicetest.SharedPostgres(t).NewDatabase(t)
	return map[string]*DB{"direct": openDB(t, url), "pooled": openDB(t, pooled(url))}
}

func args(values ...string) []json.RawMessage {
	list := make([]json.RawMessage, len(values))
	for i, v := range values {
		list[i] = json.RawMessage(v)
	}
	return list
}

func TestPostgresValues(t *testing.T) {
	tests := map[string]struct {
		sql  string
		args []json.RawMessage
		want string
	}{
		"integers":        {`select $1::int8 v`, args(`9223372036854775807`), `9223372036854775807`},
		"integer of text": {`select $1::int v`, args(`"42"`), `42`},
		"text of integer": {`select $1::text v`, args(`42`), `"42"`},
		"numeric":         {`select $1::numeric v`, args(`12345678901234567890.10`), `"12345678901234567890.10"`},
		"numeric cast":    {`select $1::numeric::float8 v`, args(`1.5`), `1.5`},
		"float4":          {`select 0.1::float4 v`, nil, `0.1`},
		"float8":          {`select $1::float8 v`, args(`0.1`), `0.1`},
		"NaN":             {`select 'NaN'::float8 v`, nil, `"NaN"`},
		"infinity":        {`select '-infinity'::float8 v`, nil, `"-Infinity"`},
		"boolean":         {`select not $1::bool v`, args(`true`), `false`},
		"null":            {`select $1::int v`, args(`null`), `null`},
		"text":            {`select $1::text v`, args(`"it's; \u00fc"`), `"it's; ü"`},
		"jsonb":           {`select '{"n": 10000000000000001, "a": [1.10]}'::jsonb v`, nil, `{"a":[1.10],"n":10000000000000001}`},
		"json":            {`select '{"b" : 1}'::json v`, nil, `{"b":1}`},
		"jsonb of object": {`select $1::jsonb v`, args(`{"n": 10000000000000001}`), `{"n":10000000000000001}`},
		"jsonb of scalar": {`select $1::jsonb v`, args(`5`), `5`},
		"timestamptz":     {`select '2026-03-01 12:00:00.5+02'::timestamptz v`, nil, `"2026-03-01T10:00:00.5Z"`},
		"timestamp":       {`select '2026-03-01 12:00:00'::timestamp v`, nil, `"2026-03-01T12:00:00Z"`},
		"timestamp of":    {`select $1::timestamptz v`, args(`"2026-03-01T12:00:00+02:00"`), `"2026-03-01T10:00:00Z"`},
		"never":           {`select 'infinity'::timestamptz v`, nil, `"infinity"`},
		"date":            {`select $1::date v`, args(`"2026-03-01"`), `"2026-03-01"`},
		"interval":        {`select '90 minutes'::interval v`, nil, `"01:30:00"`},
		"bytea":           {`select '\x00ff'::bytea v`, nil, `"AP8="`},
		"uuid":            {`select $1::uuid v`, args(`"7d444840-9dc0-11d1-b245-5ffdce74fad2"`), `"7d444840-9dc0-11d1-b245-5ffdce74fad2"`},
		"in a list":       {`select 2 = any($1::int[]) v`, args(`[1, 2]`), `true`},
		"in a text list":  {`select 'b' = any($1::text[]) v`, args(`["a", "b", "c,\"d"]`), `true`},
		"in no list":      {`select 'b' = any($1::text[]) v`, args(`[]`), `false`},
		"int array":       {`select array[1,null,3] v`, nil, `[1,null,3]`},
		"text array":      {`select array['a','b,"c','null'] v`, nil, `["a","b,\"c","null"]`},
		"bool array":      {`select array[true,false] v`, nil, `[true,false]`},
		"numeric array":   {`select array[1.10] v`, nil, `["1.10"]`},
		"jsonb array":     {`select array['{"a":1}'::jsonb] v`, nil, `[{"a":1}]`},
		"empty array":     {`select '{}'::int[] v`, nil, `[]`},
		"matrix":          {`select array[[1,2],[3,4]] v`, nil, `"{{1,2},{3,4}}"`},
		"count":           {`select count(*) v from pg_class where relname = $1`, args(`"pg_class"`), `1`},
	}
	for mode, db := range postgresModes(t) {
		for name, tt := range tests {
			t.Run(mode+"/"+name, func(t *testing.T) {
				result, err := db.RunQuery(t.Context(), Query{SQL: tt.sql, Args: tt.args})
				if err != nil {
					t.Fatal(err)
				}
				if got := compacted(t, result.Rows[0]["v"]); result.Count != 1 || got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		}
	}
	// Only a direct connection knows the type of a parameter before it is sent.
	direct := openDB(t, servicetest.SharedPostgres(t).NewDatabase(t))
	result, err := direct.RunQuery(t.Context(), Query{SQL: `select $1::jsonb v`, Args: args(`[1.10, 10000000000000001]`)})
	if err != nil || compacted(t, result.Rows[0]["v"]) != `[1.10,10000000000000001]` {
		t.Errorf("a list for jsonb: %v, %v", result, err)
	}
}

// TestPoolerFindsNoPreparedStatements: behind a transaction pooler they would
// be on another server connection the next time.
func TestPoolerFindsNoPreparedStatements(t *testing.T) {
	for mode, db := range postgresModes(t) {
		db.SetMaxOpenConns(1)
		var prepared string
		for range 3 { // of which the last sees those of the first
			result, err := db.RunQuery(t.Context(), Query{SQL: `select count(*) v from pg_prepared_statements where $1`, Args: args(`true`)})
			if err != nil {
				t.Fatal(err)
			}
			prepared = string(result.Rows[0]["v"])
		}
		if (prepared == "0") != (mode == "pooled") {
			t.Errorf("%s: %s prepared statements", mode, prepared)
		}
	}
	for url, want := range map[string]bool{
		"postgres://u:p@pooler.example:6543/d":                true,
		"postgresql://u:p@pooler.example:5432/d":              false,
		"postgres://u:p@pooler.example:5432/d?pgbouncer=true": true,
	} {
		if db := openDB(t, url); db.pooled != want {
			t.Errorf("%s: taken for a transaction pooler: %t, want %t", url, db.pooled, want)
		}
	}
}

func compacted(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	b, err := documentJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPostgresHandlers(t *testing.T) {
	for mode, db := range postgresModes(t) {
		t.Run(mode, func(t *testing.T) {
			reg := &wildout.Registry{}
			Register(reg, db)
			call := func(name, input string) string {
				t.Helper()
				handler, ok := reg.Lookup(name)
				if !ok {
					t.Fatalf("%s is not registered", name)
				}
				output, err := handler(t.Context(), json.RawMessage(input))
				if err != nil {
					t.Fatal(err)
				}
				return string(output)
			}
			for _, step := range []struct{ name, input, want string }{
				{"sql.exec", `{"sql": "create table people_` + mode + ` (id int primary key, name text);"}`, `{"rowsAffected":0}`},
				{"sql.exec", `{"sql": "insert into people_` + mode + ` values ($1, $2), ($3, $4)", "args": [1, "Ann", 2, null]}`, `{"rowsAffected":2}`},
				{"sql.query", `{"sql": "select * from people_` + mode + ` order by id"}`, `{"rows":[{"id":1,"name":"Ann"},{"id":2,"name":null}],"count":2}`},
				{"sql.query", `{"sql": "select 1 where false"}`, `{"rows":[],"count":0}`},
				{"sql.query", `{"sql": "delete from people_` + mode + ` where id = $1 returning name", "args": [1]}`, `{"rows":[{"name":"Ann"}],"count":1}`},
			} {
				if got := call(step.name, step.input); got != step.want {
					t.Errorf("%s %s gives %s, want %s", step.name, step.input, got, step.want)
				}
			}
		})
	}
}

func TestPostgresErrors(t *testing.T) {
	for mode, db := range postgresModes(t) {
		table := "t_" + mode
		for _, statement := range []string{
			`create table ` + table + ` (id int primary key, n int check (n > 0), name varchar(3) not null)`,
			`insert into ` + table + ` values (1, 1, 'a')`,
			`create function retry_` + mode + `(code text) returns void language plpgsql as $$ begin raise 'x' using errcode = code; end $$`,
		} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		tests := map[string]struct {
			sql       string
			args      []json.RawMessage
			permanent bool
			want      []string
		}{
			"unique":         {`insert into ` + table + ` values (1, 1, 'secret')`, nil, true, []string{"SQLSTATE"}},
			"unique key":     {`insert into ` + table + ` values (1, 1, 'b')`, nil, true, []string{"23505", "constraint: " + table + "_pkey"}},
			"check":          {`insert into ` + table + ` values (2, 0, 'b')`, nil, true, []string{"23514"}},
			"not null":       {`insert into ` + table + ` values (2, 1, null)`, nil, true, []string{"23502", "column: name"}},
			"syntax":         {`selec 1`, nil, true, []string{"42601", "at character 1"}},
			"table":          {`select * from nowhere`, nil, true, []string{"42P01"}},
			"column":         {`select nam from ` + table, nil, true, []string{"42703", "hint:"}},
			"number":         {`select $1::int`, args(`"x"`), true, []string{"22P02"}},
			"division":       {`select 1 / $1::int`, args(`0`), true, []string{"22012"}},
			"too few args":   {`select $1::int + $2::int`, args(`1`), true, []string{"1"}},
			"serialization":  {`select retry_` + mode + `('40001')`, nil, false, []string{"40001"}},
			"deadlock":       {`select retry_` + mode + `('40P01')`, nil, false, []string{"40P01"}},
			"connections":    {`select retry_` + mode + `('53300')`, nil, false, []string{"53300", "out of connections"}},
			"shutdown":       {`select retry_` + mode + `('57P01')`, nil, false, []string{"57P01"}},
			"pooler":         {`select retry_` + mode + `('42P05')`, nil, false, []string{"42P05", "pgbouncer=true"}},
			"read-only":      {`select retry_` + mode + `('25006')`, nil, false, []string{"read-only"}},
			"two statements": {`delete from ` + table + `; select 1`, nil, true, []string{"more than one statement"}},
			"bad list":       {`select $1::int[]`, args(`["x"]`), true, nil},
			"no rows":        {`update ` + table + ` set n = 1 where false`, nil, true, []string{"use sql.exec"}},
			"same names":     {`select 1 a, 2 a`, nil, true, []string{`named "a"`}},
			"NUL":            {`select $1::text`, args(`"a\u0000b"`), true, []string{"args[0]"}},
		}
		for name, tt := range tests {
			t.Run(mode+"/"+name, func(t *testing.T) {
				_, err := db.RunQuery(t.Context(), Query{SQL: tt.sql, Args: tt.args})
				if err == nil || wildout.IsNonRetriable(err) != tt.permanent {
					t.Fatalf("got %v, want an error, non-retriable = %t", err, tt.permanent)
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v: want %q in it", err, want)
					}
				}
				if strings.Contains(err.Error(), "already exists") || strings.Contains(err.Error(), "Failing row") {
					t.Errorf("%v quotes a row", err)
				}
			})
		}
	}
}

func TestPostgresLimits(t *testing.T) {
	db := postgresModes(t)["direct"]
	for name, tt := range map[string]struct {
		query Query
		want  string // "" = it works
	}{
		"at the default":    {Query{SQL: `select generate_series(1, 1000) n`}, ""},
		"above the default": {Query{SQL: `select generate_series(1, 1001) n`}, "more than 1000 rows"},
		"raised":            {Query{SQL: `select generate_series(1, 1001) n`, MaxRows: 1001}, ""},
		"lowered":           {Query{SQL: `select generate_series(1, 3) n`, MaxRows: 2}, "more than 2 rows"},
		"negative":          {Query{SQL: `select 1`, MaxRows: -1}, "maxRows"},
		"large":             {Query{SQL: `select repeat('x', 1100) t from generate_series(1, 1000)`}, "larger than"},
	} {
		_, err := db.RunQuery(t.Context(), tt.query)
		if tt.want == "" && err != nil || tt.want != "" && (!wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestPostgresContext(t *testing.T) {
	for mode, db := range postgresModes(t) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begin := time.Now()
		_, err := db.RunQuery(ctx, Query{SQL: `select pg_sleep(20)`})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || wildout.IsNonRetriable(err) || time.Since(begin) > 20*time.Second {
			t.Errorf("%s: got %v after %s", mode, err, time.Since(begin))
		}
		if _, err := db.RunQuery(t.Context(), Query{SQL: `select 1 n`}); err != nil {
			t.Errorf("%s, afterwards: %v", mode, err)
		}
	}
}

// TestPostgresDown: a server that is away is no reason to give up, and no
// reason for Open to fail.
func TestPostgresDown(t *testing.T) {
	server := servicetest.StartPostgres(t)
	url := server.NewDatabase(t)
	db := openDB(t, url)
	if _, err := db.RunExec(t.Context(), Exec{SQL: `create table x (n int)`}); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	for _, db := range map[string]*DB{"open connection": db, "opened while down": openDB(t, url)} {
		_, err := db.RunExec(t.Context(), Exec{SQL: `insert into x values (1)`})
		if err == nil || wildout.IsNonRetriable(err) {
			t.Errorf("got %v, want a retriable error", err)
		}
	}
	_, err := db.RunExec(t.Context(), Exec{SQL: `insert into x values (1)`})
	if !strings.Contains(fmt.Sprint(err), "check the database URL") {
		t.Errorf("%v does not say what to check", err)
	}
	server.Start()
	if _, err := db.RunExec(t.Context(), Exec{SQL: `insert into x values (1)`}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}
