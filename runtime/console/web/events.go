package web

import (
	"context"
	"net/http"

	"github.com/wildout/wildout/runtime/console"
)

// eventsBody is the page of the list of events.
type eventsBody struct {
	Page      console.EventPage
	Query     console.EventQuery
	Types     []string
	Type      *console.EventType // the one that is filtered by
	Older     string
	OlderText string
	Empty     emptyState
}

func (s *Site) events(r *request) (err error) {
	values := r.URL.Query()
	b := &eventsBody{OlderText: "Older events", Empty: noEvents, Query: console.EventQuery{Type: values.Get("type"), Cursor: values.Get("cursor"), Limit: pageSize}}
	if b.Query.Cursor != "" {
		b.Query.Limit = nextSize
	}
	if b.Page, err = s.source.Events(r.Context(), b.Query); err != nil {
		return err
	}
	if b.Page.Next != "" {
		next := clone(values)
		next.Set("cursor", b.Page.Next)
		b.Older = "/events?" + next.Encode()
	}
	types, err := s.source.EventTypes(r.Context())
	if err != nil {
		return err
	}
	for i := range types {
		b.Types = append(b.Types, types[i].Type)
		if types[i].Type == b.Query.Type {
			b.Type = &types[i]
		}
	}
	live := ""
	if b.Query.Cursor == "" {
		live = liveAddress("events", values)
	}
	return s.show(r, "events", "Events", live, b)
}

// eventBody is the page of one event.
type eventBody struct {
	*console.EventDetail
	Sent string
}

func (s *Site) loadEvent(ctx context.Context, eventType, id string) (*eventBody, error) {
	if eventType == "" {
		return nil, &console.Problem{Status: http.StatusBadRequest, Text: "The address of an event has its type: /events/ID?type=TYPE."}
	}
	detail, err := s.source.Event(ctx, eventType, id)
	if err != nil {
		return nil, err
	}
	return &eventBody{EventDetail: detail}, nil
}

func (s *Site) event(r *request) error {
	body, err := s.loadEvent(r.Context(), r.FormValue("type"), r.PathValue("id"))
	if err != nil {
		return err
	}
	if r.FormValue("sent") != "" {
		body.Sent = "The event is stored"
	}
	values := r.URL.Query()
	values.Set("id", body.Event.ID)
	return s.show(r, "event", body.Event.Type, liveAddress("event", values), body)
}
