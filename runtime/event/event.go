// Package event holds the envelope of an event, with the attributes of
// CloudEvents 1.0, and its wire form in a Redis stream. It must not know who
// publishes or who reads.
package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/strictjson"
)

const (
	// MaxBytes is the largest data of an event, in bytes.
	MaxBytes = 1 << 20
	// maxDepth and maxValues bound what is in the data: a schema, an expression
	// and a page each need far more memory for a value than its text has bytes.
	maxDepth  = 200
	maxValues = 100_000
)

// Event is one message: something that happened, of a type, with data.
type Event struct {
	// ID is unique within the type. Empty when publishing: derived from the
	// place in the stream.
	ID string `json:"id"`
	// Type is the event type, such as user/registered.
	Type string `json:"type"`
	// Source says who published it, a URI reference. May be empty.
	Source string `json:"source,omitempty"`
	// Subject says what it is about. May be empty.
	Subject string `json:"subject,omitempty"`
	// Time is when it was published.
	Time time.Time `json:"time"`
	// TraceParent is the W3C trace context of the publisher. May be empty.
	TraceParent string `json:"traceparent,omitempty"`
	// TraceState is what tracing systems add to it. May be empty.
	TraceState string `json:"tracestate,omitempty"`
	// Data is one JSON value, an object as a rule.
	Data json.RawMessage `json:"data"`
}

// The fields of a stream entry. Only data is required: a plain
// `XADD <stream> * data '{"userId":"u1"}'` is a valid event.
const (
	FieldID          = "id"
	FieldData        = "data"
	FieldSource      = "source"
	FieldSubject     = "subject"
	FieldTraceParent = "traceparent"
	FieldTraceState  = "tracestate"
)

// MalformedError says that a stream entry is not an event. No retry mends it.
type MalformedError struct{ Reason string }

func (e *MalformedError) Error() string { return "malformed event: " + e.Reason }

// Fields returns the fields and values of the stream entry for e, in the
// order of the wire form; empty attributes are left out.
func (e *Event) Fields() []any {
	fields := make([]any, 0, 12)
	if e.ID != "" {
		fields = append(fields, FieldID, e.ID)
	}
	for _, f := range [...]struct{ name, value string }{
		{FieldSource, e.Source}, {FieldSubject, e.Subject}, {FieldTraceParent, e.TraceParent}, {FieldTraceState, e.TraceState},
	} {
		if f.value != "" {
			fields = append(fields, f.name, f.value)
		}
	}
	return append(fields, FieldData, []byte(e.Data))
}

// Parse reads a stream entry. The caller sets Type and Time, and ID where the
// entry has none. The error is a *MalformedError.
func Parse(fields map[string]any) (Event, error) {
	text := func(name string) string { s, _ := fields[name].(string); return s }
	e := Event{
		ID: text(FieldID), Source: text(FieldSource), Subject: text(FieldSubject),
	}
	// A plain XADD may hold anything, and no handler should have to look.
	e.TraceParent, e.TraceState = TraceContext(text(FieldTraceParent), text(FieldTraceState))
	data, ok := fields[FieldData].(string)
	if !ok {
		return e, &MalformedError{fmt.Sprintf("no field %q; publish it with: XADD <stream> * data '<JSON object>'", FieldData)}
	}
	e.Data = json.RawMessage(data)
	return e, Check(e.Data)
}

// Check says why data cannot be the data of an event; the error is a
// *MalformedError.
func Check(data []byte) error {
	if len(data) > MaxBytes {
		return &MalformedError{fmt.Sprintf("data is %d bytes, the limit is %d; store it elsewhere and send a reference", len(data), MaxBytes)}
	}
	if err := (strictjson.Limits{Depth: maxDepth, Values: maxValues}).Check(data); err != nil {
		return &MalformedError{"data cannot be read: " + err.Error()}
	}
	return nil
}
