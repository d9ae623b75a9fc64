package cloudevents

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/strictjson"
)

// maxEvents bounds the events of a batch.
const maxEvents = 5000

// read reads the events of a request. The error is a *gateway.Refusal.
func read(header http.Header, body []byte) ([]*event.Event, error) {
	contentType := header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return nil, refuse(http.StatusUnsupportedMediaType, "header Content-Type is %q, which is no media type", clip(contentType))
	}
	charset := params["charset"]
	if formatted := strings.HasPrefix(media, "application/cloudevents"); formatted && charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return nil, refuse(http.StatusUnsupportedMediaType, "the charset is %q, want utf-8", clip(charset))
	}
	trace := traceContext{header.Get("traceparent"), header.Get("tracestate")}
	switch {
	case media == cloudevent.ApplicationCloudEventsJSON:
		return readStructured(body, trace)
	case media == cloudevent.ApplicationCloudEventsBatchJSON:
		return readBatch(body, trace)
	case strings.HasPrefix(media, "application/cloudevents"):
		return nil, refuse(http.StatusUnsupportedMediaType, "events in the format %s are not understood: send %s or %s",
			clip(media), cloudevent.ApplicationCloudEventsJSON, cloudevent.ApplicationCloudEventsBatchJSON)
	}
	return readBinary(header, &message{bytes: body, charset: charset, trace: trace}, media)
}

func readBinary(header http.Header, m *message, media string) ([]*event.Event, error) {
	if len(header.Values("Ce-Specversion")) == 0 {
		return nil, refuse(http.StatusUnsupportedMediaType,
			"this is no CloudEvent: send the headers ce-specversion, ce-id, ce-source and ce-type, or Content-Type: %s", cloudevent.ApplicationCloudEventsJSON)
	}
	f := faults{}
	m.attributes = f.headers(header)
	if media != "" {
		m.attributes["datacontenttype"] = media
	}
	e := f.event(m)
	if err := f.refusal(); err != nil {
		return nil, err
	}
	return []*event.Event{e}, nil
}

func readStructured(body []byte, trace traceContext) ([]*event.Event, error) {
	err := look(body)
	if err == nil {
		err = strictjson.Verify(body)
	}
	if err != nil {
		return nil, notRead(body, err)
	}
	r := reading{trace: trace}
	if err := r.add(body); err != nil {
		return nil, err
	}
	return r.done()
}

// readBatch reads the events one after the other, and ends where there are too
// many: what is behind is never looked at.
func readBatch(body []byte, trace traceContext) ([]*event.Event, error) {
	if err := look(body); err != nil {
		return nil, notRead(body, err)
	}
	if bytes.TrimLeft(body, white)[0] != '[' {
		return nil, refuse(http.StatusBadRequest, "the body is no array of events: for one event send Content-Type: %s", cloudevent.ApplicationCloudEventsJSON)
	}
	r := reading{trace: trace}
	if err := strictjson.Elements(body, maxEvents, r.add); err != nil && !errors.Is(err, errTooMany) {
		return nil, notRead(body, err)
	}
	return r.done()
}

// reading is what was read of a request.
type reading struct {
	events []*event.Event
	faults faults
	trace  traceContext
}

// add reads an event in the JSON format.
func (r *reading) add(text []byte) error {
	f := &r.faults
	f.n = len(r.events)
	var e *event.Event
	if m := f.document(text); m != nil {
		m.trace = r.trace
		e = f.event(m)
	}
	r.events = append(r.events, e)
	if len(f.found) >= maxFaults {
		return errTooMany
	}
	return nil
}

// done returns the events. One that is at fault spoils all.
func (r *reading) done() ([]*event.Event, error) {
	if err := r.faults.refusal(); err != nil {
		return nil, err
	}
	return r.events, nil
}

const white = " \t\r\n"

// bodyLimits bound a body as a whole, before anything is made of it. An event
// has narrower ones.
var bodyLimits = strictjson.Limits{Depth: 250, Members: 100_000}

func look(body []byte) error {
	if len(bytes.TrimLeft(body, white)) == 0 {
		return refuse(http.StatusBadRequest, "the body is empty, want an event in JSON")
	}
	return bodyLimits.Look(body)
}

// notRead says what is wrong with a body that could not be read.
func notRead(body []byte, err error) error {
	var fault *strictjson.Error
	switch {
	case !errors.As(err, &fault):
		return err
	case fault.Kind == strictjson.Limit && fault.Offset == 0 && bytes.TrimLeft(body, white)[0] == '[':
		return refuse(http.StatusBadRequest, "the batch has more than %d events: send fewer at a time", maxEvents)
	}
	return refuse(http.StatusBadRequest, "the body cannot be read: %v", err)
}

// faults collects what is wrong with the events of a request.
type faults struct {
	n     int // of the event that is being read
	found gateway.Faults
	// media counts the faults that are about a media type.
	media int
}

func (f *faults) add(path, format string, args ...any) {
	f.found = append(f.found, gateway.Fault{Event: f.n, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (f *faults) refusal() error {
	if len(f.found) == 0 {
		return nil
	}
	r := refuse(http.StatusBadRequest, "%s (nothing was published)", f.found)
	r.Faults = f.found
	if f.media == len(f.found) {
		r.Status = http.StatusUnsupportedMediaType
	}
	return r
}

func refuse(status int, format string, args ...any) *gateway.Refusal {
	return &gateway.Refusal{Status: status, Message: fmt.Sprintf(format, args...)}
}

// clip shortens a text from outside for an error.
func clip(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
