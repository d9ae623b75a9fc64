// Package engine takes one run from where its journal says it is to where it
// ends or has to wait: (plan, journal, now) → what to do next. The machine
// decides, the execution around it calls handlers and writes through the
// Journal port. The package must not know Redis, nor any clock but the one it
// was handed.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// Causes of a cancelled context, told apart by Execute.
var (
	// ErrInterrupted: the runner stops; the attempts under way do not count.
	ErrInterrupted = errors.New("the runner is shutting down")
	// ErrFenced: the runner lost its lease; another one has the run.
	ErrFenced = errors.New("the runner lost its lease")
)

// ErrElsewhere says that a handler outlived its time and was given up. The run
// went on in another goroutine, which tells Run.Elsewhere how it ended.
var ErrElsewhere = errors.New("the run went on in another goroutine")

// Journal is what a run writes through. Every method returns when its write is
// durable, and may be called from several goroutines.
type Journal interface {
	// Commit fixes the result of a step and returns the result that holds:
	// value, or what another execution of the same run committed first.
	Commit(ctx context.Context, path string, value []byte) ([]byte, error)
	// Send commits like Commit and, in the same write, publishes the events
	// if value won.
	Send(ctx context.Context, path string, value []byte, events []OutEvent) ([]byte, error)
	// Await registers a wait and looks back over what was published since
	// wait.From. It returns the first event that fits, or nil and the position
	// up to which it looked.
	Await(ctx context.Context, wait Wait) (found *event.Event, seen string, err error)
	// Invoke starts a child run, once, however often it is called.
	Invoke(ctx context.Context, path string, progress []byte, child Child) error
}

// OutEvent is an event to publish. With Dedupe, of events of one type with one
// id only the first is kept.
type OutEvent struct {
	Event  event.Event
	Dedupe bool
}

// Wait is a registered interest in an event.
type Wait struct {
	Path     string
	Event    string
	Match    *plan.Path // nil: any value
	Value    string     // what Match gives for the event that started the run
	HasIf    bool
	From     string // position in the stream; empty: where the run began
	Progress []byte
	// Fits evaluates waitForEvent.if; Match was checked before.
	Fits func(*event.Event) (bool, error)
}

// Child is a run to start in another function.
type Child struct {
	Function string
	RunID    string
	Path     string // of the step that invokes it
	Event    event.Event
}

// Run is a run as it was loaded.
type Run struct {
	ID        string
	Plan      *plan.Plan
	Event     event.Event
	StartedAt time.Time
	// Attempt counts the deliveries of the run to a runner, from 1.
	Attempt int
	// Active is how long the run was active before, waiting excluded.
	Active time.Duration
	// Results and Progress are the journal by step path; nil when empty.
	Results  map[string][]byte
	Progress map[string][]byte
	Journal  Journal
	// Elsewhere is told the outcome where Execute returns ErrElsewhere. With it a
	// handler that has nothing beside it is called in the goroutine of Execute:
	// changing goroutines costs more than most handlers. Nil: never.
	Elsewhere func(Outcome, error)
	// Cancel ends the run from outside. Nil: nothing does.
	Cancel *Cancel
	// Observer is told what happens; may be nil.
	Observer Observer
}

// Engine executes runs. It is safe for many runs at once.
type Engine struct {
	Handlers *wildout.Registry
	// Env is what expressions see as `env`.
	Env map[string]string
	// Now is the clock.
	Now func() time.Time
	// Routines runs what goes on side by side; the zero value is ready.
	Routines Routines
	watch    watch
}

// Close ends the goroutines of the engine that are idle, and each of the
// others after what it does.
func (e *Engine) Close() {
	e.Routines.Close()
	e.watch.close()
}

// Kind says how an execution ended.
type Kind int

const (
	// Finished means that the run ended well.
	Finished Kind = iota
	// Failed means that the run ended badly, onFailure included.
	Failed
	// Parked means that the run waits; nothing of it is running.
	Parked
	// Interrupted means that the runner stops or was fenced.
	Interrupted
	// Cancelled means that the run ends since Run.Cancel says so, without onFailure.
	Cancelled
)

// Outcome is how an execution ended.
type Outcome struct {
	Kind    Kind
	Output  json.RawMessage // Finished
	Failure *Failure        // Failed, Cancelled
	Steps   []StepRecord
	// Due is when a parked run must be looked at again; zero: when something
	// arrives for it.
	Due time.Time
	// Awaits are the journal fields that something from outside writes: the
	// run may park only while none of them is there.
	Awaits []string
	// Progress is what to store of unfinished steps, by path.
	Progress map[string][]byte
	// Waits are the registered waits of the run that may still stand.
	Waits []Wait
	// Children are the invoked runs that a run which was cancelled, or failed,
	// still waits for; of each only Function, RunID and Path are set.
	Children []Child
	// Active is the active time of the run so far.
	Active time.Duration
}

// Failure says why a run failed.
type Failure struct {
	Message  string `json:"message"`
	Step     string `json:"step,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	// OnFailure is what went wrong in the onFailure steps themselves.
	OnFailure string `json:"onFailure,omitempty"`
}

// backoff returns the wait after the given number of failed attempts.
func backoff(r plan.Retry, attempts int) time.Duration {
	wait := float64(r.InitialInterval)
	for i := 1; i < attempts && wait < float64(r.MaxInterval); i++ {
		wait *= r.Multiplier
	}
	wait = min(wait, float64(r.MaxInterval))
	wait *= 1 + r.Jitter*(2*rand.Float64()-1)
	return time.Duration(wait)
}
