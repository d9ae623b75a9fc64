package strictjson

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestMarshal(t *testing.T) {
	type value struct {
		B     string   `json:"b,omitempty"`
		A     []int    `json:"a"`
		Count int      `json:"count,omitempty"`
		Bytes []byte   `json:"bytes,omitempty"`
		Ptr   *float64 `json:"ptr,omitempty"`
	}
	half := 0.5
	for name, c := range map[string]struct {
		value       any
		want, fails string
	}{
		"nil":                {nil, `null`, ""},
		"types as before":    {value{A: nil, Bytes: []byte{1}, Ptr: &half}, `{"a":null,"bytes":"AQ==","ptr":0.5}`, ""},
		"maps in order":      {map[string]any{"b": 1, "a": time.Duration(5), "c": 1e21}, `{"a":5,"b":1,"c":1e+21}`, ""},
		"no escapes":         {`<b>&"` + "\u2028", "\"<b>&\\\"\u2028\"", ""},
		"text not UTF-8":     {"M\xe4ra", `"M` + "\ufffd" + `ra"`, ""},
		"raw as it was":      {json.RawMessage(`{ "n": 9007199254740993, "f": 1.50 }`), `{"n":9007199254740993,"f":1.50}`, ""},
		"raw not UTF-8":      {json.RawMessage("\"M\xe4ra\""), `"M` + "\ufffd" + `ra"`, ""},
		"raw with escapes":   {json.RawMessage(`"\ud83c\udf88\u003c"`), `"🎈<"`, ""},
		"raw, a name twice":  {map[string]any{"x": json.RawMessage(`{"a":1,"a":2}`)}, "", `the name "a" is there twice`},
		"raw that is broken": {json.RawMessage(`{`), "", "too early"},
		"not finite":         {math.NaN(), "", "NaN"},
		"no JSON":            {make(chan int), "", "chan int"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Marshal(c.value)
			if string(got) != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("wrote %s, %v, want %s, %s", got, err, c.want, c.fails)
			}
		})
	}
}

func TestShow(t *testing.T) {
	for name, c := range map[string]struct {
		value        any
		indent, want string
	}{
		"escapes":            {json.RawMessage(`"\ud83c\udf88\u003c\u0026\u00e9\u2028\n\u0001\""`), "", "\"🎈<&é\u2028\\n\\u0001\\\"\""},
		"half a character":   {json.RawMessage(`"a\ud83cb"`), "", `"a` + "\ufffd" + `b"`},
		"a name twice":       {json.RawMessage(`{"a":1,"a":2}`), "", `{"a":1,"a":2}`},
		"not UTF-8":          {json.RawMessage("\"M\xe4ra\""), "", `"M` + "\ufffd" + `ra"`},
		"numbers as written": {json.RawMessage(`[9007199254740993, 1.50, 1E2]`), "", `[9007199254740993,1.50,1E2]`},
		"lines":              {map[string]any{"b": json.RawMessage(`{"x":[1,{}]}`), "a": "<"}, "  ", "{\n  \"a\": \"<\",\n  \"b\": {\n    \"x\": [\n      1,\n      {}\n    ]\n  }\n}"},
	} {
		if got, err := Show(c.value, c.indent); err != nil || string(got) != c.want {
			t.Errorf("%s: wrote %s, %v, want %s", name, got, err, c.want)
		}
	}
}

func TestShowPart(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"\ud83c\udf88 \u003cb\u003e"`: `{"a":"🎈 <b>"`,
		`"\\u003c \\\u003c"`:                `"\\u003c \\<"`,
		`"\u0022 \u005c \u0007"`:            `"\u0022 \u005c \u0007"`,
		`"cut \ud83c\udf`:                   `"cut \ud83c\udf`,
		`"cut \ud83c`:                       `"cut \ud83c`,
		`"cut \u00`:                         `"cut \u00`,
		`"cut \`:                            `"cut \`,
		`"\ud83c alone \u00zz"`:             `"\ud83c alone \u00zz"`,
		`plain`:                             `plain`,
	} {
		if got := ShowPart(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	small := map[string]bool{"ok": true}
	type output struct {
		OK bool   `json:"ok"`
		ID string `json:"id"`
	}
	var audit auditInput
	if err := json.Unmarshal(eventText, &audit); err != nil {
		b.Fatal(err)
	}
	for name, value := range map[string]any{"small": output{true, "01JQ5A8Z3M6N7P8Q9R0S1T2V3W"}, "map": small, "audit": audit} {
		b.Run(name+"/before", func(b *testing.B) {
			bench(b, nil, func([]byte) error { _, err := json.Marshal(value); return err })
		})
		b.Run(name+"/now", func(b *testing.B) {
			bench(b, nil, func([]byte) error { _, err := Marshal(value); return err })
		})
	}
}
