package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/wildout/wildout/runtime/event"
)

// Entry is a stream entry as it was delivered.
type Entry struct {
	Stream string
	Type   string // the event type; "" for an inbox
	ID     string
	// Fields is nil when the entry was trimmed before anyone read it.
	Fields     map[string]any
	Deliveries int64
	// Suspect says that when it was read, the end of some run of the function
	// had been asked for: it may be the one that this entry starts.
	Suspect bool
}

// Event reads the entry of an event stream. The error is *event.MalformedError.
func (e *Entry) Event() (event.Event, error) {
	if e.Fields == nil {
		return event.Event{Type: e.Type, ID: event.EntryID(e.Type, e.ID), Time: event.EntryTime(e.ID)},
			&event.MalformedError{Reason: "the entry was deleted from its stream before it was read"}
	}
	ev, err := event.Parse(e.Fields)
	ev.Type, ev.Time = e.Type, event.EntryTime(e.ID)
	if ev.ID == "" {
		ev.ID = event.EntryID(e.Type, e.ID)
	}
	return ev, err
}

// Field returns a field of an inbox entry.
func (e *Entry) Field(name string) string {
	text, _ := e.Fields[name].(string)
	return text
}

// StartEvent returns the event of an entry, of an event stream or an inbox, that
// starts a run.
func (e *Entry) StartEvent() (*event.Event, error) {
	if e.Type != "" {
		ev, err := e.Event()
		return &ev, err
	}
	var ev event.Event
	if err := json.Unmarshal([]byte(e.Field("event")), &ev); err != nil {
		return nil, fmt.Errorf("entry %s of %s: field event: %w", e.ID, e.Stream, err)
	}
	return &ev, nil
}

// RunID returns the id of the run that a stream entry starts in a function.
func RunID(function, eventType, entry string) string {
	return event.DerivedID(event.EntryTime(entry), function, eventType, entry)
}

// CompareEntries compares two entry ids (ms-sequence): -1, 0 or 1.
func CompareEntries(a, b string) int {
	am, as := splitEntry(a)
	bm, bs := splitEntry(b)
	if c := cmp.Compare(am, bm); c != 0 {
		return c
	}
	return cmp.Compare(as, bs)
}

func splitEntry(id string) (ms, seq uint64) {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(head, 10, 64)
	seq, _ = strconv.ParseUint(tail, 10, 64)
	return ms, seq
}

// Entry is an entry as the server has it, delivered once.
func (k Keys) Entry(stream, id string, fields map[string]any) Entry {
	return Entry{Stream: stream, Type: k.StreamType(stream), ID: id, Fields: fields, Deliveries: 1}
}

// EntryFields are the fields of an entry as a script returns them, a flat list;
// nil where there are none.
func EntryFields(v any) map[string]any {
	flat, ok := v.([]any)
	if !ok {
		return nil
	}
	fields := make(map[string]any, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		if name, ok := flat[i].(string); ok {
			fields[name] = flat[i+1]
		}
	}
	return fields
}
