package main

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// newClient returns a client whose commands are counted in e.sent.
func (e *env) newClient() *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: e.Addr, PoolSize: 64, DisableIdentity: true})
	rdb.AddHook(e.sent)
	return rdb
}

// sentCounter is a go-redis hook that counts the commands a client sends: a
// script is one, whatever it does, and so is each command of a pipeline. The
// server's own statistics cannot tell these from the commands inside scripts.
type sentCounter struct {
	commands atomic.Int64
	// others counts the commands of clients that newClient did not make; may
	// be nil.
	others atomic.Pointer[func() int64]
}

func (c *sentCounter) total() int64 {
	n := c.commands.Load()
	if others := c.others.Load(); others != nil {
		n += (*others)()
	}
	return n
}

var _ redis.Hook = (*sentCounter)(nil)

func (c *sentCounter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *sentCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.commands.Add(1)
		return next(ctx, cmd)
	}
}

func (c *sentCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.commands.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}
