package event

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

func TestDerivedID(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	id := DerivedID(at, "a", "bc")
	if len(id) != 26 {
		t.Fatalf("id %q has %d characters, want 26", id, len(id))
	}
	if id != DerivedID(at, "a", "bc") {
		t.Error("the same parts give different ids")
	}
	for _, other := range []string{DerivedID(at, "ab", "c"), DerivedID(at, "abc"), DerivedID(at.Add(time.Millisecond), "a", "bc")} {
		if other == id {
			t.Errorf("different parts give the same id %s", id)
		}
	}
	if later := DerivedID(at.Add(time.Millisecond), "a"); later <= id {
		t.Errorf("%s of a later time sorts before %s", later, id)
	}
	if got, ok := IDTime(id); !ok || !got.Equal(at) {
		t.Errorf("IDTime = %v, %v, want %v", got, ok, at)
	}
	for _, bad := range []string{"", "x", strings.Repeat("!", 26), strings.Repeat("Z", 26)} {
		if _, ok := IDTime(bad); ok {
			t.Errorf("IDTime(%q) accepts it", bad)
		}
	}
}

func TestIDBytes(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	for _, part := range []string{"a", "b", "c"} {
		id := DerivedID(at, part)
		got, ok := IDBytes(id)
		sum := sha256.Sum256([]byte("\x01" + part))
		want := append([]byte{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b}, sum[:10]...)
		if !ok || !bytes.Equal(got[:], want) {
			t.Errorf("IDBytes(%s) = %x, %v, want %x", id, got, ok, want)
		}
	}
	for _, bad := range []string{"", "x", strings.Repeat("!", 26), strings.Repeat("Z", 26), strings.Repeat("0", 27)} {
		if _, ok := IDBytes(bad); ok {
			t.Errorf("IDBytes(%q) accepts it", bad)
		}
	}
}

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		fields map[string]any
		reason string
	}{
		"plain":        {map[string]any{"data": `{"a":1}`}, ""},
		"no data":      {map[string]any{"payload": `{}`}, `no field "data"`},
		"not JSON":     {map[string]any{"data": `{`}, "ends too early"},
		"a name twice": {map[string]any{"data": `{"a":{"b":1,"b":2}}`}, `the name "b" is there twice, in a`},
		"too deep":     {map[string]any{"data": strings.Repeat("[", 201) + strings.Repeat("]", 201)}, "deeper than 200 levels"},
		"too many":     {map[string]any{"data": "[" + strings.Repeat("0,", 100_000) + "0]"}, "more than 100000 values"},
		"an exponent":  {map[string]any{"data": `{"n":1e1000000}`}, "exponent beyond 400"},
		"not UTF-8":    {map[string]any{"data": "\"\xff\""}, "not valid UTF-8"},
		"too large":    {map[string]any{"data": `"` + strings.Repeat("x", MaxBytes) + `"`}, "the limit is 1048576"},
		"data no text": {map[string]any{"data": 7}, `no field "data"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tc.fields)
			if (err == nil) != (tc.reason == "") || err != nil && !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("error %v, want %q", err, tc.reason)
			}
		})
	}
}

func TestFieldsRoundTrip(t *testing.T) {
	e := Event{ID: "1", Source: "s", Subject: "u", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=1,b=2", Data: []byte(`{"n":1}`)}
	fields := map[string]any{}
	list := e.Fields()
	for i := 0; i < len(list); i += 2 {
		if b, ok := list[i+1].([]byte); ok {
			fields[list[i].(string)] = string(b)
		} else {
			fields[list[i].(string)] = list[i+1]
		}
	}
	got, err := Parse(fields)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != e.ID || got.Source != e.Source || got.Subject != e.Subject || got.TraceParent != e.TraceParent || got.TraceState != e.TraceState || !bytes.Equal(got.Data, e.Data) {
		t.Errorf("got %+v, want %+v", got, e)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"a":1}`)
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, data string) {
		e, err := Parse(map[string]any{FieldData: data})
		if err == nil && string(e.Data) != data {
			t.Errorf("data changed: %q", e.Data)
		}
	})
}
