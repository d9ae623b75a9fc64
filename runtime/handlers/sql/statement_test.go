package sql

import (
	"strings"
	"testing"
)

func TestCheckOne(t *testing.T) {
	const both, pg, lite = "", Postgres, SQLite
	tests := map[string]struct {
		only Dialect
		text string
		err  string
	}{
		"one":                       {both, "select 1", ""},
		"semicolon at the end":      {both, "select 1 ; -- done\n", ""},
		"semicolons":                {both, ";; select 1 ;; /* ; */ ;", ""},
		"two":                       {both, "select 1; drop table x", "begins at byte 10"},
		"two after a comment":       {both, "select 1 -- it's\n; select 2", "more than one"},
		"in a string":               {both, "select 'a;b', 'it''s; ', $1", ""},
		"in a name":                 {both, `select "a;b"";" from x`, ""},
		"in a line comment":         {both, "select 1 -- ; select 2", ""},
		"in a block comment":        {both, "select /* ; ' */ 1", ""},
		"empty":                     {both, " \n", "empty"},
		"only a comment":            {both, "-- nothing", "empty"},
		"only semicolons":           {both, ";;", "empty"},
		"open string":               {both, "select 'a", "never closed"},
		"open comment":              {both, "select 1 /* a", "never closed"},
		"backslash is plain":        {both, `select 'a\'; select 2`, "more than one"},
		"nested comment":            {pg, "select 1 /* /* */ ; */", ""},
		"comments do not nest":      {lite, "select 1 /* /* */ ; select 2 --*/", "more than one"},
		"escape string":             {pg, `select E'a\'; b'`, ""},
		"escape string, lower case": {pg, `select e'\\', 'x;'`, ""},
		"no escape string":          {pg, `select note'a\'; select 2`, "more than one"},
		"dollar quotes":             {pg, "do $$ begin; end; $$", ""},
		"dollar tag":                {pg, "do $fn$ a $$ ; $fn$; ", ""},
		"open dollar quotes":        {pg, "do $a$ ; $b$", "never closed"},
		"parameter is no tag":       {pg, "select $1; select $2", "more than one"},
		"dollar in a name":          {pg, "select a$b$; select 1 -- $b$", "more than one"},
		"two dollar quotes":         {pg, "do $$a$$; do $$b$$", "more than one"},
		"brackets":                  {lite, "select [a;b]", ""},
		"backticks":                 {lite, "select `a;b`", ""},
		"array index":               {pg, "select a[1]; select b[2]", "more than one"},
	}
	for name, tt := range tests {
		for _, dialect := range []Dialect{Postgres, SQLite} {
			if tt.only != both && tt.only != dialect {
				continue
			}
			t.Run(name+" "+string(dialect), func(t *testing.T) {
				err := checkOne(tt.text, dialect)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("%q: got %v, want %q", tt.text, err, tt.err)
				}
			})
		}
	}
}

func FuzzCheckOne(f *testing.F) {
	f.Add("select E'a\\'; b' /* /* */ ; */ $a$ ; $a$", true)
	f.Add("select [a;b] -- `", false)
	f.Fuzz(func(t *testing.T, text string, postgres bool) {
		dialect := SQLite
		if postgres {
			dialect = Postgres
		}
		if err := checkOne(text, dialect); err == nil && checkOne(text+"\n;select 1", dialect) == nil {
			t.Errorf("%q hides what comes after it", text)
		}
	})
}
