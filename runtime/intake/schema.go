package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wildout/wildout/runtime/strictjson"
)

// Schema is a JSON Schema that data is held against, within a budget: a schema
// of a few lines, or an event of a few bytes, can ask for the work of years.
type Schema struct {
	raw json.RawMessage
	// idle are the compiled forms that nobody uses. A form counts the work of one
	// check at a time; there are as many as there are processors.
	idle chan *form
	// values is how many values the data may have, for the dearest rule of the
	// schema that is applied to one.
	values int
}

// form is a compiled schema with the meter that its rules run.
type form struct {
	schema *jsonschema.Schema
	meter  *meter
}

const (
	// maxSchema bounds the text of a schema, in bytes.
	maxSchema = 512 << 10
	// maxWork is what one check may take: a step is the work of one rule on one
	// value, about a microsecond. Data of a megabyte against a plain schema takes
	// some 200,000.
	maxWork = 1_000_000
	// maxChoices is how many comparisons the values of enum may take.
	maxChoices = 20_000_000
)

// CompileSchema reads a JSON Schema (2020-12). No schema gives nil. References
// to other documents are refused: a schema must not make us read files.
func CompileSchema(raw json.RawMessage) (*Schema, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > maxSchema {
		return nil, fmt.Errorf("the schema has %d bytes, the limit is %d", len(raw), maxSchema)
	}
	if err := (strictjson.Limits{Depth: 200}).Check(raw); err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	s := &Schema{raw: raw, idle: make(chan *form, runtime.GOMAXPROCS(0))}
	first, err := s.compile()
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be used: %w", err)
	}
	s.values = maxChoices / dearest(first.schema)
	s.idle <- first
	for range cap(s.idle) - 1 {
		s.idle <- nil // compiled when it is needed
	}
	return s, nil
}

func (s *Schema) compile() (*form, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.raw))
	if err != nil {
		return nil, err
	}
	const name = "urn:wildout:schema"
	m := &meter{}
	c := jsonschema.NewCompiler()
	c.AssertFormat() // `format: email` is a rule, not a remark
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(m.pattern)
	c.RegisterVocabulary(m.vocabulary())
	c.AssertVocabs()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	schema, err := c.Compile(name)
	if err != nil {
		return nil, err
	}
	return &form{schema, m}, nil
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s: a schema must be complete in itself", url)
}

// Check holds data, which is JSON, against the schema. The error is that of
// ctx, when it ends meanwhile.
func (s *Schema) Check(ctx context.Context, data []byte) (found Faults, err error) {
	if s.values < len(data)/2 { // a value takes two bytes: it may have too many
		if err := (strictjson.Limits{Values: s.values}).Look(data); err != nil {
			found.add("data", "has more than %d values, which are too many for the enum of its schema", s.values)
			return found, nil
		}
	}
	value, err := strictjson.Value(data)
	if err != nil {
		found.add("data", "cannot be read: %v", err)
		return found, nil
	}
	var f *form
	select {
	case f = <-s.idle:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { s.idle <- f }()
	if f == nil {
		if f, err = s.compile(); err != nil { // it could be compiled once
			return nil, fmt.Errorf("compile the schema again: %w", err)
		}
	}
	return f.check(ctx, value)
}

func (f *form) check(ctx context.Context, value any) (found Faults, err error) {
	defer func() {
		switch stopped := recover().(type) {
		case nil:
		case errOver:
			if found, err = nil, stopped.err; err == nil {
				found.add("data", "takes more than %d steps to check: send less at a time, or simplify the schema of the event type", maxWork)
			}
		default:
			panic(stopped)
		}
	}()
	f.meter.start(ctx)
	defer f.meter.end()
	var invalid *jsonschema.ValidationError
	if err := f.schema.Validate(value); errors.As(err, &invalid) {
		collect(&found, invalid)
	}
	return found, nil
}
