// Package strictjson is the one reading of JSON that others wrote: events,
// webhooks, inputs of handlers, answers of servers, forms and files. There is
// one meaning for one text: names count with their letter case, a name that
// stands twice in an object is an error, text is valid UTF-8, and numbers keep
// every digit. What is read is bounded before anything is made of it. What is
// ours (journals, plans) may be read with encoding/json. The package must not
// know what the JSON is about.
package strictjson

import (
	"bytes"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxExponent and maxNumber bound a number: its exponent, and its length in
	// characters. Those that a double can hold end at 1e308; arithmetic with any
	// number of digits, as a schema asks for, would take minutes for 1e1000000000.
	maxExponent = 400
	maxNumber   = 1000
)

// Limits bound a text. Numbers are bounded in any case, unless they are read
// into a type of Go, which has its own bounds.
type Limits struct {
	// Depth is how deep objects and lists may be nested. 0: 10,000.
	Depth int
	// Values is how many values there may be: fields, elements, and the objects
	// and lists themselves. 0: any number.
	Values int
	// Members is how many fields or elements one object or list may have. 0: any
	// number. It needs a Depth.
	Members int
}

// Check says why text is not exactly one JSON value within the limits, with an
// *Error. It makes nothing of the text and needs next to no memory.
func (l Limits) Check(text []byte) error {
	if err := l.Look(text); err != nil {
		return err
	}
	return Verify(text)
}

// Check is Limits.Check without limits of one's own.
func Check(text []byte) error { return Limits{}.Check(text) }

// Verify is Check for text that was checked when it came in: numbers are not
// looked at again.
func Verify(text []byte) error {
	if utf8.Valid(text) && jsontext.Value(text).IsValid(halves) {
		return nil
	}
	return explain(text)
}

// halves lets an escape stand for half a character (\ud83c alone), which is read
// as U+FFFD: JavaScript writes it for a text that was cut inside an emoji, and
// such an event must not be lost. With it the library also takes bytes that are
// no UTF-8; those are refused before it is asked.
var halves = jsontext.AllowInvalidUTF8(true)

// characters is an error unless the text is UTF-8.
func characters(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	return &Error{Offset: at, Reason: "it is not valid UTF-8"}
}

// reader is a decoder that is used for one text after another: its buffers
// cost more than to read a small text.
type reader struct {
	*jsontext.Decoder
	from bytes.Buffer
}

var readers = sync.Pool{New: func() any { return &reader{Decoder: jsontext.NewDecoder(bytes.NewReader(nil))} }}

// read calls with with a reader of text. What it returns is good until with
// returns, and then belongs to text.
func read(text []byte, with func(*reader) error) error {
	if err := characters(text); err != nil {
		return err
	}
	r := readers.Get().(*reader)
	r.from = *bytes.NewBuffer(text[:len(text):len(text)])
	r.Reset(&r.from, halves)
	err := with(r)
	readers.Put(r)
	return problem(err)
}

// end is an error unless nothing but white space follows.
func (r *reader) end() error {
	_, err := r.ReadToken()
	switch {
	case err == io.EOF: //nolint:errorlint // it is never wrapped
		return nil
	case err != nil:
		return err
	}
	return &Error{Kind: Behind, Offset: int(r.InputOffset()), Reason: "there is something behind the value"}
}

// explain finds out why a text is not valid.
func explain(text []byte) error {
	return read(text, func(r *reader) error {
		if _, err := r.ReadValue(); err != nil {
			return err
		}
		return r.end()
	})
}
