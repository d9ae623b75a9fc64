package worker

import (
	"context"
	"time"
)

// tidier bounds what the function keeps in Redis. One runner does it: the first
// of the list. It keeps no state.
type tidier struct {
	*self
	store   upkeep
	lease   *lease
	streams *streams
}

const (
	tidyPeriod      = time.Minute
	maxHistoryBytes = 16 << 20
)

func (t *tidier) run(ctx context.Context) {
	for sleep(ctx, tidyPeriod) {
		if t.lease.rank.Load() == 0 {
			t.tidy(ctx)
		}
	}
}

func (t *tidier) tidy(ctx context.Context) {
	reads := t.streams.now()
	f := t.Plan.Function
	if err := t.store.AdoptStrays(ctx, f, reads.claims); err != nil {
		t.log.Warn("could not look for consumers without a heartbeat", "error", err)
	}
	if err := t.store.TidyCancels(ctx, f); err != nil {
		t.log.Warn("could not look after requests to cancel runs", "error", err)
	}
	if err := t.store.TrimHistory(ctx, f, maxHistoryBytes); err != nil {
		t.log.Warn("could not shorten the history", "error", err)
	}
	for _, eventType := range reads.types {
		period, size, err := t.store.Retention(ctx, eventType)
		if err == nil {
			err = t.store.Trim(ctx, eventType, period, size)
		}
		if err != nil {
			t.log.Warn("could not shorten a stream to its retention", "type", eventType, "error", err)
		}
	}
}
