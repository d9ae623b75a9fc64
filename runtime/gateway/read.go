package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/strictjson"
)

const (
	// maxEvents bounds the events of one request.
	maxEvents = 5000
	// maxFaults bounds what is said of one event.
	maxFaults = 20
)

// bodyLimits bound a body as a whole. An event has narrower ones, which are
// looked at when there is one.
var bodyLimits = strictjson.Limits{Depth: 250, Members: 100_000}

// wireEvent is an event as clients of the Inngest event API send it.
type wireEvent struct {
	name, id string
	// data belongs to the body of the request; nil when there is none.
	data json.RawMessage
	// ts is the time of the event in ms since 1970; 0: not said. The time that
	// counts is that of publishing; it is checked so that nobody believes an
	// event could be sent for later.
	ts int64
}

// readEvents reads one event or an array of them, and returns what is wrong
// with single ones beside them. lenient takes fields that we do not know, as
// newer clients may send them; a person who misspells one should hear of it.
// It ends where there are too many: what is behind is never looked at.
func readEvents(text []byte, lenient bool) (events []*event.Event, faults Faults, err error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, nil, malformed("the body is empty, " + form)
	}
	now := time.Now()
	misfits := false
	add := func(one []byte) error {
		n := len(events)
		w, found, err := readEvent(n, one, lenient)
		if err != nil {
			return err
		}
		misfits = misfits || len(found) > 0
		found = append(found, w.faults(n, now)...)
		faults = append(faults, found...)
		events = append(events, &event.Event{ID: w.id, Type: w.name, Data: w.data})
		return nil
	}
	if err = bodyLimits.Look(text); err != nil {
		return nil, nil, notRead(text, err)
	}
	if text[0] == '[' {
		err = strictjson.Elements(text, maxEvents, add)
	} else if err = strictjson.Verify(text); err == nil {
		err = add(text)
	}
	switch {
	case err != nil:
		return nil, nil, notRead(text, err)
	case len(events) == 0:
		return nil, nil, malformed(fmt.Sprintf("the array has 0 events, want 1 to %d", maxEvents))
	case misfits: // what is meant is not known: no part of it is published
		return nil, nil, faults.refusal()
	}
	return events, faults, nil
}

const form = `want {"name":"user/registered","data":{…}} or an array of such events`

func malformed(message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Message: message}
}

// notRead says what is wrong with a body that could not be read.
func notRead(text []byte, err error) error {
	var fault *strictjson.Error
	switch {
	case !errors.As(err, &fault):
		return err
	case fault.Kind == strictjson.Limit && text[0] == '[' && fault.Offset == 0:
		return malformed(fmt.Sprintf("the array has more than %d events: send fewer at a time", maxEvents))
	}
	if fault.Kind == strictjson.Behind {
		return malformed("there is something after the event: send several as an array")
	}
	if fault.Kind == strictjson.Limit {
		return malformed(fmt.Sprintf("the body goes beyond a limit: %v", err))
	}
	return malformed(fmt.Sprintf("the body is no JSON: %v; %s", err, form))
}

// readEvent reads the event n of a request, and says what has another type than
// it should. The text is known to be JSON.
func readEvent(n int, text []byte, lenient bool) (w wireEvent, found Faults, err error) {
	fault := func(path, format string, args ...any) { found = append(found, newFault(n, path, format, args...)) }
	if text[0] != '{' {
		if kind := strictjson.KindOf(text); kind != "null" {
			fault("", "is %s, want an object with name and data", kind)
		}
		return w, found, nil
	}
	err = strictjson.Members(text, func(name, value []byte) error {
		if len(found) == maxFaults {
			return errEnough
		}
		switch field := string(name); field {
		case "name", "id":
			into := &w.name
			if field == "id" {
				into = &w.id
			}
			switch value[0] {
			case '"':
				*into = strictjson.Text(value)
			case 'n':
			default:
				fault(field, "is %s, want a string", strictjson.KindOf(value))
			}
		case "data":
			w.data = value
		case "ts":
			if value[0] == 'n' {
				return nil
			}
			var err error
			if w.ts, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				fault("ts", "is %s, want a whole number", strictjson.KindOf(value))
			}
		case "user", "v", "meta": // clients send these; they are not kept
		default:
			if !lenient {
				fault(clip(field), "is unknown: an event has name, data, id, ts, and for Inngest user, v and meta")
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return w, found, err
}

// errEnough ends the reading of an event with more faults than one can mend.
var errEnough = errors.New("enough faults")

// clockSkew is how far the clock of a sender may be ahead.
const clockSkew = 5 * time.Minute

// oldest is the first time that is taken for one in ms; one in seconds is below.
var oldest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// faults checks what is not in an event.Event, and fills in the data of an
// event without.
func (w *wireEvent) faults(n int, now time.Time) (found []Fault) {
	if w.ts != 0 { // clients in Go send 0 for none
		switch at := time.UnixMilli(w.ts); {
		case at.Before(oldest):
			found = append(found, newFault(n, "ts", "is before 1980: want milliseconds since 1970"))
		case at.After(now.Add(clockSkew)):
			found = append(found, newFault(n, "ts", "is in the future: an event cannot be sent for later, use a step with sleepUntil"))
		}
	}
	if len(w.data) == 0 || string(w.data) == "null" {
		w.data = json.RawMessage("{}")
	}
	if w.data[0] != '{' {
		found = append(found, newFault(n, "data", "must be an object"))
	}
	return found
}
