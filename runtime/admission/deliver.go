package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// paths are what runs of the function, of any version, may wait for.
type paths struct{ all atomic.Pointer[[]waitPath] }

type waitPath struct {
	run.WaitPath
	match *plan.Path // nil: any event of the type
}

// WaitFor tells what runs may wait for from now on.
func (a *Admission) WaitFor(all []run.WaitPath) error {
	compiled := make([]waitPath, len(all))
	for i, p := range all {
		compiled[i].WaitPath = p
		if p.Match == "" {
			continue
		}
		match, err := plan.ParsePath(p.Match)
		if err != nil {
			return fmt.Errorf("stored wait path: %w", err)
		}
		compiled[i].match = match
	}
	a.paths.all.Store(&compiled)
	return nil
}

// Waits is how many paths there are that runs may wait for.
func (a *Admission) Waits() int {
	if all := a.paths.all.Load(); all != nil {
		return len(*all)
	}
	return 0
}

// Deliver gives an event to the runs that wait for it, but not to the one that
// it starts itself. To deliver it again changes nothing.
func (a *Admission) Deliver(ctx context.Context, e *event.Event, entry, starts string) error {
	all := a.paths.all.Load()
	if all == nil {
		return nil
	}
	for i := range *all {
		p := &(*all)[i]
		if p.EventType != e.Type {
			continue
		}
		value := ""
		fits := true
		if p.match != nil {
			value, fits = p.match.Lookup(e)
		}
		if !fits {
			continue
		}
		if err := a.deliverAt(ctx, p.WaitPath, value, e, entry, starts); err != nil {
			return err
		}
	}
	return nil
}

// deliverAt gives an event to the runs that wait for that value.
func (a *Admission) deliverAt(ctx context.Context, p run.WaitPath, value string, e *event.Event, entry, starts string) error {
	waiters, err := a.Port.Waiters(ctx, p, value)
	if err != nil {
		return err
	}
	for _, w := range waiters {
		if w.RunID == starts {
			continue
		}
		// Where the wait has an `if`, only the run can evaluate it.
		var result []byte
		if !w.HasIf {
			text, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("event %s: %w", e.ID, err)
			}
			result = run.EventResult(text, a.Now()).Encode()
		}
		wait := run.Wait{Path: w.Path, EventType: p.EventType, Match: p.Match, Value: value, HasIf: w.HasIf}
		if err := a.Port.Deliver(ctx, wait, w.RunID, result, entry); err != nil {
			return err
		}
	}
	return nil
}
