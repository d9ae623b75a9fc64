package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/strictjson"
)

// previewBytes is how much of its data a list shows of an event.
const previewBytes = 256

// Events returns events of one type or of all, the newest first. All types are
// those that a function reads or sends, that are declared, or that were
// published through wildout; a type of which only somebody else appended events
// to its stream is found by its name.
func (s *Service) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	if err := limitIn(&q.Limit); err != nil {
		return EventPage{}, err
	}
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return EventPage{}, err
	}
	types := []string{q.Type}
	if q.Type == "" {
		if types, err = s.eventTypes(ctx); err != nil {
			return EventPage{}, err
		}
	}
	m := s.mergeEvents(types, after, &q)
	page := EventPage{Events: []EventSummary{}}
	for last := (position{}); ; {
		from, at, err := m.peek(ctx)
		if err != nil || from == nil {
			return page, err
		}
		if len(page.Events) == q.Limit {
			page.Next = last.cursor()
			return page, nil
		}
		entry := from.take()
		last = at
		page.Events = append(page.Events, summary(&entry))
	}
}

func (s *Service) mergeEvents(types []string, after *position, q *EventQuery) *merge[inspect.Peeked] {
	newest, oldest := "", ""
	if !q.Since.IsZero() {
		oldest = strconv.FormatInt(max(0, q.Since.UnixMilli()), 10)
	}
	if !q.Until.IsZero() {
		newest = strconv.FormatInt(max(0, q.Until.UnixMilli()), 10)
	}
	m := &merge[inspect.Peeked]{id: func(e inspect.Peeked) string { return e.ID }, chunk: firstChunk(q.Limit, len(types))}
	for _, t := range types {
		one := &source[inspect.Peeked]{name: t, newest: newest}
		if after != nil {
			one.newest = after.before(t)
		}
		m.sources = append(m.sources, one)
	}
	m.read = func(ctx context.Context, sources []*source[inspect.Peeked], count int) ([][]inspect.Peeked, error) {
		ranges := make([]inspect.EventRange, len(sources))
		for i, one := range sources {
			ranges[i] = inspect.EventRange{Type: one.name, Newest: one.newest, Oldest: oldest, Count: count}
		}
		return s.inspect.Peek(ctx, ranges, previewBytes)
	}
	return m
}

func summary(p *inspect.Peeked) EventSummary {
	e := EventSummary{ID: p.Field(event.FieldID), Type: p.Type, Time: event.EntryTime(p.ID), Source: p.Field(event.FieldSource),
		Subject: p.Field(event.FieldSubject), Bytes: p.Bytes, Preview: strictjson.ShowPart(strings.ToValidUTF8(p.Field(event.FieldData), ""))}
	if e.ID == "" {
		e.ID = event.EntryID(p.Type, p.ID)
	}
	return e
}

// Event returns an event with what it started. Without a type all are looked
// through.
func (s *Service) Event(ctx context.Context, eventType, id string) (*EventDetail, error) {
	entry, err := s.entry(ctx, eventType, id)
	if err != nil {
		return nil, err
	}
	e, err := entry.Event()
	if err != nil {
		s.log.Debug("an event that cannot be read is shown", "event", id, "error", err)
	}
	runs, err := s.startedBy(ctx, entry.Type, e.ID, entry.ID)
	if err != nil {
		return nil, err
	}
	return &EventDetail{Event: e, Runs: runs}, nil
}

func (s *Service) entry(ctx context.Context, eventType, id string) (*store.Entry, error) {
	if eventType != "" {
		return s.locate(ctx, eventType, id)
	}
	types, err := s.eventTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		entry, err := s.inspect.Locate(ctx, t, id)
		if entry != nil || err != nil {
			return entry, err
		}
	}
	return nil, failf(http.StatusNotFound, "there is no event %q: it may be older than the retention of its type", id)
}

// eventTypes returns the names of all event types that are known.
func (s *Service) eventTypes(ctx context.Context) ([]string, error) {
	functions, err := s.functions(ctx, "")
	if err != nil {
		return nil, err
	}
	return s.typesOf(ctx, functions)
}

func (s *Service) typesOf(ctx context.Context, functions []*installed) ([]string, error) {
	types, err := s.inspect.PublishedTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		types = slices.Concat(types, f.spec.Reads(), f.spec.Sends())
	}
	for _, t := range s.declared() {
		types = append(types, t.Type)
	}
	slices.Sort(types)
	return slices.Compact(types), nil
}

func (s *Service) declared() []EventType {
	if s.opts.Types == nil {
		return nil
	}
	return s.opts.Types()
}

// EventTypes returns the event types that are known, by name, with who has to
// do with them.
func (s *Service) EventTypes(ctx context.Context) ([]EventType, error) {
	functions, err := s.functions(ctx, "")
	if err != nil {
		return nil, err
	}
	names, err := s.typesOf(ctx, functions)
	if err != nil {
		return nil, err
	}
	streams, err := s.inspect.Streams(ctx, names)
	if err != nil {
		return nil, err
	}
	known := map[string]EventType{}
	for _, t := range s.declared() {
		known[t.Type] = t
	}
	all := make([]EventType, len(names))
	for i, name := range names {
		t := EventType{Type: name, Description: known[name].Description, Schema: known[name].Schema, Events: streams[i].Length}
		if id := streams[i].Newest; id != "" {
			at := event.EntryTime(id)
			t.Newest = &at
		}
		for _, f := range functions {
			t.Triggers = addIf(t.Triggers, f.name, slices.Contains(f.spec.Triggered(), name))
			t.Waits = addIf(t.Waits, f.name, f.awaits(name))
			t.Sends = addIf(t.Sends, f.name, slices.Contains(f.spec.Sends(), name))
		}
		all[i] = t
	}
	return all, nil
}

func addIf(list []string, name string, yes bool) []string {
	if yes {
		return append(list, name)
	}
	return list
}
