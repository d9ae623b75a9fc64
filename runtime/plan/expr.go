package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// Expr is a compiled CEL expression. It never changes and may be shared. Its
// methods fail with an *EvalError.
type Expr struct {
	source string
	path   string
	access *access     // nil: run the program
	prog   cel.Program // nil: answer by access
	env    []string    // the settings it reads, for the error about a missing one
}

// String returns the expression as it was written.
func (e *Expr) String() string { return e.source }

// Bool returns the result, which must be true or false.
func (e *Expr) Bool(s *Scope) (bool, error) {
	r, err := e.eval(s)
	if err != nil {
		return false, err
	}
	if r.raw != nil && (r.raw[0] == 't' || r.raw[0] == 'f') {
		return r.raw[0] == 't', nil
	}
	if b, ok := r.val.(types.Bool); ok {
		return bool(b), nil
	}
	return false, e.fail(fmt.Errorf("the condition is %s and not true or false", r.kind()))
}

// Key is what the expression of a key gives.
type Key struct {
	// Text is the same exactly for what is the same key, and never empty. A
	// string and a number that are written the same are; null is another than "null".
	Text string
	// False says that it is the boolean false.
	False bool
}

// The texts of values that have none. All events without a value share one.
const (
	nullKey  = "\x00null"
	emptyKey = "\x00"
)

// Key returns the result as a key: a string, a number, a boolean or null.
func (e *Expr) Key(s *Scope) (Key, error) {
	r, err := e.eval(s)
	if err != nil {
		return Key{}, err
	}
	val := r.value()
	k := Key{False: val == types.False}
	switch {
	case val == types.NullValue:
		k.Text = nullKey
	case r.raw != nil && r.raw[0] != '{' && r.raw[0] != '[':
		out, err := appendRawText(nil, r.raw)
		if err != nil {
			return Key{}, e.fail(err)
		}
		k.Text = string(out)
	default:
		plain, _, ok, err := scalar(val)
		if err != nil {
			return Key{}, e.fail(err)
		}
		if !ok {
			return Key{}, e.fail(fmt.Errorf("the key is %s; a key is a string, a number, a boolean or null", r.kind()))
		}
		k.Text = plain
	}
	if k.Text == "" {
		k.Text = emptyKey
	}
	return k, nil
}

// kind names the type of the result for a person.
func (r result) kind() string {
	if r.raw != nil {
		return kind(r.raw)
	}
	return kindOf(r.val)
}

func (e *Expr) eval(s *Scope) (result, error) {
	if e.access != nil {
		r, err := e.access.eval(s)
		if err != nil {
			return result{}, e.fail(err)
		}
		return r, nil
	}
	val, _, err := e.prog.Eval((*activation)(s))
	if err != nil {
		return result{}, e.fail(e.explain(err, s))
	}
	return result{val: val}, nil
}

func (e *Expr) fail(err error) error {
	return &EvalError{Path: e.path, Source: e.source, Err: err}
}

// explain says in our words what CEL says in its own.
func (e *Expr) explain(err error, s *Scope) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return fmt.Errorf("the expression takes more than %d operations on this data; do it in a handler", maxCost)
	}
	if key, found := strings.CutPrefix(err.Error(), "no such key: "); found {
		if _, set := s.Env[key]; !set && slices.Contains(e.env, key) {
			return missingEnv(key)
		}
		return fmt.Errorf("there is no field %q; test for it with has(...)", key)
	}
	if what, found := strings.CutPrefix(err.Error(), "no such overload"); found {
		return fmt.Errorf("an operation does not fit the types of its values%s", what)
	}
	return err
}
