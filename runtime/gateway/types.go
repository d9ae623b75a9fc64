package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/event/schema"
)

// Types are the event types that the gateway knows, with the schemas of their
// data. The zero value knows none. Set may be called while requests are served.
type Types struct {
	known atomic.Pointer[map[string]*jsonschema.Schema]
}

// Set replaces all types: name to JSON Schema, nil where there is none. On an
// error, which names each schema that cannot be used, nothing changes.
func (t *Types) Set(schemas map[string]json.RawMessage) error {
	known := make(map[string]*jsonschema.Schema, len(schemas))
	var errs []error
	for name, raw := range schemas {
		compiled, err := schema.Compile(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("event type %s: %w", name, err))
		}
		known[name] = compiled
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.known.Store(&known)
	return nil
}

// check holds the data of events against the schemas of their types; those
// that have a fault already are left out. With strict it is a fault to be of a
// type that is not known.
func (t *Types) check(events []*event.Event, strict bool, faulty Faults) (faults Faults) {
	var known map[string]*jsonschema.Schema
	if k := t.known.Load(); k != nil {
		known = *k
	}
	for i, e := range events {
		if slices.ContainsFunc(faulty, func(f Fault) bool { return f.Event == i }) {
			continue
		}
		schema, declared := known[e.Type]
		if strict && !declared {
			faults = append(faults, newFault(i, "type", "%q is not declared: there is no WildoutEventType for it", clip(e.Type)))
		}
		if schema == nil {
			continue
		}
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
		if err != nil {
			faults = append(faults, Fault{i, "data", err.Error()})
			continue
		}
		var invalid *jsonschema.ValidationError
		if err := schema.Validate(data); errors.As(err, &invalid) {
			faults = append(faults, leaves(i, invalid)...)
		}
	}
	return faults
}

// leaves returns the faults at the ends of a tree of them, without repetitions.
func leaves(n int, e *jsonschema.ValidationError) (found []Fault) {
	// What did not match of a choice would only confuse: the choice is the fault.
	switch k := e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		return []Fault{{n, path(e.InstanceLocation), choice(e)}}
	case *kind.Required:
		for _, name := range k.Missing {
			found = append(found, Fault{n, path(append(slices.Clone(e.InstanceLocation), name)), "is missing"})
		}
		return found
	}
	for _, cause := range e.Causes {
		for _, fault := range leaves(n, cause) {
			if !slices.Contains(found, fault) {
				found = append(found, fault)
			}
		}
	}
	if len(e.Causes) == 0 {
		found = append(found, Fault{n, path(e.InstanceLocation), words(e.ErrorKind)})
	}
	return found
}

// choice says what the alternatives of oneOf or anyOf ask for.
func choice(e *jsonschema.ValidationError) string {
	if one, ok := e.ErrorKind.(*kind.OneOf); ok && len(one.Subschemas) > 1 {
		return "fits more than one of the alternatives, of which exactly one may apply"
	}
	var wants []string
	for _, cause := range e.Causes {
		for _, fault := range leaves(0, cause) {
			wants = append(wants, fault.Path+" "+fault.Message)
		}
	}
	return "fits none of the alternatives: " + strings.Join(wants, ", or ")
}

func words(k jsonschema.ErrorKind) string {
	if format, ok := k.(*kind.Format); ok {
		return fmt.Sprintf("%q is no %s", clip(fmt.Sprint(format.Got)), format.Want)
	}
	return "is not valid: " + k.LocalizedString(message.NewPrinter(language.English))
}

// path writes a location as in expressions: data.recipients[3].
func path(location []string) string {
	var b strings.Builder
	b.WriteString("data")
	for _, part := range location {
		if part != "" && strings.Trim(part, "0123456789") == "" {
			b.WriteString("[" + part + "]")
		} else {
			b.WriteString("." + part)
		}
	}
	return b.String()
}
