package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/strictjson"
)

const (
	// maxEvents bounds the events of one request.
	maxEvents = 1000
	// mappingTimeout bounds the time that making them takes. Each expression
	// has a bound of its own; this one is for many.
	mappingTimeout = 5 * time.Second
)

// MappingError says that a request has not what the mapping of the webhook
// asks for, and where.
type MappingError struct {
	// Path is the field of the configuration.
	Path string
	// Err is what is wrong.
	Err error
}

func (e *MappingError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *MappingError) Unwrap() error { return e.Err }

// request is a verified request, ready for the mappings.
type request struct {
	scope      *plan.Scope
	deliveryID string
	source     string
	header     http.Header
}

// newRequest reads the body, which must be JSON.
func (e *endpoint) newRequest(r *http.Request, body []byte) (*request, error) {
	if err := checkJSON(r.Header.Get("Content-Type"), body); err != nil {
		return nil, err
	}
	return &request{
		header: r.Header,
		scope: &plan.Scope{Request: &plan.Request{
			Webhook: e.name, Body: body, Headers: headersOf(r.Header), Query: queryOf(r),
		}},
		deliveryID: e.deliveryID(r.Header, body),
		source:     pathPrefix + e.name,
	}, nil
}

// deliveryID is what makes one event of a request that is sent twice. Where the
// sender gives none it is made of what was signed: whoever repeats a signed
// request changes nothing in that. Of a request that nobody signed nothing is
// known.
func (e *endpoint) deliveryID(header http.Header, body []byte) string {
	id := e.scheme.deliveryID(header, func(name string) string { return textField(body, name) })
	if id != "" || e.secrets == nil {
		return id
	}
	sum := sha256.New()
	sum.Write([]byte(e.scheme.signedBeside(header) + "."))
	sum.Write(body)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// textField is a field of an object that is a text, else nothing.
func textField(body []byte, name string) (text string) {
	if strictjson.KindOf(body) != "an object" {
		return ""
	}
	_ = strictjson.Members(body, func(field, value []byte) error { // it was checked
		if string(field) == name && value[0] == '"' {
			text = strictjson.Text(value)
		}
		return nil
	})
	return text
}

// events returns what the request becomes: nothing when no condition holds. It
// gives up when ctx ends.
func (e *endpoint) events(ctx context.Context, r *request) ([]*event.Event, error) {
	var all []*event.Event
	for i := range e.mappings {
		made, err := e.mappings[i].events(ctx, r)
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
		if len(all) > maxEvents {
			return nil, &MappingError{e.mappings[i].path, fmt.Errorf("the request becomes more than %d events: send it in parts", maxEvents)}
		}
	}
	return all, distinct(e.path, all)
}

// distinct refuses two events of one type with one id: the store would keep
// the first and nobody would miss the second.
func distinct(path string, events []*event.Event) error {
	type key struct{ eventType, id string }
	seen := make(map[key]bool, len(events))
	for _, e := range events {
		k := key{e.Type, e.ID}
		if e.ID != "" && seen[k] {
			return &MappingError{path + ".events", fmt.Errorf("the request becomes two events of type %s with the id %q, of which only one would count: set id to what tells them apart", clip(e.Type), clip(e.ID))}
		}
		seen[k] = true
	}
	return nil
}

func (m *mapping) events(ctx context.Context, r *request) ([]*event.Event, error) {
	if m.If != nil {
		if holds, err := m.If.Bool(r.scope); err != nil || !holds {
			return nil, m.fault(".if", err)
		}
	}
	if m.ForEach == nil {
		e, err := m.event(r, r.deliveryID)
		if err != nil {
			return nil, err
		}
		return []*event.Event{e}, nil
	}
	items, err := m.ForEach.List(r.scope)
	if err != nil {
		return nil, m.fault(".forEach", err)
	}
	if len(items) > maxEvents {
		return nil, m.fault(".forEach", fmt.Errorf("the list has %d items, the limit is %d", len(items), maxEvents))
	}
	events := make([]*event.Event, len(items))
	for i, item := range items {
		if ctx.Err() != nil {
			return nil, m.fault(".forEach", fmt.Errorf("the mapping takes longer than %s: send less at a time", mappingTimeout))
		}
		r.scope.Item = item
		id := r.deliveryID
		if id != "" {
			id += "." + strconv.Itoa(i)
		}
		if events[i], err = m.event(r, id); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// event makes one event; id is the default of its id.
func (m *mapping) event(r *request, id string) (*event.Event, error) {
	e := &event.Event{ID: id, Source: r.source}
	e.TraceParent, e.TraceState = event.TraceContext(r.header.Get("traceparent"), r.header.Get("tracestate"))
	for _, field := range [...]struct {
		name  string
		value *plan.Value
		into  *string
	}{
		{".type", m.Type, &e.Type}, {".id", m.ID, &e.ID}, {".subject", m.Subject, &e.Subject},
	} {
		if field.value == nil {
			continue
		}
		text, err := field.value.Text(r.scope)
		if err != nil {
			return nil, m.fault(field.name, err)
		}
		*field.into = text
	}
	data, err := m.data(r)
	if err != nil {
		return nil, m.fault(".data", err)
	}
	e.Data = data
	return e, nil
}

func (m *mapping) data(r *request) (json.RawMessage, error) {
	if m.Data == nil {
		body := r.scope.Request.Body
		if bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
			return nil, errors.New("is left out, and the body is no object: write an object, such as {items: \"${body}\"}")
		}
		return body, nil
	}
	data, err := m.Data.JSON(r.scope)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || data[0] != '{' {
		return nil, fmt.Errorf("gives %s, want an object", clip(string(data)))
	}
	return data, nil
}

// fault adds the path to an error that has none.
func (m *mapping) fault(field string, err error) error {
	if err == nil {
		return nil
	}
	var known *plan.EvalError
	if errors.As(err, &known) {
		return &MappingError{known.Path, fmt.Errorf("%w, in: %s", known.Err, known.Source)}
	}
	return &MappingError{m.path + field, err}
}

// bodyLimits bound a body before anything is made of it. The values of a
// mapping are made of all of it, and each takes many times its text.
var bodyLimits = strictjson.Limits{Depth: 200, Values: 200_000}

// checkJSON refuses a body that no mapping can read. How large the data of an
// event may be is checked when there is one.
func checkJSON(contentType string, body []byte) error {
	err := bodyLimits.Check(body)
	status := http.StatusBadRequest
	var message string
	switch {
	case err == nil:
		return nil
	case len(body) == 0:
		message = "the body is empty, want JSON"
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"), strings.HasPrefix(contentType, "multipart/"):
		status = http.StatusUnsupportedMediaType
		message = "the body is a form, want JSON: choose application/json in the settings of the sender"
	default:
		message = "the body cannot be read: " + err.Error()
	}
	return &gateway.Refusal{Status: status, Message: message, Err: err}
}

// private are headers that no event should hold.
var private = []string{"Authorization", "Proxy-Authorization", "Cookie"}

// headersOf are the headers by their names in lower case.
func headersOf(header http.Header) map[string]string {
	texts := make(map[string]string, len(header))
	for name, values := range header {
		if !slices.Contains(private, name) {
			texts[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return texts
}

// queryOf are the parameters of the URL; of a repeated one the first.
func queryOf(r *http.Request) map[string]string {
	texts := map[string]string{}
	for name, values := range r.URL.Query() {
		texts[name] = values[0]
	}
	return texts
}
