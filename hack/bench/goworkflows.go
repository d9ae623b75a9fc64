package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/history"
	backendredis "github.com/cschleiden/go-workflows/backend/redis"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/core"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// How go-workflows is run here: the settings that were fastest on two cores.
const (
	goWorkflowsPollers    = 16
	goWorkflowsParallel   = 32
	goWorkflowsPublishers = 16
	// goWorkflowsCache holds every open run of a backlog: with its default of
	// 128 most steps would read and replay their history.
	goWorkflowsCache = 16_384
	// goWorkflowsBlock bounds a wait for work, and so how long a stop takes.
	goWorkflowsBlock = 500 * time.Millisecond
)

// goWorkflowsSystem runs a step as an activity whose result is in the
// history, with the Redis backend: the durable peer.
type goWorkflowsSystem struct{}

func (goWorkflowsSystem) Name() string { return "go-workflows" }

func (goWorkflowsSystem) Setup(ctx context.Context, e *env) (instance, error) {
	rdb := e.newClient()
	inner, err := backendredis.NewRedisBackend(rdb,
		backendredis.WithBlockTimeout(goWorkflowsBlock),
		backendredis.WithBackendOptions(backend.WithLogger(slog.New(slog.DiscardHandler))),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the Redis backend: %w", err), rdb.Close())
	}
	b := &finishingBackend{Backend: inner, env: e}
	if err := b.PrepareWorkflowQueues(ctx, []workflow.Queue{workflow.QueueDefault, core.QueueSystem}); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return &goWorkflowsInstance{env: e, rdb: rdb, backend: b, client: client.New(b)}, nil
}

// finishingBackend tells the board of a workflow when Redis has its end, or
// its timer when it is to sleep.
type finishingBackend struct {
	backend.Backend
	env *env
}

func (b *finishingBackend) CompleteWorkflowTask(
	ctx context.Context, task *backend.WorkflowTask, state core.WorkflowInstanceState,
	executed, activities, timers []*history.Event, workflows []*history.WorkflowEvent,
) error {
	err := b.Backend.CompleteWorkflowTask(ctx, task, state, executed, activities, timers, workflows)
	if err != nil {
		return err
	}
	if state == core.WorkflowInstanceStateFinished || b.env.Sleep && len(timers) > 0 {
		return b.env.board.finishedID(task.WorkflowInstance.InstanceID)
	}
	return nil
}

type goWorkflowsInstance struct {
	*env
	rdb     *redis.Client
	backend backend.Backend
	client  *client.Client
}

func (w *goWorkflowsInstance) Publish(ctx context.Context, events []benchEvent) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(goWorkflowsPublishers)
	for i := range events {
		e := &events[i]
		g.Go(func() error {
			_, err := w.client.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: e.ID}, w.workflow, e.ID, string(e.Data))
			return err
		})
	}
	return g.Wait()
}

// workflow runs the activities one after the other.
func (w *goWorkflowsInstance) workflow(ctx workflow.Context, id, _ string) (output stepOutput, err error) {
	for step := range w.Steps {
		if w.Sleep && step == 1 {
			if err := workflow.Sleep(ctx, time.Hour); err != nil {
				return output, err
			}
		}
		output, err = workflow.ExecuteActivity[stepOutput](ctx, workflow.DefaultActivityOptions, w.activity, step, id).Get(ctx)
		if err != nil {
			return output, err
		}
	}
	return output, nil
}

func (w *goWorkflowsInstance) activity(_ context.Context, step int, id string) (stepOutput, error) {
	return handle(step, id), nil
}

func (w *goWorkflowsInstance) Work(ctx context.Context) error {
	opts := worker.DefaultOptions
	opts.WorkflowPollers, opts.ActivityPollers = goWorkflowsPollers, goWorkflowsPollers
	opts.MaxParallelWorkflowTasks, opts.MaxParallelActivityTasks = goWorkflowsParallel, goWorkflowsParallel
	opts.WorkflowPollingInterval, opts.ActivityPollingInterval = 0, 0 // its reads block
	opts.WorkflowExecutorCacheSize = goWorkflowsCache
	wk := worker.New(w.backend, &opts)
	if err := errors.Join(wk.RegisterWorkflow(w.workflow), wk.RegisterActivity(w.activity)); err != nil {
		return fmt.Errorf("register with go-workflows: %w", err)
	}
	if err := wk.Start(ctx); err != nil {
		return fmt.Errorf("start the go-workflows worker: %w", err)
	}
	<-ctx.Done()
	return wk.WaitForCompletion()
}

func (w *goWorkflowsInstance) Close() error { return w.rdb.Close() }
