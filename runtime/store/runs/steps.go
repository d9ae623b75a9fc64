package runs

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// CommitResult fixes the result of a step and returns the one that holds; nil
// means value.
func (c *Committer) CommitResult(ctx context.Context, runID, path string, value []byte) ([]byte, error) {
	key := c.runs + runID
	op := &operation{
		queue: func(p redis.Pipeliner) redis.Cmder { return p.HSetNX(context.Background(), key, path, value) },
		full: func(p redis.Pipeliner) redis.Cmder {
			return scripts.Queue(context.Background(), p, "commit", []string{key}, path, value)
		},
	}
	if err := c.do(ctx, op); err != nil {
		return nil, fmt.Errorf("commit step %s of run %s: %w", path, runID, err)
	}
	if isNew(op.cmd) {
		return nil, nil
	}
	// Another execution was first, or this is the echo of a flush whose answer
	// was lost: what is stored counts.
	op = &operation{queue: func(p redis.Pipeliner) redis.Cmder { return p.HGet(context.Background(), key, path) }}
	if err := c.do(ctx, op); err != nil {
		return nil, fmt.Errorf("read step %s of run %s: %w", path, runID, err)
	}
	held, err := op.cmd.(*redis.StringCmd).Bytes()
	if err != nil {
		return nil, fmt.Errorf("run %s ended elsewhere: %w", runID, ErrFenced)
	}
	return held, nil
}

// isNew reports whether a commit set the result: the answer of HSETNX.
func isNew(cmd redis.Cmder) bool {
	switch cmd := cmd.(type) {
	case *redis.BoolCmd:
		return cmd.Val()
	case *redis.Cmd:
		return cmd.Val() == int64(1)
	}
	return false
}

// script queues a script call and returns its command when it is durable.
func (c *Committer) script(ctx context.Context, name string, keys []string, args ...any) (*redis.Cmd, error) {
	op := &operation{queue: func(p redis.Pipeliner) redis.Cmder {
		return scripts.Queue(context.Background(), p, name, keys, args...)
	}}
	err := c.do(ctx, op)
	if store.FaultOf(err) == store.Fenced {
		err = ErrFenced
	}
	cmd, _ := op.cmd.(*redis.Cmd)
	return cmd, err
}

// Emit fixes the result of a step and, if it is new, publishes events in the
// same write. It returns the result that holds; nil means value.
func (c *Committer) Emit(ctx context.Context, ref *Ref, path string, value []byte, events []event.Event, dedupe []bool) ([]byte, error) {
	k := c.store.keys
	keys := []string{k.Run(c.function, ref.RunID), ref.Stream}
	args := []any{path, value, store.EventIDTTL.Milliseconds(), len(events), c.function, ref.Entry, ref.Runner}
	for i := range events {
		keys = append(keys, k.Stream(events[i].Type), k.EventID(events[i].Type, events[i].ID))
		fields := events[i].Fields()
		args = append(args, store.Flag(dedupe[i]), len(fields))
		args = append(args, fields...)
	}
	cmd, err := c.script(ctx, "emit", keys, args...)
	if err != nil {
		return nil, fmt.Errorf("send events of step %s of run %s: %w", path, ref.RunID, err)
	}
	held, err := cmd.Text()
	if store.FaultOf(err) == store.Absent {
		return nil, nil
	}
	return []byte(held), err
}

// Invoke starts a child run in another function, once. False: there is no such
// function.
func (c *Committer) Invoke(ctx context.Context, ref *Ref, path string, progress []byte, function, childID string, eventJSON, parent []byte) (bool, error) {
	k := c.store.keys
	cmd, err := c.script(ctx, "invoke", []string{k.Run(c.function, ref.RunID), k.Inbox(function), ref.Stream},
		run.ProgressField(path), progress, childID, eventJSON, parent, c.function, ref.Entry, ref.Runner)
	if err != nil {
		return false, fmt.Errorf("invoke %s in step %s of run %s: %w", function, path, ref.RunID, err)
	}
	n, err := cmd.Int()
	return n == 1, err
}
