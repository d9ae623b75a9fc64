package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"
)

// Value is a compiled JSON tree or template string. It never changes and may
// be shared. Its methods fail with an *EvalError. The bytes that they return
// may belong to the plan, to the event or to the journal: they are read-only.
type Value struct {
	path string
	// source is the JSON tree as it was written; nil for a template string.
	source json.RawMessage
	// literal is the whole value when there is no expression in it.
	literal json.RawMessage
	// lone is the one expression that the whole value is.
	lone *Expr
	// parts are the JSON text with its expressions, else.
	parts []part
	// size is the length of the literal parts, to reserve memory.
	size int
}

// part is a stretch of JSON text, or an expression in it. An expression inside
// a string is formatted and escaped; elsewhere it keeps its type.
type part struct {
	text     []byte
	expr     *Expr
	inString bool
}

// Constant returns the value that is this JSON, in every scope. It is for actions
// that no manifest has.
func Constant(raw json.RawMessage) *Value { return &Value{literal: raw, source: raw} }

// Source is the JSON tree as it is in the manifest, with its expressions. It is
// nil for the nil Value, and for one that was not a tree.
func (v *Value) Source() json.RawMessage {
	if v == nil {
		return nil
	}
	return v.source
}

// JSON returns the value as JSON.
func (v *Value) JSON(s *Scope) (json.RawMessage, error) {
	switch {
	case v.literal != nil:
		return v.literal, nil
	case v.lone != nil:
		return v.loneJSON(s)
	}
	out := make([]byte, 0, v.size+48*(len(v.parts)/2))
	for i := range v.parts {
		p := &v.parts[i]
		if p.expr == nil {
			out = append(out, p.text...)
			continue
		}
		r, err := p.expr.eval(s)
		if err != nil {
			return nil, err
		}
		if out, err = r.append(out, p.inString); err == nil {
			err = room(out, 0) // escapes make a text longer
		}
		if err != nil {
			return nil, p.expr.fail(err)
		}
	}
	return out, nil
}

func (v *Value) loneJSON(s *Scope) (json.RawMessage, error) {
	r, err := v.lone.eval(s)
	if err != nil {
		return nil, err
	}
	if r.raw != nil {
		return r.raw, nil
	}
	out, err := appendJSON(nil, r.val)
	if err != nil {
		return nil, v.lone.fail(err)
	}
	return out, nil
}

// append appends the result as JSON, or as the inside of a JSON string.
func (r result) append(out []byte, inString bool) ([]byte, error) {
	if !inString {
		if r.raw != nil {
			return appendRaw(out, r.raw)
		}
		return appendJSON(out, r.val)
	}
	if r.raw != nil && r.raw[0] == '"' {
		return appendRaw(out, r.raw[1:len(r.raw)-1])
	}
	plain, err := r.text(nil)
	if err != nil {
		return nil, err
	}
	return appendEscaped(out, string(plain)), nil
}

// text appends the result as it stands inside text.
func (r result) text(out []byte) ([]byte, error) {
	if r.raw != nil {
		return appendRawText(out, r.raw)
	}
	return appendText(out, r.val)
}

// Text returns the value as text: a string as it is, numbers in their shortest
// form, null as the empty string, lists and objects as compact JSON.
func (v *Value) Text(s *Scope) (string, error) {
	if v.lone != nil {
		r, err := v.lone.eval(s)
		if err != nil {
			return "", err
		}
		out, err := r.text(nil)
		if err != nil {
			return "", v.lone.fail(err)
		}
		return string(out), nil
	}
	raw, err := v.JSON(s)
	if err != nil {
		return "", err
	}
	out, err := appendRawText(nil, raw)
	if err != nil {
		return "", v.fail(err)
	}
	return string(out), nil
}

// List returns the elements of the value, which must be a list.
func (v *Value) List(s *Scope) ([]json.RawMessage, error) {
	var r result
	if v.lone != nil {
		var err error
		if r, err = v.lone.eval(s); err != nil {
			return nil, err
		}
	} else {
		raw, err := v.JSON(s)
		if err != nil {
			return nil, err
		}
		r.raw = raw
	}
	if l, ok := r.val.(*list); ok {
		r.raw = l.raw
	}
	if r.raw != nil && r.raw[0] == '[' {
		return splitList(r.raw)
	}
	l, ok := r.val.(traits.Lister)
	if !ok {
		return nil, v.fail(fmt.Errorf("there must be a list here and it is %s", r.kind()))
	}
	elements := make([]json.RawMessage, 0, length(r.val))
	var all []byte // one limit for all elements; those that it grew out of keep their bytes
	for it := l.Iterator(); it.HasNext() == types.True; {
		begin := len(all)
		var err error
		if all, err = appendJSON(all, it.Next()); err != nil {
			return nil, v.fail(err)
		}
		elements = append(elements, all[begin:len(all):len(all)])
	}
	return elements, nil
}

func splitList(raw []byte) ([]json.RawMessage, error) {
	n := node{raw: raw}
	in, err := n.open()
	if err != nil {
		return nil, err
	}
	elements := make([]json.RawMessage, len(in.list))
	for i := range in.list {
		elements[i] = in.list[i].value.raw
	}
	return elements, nil
}

// Time returns the value as a time: a CEL timestamp or an RFC 3339 string.
func (v *Value) Time(s *Scope) (time.Time, error) {
	if v.lone != nil {
		r, err := v.lone.eval(s)
		if err != nil {
			return time.Time{}, err
		}
		if t, ok := r.val.(types.Timestamp); ok {
			return t.Time, nil
		}
		if _, isText := r.val.(types.String); !isText && (r.raw == nil || r.raw[0] != '"') {
			return time.Time{}, v.fail(fmt.Errorf("there must be a time here and it is %s", r.kind()))
		}
	}
	text, err := v.Text(s)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, v.fail(fmt.Errorf("%q is not an RFC 3339 time such as 2030-01-31T09:00:00Z", text))
	}
	return t, nil
}

func (v *Value) fail(err error) error {
	if v.lone != nil {
		return v.lone.fail(err)
	}
	i := slices.IndexFunc(v.parts, func(p part) bool { return p.expr != nil })
	if i < 0 {
		return &EvalError{Path: v.path, Source: string(v.literal), Err: err}
	}
	return v.parts[i].expr.fail(err)
}
