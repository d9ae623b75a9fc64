package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// cronLoop starts the runs of schedules: after a time without runners, only
// the last tick that was missed.
func (s *session) cronLoop(ctx context.Context) {
	for _, t := range s.Plan.Triggers {
		if t.Schedule != nil && !s.Plan.Spec.Suspend {
			s.side.Go(func() { s.schedule(ctx, t) })
		}
	}
}

func (s *session) schedule(ctx context.Context, t plan.Trigger) {
	last := s.now()
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, 30*time.Second) {
		stored, err := s.Store.LastTick(ctx, s.Plan.Function, t.Cron)
		if err == nil && stored.IsZero() {
			err = s.Store.NoteTick(ctx, s.Plan.Function, t.Cron, last)
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
		for later := t.Schedule.Next(next); !later.IsZero() && !later.After(s.now()); later = t.Schedule.Next(next) {
			next = later // missed ticks are one run
		}
		if !sleep(ctx, next.Sub(s.now())) {
			return
		}
		if err := s.tick(ctx, t, next); err != nil {
			s.log.Warn("cron tick not started; trying again", "cron", t.Cron, "tick", next, "error", err)
			sleep(ctx, time.Second)
			continue
		}
		last = next
	}
}

func (s *session) tick(ctx context.Context, t plan.Trigger, at time.Time) error {
	id := event.DerivedID(at, s.Plan.Function, t.Cron)
	data, err := json.Marshal(map[string]string{"cron": t.Cron, "tick": at.UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("cron event: %w", err)
	}
	e, err := json.Marshal(event.Event{ID: id, Type: event.CronType, Source: "wildout:" + s.Plan.Function, Time: at, Data: data})
	if err != nil {
		return fmt.Errorf("cron event: %w", err)
	}
	_, err = s.Store.Tick(ctx, s.Plan.Function, t.Cron, at, id, e)
	return err
}
