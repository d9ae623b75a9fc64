package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/strictjson"
)

// FuzzCompile reads and compiles any bytes as a manifest: it never panics, and
// what it refuses has a message.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(goodManifests))
	f.Add([]byte(header + "  " + strings.ReplaceAll(strings.TrimSpace(everything), "\n", "\n  ")))
	for _, tc := range faultCases {
		f.Add([]byte(header + "  " + strings.ReplaceAll(tc.spec, "\n", "\n  ")))
	}
	for _, tc := range badManifests {
		f.Add([]byte(tc.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		functions, _, err := ReadManifests("fuzz.yaml", data)
		if err != nil && err.Error() == "" {
			t.Error("an error without a message")
		}
		for i := range functions {
			p, err := Compile(functions[i].Name, &functions[i].Spec, Options{})
			if (p == nil) == (err == nil) {
				t.Fatalf("plan %v, error %v", p, err)
			}
			if err != nil && err.Error() == "" {
				t.Error("an error without a message")
			}
		}
	})
}

// FuzzTemplate evaluates any template: what compiles gives valid JSON or an
// error, in time.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"", "text", "${event.data.userId}", "Hello ${event.data.email}!", "$${x} ${event.id}", "${ {'a': {'}': '{'}} }",
		"${'}'}${\"{\"}", "${event.data.list.map(x, [x])}", "${env.REGION}${env.NOPE}", "${steps['the-second'].output}",
		"${steps.first.output.y[1]}", "${item}", "${run} ${event}", "${1.0 / 0.0}", "${b'\\xff'}", "${'\\u0000\\\"'}",
		"${event.time + duration('1h')}", "${event.data.?x.orValue(event.data.list[?9])}", "${r'\\'}", "${type(1)}",
		"${lists.range(99).map(x, x * x)}", "${'a'.replace('', 'b')}", "${'%s %d'.format(['x', 1])}", "${math.least(1, 2.5)}",
		"${event.data.list[2] == {'three': 3}}", "${", "${}", "}", "${//\n1}", "${'''a\n'''}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		tree, err := json.Marshal(template)
		if err != nil {
			return
		}
		v, err := tryValue(string(tree))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		s := testScope()
		if got, err := v.JSON(s); err == nil && !json.Valid(got) {
			t.Errorf("%q gives %q, which is not JSON", template, got)
		}
		if text, err := v.Text(s); err == nil && !hasExpression(template) {
			var want string
			if json.Unmarshal(tree, &want) == nil && text != want {
				t.Errorf("%q gives the text %q", template, text)
			}
		}
		list, err := v.List(s)
		for _, element := range list {
			if err == nil && !json.Valid(element) {
				t.Errorf("%q gives the element %q, which is not JSON", template, element)
			}
		}
	})
}

// FuzzDocument compares documents that are read piece by piece with what
// encoding/json makes of the whole.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		eventData, "1", "-0", "01", "1.", "1e+5", "[1,]", `{"a":1,"a":2}`, `{"a":1,"a":2,"b":0,"a":3}`, `"\ud800"`, `"\u00e9\q"`, "{}", "[[]", "tru", " null ",
		`{"` + strings.Repeat("x", 30) + `":[{}]}`, "\"\x01\"", "[1 2]", `{"a" 1}`, "nul", "1 1", `{"":{"":0}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseDocument(data)
		if valid := strictjson.Verify(data) == nil; valid != (err == nil) {
			t.Fatalf("%q: the one reading says %v, parseDocument %v", data, valid, err)
		}
		if err != nil {
			return
		}
		var want any
		if err := json.Unmarshal(data, &want); err != nil {
			return // a number that no double can hold
		}
		encoded := rebuild(t, &doc)
		var got any
		if err := json.Unmarshal(encoded, &got); err != nil {
			t.Fatalf("%q became %q: %v", data, encoded, err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if string(b) == "-0" {
			b = []byte("0")
		}
		if string(a) != string(b) {
			t.Fatalf("%q became %s, want %s", data, a, b)
		}
	})
}

// rebuild decodes all of a document and encodes it again member by member.
func rebuild(t *testing.T, n *node) []byte {
	t.Helper()
	switch n.raw[0] {
	case '{', '[':
		in, err := n.open()
		if err != nil {
			t.Fatal(err)
		}
		out := []byte{n.raw[0]}
		for i := range in.list {
			if i > 0 {
				out = append(out, ',')
			}
			if n.raw[0] == '{' {
				out = append(appendString(out, string(in.list[i].key)), ':')
			}
			out = append(out, rebuild(t, &in.list[i].value)...)
		}
		return append(out, n.raw[0]+2)
	}
	out, err := appendJSON(nil, n.value())
	if err != nil {
		t.Fatal(err)
	}
	return out
}
