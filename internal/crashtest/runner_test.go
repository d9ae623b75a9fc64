package crashtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/wildout/wildout/internal/crashtest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// runnerConfig is what a runner process is told.
type runnerConfig struct {
	Name      string
	Redis     string // host:port, as a rule of a proxy
	Direct    string // host:port of the server itself, for what handlers record
	DB        int
	Namespace string
	Tick      time.Time     // of the cron function
	Doze      time.Duration // of the slow step
	Linger    time.Duration // how long at most a handler goes on after its effect
	Grace     time.Duration
	Version   int           // of the functions
	Shift     time.Duration // of the wall clock of the process
	NotesDB   int           // of what handlers record
}

// lease of the runners: short, so that a dead one is noticed soon.
const lease = 600 * time.Millisecond

// runner is a runner process: a worker for each function, like `wildout dev`.
func runner(ctx context.Context, config []byte, begin <-chan struct{}) error {
	var c runnerConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := shiftClock(c.Shift); err != nil {
		return err
	}
	plans, err := compileAll(c.Tick, c.Version)
	if err != nil {
		return err
	}
	rec, err := newRecorder(c)
	if err != nil {
		return err
	}
	s, err := store.Open(store.Options{URL: fmt.Sprintf("redis://%s/%d", c.Redis, c.DB), Namespace: c.Namespace, Logger: log})
	if err != nil {
		return err
	}
	defer s.Close()
	select {
	case <-begin:
	case <-ctx.Done():
		return nil
	}
	var wg sync.WaitGroup
	for _, p := range plans {
		w, err := worker.New(worker.Options{Store: worker.OnRedis(runs.New(s)), Plan: p, Handlers: rec.handlers(c.Doze), Name: c.Name,
			Created:     time.Unix(1, 0), // its events may come before a runner does
			MaxInFlight: 64, Lease: lease, Grace: c.Grace, Logger: log})
		if err != nil {
			return err
		}
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				log.Error("worker ended", "error", err)
			}
		})
	}
	wg.Wait()
	return nil
}

// recorder writes the effects of handlers straight to Redis, one by one.
type recorder struct {
	redis  *crashtest.Conn
	name   string
	ns     string
	linger time.Duration
}

func newRecorder(c runnerConfig) (*recorder, error) {
	conn, err := crashtest.Dial(c.Direct)
	if err == nil {
		_, err = conn.Do("SELECT", c.NotesDB)
	}
	return &recorder{redis: conn, name: c.Name, ns: c.Namespace, linger: c.Linger}, err
}

// Keys of what handlers record.
func effectsKey(ns string) string  { return "effects:" + ns }
func begunKey(ns string) string    { return "begun:" + ns }
func overlapsKey(ns string) string { return "overlaps:" + ns }
func lockKey(ns, value string) string {
	return "lock:" + ns + ":" + value
}

// effect counts that a step's handler did what it is there for.
func (r *recorder) effect(ctx context.Context) error {
	_, err := r.redis.Do("HINCRBY", effectsKey(r.ns), wildout.Info(ctx).IdempotencyKey, 1)
	if r.linger > 0 {
		time.Sleep(rand.N(r.linger))
	}
	return err
}

type input struct {
	Value  any `json:"value"`
	Millis int `json:"millis"` // how long the handler takes
}

