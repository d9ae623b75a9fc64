package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

const (
	wildoutFunction = "bench"
	wildoutInFlight = 512
)

// wildoutSystem is wildout as a user runs it: a manifest, typed handlers, the
// worker with its history, metrics, retry policy and expressions.
type wildoutSystem struct{}

func (wildoutSystem) Name() string { return "wildout" }

func (wildoutSystem) Setup(ctx context.Context, e *env) (instance, error) {
	functions, _, err := plan.ReadManifests("bench", []byte(wildoutManifest(e.work)))
	if err != nil {
		return nil, err
	}
	p, err := plan.Compile(wildoutFunction, &functions[0].Spec, plan.Options{})
	if err != nil {
		return nil, err
	}
	s, err := store.Open(store.Options{URL: "redis://" + e.Addr, Namespace: "bench"})
	if err != nil {
		return nil, err
	}
	handlers := &wildout.Registry{}
	for i, name := range stepNames {
		wildout.Add(handlers, "bench."+name, func(_ context.Context, in wildoutInput) (stepOutput, error) {
			return handle(i, in.ID), nil
		})
	}
	w := &wildoutInstance{env: e, store: s, publisher: e.newClient()}
	sent := func() int64 { return s.Traffic().Commands }
	e.sent.others.Store(&sent)
	w.worker, err = worker.New(worker.Options{Store: worker.OnRedis(runs.New(s)), Plan: p, Handlers: handlers, Name: "bench",
		MaxInFlight: wildoutInFlight, Logger: slog.New(&endings{instance: w})})
	if err != nil {
		return nil, err
	}
	return w, runs.New(s).EnsureGroups(ctx, wildoutFunction, store.FromBeginning, eventType)
}

type wildoutInput struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Before bool   `json:"before"`
}

// wildoutManifest is the function: each step reads the event and the step
// before it.
func wildoutManifest(w work) string {
	var b strings.Builder
	b.WriteString("apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: bench}\nspec:\n" +
		"  triggers: [{event: bench/event}]\n  history: {limit: 10000}\n  steps:\n")
	for i := range w.Steps {
		before := "false"
		if i > 0 {
			before = fmt.Sprintf(`"${steps.%s.output.ok}"`, stepNames[i-1])
		}
		fmt.Fprintf(&b, "  - name: %s\n    handler: bench.%s\n    with: {id: \"${event.id}\", action: \"${event.data.action}\", before: %s}\n", stepNames[i], stepNames[i], before)
		if w.Sleep && i == 0 {
			b.WriteString("  - {name: rest, sleep: 1h}\n")
		}
	}
	return b.String()
}

type wildoutInstance struct {
	*env
	store     *store.Conn
	publisher *redis.Client
	worker    *worker.Worker
}

// Publish is a plain XADD, as any client may do it.
func (w *wildoutInstance) Publish(ctx context.Context, events []benchEvent) error {
	stream := w.store.Keys().Stream(eventType)
	for len(events) > 0 {
		n := min(len(events), rawPublishBatch)
		pipe := w.publisher.Pipeline()
		for i := range events[:n] {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: events[i].Fields()})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("publish %d events: %w", n, err)
		}
		events = events[n:]
	}
	return nil
}

func (w *wildoutInstance) Work(ctx context.Context) error {
	return w.worker.Run(ctx) // nil once ctx has ended
}

func (w *wildoutInstance) Close() error {
	return errors.Join(w.store.Close(), w.publisher.Close())
}

// Trim drops the events that are done with, as retention would.
func (w *wildoutInstance) Trim(ctx context.Context) error {
	return w.publisher.XTrimMaxLen(ctx, w.store.Keys().Stream(eventType), 0).Err()
}

// endings is the worker's logger: it tells the board of runs that ended, which
// the worker logs once Redis has answered, and of runs that sleep.
type endings struct{ instance *wildoutInstance }

func (e *endings) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || e.instance.Sleep
}

func (e *endings) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "run succeeded", "run parked":
		r.Attrs(func(a slog.Attr) bool {
			if a.Key != "event" {
				return true
			}
			if err := e.instance.board.finishedID(a.Value.String()); err != nil {
				panic("bench: " + err.Error())
			}
			return false
		})
	case "run failed", "entry rejected":
		panic("bench: " + r.Message)
	}
	return nil
}

func (e *endings) WithAttrs([]slog.Attr) slog.Handler { return e }
func (e *endings) WithGroup(string) slog.Handler      { return e }
