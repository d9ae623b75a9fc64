package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
)

// journal writes what the engine decides for one run.
type journal struct {
	*processor
	ref   *runs.Ref
	entry string       // of the first phase of the run
	typ   string       // the event type of that entry, "" for the inbox
	event *event.Event // started the run
	// identity is the run's.
	identity *run.Identity
}

// Commit implements engine.Journal.
func (j *journal) Commit(ctx context.Context, path string, value []byte) ([]byte, error) {
	return j.committer.CommitResult(ctx, j.ref.RunID, path, value)
}

// Send implements engine.Journal.
func (j *journal) Send(ctx context.Context, path string, value []byte, out []engine.OutEvent) ([]byte, error) {
	events, dedupe := make([]event.Event, len(out)), make([]bool, len(out))
	for i := range out {
		events[i], dedupe[i] = out[i].Event, out[i].Dedupe
	}
	return j.committer.Emit(ctx, j.ref, path, value, events, dedupe)
}

// Invoke implements engine.Journal.
func (j *journal) Invoke(ctx context.Context, path string, progress []byte, child engine.Child) (bool, error) {
	e, err := json.Marshal(child.Event)
	if err != nil {
		return false, fmt.Errorf("event of the invoked run: %w", err)
	}
	parent, err := json.Marshal(run.Parent{Function: j.ref.Function, RunID: j.ref.RunID, Path: path})
	if err != nil {
		return false, fmt.Errorf("parent of the invoked run: %w", err)
	}
	return j.committer.Invoke(ctx, j.ref, path, progress, child.Function, child.RunID, e, parent)
}

// Await implements engine.Journal.
func (j *journal) Await(ctx context.Context, w engine.Wait) (*event.Event, string, error) {
	newest, err := j.committer.Await(ctx, j.ref, w.Wait, w.Progress, run.CandidateField(w.Path))
	if err != nil {
		return nil, "", err
	}
	if since := time.UnixMilli(j.pathsSince.Load()); j.clock.now().Before(since) {
		// Runners of the version before do not know the wait yet: what they
		// read meanwhile is found by a look-back after they do.
		sleep(j.runs, since.Sub(j.clock.now()))
		if newest, err = j.committer.Await(ctx, j.ref, w.Wait, w.Progress, run.CandidateField(w.Path)); err != nil {
			return nil, "", err
		}
	}
	from := w.From
	if from == "" {
		from = j.began(w.EventType)
	}
	var found *event.Event
	err = j.persist(func() error { found, err = j.lookbacks.look(j.lookFor(w, from, newest)); return err })
	if found != nil || err != nil {
		return found, newest, err
	}
	return nil, later(newest, from), nil
}

// lookFor is the question for the first event in a part of the stream that fits.
func (j *journal) lookFor(w engine.Wait, from, newest string) *question {
	q := &question{eventType: w.EventType, after: from, upTo: newest, match: w.Match, at: w.At, value: w.Value}
	q.fits = func(e *event.Event) bool {
		if e.ID == j.event.ID && e.Type == j.event.Type {
			return false
		}
		fits, err := w.Fits(e)
		if err != nil {
			j.log.Warn("waitForEvent.if failed for an event, which is passed over", telemetry.LogRun, j.ref.RunID,
				telemetry.LogTrace, telemetry.TraceID(j.ref.RunID, j.event.TraceParent), telemetry.LogStep, w.Path, "event", e.ID, "error", err)
			return false
		}
		return fits
	}
	return q
}

// clockDoubt is how far back is looked at most where the id of the entry that started the
// run is ahead of the clock, and so tells nothing about other streams.
const clockDoubt = 2 * time.Second

// began is the position in the stream of an event type at which the run began.
func (j *journal) began(eventType string) string {
	for i := len(j.identity.Entries) - 1; i >= 0; i-- {
		if e := j.identity.Entries[i]; e.Type == eventType && e.ID != "" {
			return e.ID
		}
	}
	if j.typ == eventType {
		return j.entry
	}
	at, _ := event.IDTime(j.ref.RunID)
	if ahead := at.Sub(j.identity.StartedAt); ahead > 0 {
		// The clock of the server was set back, or an id was given by hand; or two
		// runners take its time to be a little different.
		at = j.identity.StartedAt.Add(-min(ahead, clockDoubt))
	}
	return fmt.Sprintf("%d-18446744073709551615", at.UnixMilli()-1)
}

func later(a, b string) string {
	if store.CompareEntries(a, b) >= 0 {
		return a
	}
	return b
}
