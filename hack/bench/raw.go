package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/runtime/event"
)

// The shape of the raw loop.
const (
	// rawInFlight is how many runs it has begun at most.
	rawInFlight = 512
	// rawFlushers is how many group commits may be under way: while one waits
	// for Redis, the other gathers.
	rawFlushers = 2
	// rawBatch is how many steps one group commit takes at most, so that all
	// that is in flight does not go round in one lump with one flusher idle.
	rawBatch = 128
	// rawBlock is how long a read waits for events, and so how long a stop may
	// take.
	rawBlock = 250 * time.Millisecond
	// rawKeep is how many finished runs the history keeps.
	rawKeep = 10_000
	// rawPublishBatch is how many events one pipeline publishes.
	rawPublishBatch = 500
)

// The keys of the raw loop, of the length that wildout's keys have.
const (
	rawEvents  = "wo:{bench.0}:ev:" + eventType
	rawHistory = "wo:{bench.0}:fn:bench:done"
	rawJournal = "wo:{bench.0}:fn:bench:run:"
	rawGroup   = "bench"
)

//go:embed raw_finish.lua
var rawFinishScript string

// rawSystem is the yardstick: go-redis and the commands of a happy path, no
// plan, no expressions, no retries, no timers, no recovery, no metrics.
type rawSystem struct{}

func (rawSystem) Name() string { return "raw" }

func (rawSystem) Setup(ctx context.Context, e *env) (instance, error) {
	if e.Sleep {
		return nil, errNotOffered
	}
	l := &rawLoop{
		env: e, rdb: e.newClient(),
		commits: newRawQueue(),
		freed:   make(chan int, rawInFlight),
	}
	var err error
	if l.finishSHA, err = l.rdb.ScriptLoad(ctx, rawFinishScript).Result(); err != nil {
		return nil, errors.Join(fmt.Errorf("load the finish script: %w", err), l.Close())
	}
	if err := l.rdb.XGroupCreateMkStream(ctx, rawEvents, rawGroup, "0").Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("create the consumer group: %w", err), l.Close())
	}
	return l, nil
}

// rawLoop is one worker. The reader owns the count of free slots; a run
// belongs to whoever took it from the queue.
type rawLoop struct {
	*env
	rdb       *redis.Client
	finishSHA string
	commits   *rawQueue
	freed     chan int // slots of finished runs, from the flushers to the reader
}

// rawRun is a run in flight: a step was run, its output waits to be durable.
type rawRun struct {
	id, entry string
	step      int
	output    []byte
}

func (l *rawLoop) Publish(ctx context.Context, events []benchEvent) error {
	for len(events) > 0 {
		n := min(len(events), rawPublishBatch)
		pipe := l.rdb.Pipeline()
		for i := range events[:n] {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: rawEvents, Values: events[i].Fields()})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("publish %d events: %w", n, err)
		}
		events = events[n:]
	}
	return nil
}

func (l *rawLoop) Work(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.read(gctx) })
	for range rawFlushers {
		g.Go(func() error { return l.flush(gctx) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// read fills free slots with new runs. It never reads more than it has slots.
func (l *rawLoop) read(ctx context.Context) error {
	args := &redis.XReadGroupArgs{
		Group: rawGroup, Consumer: "c1", Streams: []string{rawEvents, ">"}, Block: rawBlock,
	}
	for free := rawInFlight; ; {
		for free == 0 || len(l.freed) > 0 {
			select {
			case n := <-l.freed:
				free += n
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		args.Count = int64(free)
		streams, err := l.rdb.XReadGroup(ctx, args).Result()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, redis.Nil): // nothing within rawBlock
			continue
		case err != nil:
			return fmt.Errorf("read events: %w", err)
		}
		messages := streams[0].Messages
		free -= len(messages)
		if err := l.begin(messages); err != nil {
			return err
		}
	}
}

// begin runs the first step of each new run.
func (l *rawLoop) begin(messages []redis.XMessage) error {
	runs := make([]rawRun, len(messages))
	refs := make([]*rawRun, len(messages))
	for i, m := range messages {
		id, ok := m.Values[event.FieldID].(string)
		if !ok {
			return fmt.Errorf("event %s has no id", m.ID)
		}
		runs[i] = rawRun{id: id, entry: m.ID}
		runs[i].perform()
		refs[i] = &runs[i]
	}
	l.commits.put(refs)
	return nil
}

// perform runs the handler of the run's step.
func (r *rawRun) perform() {
	r.output = handle(r.step, r.id).appendJSON(make([]byte, 0, 64))
}

func (l *rawLoop) Close() error { return l.rdb.Close() }

// Trim drops the events whose runs are finished, which is all of them.
func (l *rawLoop) Trim(ctx context.Context) error {
	return l.rdb.XTrimMaxLen(ctx, rawEvents, 0).Err()
}
