package store

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Traffic counts what a Conn sent.
type Traffic struct {
	// Commands is the number of commands; a script is one.
	Commands int64
	// RoundTrips is the number of writes that waited for an answer; a pipeline
	// is one.
	RoundTrips int64
	// Errors counts the round trips that failed, by kind; every kind is there.
	Errors map[ErrorKind]int64
}

// ErrorKind says in one word why a round trip failed.
type ErrorKind string

// The kinds of errors. What Redis answers in the ordinary course of things,
// such as that a group is there already, is none.
const (
	ErrorNetwork ErrorKind = "network" // Redis could not be reached, or the connection broke
	ErrorTimeout ErrorKind = "timeout" // Redis did not answer in time
	ErrorRefused ErrorKind = "refused" // Redis is full, loading, a replica, cannot save: it may take the command later
	ErrorDenied  ErrorKind = "denied"  // the user or the password is wrong, or may not do this
	ErrorAnswer  ErrorKind = "answer"  // any other error that Redis answered
)

// errorKinds has the place of each kind in trafficHook.errors.
var errorKinds = [...]ErrorKind{ErrorNetwork, ErrorTimeout, ErrorRefused, ErrorDenied, ErrorAnswer}

// trafficHook counts what the clients of a Conn send.
type trafficHook struct {
	commands, roundTrips atomic.Int64
	errors               [len(errorKinds)]atomic.Int64
}

// Traffic returns what was sent since Open, by readers too.
func (c *Conn) Traffic() Traffic {
	t := Traffic{Commands: c.traffic.commands.Load(), RoundTrips: c.traffic.roundTrips.Load(), Errors: map[ErrorKind]int64{}}
	for i, kind := range errorKinds {
		t.Errors[kind] = c.traffic.errors[i].Load()
	}
	return t
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
		err := next(ctx, cmd)
		h.count(err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h *trafficHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.commands.Add(int64(len(cmds)))
		h.roundTrips.Add(1)
		err := next(ctx, cmds)
		h.count(err) // the first one
		return err
	}
}

func (h *trafficHook) count(err error) {
	kind := traits[FaultOf(err)].counted
	for i := range errorKinds {
		if errorKinds[i] == kind {
			h.errors[i].Add(1)
		}
	}
}
