package store

import (
	"encoding/json"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// Meta is what a parked run is: stored once, with its first park.
type Meta struct {
	Event     event.Event
	StartedAt time.Time
	Version   string
	Parent    *Parent
	// Once is the idempotency key that the run holds.
	Once string
	// Follows is the run whose outcome this one takes over, since it met its
	// idempotency key.
	Follows string
	// ReplayOf is the run whose event this one was started with again.
	ReplayOf string
	// Admitted says that the rate limit was passed.
	Admitted bool
	// Queued is when the run was parked since a concurrency limit was full; zero:
	// it does not wait for one.
	Queued time.Time
}

// wireMeta is a Meta in the journal: short names and times in ms, since there
// may be millions of runs that sleep.
type wireMeta struct {
	ID       string          `json:"i"`
	Type     string          `json:"y"`
	Source   string          `json:"s,omitempty"`
	Subject  string          `json:"u,omitempty"`
	Time     int64           `json:"t"`
	Trace    string          `json:"p,omitempty"`
	State    string          `json:"w,omitempty"` // tracestate
	Data     json.RawMessage `json:"d"`
	Started  int64           `json:"b"`
	Version  string          `json:"v,omitempty"`
	Parent   *Parent         `json:"c,omitempty"`
	Once     string          `json:"o,omitempty"`
	Follows  string          `json:"f,omitempty"`
	Admitted bool            `json:"a,omitempty"`
	ReplayOf string          `json:"r,omitempty"`
	Queued   int64           `json:"q,omitempty"`
}

// MarshalJSON returns the form in the journal.
func (m Meta) MarshalJSON() ([]byte, error) {
	e := &m.Event
	return json.Marshal(wireMeta{e.ID, e.Type, e.Source, e.Subject, e.Time.UnixMilli(), e.TraceParent, e.TraceState, e.Data,
		m.StartedAt.UnixMilli(), m.Version, m.Parent, m.Once, m.Follows, m.Admitted, m.ReplayOf, millis(m.Queued)})
}

// UnmarshalJSON reads the form in the journal.
func (m *Meta) UnmarshalJSON(b []byte) error {
	var w wireMeta
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*m = Meta{StartedAt: time.UnixMilli(w.Started).UTC(), Version: w.Version, Parent: w.Parent, Once: w.Once, Follows: w.Follows, Admitted: w.Admitted, ReplayOf: w.ReplayOf, Queued: timeOf(w.Queued),
		Event: event.Event{ID: w.ID, Type: w.Type, Source: w.Source, Subject: w.Subject, Time: time.UnixMilli(w.Time).UTC(), TraceParent: w.Trace, TraceState: w.State, Data: w.Data}}
	return nil
}

// millis is a time in ms since 1970; 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Status of a run.
type Status string

// The states of a run.
const (
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Running   Status = "running"
	Waiting   Status = "waiting"
	// Cancelled: a person, or the end of the run that invoked it, ended it;
	// Record.Error is the reason.
	Cancelled Status = "cancelled"
	// Rejected: the stream entry was no event; there was no run.
	Rejected Status = "rejected"
)

// Record is a run as people look at it: an entry of the history, or the state
// of one that has not ended.
type Record struct {
	ID        string          `json:"id"`
	Function  string          `json:"function"`
	Status    Status          `json:"status"`
	EventID   string          `json:"eventID,omitempty"`
	EventType string          `json:"eventType,omitempty"`
	Version   string          `json:"version,omitempty"`
	StartedAt time.Time       `json:"startedAt"`
	EndedAt   *time.Time      `json:"endedAt,omitempty"`
	WaitsFor  *time.Time      `json:"waitsUntil,omitempty"`
	Steps     []RecordStep    `json:"steps,omitempty"`
	Output    json.RawMessage `json:"output,omitempty"`
	Error     string          `json:"error,omitempty"`
	ErrorStep string          `json:"errorStep,omitempty"`
	Follows   string          `json:"follows,omitempty"`
	// ReplayOf is the run whose event this one was started with again.
	ReplayOf string `json:"replayOf,omitempty"`
	// CancelAsked is when the end of a run was asked for that has not ended yet.
	CancelAsked *time.Time `json:"cancelAsked,omitempty"`
	// Event is the event of a run that did not succeed, that has not ended, or
	// that was not started by an event of a stream (if it is not too large).
	Event *event.Event `json:"event,omitempty"`
}

// RecordStep is a step of a Record, an element of a forEach (pack[2]), or a
// sub-step of a handler (pack[2]/weigh); parts follow the step they belong to.
type RecordStep struct {
	Name     string `json:"name"`
	Status   string `json:"status"` // ok, failed, skipped, waiting, pending or cancelled
	Attempts int    `json:"attempts,omitempty"`
	// Start and Millis are those of the last attempt; of a sleep or a wait they
	// are its beginning and its length.
	Start  *time.Time `json:"start,omitempty"`
	Millis int64      `json:"ms"`
	// Until is when a waiting step is looked at again by itself.
	Until *time.Time `json:"until,omitempty"`
	Error string     `json:"error,omitempty"`
	// Output is JSON. One that was too long to keep is a text with its
	// beginning; then OutputBytes is how long it was.
	Output      json.RawMessage `json:"output,omitempty"`
	OutputBytes int             `json:"outputBytes,omitempty"`
	// Tries are the last failed attempts of a step that has, or will have, more
	// than one attempt.
	Tries []Try `json:"tries,omitempty"`
	// Elements is how many elements a forEach has; of many elements, those are
	// listed that tell something.
	Elements int `json:"elements,omitempty"`
}

// Try is a failed attempt of a step.
type Try struct {
	Start  time.Time `json:"start"`
	Millis int64     `json:"ms"`
	Error  string    `json:"error"`
}
