package web

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
)

func TestSkeleton(t *testing.T) {
	for name, c := range map[string]struct{ schema, want string }{
		"none":             {``, "{ }"},
		"no schema at all": {`nonsense`, "{ }"},
		"required only":    {`{"required":["b","a"],"properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{}}}`, `{ "b": "b", "a": 1 }`},
		"choices":          {`{"required":["a","b","c"],"properties":{"a":{"enum":["x","y"]},"b":{"const":3},"c":{"default":{"d":1}}}}`, `{ "a": "x", "b": 3, "c": {"d":1} }`},
		"formats":          {`{"required":["mail","userId"],"properties":{"mail":{"type":"string","format":"email"},"userId":{"type":"string"}}}`, `{ "mail": "someone@example.com", "userId": "user-1" }`},
		"bounds":           {`{"required":["n","s"],"properties":{"n":{"type":"number","minimum":7},"s":{"type":"string","minLength":5,"maxLength":5}}}`, `{ "n": 7, "s": "sxxxx" }`},
		"inside":           {`{"required":["o","l"],"properties":{"o":{"required":["x"],"properties":{"x":{"type":"boolean"}}},"l":{"type":"array","minItems":1,"items":{"type":"string"}}}}`, `{ "o": { "x": false }, "l": ["l"] }`},
		"the first choice": {`{"required":["s"],"properties":{"s":{"type":"string"},"a":{"type":"string"},"b":{}},"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{ "s": "s", "a": "a" }`},
		"references":       {`{"required":["a"],"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":["null","integer"]}}}`, `{ "a": 1 }`},
		"itself":           {`{"$ref":"#/$defs/x","$defs":{"x":{"required":["x"],"properties":{"x":{"$ref":"#/$defs/x"}}}}}`, ""},
		"true":             {`{"required":["a"],"properties":{"a":true}}`, `{ "a": {} }`},
	} {
		t.Run(name, func(t *testing.T) {
			got := skeleton(json.RawMessage(c.schema))
			if !json.Valid([]byte(got)) {
				t.Errorf("no JSON: %s", got)
			}
			if plain := strings.Join(strings.Fields(got), " "); c.want != "" && plain != c.want {
				t.Errorf("got %s\nwant %s", plain, c.want)
			}
		})
	}
}

func TestFields(t *testing.T) {
	fields := fieldsOf(json.RawMessage(`{"required":["b","to"],"oneOf":[{"required":["to"]},{"required":["list"]}],
		"properties":{"to":{"type":"string","format":"email"},"b":{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":9,"description":"how many"}}},
		"list":{"type":"array","items":{"type":"object","properties":{"k":{"enum":["x"]}}}}}}`))
	var got []string
	for _, f := range fields {
		got = append(got, strings.TrimSpace(strings.Join([]string{f.Path, f.Type, f.About, strings.Join(f.Choices, ",")}, "|")))
	}
	want := `b|object|| b.n|integer|how many; 1 to 9| to|email|| list|list of object|| list[].k|anything||"x"`
	if joined := strings.Join(got, " "); joined != want {
		t.Errorf("got  %s\nwant %s", joined, want)
	}
	if !fields[0].Required || fields[2].Required || fields[0].Insert == "" || fields[4].Insert != "" {
		t.Errorf("%+v", fields)
	}
}

var tags = regexp.MustCompile(`</?span[^>]*>`)

// FuzzHighlight: whatever comes, nothing but our spans is markup, and the text
// is that of the document.
func FuzzHighlight(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,true,null,"x\"y\\"],"<script>":"</span>"}`, `"`, ``, `nonsense <b>`, `{"a":"\u003cb\u003e"}`, `[[]]`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		out := string(highlight(raw))
		plain := tags.ReplaceAllString(out, "")
		if strings.ContainsAny(plain, "<>\"") {
			t.Fatalf("markup in %q", plain)
		}
		var want, got any
		if json.Unmarshal(raw, &want) == nil && len(raw) < maxShown/4 {
			if err := json.Unmarshal([]byte(html.UnescapeString(plain)), &got); err != nil && !strings.Contains(string(raw), "\x00") {
				t.Fatalf("%q became %q: %v", raw, plain, err)
			}
		}
	})
}

// FuzzSchema: no schema makes the form fail.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"required":["a"],"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"allOf":[{"$ref":"#/$defs/x"}]}}}`))
	f.Add([]byte(`{"required":["\u0000\u2028<"],"properties":{"\u0000\u2028<":{"type":"string"}}}`))
	f.Add([]byte(`{"type":"array","minItems":1e99,"items":{"type":"string","minLength":-1,"maxLength":0}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got := skeleton(raw); !json.Valid([]byte(got)) {
			t.Fatalf("no JSON: %s", got)
		}
		for _, field := range fieldsOf(raw) {
			if field.Insert != "" && !json.Valid([]byte(field.Insert)) {
				t.Fatalf("no JSON: %s", field.Insert)
			}
		}
	})
}
