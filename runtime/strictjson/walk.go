package strictjson

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Members calls each with the fields of an object, or the elements of a list
// (whose names are empty), in their order; name has no quotes and no escapes.
// The whole text is checked as it is passed over. What each gets is part of
// text, but for names with escapes. An error of each ends the walk and comes
// back; others are an *Error.
func Members(text []byte, each func(name, value []byte) error) error {
	return read(text, func(r *reader) error {
		opening, err := r.ReadToken()
		if err != nil {
			return err
		}
		object := opening.Kind() == '{'
		if !object && opening.Kind() != '[' {
			return &Error{Kind: Misfit, Reason: "want an object or a list, it is " + kind(opening.Kind())}
		}
		for {
			var name []byte
			switch k := r.PeekKind(); {
			case k == '}' || k == ']':
				if _, err := r.ReadToken(); err != nil {
					return err
				}
				return r.end()
			case object && k == '"':
				quoted, err := r.ReadValue()
				if err != nil {
					return err
				}
				name = unquoted(quoted)
			}
			value, err := r.ReadValue()
			if err != nil {
				return err
			}
			if err := each(name, value[:len(value):len(value)]); err != nil {
				return err
			}
		}
	})
}

// Text returns what a valid JSON string stands for.
func Text(quoted []byte) string { return string(unquoted(quoted)) }

// unquoted returns what is between the quotes of a valid string.
func unquoted(quoted []byte) []byte {
	for _, c := range quoted {
		if c == '\\' {
			text, _ := jsontext.AppendUnquote(nil, quoted) // it was checked
			return text
		}
	}
	return quoted[1 : len(quoted)-1]
}

// Elements calls each with the elements of a list, as Members does, and ends
// with an *Error before it has called it more than most times.
func Elements(text []byte, most int, each func(element []byte) error) error {
	n := 0
	return Members(text, func(_, element []byte) error {
		if n++; n > most {
			return &Error{Kind: Limit, Reason: fmt.Sprintf("there are more than %d", most)}
		}
		return each(element)
	})
}

// Value reads one value into maps, lists, strings, booleans and nil, as
// encoding/json does; a number is an int64 where it is a whole one that fits,
// and else a json.Number. The error is an *Error.
func Value(text []byte) (value any, err error) {
	if err := (Limits{}).Look(text); err != nil {
		return nil, err
	}
	err = read(text, func(r *reader) error {
		if value, err = r.value(); err != nil {
			return err
		}
		return r.end()
	})
	return value, err
}

func (r *reader) value() (any, error) {
	token, err := r.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case 't', 'f':
		return token.Bool(), nil
	case '0':
		text := token.String()
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
			return n, nil
		}
		return json.Number(text), nil
	case '[':
		return r.list()
	case '{':
		return r.object()
	}
	return nil, nil
}

func (r *reader) list() (any, error) {
	list := []any{}
	for r.PeekKind() != ']' {
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := r.ReadToken()
	return list, err
}

func (r *reader) object() (any, error) {
	object := map[string]any{}
	for r.PeekKind() != '}' {
		name, err := r.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // the token is good until the next one
		if object[key], err = r.value(); err != nil {
			return nil, err
		}
	}
	_, err := r.ReadToken()
	return object, err
}
