package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/internal/scenarios"
	"github.com/wildout/wildout/internal/standard"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// runnerConfig is what a runner process is told.
type runnerConfig struct {
	Name      string
	Redis     string
	Namespace string
	Database  string
	SMTP      string
	Env       map[string]string
	Changes   scenarios.Changes
}

// lease is short, so that a dead runner is noticed soon, and long enough for
// two busy cores.
const lease = 2 * time.Second

// runner is a runner process: the standard handlers and a worker for each of
// the functions.
func runner(ctx context.Context, config []byte, begin <-chan struct{}) error {
	var c runnerConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	// Lines of runs that went well would push those that matter out of the log.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	redis, err := store.Open(store.Options{URL: c.Redis, Namespace: c.Namespace, Logger: log})
	if err != nil {
		return err
	}
	defer redis.Close()
	set, err := standard.New(ctx, standard.Options{
		DatabaseURL: c.Database, SMTPURL: c.SMTP, From: scenarios.Sender, AllowPrivate: true,
		Fallback: redis.Fallback(scenarios.FallbackName), CheckRedis: redis.Ping, Logger: log, Stderr: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer set.Close()
	workers, err := newWorkers(c, redis, set, log)
	if err != nil {
		return err
	}
	select {
	case <-begin:
	case <-ctx.Done():
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return set.Run(ctx) })
	for _, w := range workers {
		group.Go(func() error { return w.Run(ctx) })
	}
	return group.Wait()
}

func newWorkers(c runnerConfig, redis *store.Conn, set *standard.Set, log *slog.Logger) ([]*worker.Worker, error) {
	specs, err := manifests(c.Changes)
	if err != nil {
		return nil, err
	}
	known := func(name string) bool { _, ok := set.Registry.Lookup(name); return ok }
	var all []*worker.Worker
	for name, spec := range specs {
		p, err := plan.Compile(name, spec, plan.Options{KnownHandler: known})
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", name, err)
		}
		w, err := worker.New(worker.Options{Store: worker.OnRedis(runs.New(redis)), Plan: p, Handlers: set.Registry, Env: c.Env, Name: c.Name,
			Created: time.Unix(1, 0), // its events may come before a runner does
			Lease:   lease, Grace: 2 * time.Second, Logger: log})
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}
