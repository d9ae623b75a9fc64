package admission

import (
	"context"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

// Port is what decisions stand on. Each method is one atomic write, or read,
// and may be repeated: an answer that was lost is asked for again.
type Port interface {
	// Waiters returns the runs that wait for an event with that value at the path.
	Waiters(ctx context.Context, path run.WaitPath, value string) ([]run.Waiter, error)
	// Deliver gives an event to a run that waits. Without a result only the run
	// itself can tell whether the event, which is that entry, fits.
	Deliver(ctx context.Context, w run.Wait, runID string, result []byte, entry string) error
	// Once takes an idempotency key for a run, or says who holds it. With follow
	// the run is woken when the holder ends.
	Once(ctx context.Context, r *run.Ref, key string, ttl time.Duration, follow bool) (Holder, error)
	// Pass takes a start of a rate limit for a run: Counted, or there is none:
	// Dropped. What was decided is stored with it.
	Pass(ctx context.Context, r *run.Ref, limit *Rate) (run.Decision, error)
	// Begin takes all that a run needs to begin, or nothing, and stores what was
	// decided with it.
	Begin(ctx context.Context, r *run.Ref, take *Take) (Answer, error)
	// Release states how many slots the runner holds, and wakes runs that wait
	// for one where there is room. Held below 0 states nothing.
	Release(ctx context.Context, s Slot) error
	// Park puts a run aside.
	Park(ctx context.Context, r *Run, p Park) error
	// End ends a run, or an entry that is none. False: it had ended, or was taken
	// over, and nothing was written. The error is a *run.CancelRequest when
	// the run must end as cancelled instead.
	End(ctx context.Context, e Ending) (bool, error)
}

// Holder is who has an idempotency key.
type Holder struct {
	// RunID is empty when the run that asked has it.
	RunID string
	// Outcome is what the holder ended with; nil while it has not.
	Outcome []byte
}

// Take is what a run takes at its beginning.
type Take struct {
	Throttle *Rate // nil: it passes none
	// Since is when it was planned first, and so its place in the throttle's line;
	// zero: it is new.
	Since time.Time
	// Slots are of keyed concurrency limits; Held counts the wanted one.
	Slots []Slot
	// New says that it does not go ahead of runs that wait for a slot.
	New bool
}

// Rate is a rate limit or a throttle, with the value of its key.
type Rate struct {
	Value  string // "" for the whole function
	Limit  int
	Burst  int
	Period time.Duration
	// Sliding says that no window of one period has more than Limit begins.
	Sliding bool
}

// Slot is a slot of a keyed concurrency limit.
type Slot struct {
	Limit int // which limit of the function, from 1
	Value string
	Max   int
	// Held is how many of them the runner holds, in all: a count that is stated
	// anew leaks nothing when an answer is lost.
	Held int
}

// Answer is what came of a Take: Begun, or one of the other two.
type Answer struct {
	Decision run.Decision
	Wait     time.Duration // until there may be a start
	Full     int           // which of the slots there is not, from 1
}

// Park is how a run is put aside before it has begun.
type Park struct {
	Due  time.Time // when it is looked at again; zero: when it is woken
	Wake bool      // at once, by whoever has a place
	// Queue is the slot that it waits for; nil: none.
	Queue *Slot
	// Front says that it waited for one before, and keeps its place.
	Front bool
}
