package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Outcome is how a run ends.
type Outcome struct {
	Status run.Status
	Output json.RawMessage // of one that succeeded
	// Failure is why it did not; of a cancelled run its message is the reason
	// that was given.
	Failure *run.Failure
	// Skip is why a skipped run did not begin.
	Skip  Skip
	Steps []run.StepRecord
	// Waits are those that may still be registered.
	Waits []run.Wait
	// Children are the runs that it has invoked and still waits for.
	Children []run.Child
	// unread says that the entry of a rejected run is no event.
	unread bool
}

// Skip is why a run does not begin, and under which name that is counted.
type Skip string

// The reasons.
const (
	// Dropped: the rate limit had no start for it.
	Dropped Skip = "dropped"
	// Duplicate: another run has its idempotency key.
	Duplicate Skip = "duplicate"
)

func (s Skip) text(function string) string {
	if s == Dropped {
		return "the rate limit of " + function + " dropped it"
	}
	return "another run of " + function + " has its idempotency key"
}

// Ending is the whole of what happens when a run ends. Nothing outside of this
// package can make one, not even an empty one: no run ends without its parent,
// its key or its lines being seen to.
type Ending interface {
	// Ref is the run that ends, and the entry that is acknowledged with it.
	Ref() *run.Ref
	// Status is Succeeded, Failed, Cancelled, Skipped or Rejected.
	Status() run.Status
	// Skip is why a skipped run did not begin: it is counted, and not recorded.
	Skip() Skip
	// Record is the entry of the history; nil for a skipped run.
	Record() *run.Record
	// Cancels are the runs that are cancelled with this one, and why it was.
	Cancels() (reason string, children []run.Child)
	// Result is what the parent's step gets, in journal form; nil without a parent.
	Result() []byte
	// Key is the idempotency key that the run may hold, and what runs that meet it
	// later are told; nil: the key is free again.
	Key() (key string, outcome []byte)
	// Waits are taken back.
	Waits() []run.Wait
	// Lines are the queues and the throttle in whose lines the run may stand.
	Lines() (queues []Slot, planned *Rate)

	sealed()
}

// ending is the only Ending.
type ending struct {
	run       *run.Ref
	status    run.Status
	skip      Skip
	record    *run.Record
	reason    string
	children  []run.Child
	result    []byte
	key       string
	keyResult []byte
	waits     []run.Wait
	queues    []Slot
	planned   *Rate
}

func (e *ending) Ref() *run.Ref                  { return e.run }
func (e *ending) Status() run.Status             { return e.status }
func (e *ending) Skip() Skip                     { return e.skip }
func (e *ending) Record() *run.Record            { return e.record }
func (e *ending) Cancels() (string, []run.Child) { return e.reason, e.children }
func (e *ending) Result() []byte                 { return e.result }
func (e *ending) Key() (string, []byte)          { return e.key, e.keyResult }
func (e *ending) Waits() []run.Wait              { return e.waits }
func (e *ending) Lines() ([]Slot, *Rate)         { return e.queues, e.planned }
func (*ending) sealed()                          {}

// End ends a run: the one way out. A run whose cancellation was asked for
// meanwhile ends as cancelled.
func (a *Admission) End(ctx context.Context, r *Run, o Outcome) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("end run %s of %s: %w: this is a bug of the runner", r.Ref.RunID, a.Function, err)
	}
	e, err := a.ending(r, &o)
	if err != nil {
		return err
	}
	counted, err := a.Port.End(ctx, e)
	if counted && r.Listener != nil {
		r.Listener.Ended(e)
	}
	var asked *run.CancelRequest
	if errors.As(err, &asked) && o.Status != run.Cancelled {
		o.Status = run.Cancelled
		o.Output = nil
		o.Failure = &run.Failure{Message: asked.Reason}
		return a.End(ctx, r, o)
	}
	return err
}

// Reject ends an entry that can never be a run. Its reference names the record, and
// the step that waits for it, if there is one.
func (a *Admission) Reject(ctx context.Context, r *Run, reason string) error {
	return a.End(ctx, r, Outcome{Status: run.Rejected, Failure: &run.Failure{Message: reason}, unread: true})
}

// check refuses an outcome that is none.
func (o *Outcome) check() error {
	reason := o.Failure != nil
	switch o.Status {
	case run.Succeeded:
		reason = o.Failure == nil
	case run.Skipped:
		reason = o.Skip != ""
	case run.Failed, run.Cancelled, run.Rejected:
	default:
		return fmt.Errorf("%q is no end", o.Status)
	}
	if !reason {
		return fmt.Errorf("%s does not go with its reason (%+v, %q)", o.Status, o.Failure, o.Skip)
	}
	return nil
}

