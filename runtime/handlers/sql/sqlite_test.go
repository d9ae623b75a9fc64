package sql

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

func TestSQLiteValues(t *testing.T) {
	db := openDB(t, "sqlite:"+filepath.Join(t.TempDir(), "a b#%.db"))
	for _, statement := range []string{
		`create table v (i integer, f real, b boolean, t text, j jsonb, ts timestamp, d date, x blob)`,
		`create table child (id integer primary key references parent(id)); create table parent (id integer primary key)`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	insert := Exec{
		SQL: `insert into v values ($1, $2, $3, $4, $5, $6, $7, x'00ff') -- eight`,
		Args: args(`9223372036854775807`, `0.1`, `true`, `"it's"`, `{"n": 10000000000000001}`,
			`"2026-03-01 12:00:00+02:00"`, `"2026-03-01"`),
	}
	result, err := db.RunExec(t.Context(), insert)
	if err != nil || result.RowsAffected != 1 {
		t.Fatalf("got %+v, %v", result, err)
	}
	got, err := db.RunQuery(t.Context(), Query{SQL: `select * from v where i = $1 and $2 is null`, Args: args(`9223372036854775807`, `null`)})
	if err != nil {
		t.Fatal(err)
	}
	output, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"rows":[{"b":true,"d":"2026-03-01","f":0.1,"i":9223372036854775807,"j":{"n":10000000000000001},` +
		`"t":"it's","ts":"2026-03-01T10:00:00Z","x":"AP8="}],"count":1}`
	if string(output) != want {
		t.Errorf("got  %s\nwant %s", output, want)
	}
}

func TestSQLiteErrors(t *testing.T) {
	db := openDB(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	for _, statement := range []string{
		`create table parent (id integer primary key, n int check (n > 0))`,
		`create table child (id integer references parent(id))`,
		`insert into parent values (1, 1)`,
	} {
		if _, err := db.RunExec(t.Context(), Exec{SQL: statement}); err != nil {
			t.Fatal(err)
		}
	}
	for name, exec := range map[string]Exec{
		"unique":         {SQL: `insert into parent values (1, 1)`},
		"check":          {SQL: `insert into parent values (2, 0)`},
		"foreign key":    {SQL: `insert into child values (9)`},
		"syntax":         {SQL: `inser into x`},
		"table":          {SQL: `insert into nowhere values (1)`},
		"too few args":   {SQL: `insert into parent values ($1, $2)`, Args: args(`7`)},
		"two statements": {SQL: `delete from child; delete from parent`},
	} {
		if _, err := db.RunExec(t.Context(), exec); !wildout.IsNonRetriable(err) {
			t.Errorf("%s: got %v, want a non-retriable error", name, err)
		}
	}
	if result, err := db.RunQuery(t.Context(), Query{SQL: `select count(*) n from parent`}); err != nil || string(result.Rows[0]["n"]) != "1" {
		t.Errorf("parent has %v rows, %v", result.Rows, err)
	}
}

// TestSQLiteWriters: several writers wait for each other, and one that waits
// for too long may try again.
func TestSQLiteWriters(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	db := openDB(t, url)
	if _, err := db.RunExec(t.Context(), Exec{SQL: `create table counter (n int)`}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.RunExec(t.Context(), Exec{SQL: `insert into counter values (0)`}); err != nil {
		t.Fatal(err)
	}
	increment := func() error {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		var n int
		if err := tx.QueryRowContext(t.Context(), `select n from counter`).Scan(&n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(t.Context(), `update counter set n = $1`, n+1); err != nil {
			return err
		}
		return tx.Commit()
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 10 {
				if err := increment(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if result, err := db.RunQuery(t.Context(), Query{SQL: `select n from counter`}); err != nil || string(result.Rows[0]["n"]) != "80" {
		t.Errorf("the counter is %v, %v; want 80", result.Rows, err)
	}

	impatient, err := Open(t.Context(), url, Options{BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	_, err = impatient.RunExec(t.Context(), Exec{SQL: `update counter set n = 0`})
	if err == nil || wildout.IsNonRetriable(err) {
		t.Errorf("got %v, want a retriable error", err)
	}
}

func TestSQLiteMemory(t *testing.T) {
	db := openDB(t, "sqlite::memory:")
	if _, err := db.RunExec(t.Context(), Exec{SQL: `create table x (n int)`}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := db.RunExec(t.Context(), Exec{SQL: `insert into x values (1)`}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestOpenRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		url, want string
		opts      Options
	}{
		"scheme":   {url: "mysql://u:s3cret@h/d", want: "want postgres://"},
		"empty":    {url: "", want: "no scheme"},
		"bad URL":  {url: "postgres://u:s3cret%zz@h/d", want: "%-encoding"},
		"bad port": {url: "postgres://u:s3cret@h:x/d", want: "cannot be read"},
		"bad ssl":  {url: "postgres://u:s3cret@h/d?sslmode=maybe", want: "cannot be read"},
		"no path":  {url: "sqlite:", want: "no path"},
		"folder":   {url: "sqlite:/nowhere/at/all/x.db", want: "check that the folder exists"},
		"options":  {url: "sqlite::memory:", want: "more than 0", opts: Options{MaxConns: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.url, tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want an error with %q and no password", err, tt.want)
			}
		})
	}
}