func (r *recorder) handlers(doze time.Duration) *wildout.Registry {
	all := &wildout.Registry{}
	wildout.Add(all, "effect", func(ctx context.Context, in input) (any, error) {
		time.Sleep(time.Duration(in.Millis) * time.Millisecond)
		return in.Value, r.effect(ctx)
	})
	wildout.Add(all, "flaky", func(ctx context.Context, in input) (any, error) {
		if wildout.Info(ctx).Attempt == 1 {
			return nil, errors.New("not at the first attempt")
		}
		return in.Value, r.effect(ctx)
	})
	wildout.Add(all, "broken", func(context.Context, struct{}) (any, error) {
		return nil, wildout.NonRetriable(errors.New("broken for good"))
	})
	wildout.Add(all, "pack", r.pack)
	wildout.Add(all, "compose", r.compose)
	wildout.Add(all, "busy", r.busy)
	wildout.Add(all, "first", r.first)
	wildout.Add(all, "deal", r.deal)
	wildout.Add(all, "recant", r.recant)
	wildout.Add(all, "exclusive", r.exclusive)
	wildout.Add(all, "hang", func(ctx context.Context, _ struct{}) (any, error) {
		if _, err := r.redis.Do("HSET", begunKey(r.ns), wildout.Info(ctx).IdempotencyKey, r.name); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	wildout.Add(all, "doze", func(ctx context.Context, in input) (any, error) {
		if _, err := r.redis.Do("HSET", begunKey(r.ns), wildout.Info(ctx).IdempotencyKey, r.name); err != nil {
			return nil, err
		}
		select {
		case <-time.After(doze):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return in.Value, r.effect(ctx)
	})
	return all
}

// pack weighs in a durable sub-step. The second element fails once after that,
// while the first is still under way: it is tried again beside it.
func (r *recorder) pack(ctx context.Context, in input) (any, error) {
	_, err := wildout.Step(ctx, "weigh", func(ctx context.Context) (int, error) { return 1, r.effect(ctx) })
	if err != nil {
		return nil, err
	}
	switch {
	case in.Value == "a":
		time.Sleep(60 * time.Millisecond)
	case in.Value == "b" && wildout.Info(ctx).Attempt == 1:
		return nil, errors.New("not at the first attempt")
	}
	return in.Value, r.effect(ctx)
}

func (r *recorder) compose(ctx context.Context, _ struct{}) (string, error) {
	left, err := wildout.Step(ctx, "left", func(ctx context.Context) (string, error) { return "left", r.effect(ctx) })
	if err != nil {
		return "", err
	}
	right, err := wildout.Step(ctx, "right", func(ctx context.Context) (string, error) { return "right", r.effect(ctx) })
	if err != nil {
		return "", err
	}
	return left + " " + right, r.effect(ctx)
}

// deal is a whole function: it does, sleeps, sends, invokes and waits, one after
// the other and side by side, and fails once in between.
func (r *recorder) deal(ctx context.Context, in input) (any, error) {
	order := map[string]any{"order": in.Value}
	if err := r.once(ctx, "reserve"); err != nil {
		return nil, err
	}
	if err := wildout.Sleep(ctx, "nap", 50*time.Millisecond); err != nil {
		return nil, err
	}
	if wildout.Info(ctx).Attempt == 1 {
		return nil, errors.New("not at the first attempt")
	}
	if _, err := wildout.SendEvent(ctx, "tell", wildout.Event{Type: "order/told", Data: order}); err != nil {
		return nil, err
	}
	shipped := ""
	by := ""
	err := wildout.Parallel(ctx,
		func(ctx context.Context) (err error) {
			if shipped, err = wildout.Invoke[string](ctx, "ship", "shipping", order); err != nil {
				return err
			}
			return r.once(ctx, "label")
		},
		func(ctx context.Context) error {
			paid, err := wildout.WaitForEvent[struct{ By string }](ctx, "paid", wildout.WaitOptions{Event: "order/paid", Match: "data.order", Timeout: time.Minute})
			if paid != nil {
				by = paid.Data.By
			}
			return err
		},
		func(ctx context.Context) error { return r.once(ctx, "meanwhile") },
	)
	if err != nil {
		return nil, err
	}
	if err := r.once(ctx, "close"); err != nil {
		return nil, err
	}
	return map[string]string{"ship": shipped, "paid": by}, r.effect(ctx)
}

// recant waits for a run that ends when this one is cancelled.
func (r *recorder) recant(ctx context.Context, _ struct{}) (any, error) {
	if err := r.once(ctx, "begin"); err != nil {
		return nil, err
	}
	if _, err := wildout.Invoke[any](ctx, "send", "parcel", nil); err != nil {
		return nil, err
	}
	return nil, r.once(ctx, "never")
}

// once has an effect in a durable sub-step.
func (r *recorder) once(ctx context.Context, name string) error {
	_, err := wildout.Step(ctx, name, func(ctx context.Context) (int, error) { return 1, r.effect(ctx) })
	return err
}

// exclusive notes when another run of this process has the same key at the
// same time. A lock of another process is one of a runner that is dead.
func (r *recorder) exclusive(ctx context.Context, in input) (any, error) {
	lock := lockKey(r.ns, fmt.Sprint(in.Value))
	holder, err := r.redis.Do("GETSET", lock, r.name)
	if err != nil {
		return nil, err
	}
	if holder == r.name {
		if _, err := r.redis.Do("INCR", overlapsKey(r.ns)); err != nil {
			return nil, err
		}
	}
	time.Sleep(30 * time.Millisecond)
	if err := r.effect(ctx); err != nil {
		return nil, err
	}
	_, err = r.redis.Do("DEL", lock)
	return in.Value, err
}
