package strictjson

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Error says why a text cannot be read.
type Error struct {
	// Offset is the byte at which, or shortly before which, it is seen.
	Offset int
	// Path leads to the place, such as data.recipients[3]; empty: the value as
	// a whole.
	Path string
	// Reason is a sentence without the place.
	Reason string
	Kind   Kind
}

// Kind is what is wrong with a text.
type Kind int

const (
	// Broken means that it is no JSON, or could be read in two ways.
	Broken Kind = iota
	// Behind means that it is a JSON value, and something follows.
	Behind
	// Limit means that it goes beyond a limit.
	Limit
	// Misfit means that it is JSON, and does not fit what it is read into.
	Misfit
)

func (e *Error) Error() string {
	switch {
	case e.Path != "" && e.Kind != Misfit:
		return e.Reason + ", in " + e.Path
	case e.Path != "":
		return e.Path + ": " + e.Reason
	case e.Offset > 0:
		return fmt.Sprintf("%s, at byte %d", e.Reason, e.Offset+1)
	}
	return e.Reason
}

// problem says in our words what the library says in its own. Errors that are
// not about JSON come back as they are.
func problem(err error) error {
	if err == nil {
		return nil
	}
	var own *Error
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &syntactic):
		return syntaxProblem(syntactic)
	case errors.As(err, &semantic):
		return meaningProblem(semantic)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Reason: "there is no JSON value"}
	}
	return err
}

func syntaxProblem(e *jsontext.SyntacticError) *Error {
	own := &Error{Offset: int(e.ByteOffset)}
	switch {
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		own.Path = path(e.JSONPointer.Parent())
		own.Reason = fmt.Sprintf("the name %q is there twice", clip(e.JSONPointer.LastToken()))
	case errors.Is(e.Err, io.ErrUnexpectedEOF):
		own.Reason = "it ends too early"
	case e.Err == nil:
		own.Reason = "it is broken"
	default:
		own.Reason = strings.TrimPrefix(e.Err.Error(), "jsontext: ")
	}
	return own
}

func meaningProblem(e *json.SemanticError) *Error {
	own := &Error{Kind: Misfit, Offset: int(e.ByteOffset), Path: path(e.JSONPointer)}
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		name := e.JSONPointer.LastToken()
		own.Path = path(e.JSONPointer.Parent())
		own.Reason = fmt.Sprintf("unknown field %q", clip(name))
		if field := otherCase(e.GoType, name); field != "" {
			own.Reason += fmt.Sprintf(" (letter case counts: it is %q)", field)
		}
	case e.Err != nil && !errors.Is(e.Err, strconv.ErrRange) && !errors.Is(e.Err, strconv.ErrSyntax):
		own.Reason = e.Err.Error()
	case errors.Is(e.Err, strconv.ErrRange):
		own.Reason = fmt.Sprintf("%s is too large for %s", clip(string(e.JSONValue)), goKind(e.GoType))
	default:
		own.Reason = fmt.Sprintf("want %s, it is %s", goKind(e.GoType), kind(e.JSONKind))
		if e.JSONKind == '0' && len(e.JSONValue) > 0 {
			own.Reason = fmt.Sprintf("want %s, it is %s", goKind(e.GoType), clip(string(e.JSONValue)))
		}
	}
	return own
}

// otherCase returns the name of the field that is the name in another letter
// case; empty: there is none.
func otherCase(t reflect.Type, name string) string {
	if t == nil || t.Kind() != reflect.Struct {
		return ""
	}
	for _, field := range reflect.VisibleFields(t) {
		own, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if own == "" {
			own = field.Name
		}
		if field.IsExported() && strings.EqualFold(own, name) {
			return own
		}
	}
	return ""
}

// KindOf is what a person calls the kind of a JSON value, with its article.
func KindOf(value []byte) string { return kind(jsontext.Value(value).Kind()) }

// kind is what a person calls a kind of JSON, with its article.
func kind(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "something else"
}

// goKind is what a person calls the JSON that a type of Go takes.
func goKind(t reflect.Type) string {
	if t == nil {
		return "another value"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "base64"
		}
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Pointer:
		return goKind(t.Elem())
	}
	return t.String()
}

// path writes a pointer as expressions do: data.recipients[3].
func path(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "":
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + clip(token))
		default:
			b.WriteString(clip(token))
		}
	}
	return b.String()
}

// clip shortens what came from outside for a message.
func clip(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
