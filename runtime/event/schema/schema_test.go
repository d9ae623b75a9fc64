package schema

import (
	"strings"
	"testing"
)

func TestCompile(t *testing.T) {
	for name, test := range map[string]struct {
		raw  string
		want string // part of the error; empty: none
	}{
		"an object":                  {raw: `{"type": "object", "properties": {"email": {"type": "string"}}}`},
		"a reference within":         {raw: `{"$ref": "#/$defs/id", "$defs": {"id": {"type": "string"}}}`},
		"no JSON":                    {raw: `{"type": `, want: "is no JSON"},
		"a type that there is not":   {raw: `{"type": "text"}`, want: "cannot be used"},
		"a reference to a file":      {raw: `{"$ref": "file:///etc/passwd"}`, want: "refers to file:///etc/passwd"},
		"a reference to a web page":  {raw: `{"$ref": "https://example.com/s.json"}`, want: "refers to https://example.com/s.json"},
		"a reference to a neighbour": {raw: `{"$ref": "other.json"}`, want: "complete in itself"},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := Compile([]byte(test.raw))
			switch {
			case test.want == "" && (err != nil || schema == nil):
				t.Errorf("schema %v, error %v", schema, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestNoSchemaIsNoFault(t *testing.T) {
	if schema, err := Compile(nil); schema != nil || err != nil {
		t.Errorf("schema %v, error %v", schema, err)
	}
}

// Without AssertFormat a format is a remark that nothing is held against.
func TestAFormatIsARule(t *testing.T) {
	schema, err := Compile([]byte(`{"format": "email"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate("a@example.com"); err != nil {
		t.Error(err)
	}
	if schema.Validate("nobody") == nil {
		t.Error("what is no address fits format: email")
	}
}
