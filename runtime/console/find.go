package console

import (
	"context"
	"net/http"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// find returns a run of any function. The error is a *Problem when there is
// none.
func (s *Service) find(ctx context.Context, id string) (*run.Record, error) {
	return s.findIn(ctx, "", id)
}

// findIn returns a run of a function, or of any.
func (s *Service) findIn(ctx context.Context, function, id string) (*run.Record, error) {
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
	record, err := s.known(ctx, functions, id)
	if err != nil {
		return nil, err
	}
	switch {
	case record == nil && open == nil:
		return nil, failf(http.StatusNotFound, "there is no run %q: it may have left the history (spec.history.limit)", id)
	case record == nil:
		return open, nil
	case open != nil && record.EndedAt == nil && record.Status == run.Waiting && open.Status == run.Running:
		record.Status = run.Running
	}
	if open != nil && record.EventID == "" {
		record.EventID, record.EventType = open.EventID, open.EventType
	}
	if open != nil && record.ReplayOf == "" {
		record.ReplayOf = open.ReplayOf
	}
	return record, nil
}

// openRun looks for a run among those that runners have or have not read yet.
func (s *Service) openRun(ctx context.Context, functions []*installed, id string) (*run.Record, error) {
	open, _, err := s.inspect.OpenRuns(ctx, inspect.OpenQuery{Functions: readsOf(functions), Running: true, Queued: true, Most: maxOpen, MostQueued: maxOpen})
	if err != nil {
		return nil, err
	}
	for _, o := range open {
		if o.ID == id {
			briefs, err := s.inspect.Briefs(ctx, []inspect.OpenRun{o})
			if err != nil {
				return nil, err
			}
			return &briefs[0], nil
		}
	}
	return nil, nil
}

// known returns a run that the journal or the history has; nil: neither.
func (s *Service) known(ctx context.Context, functions []*installed, id string) (*run.Record, error) {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.name
	}
	// In this order: a run that ends in between is found in the history.
	holder, err := s.inspect.HasJournal(ctx, names, id)
	if err != nil {
		return nil, err
	}
	var open *run.Record
	if holder != "" {
		if open, err = s.inspect.Unended(ctx, holder, id); err != nil {
			return nil, err
		}
		if open != nil && open.Status == run.Waiting {
			return open, nil // it is parked: no zombie left this journal
		}
	}
	ended, err := s.inspect.FindEnded(ctx, names, id)
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
	entry, err := s.inspect.Locate(ctx, eventType, id)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, failf(http.StatusNotFound, "there is no event %q of type %s: it may be older than the retention of the type", id, eventType)
	}
	return entry, nil
}

// startedBy returns a run for each function that an event triggers.
func (s *Service) startedBy(ctx context.Context, eventType, id, entry string) ([]run.Record, error) {
	functions, err := s.functions(ctx, "")
	if err != nil {
		return nil, err
	}
	runs := []run.Record{}
	for _, f := range functions {
		if !triggeredBy(f, eventType) {
			continue
		}
		record, err := s.started(ctx, f, eventType, entry)
		if err != nil {
			return nil, err
		}
		record.EventID, record.EventType = id, eventType
		runs = append(runs, *record)
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
func (s *Service) started(ctx context.Context, f *installed, eventType, entry string) (*run.Record, error) {
	record := &run.Record{ID: store.RunID(f.name, eventType, entry), Function: f.name, StartedAt: event.EntryTime(entry)}
	delivery, err := s.inspect.Delivery(ctx, f.name, eventType, entry)
	if err != nil {
		return nil, err
	}
	known, err := s.known(ctx, []*installed{f}, record.ID)
	if known != nil || err != nil {
		if known != nil && known.EndedAt == nil {
			f.order(known)
		}
		return known, err
	}
	switch delivery {
	case inspect.Unread:
		record.Status = Queued
	case inspect.Pending:
		record.Status = run.Running
	case inspect.Acknowledged:
		record.Status = Filtered
	}
	return record, nil
}
