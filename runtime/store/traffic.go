package store

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Traffic counts what a Store sent.
type Traffic struct {
	// Commands is the number of commands; a script is one.
	Commands int64
	// RoundTrips is the number of writes that waited for an answer; a pipeline
	// is one.
	RoundTrips int64
}

// trafficHook counts what the clients of a Store send.
type trafficHook struct{ commands, roundTrips atomic.Int64 }

// Traffic returns what was sent since Open, by readers too.
func (s *Store) Traffic() Traffic {
	return Traffic{Commands: s.traffic.commands.Load(), RoundTrips: s.traffic.roundTrips.Load()}
}

// DialHook implements redis.Hook.
func (h *trafficHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (h *trafficHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.commands.Add(1)
		h.roundTrips.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h *trafficHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.commands.Add(int64(len(cmds)))
		h.roundTrips.Add(1)
		return next(ctx, cmds)
	}
}
