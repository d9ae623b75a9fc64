package plan

import (
	"encoding/json"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// Scope is what expressions see. It is for one goroutine at a time.
type Scope struct {
	// Event started the run: `event`.
	Event *event.Event
	// Async is the awaited event in waitForEvent.if: `async`. May be nil.
	Async *event.Event
	// Run is `run`.
	Run RunVar
	// Step looks up `steps.<name>`; false means that it has not ended.
	Step func(name string) (StepVar, bool)
	// Item is `item` in forEach; nil outside.
	Item json.RawMessage
	// Error is `error` in onFailure; nil outside.
	Error *ErrorVar
	// Env is `env`: allow-listed settings of the runner.
	Env map[string]string

	// eventVar caches the decoded form of Event: `event` is read by many
	// expressions of a run and never changes.
	eventVar any
}

// RunVar is the variable `run`.
type RunVar struct {
	ID        string
	Function  string
	Attempt   int
	StartedAt time.Time
}

// StepVar is `steps.<name>`.
type StepVar struct {
	Output   json.RawMessage // null when skipped or failed
	Error    string          // empty unless the step failed and onError is Continue
	Attempts int
}

// ErrorVar is the variable `error`.
type ErrorVar struct {
	Message  string
	Step     string // empty when the run as a whole failed
	Attempts int
}
