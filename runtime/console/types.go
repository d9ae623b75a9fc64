package console

import (
	"encoding/json"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// States of a run that no journal and no history knows; see run.Status for
// the others.
const (
	// Queued: no runner has read the event yet.
	Queued = run.Queued
	// Filtered: the function took note of the event and started no run, because
	// of its trigger's `if`, its idempotency key or its rate limit. A
	// run that has left the history looks the same.
	Filtered run.Status = "filtered"
)

// State of a function: the first of these that holds.
type State string

// The states of a function.
const (
	Suspended State = "suspended" // its manifest says so: its events wait
	Down      State = "down"      // it has no runner
	Failing   State = "failing"   // at least half of its last runs failed
	Busy      State = "busy"      // there is something to do
	Idle      State = "idle"
)

// Function is an installed function.
type Function struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	State       State  `json:"state"`
	// Triggers are event types and schedules ("cron 0 3 * * *").
	Triggers []string `json:"triggers"`
	inspect.Stats
	Recent Recent `json:"recent"`
	// LastRun is when a run ended last; nil: none is in the history.
	LastRun     *time.Time `json:"lastRun,omitempty"`
	LastFailure *Failure   `json:"lastFailure,omitempty"`
}

// Recent is what became of the last runs of a function, up to a hundred.
type Recent struct {
	Runs      int     `json:"runs"`
	Failed    int     `json:"failed"`
	PerMinute float64 `json:"perMinute"` // runs that ended, over the last five minutes
	P50Millis int64   `json:"p50Ms"`     // from the start of a run to its end
	P99Millis int64   `json:"p99Ms"`
}

// Failure is a run that failed.
type Failure struct {
	RunID string    `json:"runID"`
	Step  string    `json:"step,omitempty"`
	Error string    `json:"error"`
	Time  time.Time `json:"time"`
}

// RunQuery selects runs. Empty fields select nothing out.
type RunQuery struct {
	Function  string
	Statuses  []run.Status // any of them; Filtered is no state of a run
	EventType string
	EventID   string
	// Text is looked for in the error, whatever the case of its letters.
	Text string
	// Since and Until bound when the run ended, or began if it has not ended.
	Since, Until time.Time
	// Cursor is RunPage.Next of the page before.
	Cursor string
	Limit  int // 1 to MaxLimit; 0: DefaultLimit
}

// RunPage is a part of the list of runs: the newest first, by when a run ended,
// or began if it has not ended.
type RunPage struct {
	Runs []run.Record `json:"runs"`
	// Next is the cursor of the next page, empty on the last one. There may be
	// a next page after one that is not full: a page looks through a bounded
	// part of the history.
	Next string `json:"next,omitempty"`
	// Back is how far back was looked, with Next.
	Back *time.Time `json:"back,omitempty"`
	// Partial says what the list leaves out, in words; empty: nothing.
	Partial string `json:"partial,omitempty"`
}

// RunDetail is one run with what its function's version planned.
type RunDetail struct {
	run.Record
	// Steps are all steps, those that have not begun too, in the order of the
	// manifest.
	Steps []Step `json:"steps"`
	// OnFailure are the steps for the case that the run fails.
	OnFailure []Step `json:"onFailure,omitempty"`
	// Planned says that the version of the function was there: Kind, Needs and
	// what follows of the steps are known.
	Planned bool `json:"planned"`
	// EventGone says that the event has left its stream, and with it the inputs.
	EventGone bool `json:"eventGone,omitempty"`
	// Parent is the run that invoked this one.
	Parent *RunRef `json:"parent,omitempty"`
}

// RunRef names a run.
type RunRef struct {
	Function string `json:"function"`
	ID       string `json:"id"`
	// Step of a parent is the one that invoked the run.
	Step string `json:"step,omitempty"`
}

// EventRef names an event.
type EventRef struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Step is a step of a run and its place in the plan.
type Step struct {
	run.StepRecord
	// Kind is the action of the step; empty for an element or a sub-step.
	Kind plan.Kind `json:"kind,omitempty"`
	// Does says what the step does in a few words: the handler, the duration,
	// the event type that it waits for, the function that it invokes.
	Does string `json:"does,omitempty"`
	// Needs are the steps that this one starts after.
	Needs []string `json:"needs,omitempty"`
	// If is the condition as it is in the manifest.
	If string `json:"if,omitempty"`
	// ForEach says that the step is done once for each element of a list.
	ForEach bool `json:"forEach,omitempty"`
	// Input is what a handler, an invoked run or a set is given; nil when it
	// cannot be told any more.
	Input json.RawMessage `json:"input,omitempty"`
	// Template is the same as it is in the manifest.
	Template json.RawMessage `json:"template,omitempty"`
	// MaxAttempts of the retry policy.
	MaxAttempts int `json:"maxAttempts,omitempty"`
	// Child is the run that the step invoked.
	Child *RunRef `json:"child,omitempty"`
	// Sent are the events that the step sent.
	Sent []EventRef `json:"sent,omitempty"`
}

