package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// How asynq is run here. On two cores, concurrencies from 8 to 200 differ by
// less than one round from the next.
const (
	asynqConcurrency = 64
	// asynqPoll is how long it sleeps when a queue is empty. Its default of a
	// second would be most of the latency at a light load.
	asynqPoll = time.Millisecond
	// asynqPublishers is how many goroutines enqueue; it has no batches.
	asynqPublishers = 16
	asynqRetention  = 24 * time.Hour
)

// asynqSystem runs a step as a task that enqueues the next one. It keeps no
// results between them: a task that is retried may enqueue its successor twice
// but for the task id.
type asynqSystem struct{}

func (asynqSystem) Name() string { return "asynq" }

func (asynqSystem) Setup(_ context.Context, e *env) (instance, error) {
	rdb := e.newClient()
	done := e.newClient()
	done.AddHook(&asynqFinish{env: e})
	return &asynqInstance{env: e, rdb: rdb, serverRDB: done, client: asynq.NewClientFromRedisClient(rdb)}, nil
}

type asynqInstance struct {
	*env
	rdb, serverRDB *redis.Client
	client         *asynq.Client
}

func (a *asynqInstance) Publish(ctx context.Context, events []benchEvent) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asynqPublishers)
	for i := range events {
		e := &events[i]
		g.Go(func() error { return a.enqueue(ctx, 0, e.ID, e.Data) })
	}
	return g.Wait()
}

func (a *asynqInstance) enqueue(ctx context.Context, step int, id string, data []byte) error {
	opts := []asynq.Option{asynq.TaskID(asynqTaskID(id, step))}
	if a.KeepHistory && step == a.Steps-1 {
		opts = append(opts, asynq.Retention(asynqRetention))
	}
	if a.Sleep && step == 1 {
		opts = append(opts, asynq.ProcessIn(time.Hour))
	}
	if _, err := a.client.EnqueueContext(ctx, asynq.NewTask(stepNames[step], data), opts...); err != nil {
		return fmt.Errorf("enqueue step %s of %s: %w", stepNames[step], id, err)
	}
	return nil
}

func asynqTaskID(id string, step int) string { return id + "." + stepNames[step] }

func (a *asynqInstance) Work(ctx context.Context) error {
	mux := asynq.NewServeMux()
	for step := range a.Steps {
		mux.HandleFunc(stepNames[step], func(ctx context.Context, t *asynq.Task) error { return a.perform(ctx, step, t) })
	}
	srv := asynq.NewServerFromRedisClient(a.serverRDB, asynq.Config{
		Concurrency: asynqConcurrency, TaskCheckInterval: asynqPoll, LogLevel: asynq.FatalLevel,
	})
	if err := srv.Start(mux); err != nil {
		return fmt.Errorf("start the asynq server: %w", err)
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

func (a *asynqInstance) perform(ctx context.Context, step int, t *asynq.Task) error {
	taskID, ok := asynq.GetTaskID(ctx)
	if !ok {
		return errors.New("asynq gave a task without an id")
	}
	id, _, _ := strings.Cut(taskID, ".")
	output, err := json.Marshal(handle(step, id))
	if err != nil {
		return err
	}
	if step < a.Steps-1 {
		return a.enqueue(ctx, step+1, id, t.Payload())
	}
	if a.KeepHistory {
		_, err = t.ResultWriter().Write(output)
	}
	return err
}

func (a *asynqInstance) Close() error { return errors.Join(a.rdb.Close(), a.serverRDB.Close()) }

// asynqFinish is a hook that sees the scripts with which asynq ends a task:
// they name the task's key, which no other script of its server does.
type asynqFinish struct {
	sentCounter // for its DialHook and ProcessPipelineHook, not for its count
	env         *env
}

const asynqTaskKey = "asynq:{default}:t:"

func (f *asynqFinish) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		// A script the server does not know yet is sent again as EVAL.
		if name := cmd.Name(); err == nil && (name == "evalsha" || name == "eval") {
			return f.note(cmd.Args())
		}
		return err
	}
}

// note tells the board when the last task of a run (the first, when the run
// then sleeps) was ended.
func (f *asynqFinish) note(args []any) error {
	last := f.env.Steps - 1
	if f.env.Sleep {
		last = 0
	}
	for _, arg := range args {
		key, ok := arg.(string)
		if !ok {
			continue
		}
		task, ok := strings.CutPrefix(key, asynqTaskKey)
		if !ok {
			continue
		}
		if id, step, _ := strings.Cut(task, "."); step == stepNames[last] {
			return f.env.board.finishedID(id)
		}
	}
	return nil
}
