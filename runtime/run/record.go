package run

import (
	"encoding/json"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// Record is a run as people look at it: an entry of the history, or the state
// of one that has not ended.
type Record struct {
	ID        string     `json:"id"`
	Function  string     `json:"function"`
	Status    Status     `json:"status"`
	EventID   string     `json:"eventID,omitempty"`
	EventType string     `json:"eventType,omitempty"`
	Version   string     `json:"version,omitempty"`
	StartedAt time.Time  `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`
	WaitsFor  *time.Time `json:"waitsUntil,omitempty"`
	// Reason is why a run that has not ended does not move; "": it does, or
	// nobody knows.
	Reason Reason          `json:"reason,omitempty"`
	Steps  []StepRecord    `json:"steps,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
	// Error is why a run did not succeed; of one that has not ended, the code that
	// it lacks.
	Error     string `json:"error,omitempty"`
	ErrorStep string `json:"errorStep,omitempty"`
	Follows   string `json:"follows,omitempty"`
	// ReplayOf is the run whose event this one was started with again.
	ReplayOf string `json:"replayOf,omitempty"`
	// CancelAsked is when the end of a run was asked for that has not ended yet.
	CancelAsked *time.Time `json:"cancelAsked,omitempty"`
	// Event is the event of a run that did not succeed, that has not ended, or
	// that was not started by an event of a stream (if it is not too large).
	Event *event.Event `json:"event,omitempty"`
}

// StepRecord is a step of a Record, an element of a forEach (pack[2]), or a
// sub-step of a handler (pack[2]/weigh); parts follow the step they belong to.
type StepRecord struct {
	Name     string     `json:"name"`
	Status   StepStatus `json:"status"`
	Attempts int        `json:"attempts,omitempty"`
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
