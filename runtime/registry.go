package wildout

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sort"
	"sync"

	"github.com/wildout/wildout/runtime/strictjson"
)

// MaxOutputBytes is the largest output of a handler or of a durable sub-step,
// in bytes of JSON. A larger one fails the step without a retry.
const MaxOutputBytes = 1 << 20

// Handler is a handler as the engine calls it: JSON in, JSON out.
// Handlers are written as typed functions and wrapped by Register or Add.
type Handler func(ctx context.Context, input json.RawMessage) (json.RawMessage, error)

// Registry is a set of handlers by name. The zero value is empty and ready.
type Registry struct {
	mu       sync.RWMutex
	handlers map[string]Handler
}

// Default is the registry that Register adds to.
var Default = &Registry{}

// Register adds fn to the Default registry under name, such as "email.send".
// It panics when the name is taken: two handlers under one name is a mistake
// of the program that no run should find out.
func Register[In, Out any](name string, fn func(context.Context, In) (Out, error)) {
	Add(Default, name, fn)
}

// Add adds fn to r under name. The input of a step is decoded into In: an
// unknown field, one that is there twice, a missing type or a wrong one fails
// the step without a retry. The letter case of fields counts: a field without a
// json tag has its name in Go. The output is encoded as JSON. A panic becomes an
// error with its stack.
// Add panics when the name is taken.
func Add[In, Out any](r *Registry, name string, fn func(context.Context, In) (Out, error)) {
	r.add(name, func(ctx context.Context, input json.RawMessage) (output json.RawMessage, err error) {
		err = protect(func() error {
			in, err := decodeInput[In](name, input)
			if err != nil {
				return err
			}
			out, err := fn(ctx, in)
			if err != nil {
				return err
			}
			output, err = encodeOutput(out)
			return err
		})
		return output, err
	})
}

func (r *Registry) add(name string, h Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.handlers[name]; taken {
		panic(fmt.Sprintf("wildout: two handlers are registered as %q", name))
	}
	if r.handlers == nil {
		r.handlers = map[string]Handler{}
	}
	r.handlers[name] = h
}

// Lookup returns the handler of that name.
func (r *Registry) Lookup(name string) (Handler, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, ok := r.handlers[name]
	return h, ok
}

// Names returns the names of all handlers, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.handlers))
	for name := range r.handlers {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func decodeInput[In any](name string, input json.RawMessage) (in In, err error) {
	if raw, ok := any(&in).(*json.RawMessage); ok {
		*raw = input
		return in, nil
	}
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	if err := strictjson.UnmarshalKnown(input, &in); err != nil {
		return in, NonRetriable(fmt.Errorf("input of handler %s does not fit: %w", name, err))
	}
	return in, nil
}

func encodeOutput(out any) (json.RawMessage, error) {
	b, err := strictjson.Marshal(out)
	if err != nil {
		return nil, NonRetriable(fmt.Errorf("the output cannot be stored as JSON: %w", err))
	}
	if len(b) > MaxOutputBytes {
		return nil, NonRetriable(fmt.Errorf("the output is %d bytes, the limit is %d; store it elsewhere and return a reference", len(b), MaxOutputBytes))
	}
	return b, nil
}

// PanicError is a panic of a handler, with the stack at its place.
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

func recoverAsError(err *error) {
	switch v := recover().(type) {
	case nil:
	case parking:
		*err = ErrParked
	default:
		*err = &PanicError{Value: v, Stack: string(debug.Stack())}
	}
}
