package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/strictjson"
)

// maxForm bounds what is read of a form: an event and a little more, in bytes.
const maxForm = 2 * event.MaxBytes

// sendBody is the form.
type sendBody struct {
	May    bool
	Why    string // may not
	Types  []console.EventType
	Type   console.EventType
	Data   string
	ID     string
	Fields []field
	Error  string
	Faults []console.Fault
}

// Rows is the height of the editor.
func (b *sendBody) Rows() int { return min(max(strings.Count(b.Data, "\n")+3, 10), 26) }

// Schema is for the completion in the page. It is JSON, in which html/template
// escapes nothing by itself: what could end the script element is.
func (b *sendBody) Schema() template.JS {
	text, err := json.Marshal(schemaOf(&b.Type)) // with < and > escaped
	if err != nil {
		return "{}"
	}
	return template.JS(text) // valid JSON without <
}

// newSendBody fills the form in for an event type; empty: the first one.
func (s *Site) newSendBody(r *request, eventType string) (*sendBody, error) {
	b := &sendBody{May: r.user.Acts, Why: "You may look, and not act: this console is read-only for you."}
	if !b.May {
		return b, nil
	}
	types, err := s.source.EventTypes(r.Context())
	if err != nil {
		return nil, err
	}
	for i := range types {
		if !strings.HasPrefix(types[i].Type, "wildout/") { // those are ours
			b.Types = append(b.Types, types[i])
		}
	}
	if eventType == "" && len(b.Types) > 0 {
		eventType = b.Types[0].Type
	}
	for i := range b.Types {
		if b.Types[i].Type == eventType {
			b.Type = b.Types[i]
		}
	}
	if b.Type.Type == "" && eventType != "" {
		b.Type = console.EventType{Type: eventType}
		b.Types = append(b.Types, b.Type)
	}
	b.Fields = fieldsOf(b.Type.Schema)
	return b, nil
}

func (s *Site) sendForm(r *request) error {
	b, err := s.newSendBody(r, r.FormValue("type"))
	if err != nil {
		return err
	}
	b.Data = skeleton(b.Type.Schema)
	if like := r.FormValue("like"); like != "" {
		detail, err := s.source.Event(r.Context(), b.Type.Type, like)
		if err != nil {
			return err
		}
		b.Data = indent(detail.Event.Data)
	}
	return s.show(r, "send", "Send an event", "", b)
}

// send publishes the event of the form, or shows the form again with what is
// wrong.
func (s *Site) send(r *request) error {
	r.Body = http.MaxBytesReader(r.w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return &console.Problem{Status: http.StatusRequestEntityTooLarge, Text: fmt.Sprintf("The form is larger than %s: send large events through the gateway.", byteSize(maxForm))}
	}
	if err := r.mayAct(); err != nil {
		return err
	}
	b, err := s.newSendBody(r, r.PostFormValue("type"))
	if err != nil {
		return err
	}
	b.Data, b.ID = r.PostFormValue("data"), strings.TrimSpace(r.PostFormValue("id"))
	e, err := parseEvent(b)
	if err == nil {
		if _, err = s.source.Send(r.Context(), []*event.Event{e}); err == nil {
			http.Redirect(r.w, r.Request, "/events/"+url.PathEscape(e.ID)+"?type="+url.QueryEscape(e.Type)+"&sent=1", http.StatusSeeOther)
			return nil
		}
	}
	status := console.StatusOf(err)
	if status == http.StatusForbidden || status == http.StatusServiceUnavailable {
		return err
	}
	b.Error, b.Faults = "The event was not sent", faultsOf(err)
	return s.write(r, status, "send", &view{Title: "Not sent", Body: b})
}

// parseEvent reads the form.
func parseEvent(b *sendBody) (*event.Event, error) {
	bad := func(format string, args ...any) error {
		return &console.Problem{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
	}
	if b.Type.Type == "" {
		return nil, bad("an event has a type")
	}
	text := strings.TrimSpace(b.Data)
	if text == "" {
		text = "{}"
	}
	var data map[string]json.RawMessage
	if err := strictjson.Unmarshal([]byte(text), &data); err != nil {
		var fault *strictjson.Error
		if errors.As(err, &fault) && fault.Kind != strictjson.Misfit {
			line, column := place(text, fault.Offset+1)
			return nil, bad("line %d, column %d: %s", line, column, fault.Reason)
		}
		return nil, bad("want a JSON object: {…}")
	}
	return &event.Event{ID: b.ID, Type: b.Type.Type, Data: json.RawMessage(text)}, nil
}

// place returns the line and the column of an offset, from 1.
func place(text string, offset int) (row, column int) {
	before := text[:min(max(offset-1, 0), len(text))]
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}

// faultsOf takes the places out of why an event was refused.
func faultsOf(err error) []console.Fault {
	var problem *console.Problem
	if errors.As(err, &problem) && len(problem.Faults) > 0 {
		return problem.Faults
	}
	return []console.Fault{{Path: "data", Message: err.Error()}}
}

func indent(raw json.RawMessage) string {
	text, err := strictjson.Show(raw, "  ")
	if err != nil {
		return string(raw)
	}
	return string(text)
}
