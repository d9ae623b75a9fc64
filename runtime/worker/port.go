package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
)

// port is what admission stands on: the group commit, and the store.
type port struct{ *processor }

// recordBytes is what a history entry of a few steps takes.
const recordBytes = 512

// Waiters implements admission.Port.
func (p port) Waiters(ctx context.Context, path run.WaitPath, value string) ([]run.Waiter, error) {
	return p.store.Waiters(ctx, p.Plan.Function, path.EventType, path.Match, value)
}

// Deliver implements admission.Port.
func (p port) Deliver(ctx context.Context, w run.Wait, runID string, result []byte, entry string) error {
	return p.committer.Deliver(ctx, w, runID, result, run.CandidateField(w.Path), entry)
}

// Once implements admission.Port.
func (p port) Once(ctx context.Context, r *run.Ref, key string, ttl time.Duration, follow bool) (admission.Holder, error) {
	holder, outcome, err := p.committer.TakeKey(ctx, key, r.RunID, ttl, follow)
	return admission.Holder{RunID: holder, Outcome: outcome}, err
}

// Pass implements admission.Port.
func (p port) Pass(ctx context.Context, r *run.Ref, limit *admission.Rate) (run.Decision, error) {
	return p.committer.Pass(ctx, r, p.rate(limit))
}

// Begin implements admission.Port.
func (p port) Begin(ctx context.Context, r *run.Ref, take *admission.Take) (admission.Answer, error) {
	b := runs.Begin{Ref: r, Slots: p.slots(take.Slots), New: take.New, Lease: p.Lease}
	if take.Throttle != nil {
		b.Throttle = p.rate(take.Throttle)
		b.Since = take.Since
	}
	answer, err := p.committer.Begin(ctx, &b)
	return admission.Answer{Decision: answer.Decision, Wait: answer.Wait, Full: answer.Full}, err
}

// Release implements admission.Port.
func (p port) Release(ctx context.Context, s admission.Slot) error {
	return p.queues.Release(ctx, p.slot(s))
}

// Park implements admission.Port.
func (p port) Park(ctx context.Context, r *admission.Run, park admission.Park) error {
	out := runs.Park{Due: park.Due, Wake: park.Wake, Front: park.Front}
	if park.Queue != nil {
		out.Queue = park.Queue.Limit
		out.QueueValue = park.Queue.Value
	}
	_, err := p.park(ctx, r, out)
	return err
}

// park puts a run aside. again means that something it waits for has come.
func (p port) park(ctx context.Context, r *admission.Run, park runs.Park) (again bool, err error) {
	park.Ref = &r.Ref
	park.Restate = r.Restate
	if park.Meta, err = json.Marshal(r.Identity); err != nil {
		return false, fmt.Errorf("encode run %s: %w", r.Ref.RunID, err)
	}
	result, err := p.committer.Park(ctx, park)
	if err != nil {
		return false, err
	}
	if result == runs.ParkOK {
		p.waker.note(park.Due)
		p.metrics.parked.Inc()
		if p.log.Enabled(ctx, slog.LevelDebug) {
			p.log.Debug("run parked", telemetry.LogRun, r.Ref.RunID, telemetry.LogTrace, telemetry.TraceID(r.Ref.RunID, r.Identity.Event.TraceParent),
				"event", r.Identity.Event.ID, "until", park.Due)
		}
	}
	return result == runs.ParkAgain, nil
}

// End implements admission.Port.
func (p port) End(ctx context.Context, e admission.Ending) (bool, error) {
	status := e.Status()
	f := runs.Finish{
		Ref: e.Ref(), Count: string(e.Skip()), Result: e.Result(), Waits: e.Waits(),
		Failed: status == run.Failed || status == run.Rejected, Cancelled: status == run.Cancelled, Rejected: status == run.Rejected,
	}
	if rec := e.Record(); rec != nil {
		f.Record = run.AppendRecord(make([]byte, 0, recordBytes), rec)
	}
	f.Reason, f.Children = e.Cancels()
	f.OnceKey, f.Outcome = e.Key()
	queues, planned := e.Lines()
	f.Queues = p.slots(queues)
	if planned != nil {
		f.Planned = p.rate(planned)
	}
	counted, err := p.committer.Finish(ctx, f)
	if err == nil && !counted {
		p.log.Debug("run had ended elsewhere; nothing was written", telemetry.LogRun, e.Ref().RunID)
	}
	return counted, err
}

func (p port) slot(s admission.Slot) runs.Slots {
	return runs.Slots{Function: p.Plan.Function, Limit: s.Limit, Value: s.Value, Runner: p.name, Want: s.Held, Max: s.Max, Lease: p.Lease}
}

func (p port) slots(all []admission.Slot) []runs.Slots {
	if len(all) == 0 {
		return nil
	}
	list := make([]runs.Slots, len(all))
	for i, s := range all {
		list[i] = p.slot(s)
	}
	return list
}

func (p port) rate(r *admission.Rate) *runs.Rate {
	return &runs.Rate{Function: p.Plan.Function, Value: r.Value, Limit: r.Limit, Burst: r.Burst, Period: r.Period, Sliding: r.Sliding}
}
