package term

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What stands in a column begins where the column does, whatever is before it.
func TestColumnsOfWideCharacters(t *testing.T) {
	names := []string{"plain", "Grüße", "こんにちは", "🎈🎈", "👩‍👩‍👧 family", "e\u0301clair", "한국어", "… ambiguous", "🇩🇪"}
	for _, width := range []int{0, 20, 40} {
		table := Table{Width: width, Shrink: 0}
		for _, name := range names {
			table.Texts(name, "|")
		}
		var b bytes.Buffer
		if err := table.Write(&b); err != nil {
			t.Fatal(err)
		}
		at := -1
		for line := range strings.Lines(b.String()) {
			head, _, found := strings.Cut(line, "|")
			if !found {
				t.Fatalf("width %d: a column is gone from %q", width, line)
			}
			if n := cells.StringWidth(head); at >= 0 && n != at {
				t.Errorf("width %d: the column of %q begins at %d, and not at %d", width, line, n, at)
			} else {
				at = n
			}
		}
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{"short": "short", "exactly10.": "exactly10.", "longer than ten": "longer th…", "こんにちは": "こんにちは", "こんにちは世界": "こんにち…", "🎈🎈🎈🎈🎈🎈": "🎈🎈🎈🎈…"} {
		got := cut(text, 10)
		if got != want || width(got) > 10 {
			t.Errorf("%q: got %q, which takes %d", text, got, width(got))
		}
	}
	if cut("ab", 1) != "a" || cut("世界", 1) != "" || cut("ab", 0) != "" {
		t.Error("of nearly no room is made too much")
	}
}

func TestBroken(t *testing.T) {
	for _, tc := range []struct {
		line string
		n    int
		want []string
	}{
		{"one two three", 8, []string{"one two", "three"}},
		{"one two", 7, []string{"one two"}},
		{"unbreakable-and-long", 8, []string{"unbreaka", "ble-and-", "long"}},
		{"世界 世界 世界", 6, []string{"世界", "世界", "世界"}},
		{"世界世界", 1, []string{"世", "界", "世", "界"}},
		{"", 5, []string{""}},
		{"as long as it likes", 0, []string{"as long as it likes"}},
	} {
		if got := broken(tc.line, tc.n); !slices.Equal(got, tc.want) {
			t.Errorf("%q at %d: got %q, want %q", tc.line, tc.n, got, tc.want)
		}
	}
}

// What senders escaped reads as what it is, and every character survives YAML.
func TestFormatsKeepCharacters(t *testing.T) {
	value := map[string]any{"data": json.RawMessage(`{"s":"\ud83c\udf88 \u003cb\u003e \u0026 \u007f \ufeff \ufffe \u0085 \u2028 \u0001 \ue000 \udbff\udfff \"\\","n":9007199254740993}`)}
	const want = "🎈 <b> & \u007f \ufeff \ufffe \u0085 \u2028 \u0001 \ue000 \U0010ffff \"\\"
	for _, f := range []Format{JSON, YAML} {
		var b, next bytes.Buffer
		if err := f.Print(&b, value); err != nil {
			t.Fatal(err)
		}
		if err := f.PrintNext(&next, value); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{b.String(), next.String()} {
			if !strings.Contains(text, "🎈 <b> & ") || !strings.Contains(text, "9007199254740993") {
				t.Errorf("%s: printed %s", f, text)
			}
			var got struct{ Data struct{ S string } }
			if err := yaml.Unmarshal([]byte(strings.TrimPrefix(text, "---\n")), &got); f == YAML && (err != nil || got.Data.S != want) {
				t.Errorf("%s: read %q, %v from %s", f, got.Data.S, err, text)
			}
			if err := json.Unmarshal([]byte(text), &got); f == JSON && (err != nil || got.Data.S != want) {
				t.Errorf("%s: read %q, %v from %s", f, got.Data.S, err, text)
			}
		}
	}
}
