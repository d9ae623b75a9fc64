package console

import (
	"context"
	"net/http"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// find returns a run of any function. The error is a *Problem when there is
// none.
func (s *Service) find(ctx context.Context, id string) (*store.Record, error) {
	return s.findIn(ctx, "", id)
}

// findIn returns a run of a function, or of any.
func (s *Service) findIn(ctx context.Context, function, id string) (*store.Record, error) {
	functions, err := s.functions(ctx, function)
	if err != nil {
		return nil, err
	}
	// In this order: a run that passes from one place to the next is found in
	// the next.
	open, err := s.openRun(ctx, functions, id)
	if err != nil {
		return nil, err
	}
	run, err := s.known(ctx, functions, id)
	if err != nil {
		return nil, err
	}
	switch {
	case run == nil && open == nil:
		return nil, failf(http.StatusNotFound, "there is no run %q: it may have left the history (spec.history.limit)", id)
	case run == nil:
		return open, nil
	case open != nil && run.EndedAt == nil && run.Status == store.Waiting && open.Status == store.Running:
		run.Status = store.Running
	}
	if open != nil && run.EventID == "" {
		run.EventID, run.EventType = open.EventID, open.EventType
	}
	if open != nil && run.ReplayOf == "" {
		run.ReplayOf = open.ReplayOf
	}
	return run, nil
}

// openRun looks for a run among those that runners have or have not read yet.
func (s *Service) openRun(ctx context.Context, functions []*installed, id string) (*store.Record, error) {
	open, _, err := s.store.OpenRuns(ctx, store.OpenQuery{Functions: readsOf(functions), Running: true, Queued: true, Most: maxOpen, MostQueued: maxOpen})
	if err != nil {
		return nil, err
	}
	for _, o := range open {
		if o.ID == id {
			briefs, err := s.store.Briefs(ctx, []store.OpenRun{o})
			if err != nil {
				return nil, err
			}
			return &briefs[0], nil
		}
	}
	return nil, nil
}

// known returns a run that the journal or the history has; nil: neither.
func (s *Service) known(ctx context.Context, functions []*installed, id string) (*store.Record, error) {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.name
	}
	// In this order: a run that ends in between is found in the history.
	holder, err := s.store.HasJournal(ctx, names, id)
	if err != nil {
		return nil, err
	}
	var open *store.Record
	if holder != "" {
		if open, err = s.store.Unended(ctx, holder, id); err != nil {
			return nil, err
		}
		if open != nil && open.Status == store.Waiting {
			return open, nil // it is parked: no zombie left this journal
		}
	}
	ended, err := s.store.FindEnded(ctx, names, id)
	if ended != nil || err != nil {
		return ended, err
	}
	return open, nil
}

// EventRuns returns the runs that an event started.
func (s *Service) EventRuns(ctx context.Context, eventType, id string) (*EventRuns, error) {
	if eventType == "" {
		return nil, failf(http.StatusBadRequest, "which event type? Add ?type=, such as ?type=user/registered")
	}
	entry, err := s.locate(ctx, eventType, id)
	if err != nil {
		return nil, err
	}
	runs, err := s.startedBy(ctx, eventType, id, entry.ID)
	if err != nil {
		return nil, err
	}
	return &EventRuns{ID: id, Type: eventType, Runs: runs}, nil
}

func (s *Service) locate(ctx context.Context, eventType, id string) (*store.Entry, error) {
	entry, err := s.store.Locate(ctx, eventType, id)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, failf(http.StatusNotFound, "there is no event %q of type %s: it may be older than the retention of the type", id, eventType)
	}
	return entry, nil
}

// startedBy returns a run for each function that an event triggers.
func (s *Service) startedBy(ctx context.Context, eventType, id, entry string) ([]store.Record, error) {
	functions, err := s.functions(ctx, "")
	if err != nil {
		return nil, err
	}
	runs := []store.Record{}
	for _, f := range functions {
		if !triggeredBy(f, eventType) {
			continue
		}
		run, err := s.started(ctx, f, eventType, entry)
		if err != nil {
			return nil, err
		}
		run.EventID, run.EventType = id, eventType
		runs = append(runs, *run)
	}
	return runs, nil
}

func triggeredBy(f *installed, eventType string) bool {
	for _, t := range f.spec.Triggers {
		if string(t.Event) == eventType {
			return true
		}
	}
	return false
}

// started returns the run that an entry started in a function, in the state
// Queued or Filtered when there is none.
func (s *Service) started(ctx context.Context, f *installed, eventType, entry string) (*store.Record, error) {
	run := &store.Record{ID: store.RunID(f.name, eventType, entry), Function: f.name, StartedAt: event.EntryTime(entry)}
	delivery, err := s.store.Delivery(ctx, f.name, eventType, entry)
	if err != nil {
		return nil, err
	}
	known, err := s.known(ctx, []*installed{f}, run.ID)
	if known != nil || err != nil {
		if known != nil && known.EndedAt == nil {
			f.order(known)
		}
		return known, err
	}
	switch delivery {
	case store.Unread:
		run.Status = Queued
	case store.Pending:
		run.Status = store.Running
	case store.Acknowledged:
		run.Status = Filtered
	}
	return run, nil
}
