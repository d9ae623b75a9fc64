package sql

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
)

// databases are those that every rule holds for, each with one connection:
// what a step left with it, the next would find.
func databases(t *testing.T) map[string]*DB {
	t.Helper()
	all := postgresModes(t)
	all["sqlite"] = openDB(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	all["memory"] = openDB(t, "sqlite::memory:")
	for mode, db := range all {
		db.SetMaxOpenConns(1)
		must(t, db, "create table t_"+mode+" (n int unique)")
		must(t, db, "insert into t_"+mode+" values (1), (2)")
	}
	return all
}

func must(t *testing.T, db *DB, text string) {
	t.Helper()
	if _, err := db.RunExec(t.Context(), Exec{SQL: text}); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func value(t *testing.T, db *DB, text string) string {
	t.Helper()
	result, err := db.RunQuery(t.Context(), Query{SQL: text})
	if err != nil || len(result.Rows) != 1 {
		t.Fatalf("%s: %v, %v", text, result.Rows, err)
	}
	return string(result.Rows[0]["v"])
}

// TestOneStatement: whatever the text, with and without arguments, a second
// statement does not run.
func TestOneStatement(t *testing.T) {
	for mode, db := range databases(t) {
		for name, text := range map[string]string{
			"plain":         "select 1 v; delete from T",
			"return":        "select 1 v -- \r; delete from T",
			"line feed":     "select 1 v -- \n; delete from T",
			"both":          "select 1 v -- \r\n; delete from T",
			"nested":        "select 1 v /* /* */ ; delete from T; --*/",
			"escape string": `select e'\'' v; delete from T --'`,
			"plain string":  `select '\' v; delete from T --'`,
			"dollars":       "select $a$ $b$ $a$ v; delete from T -- $b$",
			"NUL":           "select 1 v; \x00 delete from T",
			"update first":  "update T set n = n; delete from T",
		} {
			for _, with := range []string{"", "1"} {
				text := strings.ReplaceAll(text, "T", "t_"+mode)
				list := args()
				if with != "" {
					list = args(with)
					text = strings.Replace(text, "select 1 v", "select $1 v", 1)
				}
				_, queried := db.RunQuery(t.Context(), Query{SQL: text, Args: list})
				_, executed := db.RunExec(t.Context(), Exec{SQL: text, Args: list})
				for _, err := range []error{queried, executed} {
					if err != nil && !wildout.IsNonRetriable(err) {
						t.Errorf("%s, %s: %v can be retried", mode, name, err)
					}
				}
				if got := value(t, db, "select count(*) v from t_"+mode); got != "2" {
					t.Fatalf("%s: %q left %s rows", mode, text, got)
				}
			}
		}
	}
}

// TestQueryIsAllOrNothing: a query that reports failure has changed nothing.
func TestQueryIsAllOrNothing(t *testing.T) {
	for mode, db := range databases(t) {
		for name, tt := range map[string]struct {
			query Query
			err   string
			rows  string
		}{
			"no rows":       {Query{SQL: "insert into T values (3)"}, "nothing was changed: use sql.exec", "2"},
			"too many":      {Query{SQL: "delete from T returning n", MaxRows: 1}, "more than 1 rows", "2"},
			"same names":    {Query{SQL: "delete from T returning n, n"}, `named "n"`, "2"},
			"constraint":    {Query{SQL: "insert into T values (3), (1) returning n"}, "", "2"},
			"all of it":     {Query{SQL: "insert into T values (3) returning n"}, "none", "3"},
			"and a removal": {Query{SQL: "delete from T where n = 3 returning n"}, "none", "2"},
		} {
			if name == "and a removal" {
				must(t, db, "delete from t_"+mode+" where n = 3")
				must(t, db, "insert into t_"+mode+" values (3)")
			}
			tt.query.SQL = strings.ReplaceAll(tt.query.SQL, "T", "t_"+mode)
			_, err := db.RunQuery(t.Context(), tt.query)
			if tt.err == "none" && err != nil || tt.err != "none" && (!wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%s, %s: got %v, want %q", mode, name, err, tt.err)
			}
			if got := value(t, db, "select count(*) v from t_"+mode); got != tt.rows {
				t.Errorf("%s, %s: %s rows, want %s", mode, name, got, tt.rows)
			}
			must(t, db, "delete from t_"+mode+" where n > 2")
		}
	}
}

// TestNothingIsLeftWithTheConnection: the statement after it finds the
// connection as new, and its write stays.
func TestNothingIsLeftWithTheConnection(t *testing.T) {
	const refused = "refused"
	postgres := map[string]struct{ text, asked, want, pooled string }{
		"begin":         {"begin", "", refused, refused},
		"start":         {"start transaction read only", "", refused, refused},
		"commit":        {"commit", "", refused, refused},
		"rollback":      {"rollback", "", refused, refused},
		"savepoint":     {"savepoint a", "", refused, refused},
		"release":       {"release a", "", refused, refused},
		"vacuum":        {"vacuum", "", "", ""},
		"setting":       {"set work_mem = '77MB'", "select current_setting('work_mem') v", `"4MB"`, ""},
		"setting by":    {"select set_config('work_mem', '77MB', false)", "select current_setting('work_mem') v", `"4MB"`, ""},
		"read-only":     {"set default_transaction_read_only = on", "", "", "-"},
		"lock":          {"select pg_advisory_lock(7)", "select count(*) v from pg_locks where locktype = 'advisory'", "0", "-"},
		"temporary":     {"create temp table gone (n int)", "select count(*) v from pg_class where relname = 'gone'", "0", "-"},
		"listen":        {"listen a", "select count(*) v from pg_listening_channels()", "0", "-"},
		"prepare":       {"prepare p as select 1", "", "", ""},
		"cursor":        {"declare c cursor with hold for select 1", "select count(*) v from pg_cursors where name = 'c'", "0", "-"},
		"copy from":     {"copy t_MODE from stdin", "", refused, refused},
		"copy to":       {"copy t_MODE to stdout", "", "-", "-"},
		"do":            {"do $$ begin perform set_config('work_mem', '77MB', false); end $$", "select current_setting('work_mem') v", `"4MB"`, ""},
		"role":          {"set role pg_monitor", "select (current_user = session_user)::text v", `"true"`, "-"},
		"isolation":     {"set session characteristics as transaction read only", "", "", "-"},
		"prepared plan": {"deallocate all", "", "", "-"},
	}
	sqlite := map[string]struct{ text, asked, want, pooled string }{
		"begin":         {"begin", "", refused, ""},
		"immediate":     {"begin immediate", "", refused, ""},
		"commit":        {"commit", "", refused, ""},
		"end":           {"end transaction", "", refused, ""},
		"rollback":      {"rollback", "", refused, ""},
		"savepoint":     {"savepoint a", "", refused, ""},
		"release":       {"release a", "", refused, ""},
		"rollback to":   {"rollback to a", "", refused, ""},
		"attach":        {"attach ':memory:' as other", "", refused, ""},
		"detach":        {"detach main", "", refused, ""},
		"temp table":    {"create temp table gone (n int)", "select count(*) v from sqlite_temp_schema", refused, ""},
		"temp view":     {"create temp view gone as select 1", "", refused, ""},
		"pragma":        {"pragma foreign_keys = off", "select foreign_keys v from pragma_foreign_keys", refused, ""},
		"pragma call":   {"pragma query_only(1)", "", refused, ""},
		"pragma reads":  {"pragma table_info(t_MODE)", "", "", ""},
		"last id":       {"insert into t_MODE select last_insert_rowid() + 50", "", refused, ""},
		"vacuum":        {"vacuum", "", refused, ""}, // by SQLite itself
		"not a pragma":  {"update t_MODE set n = n", "", "", ""},
		"user_version":  {"pragma user_version = 7", "select user_version v from pragma_user_version", "7", ""},
		"create / drop": {"create table u (n int)", "select count(*) v from sqlite_schema where name = 'u'", "1", ""},
	}
	for mode, db := range databases(t) {
		cases := sqlite
		if db.Dialect == Postgres {
			cases = postgres
		}
		for name, tt := range cases {
			if db.pooled && tt.pooled == "-" {
				continue // the session is the pooler's
			}
			if _, err := db.RunQuery(t.Context(), Query{SQL: strings.ReplaceAll(tt.text, "MODE", mode)}); err != nil && !wildout.IsNonRetriable(err) {
				t.Errorf("%s, %s in a query: %v", mode, name, err)
			}
			_, err := db.RunExec(t.Context(), Exec{SQL: strings.ReplaceAll(tt.text, "MODE", mode)})
			if (tt.want == refused) != (err != nil) && tt.want != "-" || err != nil && !wildout.IsNonRetriable(err) && tt.want != "-" {
				t.Errorf("%s, %s: got %v, want it %s", mode, name, err, tt.want)
			}
			must(t, db, "insert into t_"+mode+" values (100)")
			must(t, db, "delete from t_"+mode+" where n = 100")
			if tt.asked != "" && !db.pooled && tt.want != refused {
				if got := value(t, db, tt.asked); got != tt.want {
					t.Errorf("%s, after %s: %s, want %s", mode, name, got, tt.want)
				}
			}
		}
		if got := value(t, db, "select count(*) v from t_"+mode); got != "2" {
			t.Errorf("%s: %s rows are there in the end", mode, got)
		}
	}
}

// TestRowsAffected: a statement that changes no rows says so.
func TestRowsAffected(t *testing.T) {
	for mode, db := range databases(t) {
		for _, tt := range []struct {
			text string
			want int64
		}{
			{"update T set n = n + 10", 2},
			{"create table more_MODE (n int)", 0},
			{"insert into more_MODE values (1) returning n", 1},
			{"drop table more_MODE", 0},
			{"delete from T where false", 0},
		} {
			text := strings.NewReplacer("T", "t_"+mode, "MODE", mode).Replace(tt.text)
			result, err := db.RunExec(t.Context(), Exec{SQL: text})
			if err != nil || result.RowsAffected != tt.want {
				t.Errorf("%s, %s: %d rows, %v; want %d", mode, text, result.RowsAffected, err, tt.want)
			}
		}
	}
}

// TestStatementsAreIndependent: many steps at once, one of which controls a
// transaction, lose nothing.
func TestStatementsAreIndependent(t *testing.T) {
	for mode, db := range databases(t) {
		for i := range 20 {
			_, _ = db.RunExec(t.Context(), Exec{SQL: "begin"})
			must(t, db, fmt.Sprintf("insert into t_%s values (%d)", mode, 1000+i))
			_, _ = db.RunExec(t.Context(), Exec{SQL: "rollback"})
		}
		if got := value(t, db, "select count(*) v from t_"+mode+" where n >= 1000"); got != "20" {
			t.Errorf("%s: %s of 20 writes are there", mode, got)
		}
	}
}
