package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/wildout/wildout/runtime/event"
)

// maxEvents bounds the events of one request.
const maxEvents = 5000

// wireEvent is an event as clients send it.
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

// Fault is what is wrong with one event of a request.
type Fault struct {
	// Event counts the events of the request from 0.
	Event int `json:"event"`
	// Path is the field, such as data.email.
	Path string `json:"path"`
	// Message says what was expected there.
	Message string `json:"message"`
}

// Faults are all faults of a request; nothing of it was published.
type Faults []Fault

// maxFaultsShown bounds the faults in the text of an error.
const maxFaultsShown = 10

func (f Faults) Error() string {
	lines := make([]string, 0, maxFaultsShown+1)
	for i, fault := range f {
		if i == maxFaultsShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(f)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("event %d: %s %s", fault.Event, fault.Path, fault.Message))
	}
	return strings.Join(lines, "; ") + " (nothing was published)"
}

// readEvents reads one event or an array of them.
func readEvents(body io.Reader) ([]*event.Event, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	wires, err := decodeEvents(bytes.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	var faults Faults
	events := make([]*event.Event, len(wires))
	for i, w := range wires {
		faults = append(faults, w.faults(i)...)
		events[i] = &event.Event{ID: w.ID, Type: w.Name, Data: w.Data}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return events, nil
}

func decodeEvents(text []byte) ([]wireEvent, error) {
	const form = `want {"name":"user/registered","data":{…}} or an array of such events`
	if len(text) == 0 {
		return nil, errors.New("the body is empty, " + form)
	}
	wires := make([]wireEvent, 1)
	var into any = &wires[0]
	if text[0] == '[' {
		into = &wires
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return nil, fmt.Errorf("the body cannot be read: %w; %s", err, form)
	}
	if dec.More() {
		return nil, errors.New("there is something after the event: send several as an array")
	}
	if len(wires) == 0 || len(wires) > maxEvents {
		return nil, fmt.Errorf("the array has %d events, want 1 to %d", len(wires), maxEvents)
	}
	return wires, nil
}

// eventType is the pattern of WildoutEventType.spec.type; the name becomes
// part of a Redis key.
var eventType = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)

const (
	maxTypeLength = 128
	maxIDLength   = 256
	clockSkew     = 5 * time.Minute
)

// faults checks all but the schema, and fills in the data of an event without.
func (w *wireEvent) faults(n int) (found []Fault) {
	fault := func(path, format string, args ...any) {
		found = append(found, Fault{n, path, fmt.Sprintf(format, args...)})
	}
	switch {
	case w.Name == "":
		fault("name", "is missing: it is the event type, such as user/registered")
	case len(w.Name) > maxTypeLength || !eventType.MatchString(w.Name):
		fault("name", "%q is no event type: up to %d letters, digits and . _ / -, a letter or a digit at both ends", clip(w.Name), maxTypeLength)
	case strings.HasPrefix(w.Name, "inngest/"), strings.HasPrefix(w.Name, "wildout/"):
		fault("name", "%q is reserved for what the system sends itself", clip(w.Name))
	}
	if len(w.ID) > maxIDLength || strings.IndexFunc(w.ID, unicode.IsControl) >= 0 {
		fault("id", "must be at most %d bytes without control characters", maxIDLength)
	}
	if w.TS != nil && time.UnixMilli(*w.TS).After(time.Now().Add(clockSkew)) {
		fault("ts", "is in the future: an event cannot be sent for later, use a step with sleepUntil")
	}
	if len(w.Data) == 0 || string(w.Data) == "null" {
		w.Data = json.RawMessage("{}")
	}
	if w.Data[0] != '{' {
		fault("data", "must be an object")
	} else if err := event.Check(w.Data); err != nil {
		fault("data", "%s", strings.TrimPrefix(err.Error(), "malformed event: data "))
	}
	return found
}

func clip(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
