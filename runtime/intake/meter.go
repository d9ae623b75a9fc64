package intake

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// meter counts the work of a check, and ends it when there is too much: by a
// panic, since the library that checks has no other way out. It is for one
// check at a time.
type meter struct {
	ctx  context.Context
	left int
	next int // what is left when ctx is looked at again
}

// errOver is what the panic carries: the error of the context, nil when it is
// the work that was too much.
type errOver struct{ err error }

const lookEvery = 10_000

func (m *meter) start(ctx context.Context) { m.ctx, m.left, m.next = ctx, maxWork, maxWork }

func (m *meter) end() { m.ctx = nil }

func (m *meter) spend(steps int) {
	m.left -= steps
	if m.left < 0 {
		panic(errOver{})
	}
	if m.left < m.next {
		m.next = m.left - lookEvery
		if err := m.ctx.Err(); err != nil {
			panic(errOver{err})
		}
	}
}

// vocabulary adds a rule to every schema object: it counts. The library runs it
// after the rules beside it, so that a value is counted when all that is in it
// was.
func (m *meter) vocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "urn:wildout:work",
		Compile: func(_ *jsonschema.CompilerContext, object map[string]any) (jsonschema.SchemaExt, error) {
			r := &rule{meter: m, same: 1, inside: 1}
			for _, name := range [...]string{"allOf", "anyOf", "oneOf"} {
				if list, ok := object[name].([]any); ok {
					r.same += len(list)
				}
			}
			for _, name := range [...]string{"dependentSchemas", "dependencies"} {
				if schemas, ok := object[name].(map[string]any); ok {
					r.same += len(schemas)
				}
			}
			if patterns, ok := object["patternProperties"].(map[string]any); ok {
				r.inside += len(patterns)
			}
			for _, name := range [...]string{"contains", "propertyNames", "uniqueItems"} {
				if _, ok := object[name]; ok {
					r.inside++
				}
			}
			_, props := object["unevaluatedProperties"]
			_, items := object["unevaluatedItems"]
			if props || items { // each schema beside it keeps a list of what it saw
				r.inside += r.same
			}
			return r, nil
		},
	}
}

// rule counts what one schema object does with a value: same is how many
// schemas it holds against the value itself, inside how many against each value
// in it.
type rule struct {
	meter        *meter
	same, inside int
}

// Validate implements jsonschema.SchemaExt.
func (r *rule) Validate(_ *jsonschema.ValidatorContext, value any) {
	steps := r.same
	switch value := value.(type) {
	case map[string]any:
		steps += len(value) * r.inside
	case []any:
		steps += len(value) * r.inside
	}
	r.meter.spend(steps)
}

// compileSteps is what it takes to compile a pattern.
const compileSteps = 100

// maxProgram bounds a compiled pattern, in instructions, as that of an
// expression.
const maxProgram = 1000

// pattern is a jsonschema.RegexpEngine whose patterns count their work. It also
// reads what `format: regex` is applied to, which comes from outside.
func (m *meter) pattern(source string) (jsonschema.Regexp, error) {
	if len(source) > 4*maxProgram {
		return nil, fmt.Errorf("the pattern has %d bytes, the limit is %d", len(source), 4*maxProgram)
	}
	if m.ctx != nil { // it is the text of an event
		m.spend(compileSteps)
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := programSize(parsed)
	if size > maxProgram {
		return nil, errors.New("the pattern is too large: what it repeats counts each time")
	}
	compiled, err := regexp.Compile(source)
	if err != nil {
		return nil, err
	}
	return &pattern{compiled, m, size}, nil
}

// programSize is about how many instructions a pattern becomes.
func programSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/2
	for _, sub := range re.Sub {
		size += programSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(1, re.Min, re.Max)
	}
	return min(size, 1<<20) // repeats of repeats must not overflow
}

type pattern struct {
	*regexp.Regexp
	meter *meter
	size  int
}

// bytesPerStep is how far a small pattern gets in a step.
const bytesPerStep = 512

// MatchString implements jsonschema.Regexp.
func (p *pattern) MatchString(text string) bool {
	if p.meter.ctx != nil { // it is not being compiled
		p.meter.spend(1 + len(text)*p.size/bytesPerStep)
	}
	return p.Regexp.MatchString(text)
}

// dearest returns how many comparisons the longest enum of a schema takes for
// one value; numbers are dear, as they are compared with every digit.
func dearest(root *jsonschema.Schema) int {
	most, seen := 1, map[*jsonschema.Schema]bool{}
	var visit func(...*jsonschema.Schema)
	visit = func(schemas ...*jsonschema.Schema) {
		for _, s := range schemas {
			if s == nil || seen[s] {
				continue
			}
			seen[s] = true
			if s.Enum != nil {
				cost := 0
				for _, v := range s.Enum.Values {
					cost++
					if _, text := v.(string); !text {
						cost += 40
					}
				}
				most = max(most, cost)
			}
			visit(subschemas(s)...)
		}
	}
	visit(root)
	return most
}

// subschemas are those that a schema applies.
func subschemas(s *jsonschema.Schema) (all []*jsonschema.Schema) {
	all = append(all, s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Items2020, s.Contains, s.UnevaluatedItems, s.ContentSchema)
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	all = append(append(append(append(all, s.AllOf...), s.AnyOf...), s.OneOf...), s.PrefixItems...)
	for _, sub := range s.Properties {
		all = append(all, sub)
	}
	for _, sub := range s.PatternProperties {
		all = append(all, sub)
	}
	for _, sub := range s.DependentSchemas {
		all = append(all, sub)
	}
	for _, sub := range s.Dependencies {
		if schema, ok := sub.(*jsonschema.Schema); ok {
			all = append(all, schema)
		}
	}
	for _, either := range [...]any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch either := either.(type) {
		case *jsonschema.Schema:
			all = append(all, either)
		case []*jsonschema.Schema:
			all = append(all, either...)
		}
	}
	return all
}