func (a *Admission) ending(r *Run, o *Outcome) (*ending, error) {
	now := a.Now()
	e := &ending{run: &r.Ref, status: o.Status, waits: o.Waits}
	switch o.Status {
	case run.Skipped:
		e.skip = o.Skip
		o.Failure = &run.Failure{Message: o.Skip.text(a.Function)}
	case run.Cancelled:
		e.reason = o.Failure.Message
		e.children = o.Children
		e.record = record(r, o, now)
	default:
		e.record = record(r, o, now)
	}
	if r.Ref.Parent != nil {
		e.result = parentResult(r, o, now)
	}
	if r.Plan == nil || o.unread {
		return e, nil
	}
	if err := a.settleKey(r, o, e); err != nil {
		return e, err
	}
	a.leaveLines(r, e)
	return e, nil
}

// parentResult is what the step that invoked a run gets.
func parentResult(r *Run, o *Outcome, now time.Time) []byte {
	began := r.Identity.StartedAt
	result := run.Result{Output: o.Output, Attempts: 1, Start: began.UnixMilli(), Duration: now.Sub(began).Milliseconds()}
	switch o.Status {
	case run.Succeeded:
		return result.Encode()
	case run.Cancelled:
		result.Error = "the invoked run was " + run.CancelText(o.Failure.Message)
	case run.Skipped:
		result.Error = "the invoked run did not begin: " + o.Failure.Message
	case run.Rejected:
		result.Error = "the invoked run could not be started: " + o.Failure.Message
	default:
		result.Error = "the invoked run failed: " + o.Failure.Message
	}
	result.Output = nil
	return result.Encode()
}

// settleKey says what becomes of the idempotency key. One that never began has
// not done what the key stands for, and nobody has who was cancelled: it is free
// again. A run that began keeps it, however it ended, unless the function says
// that a failure frees it.
func (a *Admission) settleKey(r *Run, o *Outcome, e *ending) error {
	once := r.Plan.Idempotency
	if once == nil || r.Identity.ReplayOf != "" || r.Identity.Follows != "" {
		return nil
	}
	e.key = r.Identity.Once
	if e.key == "" { // an earlier delivery may have taken it
		key, err := once.Key.Key(a.scope(r))
		if err != nil {
			return nil //nolint:nilerr // then nobody could take it
		}
		e.key = key.Text
	}
	if o.Status == run.Cancelled || o.Status == run.Failed && once.Release || !r.began() {
		return nil
	}
	outcome, err := json.Marshal(keyOutcome{Output: o.Output, Failure: o.Failure})
	if err != nil {
		return fmt.Errorf("encode the outcome of run %s: %w", r.Ref.RunID, err)
	}
	e.keyResult = outcome
	return nil
}

// leaveLines finds the lines in which a run may stand that has not begun. A key
// that cannot be evaluated has none.
func (a *Admission) leaveLines(r *Run, e *ending) {
	throttled, queued := !r.Identity.Throttled.IsZero(), !r.Identity.Queued.IsZero()
	if !throttled && !queued {
		return
	}
	k, _ := a.keysOf(r)
	if throttled {
		e.planned = k.throttle
	}
	if queued {
		e.queues = k.slots
	}
}

func (a *Admission) scope(r *Run) *plan.Scope {
	return &plan.Scope{Event: &r.Identity.Event, Env: a.Env}
}

// maxKeptEvent bounds the event that is kept with a run that succeeded, in bytes.
const maxKeptEvent = 4 << 10

// record makes the history entry of a run.
func record(r *Run, o *Outcome, now time.Time) *run.Record {
	i := &r.Identity
	rec := &run.Record{
		ID: r.Ref.RunID, Function: r.Ref.Function, Status: o.Status, EventID: i.Event.ID, EventType: i.Event.Type,
		Version: r.Ref.Version, StartedAt: i.StartedAt, EndedAt: &now, Steps: o.Steps, Follows: i.Follows, ReplayOf: i.ReplayOf,
	}
	switch o.Status {
	case run.Succeeded:
		rec.Output = o.Output
		if (i.ReplayOf != "" || !published(&i.Event)) && len(i.Event.Data) <= maxKeptEvent {
			rec.Event = &i.Event // no stream has it, or not for as long
		}
		return rec
	case run.Failed:
		rec.ErrorStep = o.Failure.Step
	}
	rec.Error = o.Failure.Message
	if o.Failure.OnFailure != "" {
		rec.Error += "; and onFailure failed: " + o.Failure.OnFailure
	}
	if !o.unread { // else it is no event that could be sent again
		rec.Event = &i.Event
	}
	return rec
}

// published reports whether an event is, or was, in a stream.
func published(e *event.Event) bool { return e.Type != event.CronType && e.Type != event.InvokeType }
