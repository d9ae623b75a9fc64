package plan

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Reason says of which kind a fault is, for whoever decides by it.
type Reason int

// The reasons of faults.
const (
	// Invalid is any fault that is none of the others.
	Invalid Reason = iota
	// InvalidExpression: an expression or a template does not compile.
	InvalidExpression
	// UnknownStep: a step is named that does not exist.
	UnknownStep
	// UnknownHandler: a handler is named that the runner does not have.
	UnknownHandler
)

// Error is one fault of a manifest.
type Error struct {
	Reason Reason
	// Path is the field, such as spec.steps[3].with.to.
	Path string
	// Message says what is wrong and what to write.
	Message string
	// Source is the line of the expression or template with the fault; empty
	// when the fault is not inside one.
	Source string
	// Column is where in Source the fault begins, in characters from 1.
	Column int
}

// Error prints the path and the message, and for a fault inside an expression
// two more lines: the expression, and a caret under the fault.
func (e *Error) Error() string {
	head := e.Path + ": " + e.Message
	if e.Source == "" {
		return head
	}
	line, indent := window(e.Source, e.Column)
	return head + "\n    " + line + "\n    " + indent + "^"
}

// Errors are all the faults of a manifest, in the order of its fields.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, fault := range e {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Has reports whether a fault is of that reason.
func (e Errors) Has(reason Reason) bool {
	return slices.ContainsFunc(e, func(fault *Error) bool { return fault.Reason == reason })
}

// Unwrap lets errors.As find the single faults.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, fault := range e {
		errs[i] = fault
	}
	return errs
}

// err is e as an error, nil when there is no fault.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// The widest line of an expression that an error shows, and how much of it
// stands before the caret, in characters.
const (
	windowWidth  = 100
	windowBefore = 60
)

// window cuts a long line around the column, and returns the indent of the
// caret: tabs stay tabs, so that the caret stands under the fault.
func window(source string, column int) (line, indent string) {
	runes := []rune(source)
	at := min(max(column-1, 0), len(runes))
	var prefix, suffix string
	if len(runes) > windowWidth {
		from := max(0, at-windowBefore)
		to := min(len(runes), from+windowWidth)
		if from > 0 {
			prefix = "…"
		}
		if to < len(runes) {
			suffix = "…"
		}
		runes, at = runes[from:to], at-from
	}
	var pad strings.Builder
	pad.WriteString(strings.Repeat(" ", utf8.RuneCountInString(prefix)))
	for _, r := range runes[:at] {
		if r != '\t' {
			r = ' '
		}
		pad.WriteRune(r)
	}
	return prefix + string(runes) + suffix, pad.String()
}

// excerpt returns the line of text that holds the byte at offset, without the
// white space around it, and the column of that byte in characters from 1.
func excerpt(text string, offset int) (line string, column int) {
	offset = min(max(offset, 0), len(text))
	from := strings.LastIndexByte(text[:offset], '\n') + 1
	to := len(text)
	if end := strings.IndexByte(text[offset:], '\n'); end >= 0 {
		to = offset + end
	}
	line = strings.TrimLeft(text[from:to], " \t\r")
	from = to - len(line)
	column = 1 + utf8.RuneCountInString(text[min(from, offset):offset])
	return strings.TrimRight(line, " \t\r"), column
}

// EvalError is an expression that could not be evaluated. Another attempt on
// the same data gives the same error: it is not worth a retry.
type EvalError struct {
	// Path is the field that holds the expression.
	Path string
	// Source is the expression.
	Source string
	// Err is the cause.
	Err error
}

func (e *EvalError) Error() string {
	return fmt.Sprintf("%s: %v, in: %s", e.Path, e.Err, e.Source)
}

func (e *EvalError) Unwrap() error { return e.Err }
