package dev

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// keeper keeps a child process alive: one that ends by itself is started again,
// where it was and with the data that it has, and both are told.
type keeper struct {
	start func() (*child, error) // returns when it listens
	log   *slog.Logger
	where string // its log

	mu      sync.Mutex
	child   *child
	stopped bool
	ended   chan struct{} // closed when nobody starts it any more
}

// The pauses between attempts to start it.
const (
	firstRestart = 200 * time.Millisecond
	lastRestart  = 10 * time.Second
)

// keep looks after a child that runs.
func keep(c *child, start func() (*child, error), log *slog.Logger, where string) *keeper {
	k := &keeper{start: start, log: log, where: where, child: c, ended: make(chan struct{})}
	go k.watch(c)
	return k
}

func (k *keeper) watch(c *child) {
	defer close(k.ended)
	for c != nil {
		<-c.done
		if k.isStopped() {
			return
		}
		k.log.Error("redis-server has ended by itself; it is started again with its data, and runs go on then", "log", k.where)
		c = k.again()
	}
}

// again starts the child until it runs; nil: it is not to run any more.
func (k *keeper) again() *child {
	for pause := firstRestart; ; pause = min(2*pause, lastRestart) {
		if k.isStopped() {
			return nil
		}
		c, err := k.start()
		if err == nil && k.take(c) {
			k.log.Info("redis-server runs again")
			return c
		}
		if err == nil {
			return nil
		}
		k.log.Error("redis-server does not start again; trying on. End this, look at its log, or use --embedded-redis", "error", err, "log", k.where)
		time.Sleep(pause)
	}
}

// take makes a child the one that is stopped at the end; false: that is over, and
// the child with it.
func (k *keeper) take(c *child) bool {
	k.mu.Lock()
	stopped := k.stopped
	if !stopped {
		k.child = c
	}
	k.mu.Unlock()
	if stopped {
		c.stop()
	}
	return !stopped
}

func (k *keeper) isStopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped
}

// stop ends the child, and nobody starts it again.
func (k *keeper) stop() {
	k.mu.Lock()
	k.stopped = true
	c := k.child
	k.mu.Unlock()
	c.stop()
	select {
	case <-k.ended:
	case <-time.After(lastRestart): // it sleeps, or starts one and ends it
	}
}

// listening starts a child and waits until it listens at an address.
func listening(ctx context.Context, start func() (*child, error), addr string) (*child, error) {
	c, err := start()
	if err != nil {
		return nil, err
	}
	if err := c.awaitPort(ctx, addr); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}
