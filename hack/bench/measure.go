package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// A drain is what it cost a system to work off a backlog.
type drain struct {
	RunsPerSecond float64 `json:"runsPerSecond"`
	// RatioToRaw is RunsPerSecond over that of raw in the same round; 0 when
	// raw was not measured.
	RatioToRaw float64 `json:"ratioToRaw,omitempty"`
	// SentPerRun counts what clients from newClient sent; a script is one. 0
	// when the system makes its own.
	SentPerRun float64 `json:"commandsSentPerRun,omitempty"`
	// ExecutedPerRun counts what the server did, commands in scripts too.
	ExecutedPerRun float64            `json:"commandsExecutedPerRun"`
	Executed       map[string]float64 `json:"executedByCommand"`
	// CPU seconds for 1,000 runs.
	ServerCPU float64 `json:"serverCPUSecondsPer1000Runs"`
	WorkerCPU float64 `json:"workerCPUSecondsPer1000Runs"`
}

// A light is the latency at a light load, in milliseconds.
type light struct {
	P50 float64 `json:"p50Milliseconds"`
	P99 float64 `json:"p99Milliseconds"`
}

// A memory is what a run costs in Redis, in bytes; nil where a system has
// no such thing.
type memory struct {
	// PendingOverPayload is a published event that nobody has read, less the
	// bytes of its id and data.
	PendingOverPayload *float64 `json:"pendingEventOverPayload"`
	// Sleeping is a run that sleeps after its first step, its event included.
	Sleeping *float64 `json:"sleepingRun"`
	// Finished is a run of three steps that the system remembers.
	Finished *float64 `json:"finishedRun"`
}

// trial is one instance on an emptied server, between open and close.
type trial struct {
	instance
	env  *env
	stop context.CancelFunc
	done chan error // Work's, once
}

// open empties the server and sets up an instance for that many runs.
func open(ctx context.Context, srv *server, sys system, w work, runs int) (*trial, error) {
	if err := srv.Empty(ctx); err != nil {
		return nil, err
	}
	e := &env{work: w, Addr: srv.Addr, board: newBoard(runs), sent: &sentCounter{}}
	inst, err := sys.Setup(ctx, e)
	if err != nil {
		return nil, err
	}
	return &trial{instance: inst, env: e}, nil
}

// start starts Work.
func (t *trial) start(ctx context.Context) {
	ctx, t.stop = context.WithCancel(ctx)
	t.done = make(chan error, 1)
	go func() { t.done <- t.Work(ctx) }()
}

// wait returns when all runs are finished, or Work has failed.
func (t *trial) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	waited := make(chan struct{})
	defer close(waited)
	go func() {
		select {
		case err := <-t.done:
			t.done <- err
			cancel(fmt.Errorf("its worker ended early: %w", err))
		case <-waited:
		}
	}()
	return t.env.board.wait(ctx)
}

// close stops Work, if it was started, and closes the instance. A run that was
// reported finished twice is an error: the figures would count too little work.
func (t *trial) close() error {
	var err error
	if t.stop != nil {
		t.stop()
		err = <-t.done
	}
	if n := t.env.board.repeated.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d times a run was reported finished that was finished already", n))
	}
	return errors.Join(err, t.Close())
}

// measureDrain publishes all events first and then times the worker alone, so
// that the producer's CPU is nobody's.
func measureDrain(ctx context.Context, srv *server, sys system, steps, runs int) (d drain, err error) {
	t, err := open(ctx, srv, sys, work{Steps: steps}, runs)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.Publish(ctx, makeEvents(runs)); err != nil {
		return d, err
	}
	runtime.GC() // the producer's garbage is not the worker's
	before, err := srv.take(ctx, t.env.sent)
	if err != nil {
		return d, err
	}
	t.start(ctx)
	if err := t.wait(ctx); err != nil {
		return d, err
	}
	after, err := srv.take(ctx, t.env.sent)
	if err != nil {
		return d, err
	}
	return newDrain(before, after, runs), nil
}

func newDrain(before, after account, runs int) drain {
	n := float64(runs)
	d := drain{
		RunsPerSecond: n / after.at.Sub(before.at).Seconds(),
		SentPerRun:    float64(after.sent-before.sent) / n,
		Executed:      map[string]float64{},
		ServerCPU:     (after.serverCPU - before.serverCPU).Seconds() / n * 1000,
		WorkerCPU:     (after.workerCPU - before.workerCPU).Seconds() / n * 1000,
	}
	for name, calls := range after.executed {
		if calls -= before.executed[name]; calls > 0 {
			d.Executed[name] = float64(calls) / n
			d.ExecutedPerRun += float64(calls) / n
		}
	}
	return d
}

// measureLight publishes one event after the other at lightRate to a worker
// that has nothing else to do. The first second is not counted.
func measureLight(ctx context.Context, srv *server, sys system, steps int, length time.Duration) (l light, err error) {
	const interval = time.Second / lightRate
	events := makeEvents(lightRate + int(length/interval))
	t, err := open(ctx, srv, sys, work{Steps: steps}, len(events))
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	runtime.GC()
	t.start(ctx)
	due := time.Now()
	for i := range events {
		due = due.Add(interval)
		time.Sleep(time.Until(due))
		t.env.board.published(i)
		if err := t.Publish(ctx, events[i:i+1]); err != nil {
			return l, err
		}
	}
	if err := t.wait(ctx); err != nil {
		return l, err
	}
	latencies := t.env.board.latencies(lightRate)
	return light{P50: milliseconds(percentile(latencies, 50)), P99: milliseconds(percentile(latencies, 99))}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
