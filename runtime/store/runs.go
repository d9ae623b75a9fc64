package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// HistoryLimits bounds the history of a function, in runs.
type HistoryLimits struct{ Done, Dead int64 }

// Ref names a run and the stream entry that owns it.
type Ref = run.Ref

// CommitResult fixes the result of a step and returns the one that holds; nil
// means value.
func (c *Committer) CommitResult(ctx context.Context, runID, path string, value []byte) ([]byte, error) {
	key := c.runs + runID
	op := &operation{queue: func(p redis.Pipeliner) redis.Cmder { return p.HSetNX(context.Background(), key, path, value) }}
	if err := c.do(ctx, op); err != nil {
		return nil, fmt.Errorf("commit step %s of run %s: %w", path, runID, err)
	}
	if op.cmd.(*redis.BoolCmd).Val() {
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

// script queues a script call and returns its command when it is durable.
func (c *Committer) script(ctx context.Context, name string, keys []string, args ...any) (*redis.Cmd, error) {
	sha := c.store.scripts[name].Hash()
	op := &operation{queue: func(p redis.Pipeliner) redis.Cmder { return p.EvalSha(context.Background(), sha, keys, args...) }}
	err := c.do(ctx, op)
	if err != nil && strings.Contains(err.Error(), "FENCED") {
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
	args := []any{path, value, eventIDTTL.Milliseconds(), len(events), c.function, ref.Entry, ref.Runner}
	for i := range events {
		keys = append(keys, k.Stream(events[i].Type), k.EventID(events[i].Type, events[i].ID))
		fields := events[i].Fields()
		args = append(args, flag(dedupe[i]), len(fields))
		args = append(args, fields...)
	}
	cmd, err := c.script(ctx, "emit", keys, args...)
	if err != nil {
		return nil, fmt.Errorf("send events of step %s of run %s: %w", path, ref.RunID, err)
	}
	held, err := cmd.Text()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return []byte(held), err
}

// Invoke starts a child run in another function, once.
func (c *Committer) Invoke(ctx context.Context, ref *Ref, path string, progress []byte, function, childID string, eventJSON, parent []byte) error {
	k := c.store.keys
	_, err := c.script(ctx, "invoke", []string{k.Run(c.function, ref.RunID), k.Inbox(function), ref.Stream},
		run.ProgressField(path), progress, childID, eventJSON, parent, c.function, ref.Entry, ref.Runner)
	if err != nil {
		return fmt.Errorf("invoke %s in step %s of run %s: %w", function, path, ref.RunID, err)
	}
	return nil
}

// Await registers a wait and returns the newest entry of the stream at that
// moment: what came before it is for the caller to look through.
func (c *Committer) Await(ctx context.Context, ref *Ref, w run.Wait, progress []byte, candidate string) (newest string, err error) {
	k := c.store.keys
	cmd, err := c.script(ctx, "await",
		[]string{k.Run(c.function, ref.RunID), k.Wait(c.function, w.EventType, w.Match, w.Value), k.Stream(w.EventType), ref.Stream},
		run.ProgressField(w.Path), progress, candidate, w.Member(ref.RunID), c.function, ref.Entry, ref.Runner)
	if err != nil {
		return "", fmt.Errorf("wait for %s in step %s of run %s: %w", w.EventType, w.Path, ref.RunID, err)
	}
	return cmd.Text()
}

// Park is how a run is put aside.
type Park struct {
	Ref  *Ref
	Meta []byte // stored with the first park, and with Restate
	Due  time.Time
	Wake bool // put it back at once
	// Awaits are journal fields that must not be there yet.
	Awaits   []string
	Progress map[string][]byte
	Active   time.Duration
	// Queue is the concurrency limit that the run waits for, from 1; 0: none.
	Queue      int
	QueueValue string
	Front      bool // it waited before and keeps its place
	// Restate says that Meta is not what an earlier park stored.
	Restate bool
}

// ParkResult says what came of a Park.
type ParkResult string

const (
	// ParkOK means that the run is parked.
	ParkOK ParkResult = "ok"
	// ParkAgain means that something it waits for is there already; it goes on.
	ParkAgain ParkResult = "again"
	// ParkLost means that the run belongs to somebody else by now.
	ParkLost ParkResult = "lost"
)

// Park puts a run aside: state, wake-up and acknowledgement are one write.
func (c *Committer) Park(ctx context.Context, p Park) (ParkResult, error) {
	k, r := c.store.keys, p.Ref
	keys := []string{r.Stream, k.Run(r.Function, r.RunID), k.Timers(r.Function), k.Inbox(r.Function), k.Versions(r.Function), k.Cancels(r.Function)}
	member := ""
	if p.Queue > 0 {
		keys = append(keys, k.Queue(r.Function, p.Queue, p.QueueValue), k.Queued(r.Function))
		member = queuedMember(p.Queue, p.QueueValue)
	}
	meta := p.Meta
	if r.Parked && !p.Restate {
		meta = nil
	}
	due := int64(0)
	if !p.Due.IsZero() {
		due = p.Due.UnixMilli()
	}
	args := []any{c.function, r.Entry, r.RunID, due, flag(p.Wake), flag(r.Inbox), meta, r.Version, member, flag(p.Front), r.Runner, len(p.Awaits)}
	for _, path := range p.Awaits {
		args = append(args, path)
	}
	if p.Active > 0 {
		args = append(args, run.ActiveField, p.Active.Milliseconds())
	}
	for path, b := range p.Progress {
		args = append(args, run.ProgressField(path), b)
	}
	cmd, err := c.script(ctx, "park", keys, args...)
	if err != nil {
		return "", fmt.Errorf("park run %s: %w", r.RunID, err)
	}
	text, err := cmd.Text()
	return ParkResult(text), err
}

// Deliver gives an event to a waiting run. An empty result means that only the
// run itself can tell whether the event fits.
func (c *Committer) Deliver(ctx context.Context, w run.Wait, runID string, result []byte, candidate, entry string) error {
	k := c.store.keys
	_, err := c.script(ctx, "deliver",
		[]string{k.Run(c.function, runID), k.Wait(c.function, w.EventType, w.Match, w.Value), k.Inbox(c.function)},
		runID, w.Member(runID), w.Path, result, candidate, entry)
	if err != nil {
		return fmt.Errorf("deliver %s to run %s: %w", w.EventType, runID, err)
	}
	return nil
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

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
