package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// runSchedules starts the runs of schedules until ctx ends: after a time without
// runners, only the last tick that was missed.
func (w *waker) runSchedules(ctx context.Context) {
	var wg sync.WaitGroup
	for _, t := range w.Plan.Triggers {
		if t.Schedule != nil {
			wg.Go(func() { w.schedule(ctx, t) })
		}
	}
	wg.Wait()
}

func (w *waker) schedule(ctx context.Context, t plan.Trigger) {
	last := w.clock.now()
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, 30*time.Second) {
		stored, err := w.store.LastTick(ctx, w.Plan.Function, t.Cron)
		if err == nil && stored.IsZero() {
			err = w.store.NoteTick(ctx, w.Plan.Function, t.Cron, last)
		} else if err == nil {
			last = stored
		}
		if err == nil {
			break
		}
		sleep(ctx, pause)
	}
	for ctx.Err() == nil {
		next := t.Schedule.Next(last)
		if next.IsZero() {
			return
		}
		for later := t.Schedule.Next(next); !later.IsZero() && !later.After(w.clock.now()); later = t.Schedule.Next(next) {
			next = later // missed ticks are one run
		}
		if !sleep(ctx, next.Sub(w.clock.now())) {
			return
		}
		if err := w.tick(ctx, t, next); err != nil {
			w.log.Warn("cron tick not started; trying again", "cron", t.Cron, "tick", next, "error", err)
			sleep(ctx, time.Second)
			continue
		}
		last = next
	}
}

func (w *waker) tick(ctx context.Context, t plan.Trigger, at time.Time) error {
	id := event.DerivedID(at, w.Plan.Function, t.Cron)
	data, err := json.Marshal(map[string]string{"cron": t.Cron, "tick": at.UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("cron event: %w", err)
	}
	e, err := json.Marshal(event.Event{ID: id, Type: event.CronType, Source: "wildout:" + w.Plan.Function, Time: at, Data: data})
	if err != nil {
		return fmt.Errorf("cron event: %w", err)
	}
	_, err = w.store.Tick(ctx, w.Plan.Function, t.Cron, at, id, e)
	return err
}
