// Package engine takes one run from where its journal says it is to where it
// ends or has to wait. A Stepper says which steps come next, the machine walks
// them: (stepper, journal, now) → what to do. The execution around it calls
// handlers and writes through the Journal port. The package must not know Redis,
// nor any clock but the one it was handed.
package engine

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
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

// Run is a run as it was loaded.
type Run struct {
	ID       string
	Function string // its name
	Version  string // of the function
	// Steps says what the run does, OnFailure what it does once it has failed;
	// nil: nothing.
	Steps, OnFailure Stepper
	// Timeout bounds the active time of the run, Deadline its age; 0: no bound.
	Timeout, Deadline time.Duration

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
	// Now is the clock by which things are due.
	Now func() time.Time
	// Local is the clock of this machine, by which handlers have their deadlines.
	// Nil: Now.
	Local func() time.Time
	// Routines runs what goes on side by side; the zero value is ready.
	Routines Routines
	watch    watch
}

// local is what the clock of this machine shows.
func (e *Engine) local() time.Time {
	if e.Local != nil {
		return e.Local()
	}
	return e.Now()
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
	Failure *run.Failure    // Failed, Cancelled
	// Steps are the steps for the history, each followed by its parts: elements
	// of a forEach and sub-steps of a handler, all, or if there are many those
	// that tell something.
	Steps []run.StepRecord
	// Due is when a parked run must be looked at again; zero: when something
	// arrives for it.
	Due time.Time
	// Awaits are the journal fields that something from outside writes: the
	// run may park only while none of them is there.
	Awaits []string
	// Lacks are handlers of a parked run that this runner does not have.
	Lacks []string
	// Progress is what to store of unfinished steps, by path.
	Progress map[string][]byte
	// Waits are the registered waits of the run that may still stand.
	Waits []run.Wait
	// Children are the invoked runs that a run which was cancelled, or failed,
	// still waits for.
	Children []run.Child
	// Active is the active time of the run so far.
	Active time.Duration
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