// EventQuery selects events. Empty fields select nothing out.
type EventQuery struct {
	Type         string
	Since, Until time.Time
	// Cursor is EventPage.Next of the page before.
	Cursor string
	Limit  int // 1 to MaxLimit; 0: DefaultLimit
}

// EventPage is a part of the list of events, the newest first.
type EventPage struct {
	Events []EventSummary `json:"events"`
	Next   string         `json:"next,omitempty"`
}

// EventSummary is an event in a list.
type EventSummary struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Time    time.Time `json:"time"`
	Source  string    `json:"source,omitempty"`
	Subject string    `json:"subject,omitempty"`
	// Bytes is the size of the data, Preview its beginning.
	Bytes   int    `json:"bytes"`
	Preview string `json:"preview"`
}

// EventDetail is an event with what it started.
type EventDetail struct {
	Event event.Event `json:"event"`
	// Runs has one entry for each function that the event triggers.
	Runs []run.Record `json:"runs"`
}

// EventRuns are the runs that an event started.
type EventRuns struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	// Runs has one entry for each function that the event triggers.
	Runs []run.Record `json:"runs"`
}

// EventType is an event type that is declared, read, sent or was published.
type EventType struct {
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	// Schema is the JSON Schema of the data; nil: none, or not known here.
	Schema json.RawMessage `json:"schema,omitempty"`
	// Triggers are the functions that it starts, Waits those with a step that
	// waits for it, Sends those with a step that sends it.
	Triggers []string `json:"triggers,omitempty"`
	Waits    []string `json:"waits,omitempty"`
	Sends    []string `json:"sends,omitempty"`
	// Events is how many the stream holds, Newest the time of the last one.
	Events int64      `json:"events"`
	Newest *time.Time `json:"newest,omitempty"`
}

// Series is what was measured of a function, or of all, over the last hour.
type Series struct {
	Function string `json:"function,omitempty"`
	// StepSeconds is the time between two samples.
	StepSeconds int `json:"stepSeconds"`
	// Samples are in the order of time, without gaps.
	Samples []Sample `json:"samples"`
}

// Sample is what was measured in one step of a Series.
type Sample struct {
	Time time.Time `json:"time"` // its end
	// Load is nil where nobody measured: before this process began.
	Load *Load `json:"load,omitempty"`
	// Succeeded and Failed are the runs that ended in the step.
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	// Latency is nil when no run ended in the step.
	Latency *Latency `json:"latency,omitempty"`
}

// Load is what there is to do at a moment.
type Load struct {
	Backlog  int64 `json:"backlog"`
	InFlight int64 `json:"inFlight"`
	Waiting  int64 `json:"waiting"`
}

// Latency is in milliseconds, over the runs that ended in a step.
type Latency struct {
	P50 int64 `json:"p50"` // from the start of a run to its end
	P99 int64 `json:"p99"`
	// Start is from the event to the start of its run, the 99th percentile.
	Start int64 `json:"start"`
}

// ChangeKind says what a Change is about.
type ChangeKind string

// The kinds of change.
const (
	RunChanged      ChangeKind = "run"      // a run began, waits, or ended
	EventPublished  ChangeKind = "event"    // an event is there
	FunctionChanged ChangeKind = "function" // the numbers of a function
	// Reset means that changes may be missing: show everything anew.
	Reset ChangeKind = "reset"
	// Connected is told by a Client only: what changes from now on will be
	// told; what was before is there to be listed.
	Connected ChangeKind = "connected"
)

// Change is something that happened.
type Change struct {
	// ID is the place of the change, for Filter.After.
	ID   string     `json:"-"`
	Kind ChangeKind `json:"kind"`
	// Run, Event or Function is set, as Kind says.
	Run      *run.Record    `json:"run,omitempty"`
	Event    *EventSummary  `json:"event,omitempty"`
	Function *FunctionStats `json:"function,omitempty"`
}

// FunctionStats are the numbers of one function.
type FunctionStats struct {
	Name string `json:"name"`
	inspect.Stats
}

// Filter selects changes. Empty fields select nothing out.
type Filter struct {
	Kinds     []ChangeKind
	Function  string
	EventType string
	RunID     string
	// After is the ID of the last change that was seen: what came after it is
	// sent first, or a Reset if that is not known any more.
	After string
}
