package eventfile

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func read(in io.Reader) (values []string, r *Reader, err error) {
	r = NewReader(in)
	for {
		v, err := r.Next()
		if errors.Is(err, io.EOF) {
			return values, r, nil
		}
		if err != nil {
			return values, r, err
		}
		values = append(values, string(v))
	}
}

func TestRead(t *testing.T) {
	large := `{"a":"` + strings.Repeat("x", MaxValue) + `"}`
	fits := `{"a":"` + strings.Repeat("x", MaxValue-20) + `"}`
	for name, c := range map[string]struct {
		in    string
		want  string // joined with blanks
		array bool
		fails string
	}{
		"nothing":             {"", "", false, ""},
		"blanks":              {" \n\t", "", false, ""},
		"one":                 {` {"a": 1} `, `{"a":1}`, false, ""},
		"lines":               {"{\"a\":1}\n\n{\"b\": 2}\r\n", `{"a":1} {"b":2}`, false, ""},
		"no line break":       {`{}{}`, `{} {}`, false, ""},
		"over several lines":  {"{\n\"a\":1\n}\n{}", `{"a":1} {}`, false, ""},
		"an array":            {"[{\"a\":1},\n {}]\n", `{"a":1} {}`, true, ""},
		"an empty array":      {"\n[ ]", "", true, ""},
		"several large ones":  {fits + "\n" + fits, fits + " " + fits, false, ""},
		"too large":           {"{}\n" + large, "{}", false, "line 2 (value 2): the value is larger than"},
		"too large in array":  {"[" + large + "]", "", true, "line 1 (value 1): the value is larger than"},
		"a fault":             {"{}\n{}\n{a}\n{}", `{} {}`, false, "line 3 (value 3): invalid character 'a'"},
		"a fault in an array": {"[\n{},\n{]\n]", `{}`, true, "line 3 (value 2): invalid character ']'"},
		"cut off":             {"{}\n{\"a\":", `{}`, false, "line 2 (value 2): the file ends inside the value"},
		"an array cut off":    {"[{}", `{}`, true, "the file ends inside"},
		"an array cut later":  {"[{},", `{}`, true, "the file ends inside"},
		"behind the array":    {"[{}] {}", `{}`, true, "something behind the array"},
		"no comma":            {"[{} {}]", `{}`, true, "value 2"},
	} {
		t.Run(name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{"at once": strings.NewReader(c.in), "in halves": iotest.HalfReader(strings.NewReader(c.in))} {
				values, r, err := read(in)
				if got := strings.Join(values, " "); got != c.want {
					t.Errorf("%s: read %.100q, want %.100q", how, got, c.want)
				}
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%s: error %v, want %q", how, err, c.fails)
				}
				if r.Array() != c.array {
					t.Errorf("%s: an array: %v", how, r.Array())
				}
			}
		})
	}
}

func TestBrokenFile(t *testing.T) {
	broken := errors.New("the disk is gone")
	values, _, err := read(io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(values) != 1 {
		t.Errorf("read %v, error %v", values, err)
	}
}

// FuzzNext reads what anybody may write: it ends, and what comes out is JSON.
func FuzzNext(f *testing.F) {
	for _, seed := range []string{"", "[]", "[{}]", "{}\n{}", "[1,2", "[[[", "nul", "{\"a\":\"\\ud800\"}", "\x00", "[{}]x", "1 2 3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		values, r, err := read(iotest.OneByteReader(strings.NewReader(in)))
		for _, v := range values {
			if !json.Valid([]byte(v)) {
				t.Fatalf("%q is no JSON", v)
			}
		}
		if again, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end there is %s (%v)", again, err)
		}
		var all []json.RawMessage
		if json.Unmarshal([]byte(in), &all) == nil && strings.HasPrefix(strings.TrimLeft(in, " \t\r\n"), "[") {
			if err != nil || len(values) != len(all) {
				t.Errorf("an array of %d was read as %d (%v)", len(all), len(values), err)
			}
		}
	})
}
