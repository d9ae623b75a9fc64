package run

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// Entry names a stream entry that started a run.
type Entry struct {
	// Type is the event type of the stream, "" for the function's inbox.
	Type string
	ID   string
}

// Identity is what a run is, from its beginning. The journal has it from the
// first time that the run was parked.
type Identity struct {
	// Event started the run.
	Event event.Event
	// Entries are the stream entries that started it, in their order: one, as a
	// rule. Journals of v1 and v2 do not have them.
	Entries   []Entry
	StartedAt time.Time
	// Version is the version of the function that it began with.
	Version string
	// Parent is the step that invoked it; nil: none did.
	Parent *Parent
	// Once is the idempotency key that the run holds.
	Once string
	// Follows is the run whose outcome this one takes over, since it met its
	// idempotency key.
	Follows string
	// ReplayOf is the run whose event this one was started with again.
	ReplayOf string
	// Admitted says that the rate limit was passed; in journals of releases that
	// took the start of a planned run in advance, before it has begun.
	Admitted bool
	// Throttled is since when the run waits for a start of the throttle; zero:
	// it does not.
	Throttled time.Time
	// Queued is when the run was parked since a concurrency limit was full; zero:
	// it does not wait for one.
	Queued time.Time
}

// wireIdentity is an Identity in the journal: short names and times in ms, since
// there may be millions of runs that sleep.
type wireIdentity struct {
	ID       string          `json:"i"`
	Type     string          `json:"y"`
	Source   string          `json:"s,omitempty"`
	Subject  string          `json:"u,omitempty"`
	Time     int64           `json:"t"`
	Trace    string          `json:"p,omitempty"`
	State    string          `json:"w,omitempty"` // tracestate
	Data     json.RawMessage `json:"d"`
	Entries  []string        `json:"n,omitempty"`
	Started  int64           `json:"b"`
	Version  string          `json:"v,omitempty"`
	Parent   *Parent         `json:"c,omitempty"`
	Once     string          `json:"o,omitempty"`
	Follows  string          `json:"f,omitempty"`
	Admitted bool            `json:"a,omitempty"`
	ReplayOf string          `json:"r,omitempty"`
	Queued   int64           `json:"q,omitempty"`
	Limited  int64           `json:"h,omitempty"` // Throttled
}

// MarshalJSON returns the form in the journal.
func (i Identity) MarshalJSON() ([]byte, error) {
	e := &i.Event
	return json.Marshal(wireIdentity{
		ID: e.ID, Type: e.Type, Source: e.Source, Subject: e.Subject, Time: e.Time.UnixMilli(),
		Trace: e.TraceParent, State: e.TraceState, Data: e.Data, Entries: i.wireEntries(),
		Started: i.StartedAt.UnixMilli(), Version: i.Version, Parent: i.Parent, Once: i.Once, Follows: i.Follows,
		Admitted: i.Admitted, ReplayOf: i.ReplayOf, Queued: timeMillis(i.Queued), Limited: timeMillis(i.Throttled),
	})
}

// UnmarshalJSON reads the form in the journal.
func (i *Identity) UnmarshalJSON(b []byte) error {
	var w wireIdentity
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*i = Identity{
		Event: event.Event{ID: w.ID, Type: w.Type, Source: w.Source, Subject: w.Subject, Time: time.UnixMilli(w.Time).UTC(),
			TraceParent: w.Trace, TraceState: w.State, Data: w.Data},
		StartedAt: time.UnixMilli(w.Started).UTC(), Version: w.Version, Parent: w.Parent, Once: w.Once, Follows: w.Follows,
		Admitted: w.Admitted, ReplayOf: w.ReplayOf, Queued: millisTime(w.Queued), Throttled: millisTime(w.Limited),
	}
	for _, text := range w.Entries {
		i.Entries = append(i.Entries, parseEntry(text, w.Type))
	}
	return nil
}

// wireEntries names the entries by their ids, with the type before it where that
// is not the event's. An inbox is the type "-".
func (i *Identity) wireEntries() []string {
	var all []string
	for _, e := range i.Entries {
		switch e.Type {
		case i.Event.Type:
			all = append(all, e.ID)
		case "":
			all = append(all, "- "+e.ID)
		default:
			all = append(all, e.Type+" "+e.ID)
		}
	}
	return all
}

func parseEntry(text, eventType string) Entry {
	kind, id, typed := strings.Cut(text, " ")
	switch {
	case !typed:
		return Entry{Type: eventType, ID: text}
	case kind == "-":
		return Entry{ID: id}
	}
	return Entry{Type: kind, ID: id}
}

// timeMillis is a time in ms since 1970; 0 for the zero time.
func timeMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// millisTime is the time of ms since 1970; the zero time for 0.
func millisTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
