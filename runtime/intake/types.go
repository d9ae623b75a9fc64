package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/wildout/wildout/runtime/event"
)

// Types are the event types that are known, with the schemas of their data. The
// zero value knows none. Set may be called while events are checked.
type Types struct {
	known atomic.Pointer[map[string]*Schema]
}

// Set replaces all types: name to JSON Schema, nil where there is none. On an
// error, which names each schema that cannot be used, nothing changes.
func (t *Types) Set(schemas map[string]json.RawMessage) error {
	known := make(map[string]*Schema, len(schemas))
	var errs []error
	for name, raw := range schemas {
		schema, err := CompileSchema(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("event type %s: %w", name, err))
		}
		known[name] = schema
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.known.Store(&known)
	return nil
}

// Check holds the data of an event against the schema of its type. With strict
// it is a fault to be of a type that is not known. The form of the data was
// checked by Envelope. The error is that of ctx, when it ends meanwhile.
func (t *Types) Check(ctx context.Context, e *event.Event, strict bool) (Faults, error) {
	var schema *Schema
	var declared bool
	if known := t.known.Load(); known != nil {
		schema, declared = (*known)[e.Type]
	}
	var found Faults
	if strict && !declared {
		found.add("type", "%q is not declared: there is no WildoutEventType for it", clip(e.Type))
	}
	if schema == nil {
		return found, nil
	}
	unfit, err := schema.Check(ctx, e.Data)
	return append(found, unfit...), err
}
