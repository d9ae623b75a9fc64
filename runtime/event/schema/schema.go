// Package schema compiles the JSON Schemas (2020-12) that event types declare
// for the data of their events. The gateway holds events against them, the
// operator and the command line say whether they can be used at all: all three
// with the same rules, which is why they are here. It must not know where a
// schema comes from, nor what becomes of an event that does not fit.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Compile reads a schema. No schema (no bytes) gives nil. References to other
// documents are refused: a schema must not make us read files.
func Compile(raw json.RawMessage) (*jsonschema.Schema, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	const name = "schema.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat() // `format: email` is a rule, not a remark
	c.UseLoader(noLoader{})
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("the schema cannot be used: %w", err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be used: %w", err)
	}
	return schema, nil
}

type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s: a schema must be complete in itself", url)
}
