package cloudevents

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
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
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
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
	return readBinary(header, media, body, trace)
}

func readBinary(header http.Header, media string, body []byte, trace traceContext) ([]*event.Event, error) {
	if len(header.Values("Ce-Specversion")) == 0 {
		return nil, refuse(http.StatusUnsupportedMediaType,
			"this is no CloudEvent: send the headers ce-specversion, ce-id, ce-source and ce-type, or Content-Type: %s", cloudevent.ApplicationCloudEventsJSON)
	}
	f := faults{}
	m := message{attributes: f.headers(header), trace: trace}
	if media != "" {
		m.attributes["datacontenttype"] = media
	}
	m.data = func() ([]byte, error) { return body, nil }
	e := f.event(&m)
	if err := f.refusal(); err != nil {
		return nil, err
	}
	return []*event.Event{e}, nil
}

func readStructured(body []byte, trace traceContext) ([]*event.Event, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	return readAll([]json.RawMessage{body}, trace)
}

func readBatch(body []byte, trace traceContext) ([]*event.Event, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	var batch []json.RawMessage
	if bytes.TrimLeft(body, " \t\r\n")[0] != '[' || json.Unmarshal(body, &batch) != nil {
		return nil, refuse(http.StatusBadRequest, "the body is no array of events: for one event send Content-Type: %s", cloudevent.ApplicationCloudEventsJSON)
	}
	if len(batch) > maxEvents {
		return nil, refuse(http.StatusBadRequest, "the batch has %d events, the limit is %d: send fewer at a time", len(batch), maxEvents)
	}
	return readAll(batch, trace)
}

// readAll reads events in the JSON format. One that is at fault spoils all.
func readAll(texts []json.RawMessage, trace traceContext) ([]*event.Event, error) {
	f := faults{}
	events := make([]*event.Event, len(texts))
	for i, text := range texts {
		f.n = i
		if m := f.document(text); m != nil {
			m.trace = trace
			events[i] = f.event(m)
		}
	}
	if err := f.refusal(); err != nil {
		return nil, err
	}
	return events, nil
}

func checkJSON(body []byte) error {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return refuse(http.StatusBadRequest, "the body is empty, want an event in JSON")
	case !utf8.Valid(body):
		return refuse(http.StatusBadRequest, "the body is not UTF-8")
	case !json.Valid(body):
		return refuse(http.StatusBadRequest, "the body is not JSON")
	}
	return nil
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
