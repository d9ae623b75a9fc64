package sql

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckOne(t *testing.T) {
	for name, tt := range map[string]struct{ text, err string }{
		"one":                  {"select 1", ""},
		"semicolon at the end": {"select 1 ; -- done\n", ""},
		"semicolons":           {";; select 1 ;; /* ; */ ;", ""},
		"two":                  {"select 1; drop table x", "begins at byte 10"},
		"two after a comment":  {"select 1 -- it's\n; select 2", "more than one"},
		"in a string":          {"select 'a;b', 'it''s; ', $1", ""},
		"in a name":            {`select "a;b"";" from x`, ""},
		"in a line comment":    {"select 1 -- ; select 2", ""},
		"behind a return":      {"select 1 -- \r; select 2", ""}, // for SQLite the comment goes on
		"in a block comment":   {"select /* ; ' */ 1", ""},
		"empty":                {" \n", "empty"},
		"only a comment":       {"-- nothing", "empty"},
		"only semicolons":      {";;", "empty"},
		"open string":          {"select 'a", "never closed"},
		"open comment":         {"select 1 /* a", "never closed"},
		"overlapping comment":  {"select 1 /*/ a", "never closed"},
		"backslash is plain":   {`select 'a\'; select 2`, "more than one"},
		"comments do not nest": {"select 1 /* /* */ ; select 2 --*/", "more than one"},
		"brackets":             {"select [a;b]", ""},
		"backticks":            {"select `a;b`", ""},
	} {
		err := checkOne(tt.text)
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %q: got %v, want %q", name, tt.text, err, tt.err)
		}
	}
}

// FuzzCheckOne: what checkOne takes for one statement, SQLite does too. A
// second one that it does not see would fill the table.
func FuzzCheckOne(f *testing.F) {
	for _, seed := range []string{"select 1", "select [a;b] -- `", "select 1 /*/", "select 'a''", "select 1 -- \r", "select \"\x0b\"", "select [a]]", "select x'00"} {
		f.Add(seed)
	}
	db, err := Open(f.Context(), "sqlite::memory:", Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	f.Fuzz(func(t *testing.T, text string) {
		both := text + "; insert into seen values (1)"
		if errors.Is(checkOne(text), errEmpty) || checkOne(both) != nil || db.checkText(both) != nil {
			return
		}
		if _, err := db.Exec("create table if not exists seen (n int)"); err != nil {
			t.Fatal(err)
		}
		_, _ = db.Exec(both)
		result, err := db.Exec("delete from seen")
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := result.RowsAffected(); n != 0 {
			t.Errorf("%q is two statements", both)
		}
	})
}
