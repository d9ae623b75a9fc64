package runs

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Finish is how a run ends.
type Finish struct {
	Ref *Ref
	// Record is the history entry. With Count it is not recorded but counted
	// under that name.
	Record []byte
	Count  string
	Failed bool
	// Cancelled says that the run ends since that was asked for, Rejected that
	// there is no run. Any other end of a run that is to be cancelled is refused.
	Cancelled, Rejected bool
	// Reason and Children are those of a cancelled run: what it has invoked and
	// still waits for is cancelled with it.
	Reason   string
	Children []run.Child
	// Result is what the parent's step gets, in journal form.
	Result []byte
	// OnceKey is the idempotency key that the run holds; Outcome is told to
	// runs that meet it later. Without an outcome the key is free again.
	OnceKey string
	Outcome []byte
	Waits   []run.Wait
	// Queues are those of slots, and Planned the throttle, in whose lines the
	// run may stand.
	Queues  []Slots
	Planned *Rate
}

type finishOp struct {
	Finish
	index   int
	counted bool
	asked   *run.CancelRequest
}

// read takes the answer for this run from the answer of its batch.
func (f *finishOp) read(cmd redis.Cmder) {
	all, _ := cmd.(*redis.Cmd).Val().([]any)
	if f.index >= len(all) {
		return
	}
	if text, refused := all[f.index].(string); refused {
		f.asked = run.ParseCancelRequest(text)
		return
	}
	f.counted = all[f.index] == int64(1)
}

// Finish ends a run. False means that it was ended, or parked, by somebody
// else before, and nothing was written. The error is a *run.CancelRequest when the
// run must be cancelled instead.
func (c *Committer) Finish(ctx context.Context, f Finish) (bool, error) {
	op := &operation{finish: &finishOp{Finish: f}}
	if err := c.do(ctx, op); err != nil {
		return false, fmt.Errorf("finish run %s: %w", f.Ref.RunID, err)
	}
	if op.finish.asked != nil {
		return false, op.finish.asked
	}
	if !op.finish.counted {
		return false, c.Sweep(ctx, f.Ref.Stream, f.Ref.Entry, f.Ref.RunID)
	}
	return true, nil
}

// queueFinish adds one script call that ends all these runs.
func (c *Committer) queueFinish(p redis.Pipeliner, ops []*operation) redis.Cmder {
	k := c.store.keys
	keys := append(make([]string, 0, 5+2*len(ops)), c.ends...)
	args := make([]any, 4, 4+4*len(ops))
	args[0], args[1], args[2], args[3] = c.function, c.limits.Done, c.limits.Dead, len(ops)
	for _, op := range ops {
		f := &op.finish.Finish
		flags, record := finishFlags(f), f.Record
		if f.Count != "" {
			record = []byte(f.Count)
		}
		keys = append(keys, f.Ref.Stream, c.runs+f.Ref.RunID)
		args = append(args, flags, f.Ref.Entry, f.Ref.RunID, record)
		if f.Ref.Parked {
			args = append(args, f.Ref.Version)
		}
		if p := f.Ref.Parent; p != nil {
			keys = append(keys, k.Run(p.Function, p.RunID), k.Inbox(p.Function))
			args = append(args, p.RunID, p.Path, f.Result)
		}
		if f.OnceKey != "" {
			keys = append(keys, k.Idempotency(c.function, f.OnceKey), k.Followers(c.function, f.OnceKey), k.Inbox(c.function))
			args = append(args, f.Outcome)
		}
		if len(f.Waits) > 0 {
			args = append(args, len(f.Waits))
		}
		for _, w := range f.Waits {
			keys = append(keys, k.Wait(c.function, w.EventType, w.Match, w.Value))
			args = append(args, w.Member(f.Ref.RunID))
		}
		if len(f.Children) > 0 {
			args = append(args, "the run that invoked it was "+run.CancelText(f.Reason), len(f.Children))
		}
		for _, child := range f.Children {
			keys = append(keys, k.Cancels(child.Function), k.Run(child.Function, child.RunID), k.Timers(child.Function), k.Inbox(child.Function))
			args = append(args, child.Path, child.RunID)
		}
		if len(f.Queues) > 0 {
			args = append(args, len(f.Queues))
		}
		for _, q := range f.Queues {
			keys = append(keys, k.Queue(c.function, q.Limit, q.Value))
		}
		if f.Planned != nil {
			keys = append(keys, k.Planned(c.function, f.Planned.Value))
		}
	}
	return scripts.Queue(context.Background(), p, "finish", keys, args...)
}

func finishFlags(f *Finish) string {
	flags := ""
	if f.Failed {
		flags += "f"
	}
	if f.Cancelled {
		flags += "c"
	}
	if f.Rejected {
		flags += "r"
	}
	if f.Count != "" {
		flags += "s"
	}
	if f.Ref.Inbox {
		flags += "i"
	}
	if f.Ref.Parked {
		flags += "v"
	}
	if f.Ref.Parent != nil {
		flags += "p"
	}
	if f.OnceKey != "" {
		flags += "o"
	}
	if len(f.Waits) > 0 {
		flags += "w"
	}
	if len(f.Children) > 0 {
		flags += "k"
	}
	if len(f.Queues) > 0 {
		flags += "q"
	}
	if f.Planned != nil {
		flags += "t"
	}
	return flags
}

// Sweep drops the journal that a zombie wrote into after the run had ended:
// nobody has the entry any more, and the run is not parked.
func (c *Committer) Sweep(ctx context.Context, stream, entry, runID string) error {
	pending, err := c.store.rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: c.function, Start: entry, End: entry, Count: 1}).Result()
	if err != nil || len(pending) > 0 {
		return store.Explain(err)
	}
	key := c.runs + runID
	parked, err := c.store.rdb.HExists(ctx, key, run.IdentityField).Result()
	if err != nil || parked {
		return store.Explain(err)
	}
	return store.Explain(c.store.rdb.Unlink(ctx, key).Err())
}

// Ack acknowledges an entry that starts nothing.
func (c *Committer) Ack(ctx context.Context, stream, entry string) error {
	op := &operation{queue: func(p redis.Pipeliner) redis.Cmder {
		return p.XAck(context.Background(), stream, c.function, entry)
	}}
	if err := c.do(ctx, op); err != nil {
		return fmt.Errorf("acknowledge entry %s of %s: %w", entry, stream, err)
	}
	return nil
}
