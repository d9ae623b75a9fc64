package console

import (
	"context"
	"net/http"
	"slices"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// getRuns answers with runs, the newest first:
// ?function=NAME&status=failed&limit=50, all optional.
func (c *Console) getRuns(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	status := store.Status(r.FormValue("status"))
	if status != "" && !slices.Contains([]store.Status{store.Succeeded, store.Failed, store.Running, store.Waiting, store.Rejected}, status) {
		return nil, failf(http.StatusBadRequest, "status is %q, want succeeded, failed, running, waiting or rejected", status)
	}
	functions, err := c.functions(r.Context(), r.FormValue("function"))
	if err != nil {
		return nil, err
	}
	all := []store.Record{}
	for _, f := range functions {
		runs, err := c.runs(r.Context(), &f, status, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	slices.SortStableFunc(all, func(a, b store.Record) int { return b.StartedAt.Compare(a.StartedAt) })
	return all[:min(limit, len(all))], nil
}

// runs returns the runs of a function in one state, or in all of them. They
// are read in the order in which runs pass from one place to the next, and the
// last place counts: none is missed, none is there twice.
func (c *Console) runs(ctx context.Context, f *installed, status store.Status, limit int) ([]store.Record, error) {
	open, err := c.store.InFlight(ctx, f.name, f.reads(), limit)
	if err != nil {
		return nil, err
	}
	waiting, err := c.store.Open(ctx, f.name, limit)
	if err != nil {
		return nil, err
	}
	// The history keeps succeeded and failed runs together: with a status, look
	// further back for enough of them.
	depth := limit
	if status != "" {
		depth = maxLimit
	}
	ended, err := c.store.History(ctx, f.name, depth)
	if err != nil {
		return nil, err
	}
	for _, list := range [][]store.Record{open, waiting} {
		for i := range list {
			f.sort(&list[i])
		}
	}
	seen := map[string]bool{}
	var all []store.Record
	for _, list := range [][]store.Record{ended, waiting, open} {
		for _, run := range list {
			if !seen[run.ID] && (status == "" || run.Status == status) {
				all = append(all, run)
			}
			seen[run.ID] = true
		}
	}
	return all, nil
}

// getRun answers with one run; ?function=NAME saves looking through all.
func (c *Console) getRun(r *http.Request) (any, error) {
	id := r.PathValue("id")
	functions, err := c.functions(r.Context(), r.FormValue("function"))
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		run, err := c.find(r.Context(), &f, id)
		if err != nil {
			return nil, err
		}
		if run != nil {
			return run, nil
		}
	}
	return nil, failf(http.StatusNotFound, "there is no run %q: it may have left the history (spec.history.limit)", id)
}

func (c *Console) find(ctx context.Context, f *installed, id string) (*store.Record, error) {
	open, err := c.store.InFlight(ctx, f.name, f.reads(), maxLimit)
	if err != nil {
		return nil, err
	}
	run, err := c.known(ctx, f, id)
	if run != nil || err != nil {
		return run, err
	}
	for i := range open {
		if open[i].ID == id {
			f.sort(&open[i])
			return &open[i], nil
		}
	}
	return nil, nil
}

// known returns a run that the journal or the history has; nil: neither.
func (c *Console) known(ctx context.Context, f *installed, id string) (*store.Record, error) {
	// In this order: a run that ends in between is found in the history.
	open, err := c.store.Unended(ctx, f.name, id)
	if err != nil {
		return nil, err
	}
	ended, err := c.store.Ended(ctx, f.name, id)
	if ended != nil || err != nil {
		return ended, err
	}
	if open != nil {
		f.sort(open)
	}
	return open, nil
}

// getEventRuns answers with the runs that an event started: ?type=EVENT_TYPE.
func (c *Console) getEventRuns(r *http.Request) (any, error) {
	ctx, id, eventType := r.Context(), r.PathValue("id"), r.FormValue("type")
	if eventType == "" {
		return nil, failf(http.StatusBadRequest, "which event type? Add ?type=, such as ?type=user/registered")
	}
	entry, err := c.store.Locate(ctx, eventType, id)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, failf(http.StatusNotFound, "there is no event %q of type %s: it may be older than the retention of the type", id, eventType)
	}
	functions, err := c.functions(ctx, "")
	if err != nil {
		return nil, err
	}
	answer := EventRuns{ID: id, Type: eventType, Runs: []store.Record{}}
	for _, f := range functions {
		if !slices.Contains(f.triggers(), eventType) {
			continue
		}
		run, err := c.started(ctx, &f, eventType, entry.ID)
		if err != nil {
			return nil, err
		}
		run.EventID, run.EventType = id, eventType
		answer.Runs = append(answer.Runs, *run)
	}
	return answer, nil
}

// started returns the run that an entry started in a function, in the state
// Queued or Filtered when there is none.
func (c *Console) started(ctx context.Context, f *installed, eventType, entry string) (*store.Record, error) {
	run := &store.Record{ID: store.RunID(f.name, eventType, entry), Function: f.name, StartedAt: event.EntryTime(entry)}
	delivery, err := c.store.Delivery(ctx, f.name, eventType, entry)
	if err != nil {
		return nil, err
	}
	known, err := c.known(ctx, f, run.ID)
	if known != nil || err != nil {
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
