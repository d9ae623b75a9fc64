package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// maxEvents bounds the events of one request.
const maxEvents = 5000

// wireEvent is an event as clients of the Inngest event API send it.
type wireEvent struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
	ID   string          `json:"id"`
	// TS is the time of the event in ms since 1970. The time that counts is
	// that of publishing; it is checked so that nobody believes an event could
	// be sent for later.
	TS *int64 `json:"ts"`
	// Clients send these; they are not kept.
	User json.RawMessage `json:"user"`
	V    json.RawMessage `json:"v"`
	Meta json.RawMessage `json:"meta"`
}

// readEvents reads one event or an array of them, and returns what is wrong
// with single ones beside them. lenient takes fields that we do not know, as
// newer clients may send them; a person who misspells one should hear of it.
func readEvents(text []byte, lenient bool) (events []*event.Event, faults Faults, err error) {
	wires, err := decodeEvents(bytes.TrimSpace(text), lenient)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	events = make([]*event.Event, len(wires))
	for i := range wires {
		w := &wires[i]
		faults = append(faults, w.faults(i, now)...)
		events[i] = &event.Event{ID: w.ID, Type: w.Name, Data: w.Data}
	}
	return events, faults, nil
}

const form = `want {"name":"user/registered","data":{…}} or an array of such events`

func decodeEvents(text []byte, lenient bool) ([]wireEvent, error) {
	if len(text) == 0 {
		return nil, malformed("the body is empty, " + form)
	}
	wires := make([]wireEvent, 1)
	var into any = &wires[0]
	if text[0] == '[' {
		into = &wires
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if !lenient {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(into); err != nil {
		return nil, explain(text, lenient, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("there is something after the event: send several as an array")
	}
	if len(wires) == 0 || len(wires) > maxEvents {
		return nil, malformed(fmt.Sprintf("the array has %d events, want 1 to %d", len(wires), maxEvents))
	}
	return wires, nil
}

func malformed(message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Message: message}
}

// explain says what is wrong with a body that could not be decoded, and in
// which events; it decodes them again, one by one.
func explain(text []byte, lenient bool, cause error) error {
	var events []json.RawMessage
	switch {
	case !json.Valid(text):
		return malformed(fmt.Sprintf("the body is no JSON: %v; %s", cause, form))
	case text[0] != '[':
		events = []json.RawMessage{text}
	case json.Unmarshal(text, &events) != nil || len(events) > maxEvents:
		return malformed(fmt.Sprintf("the array has %d events, want 1 to %d", len(events), maxEvents))
	}
	var faults Faults
	for i, one := range events {
		dec := json.NewDecoder(bytes.NewReader(one))
		if !lenient {
			dec.DisallowUnknownFields()
		}
		var kind *json.UnmarshalTypeError
		switch err := dec.Decode(&wireEvent{}); {
		case err == nil:
		case errors.As(err, &kind) && kind.Field == "":
			faults = append(faults, newFault(i, "", "is a %s, want an object with name and data", kind.Value))
		case errors.As(err, &kind):
			faults = append(faults, newFault(i, kind.Field, "is a %s, want %s", kind.Value, jsonName(kind.Type)))
		default: // only the standard library's text says which field it is
			field := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
			faults = append(faults, newFault(i, clip(field), "is unknown: an event has name, data, id, ts, and for Inngest user, v and meta"))
		}
	}
	return faults.refusal()
}

// jsonName is what JSON calls a type of wireEvent.
func jsonName(t reflect.Type) string {
	if t.Kind() == reflect.String {
		return "a string"
	}
	return "a whole number"
}

// clockSkew is how far the clock of a sender may be ahead.
const clockSkew = 5 * time.Minute

// oldest is the first time that is taken for one in ms; one in seconds is below.
var oldest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// faults checks what is not in an event.Event, and fills in the data of an
// event without.
func (w *wireEvent) faults(n int, now time.Time) (found []Fault) {
	if w.TS != nil && *w.TS != 0 { // clients in Go send 0 for none
		switch at := time.UnixMilli(*w.TS); {
		case at.Before(oldest):
			found = append(found, newFault(n, "ts", "is before 1980: want milliseconds since 1970"))
		case at.After(now.Add(clockSkew)):
			found = append(found, newFault(n, "ts", "is in the future: an event cannot be sent for later, use a step with sleepUntil"))
		}
	}
	if len(w.Data) == 0 || string(w.Data) == "null" {
		w.Data = json.RawMessage("{}")
	}
	if w.Data[0] != '{' {
		found = append(found, newFault(n, "data", "must be an object"))
	}
	return found
}
