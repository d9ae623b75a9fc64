package runs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Rate is a rate limit or a throttle, for one value of its key.
type Rate struct {
	Function string
	Value    string // of its key; "" for the whole function
	Limit    int
	Burst    int
	Period   time.Duration
	// Sliding says that no window of one period has more than Limit begins; else
	// they are spread evenly. Throttles alone have it.
	Sliding bool
}

// interval is the time between two starts, in µs.
func (r *Rate) interval() int64 { return max(1, r.Period.Microseconds()/int64(r.Limit)) }

// pace is what the scripts are told: how, the interval, the burst or the limit,
// the period.
func (r *Rate) pace() []any {
	if r.Sliding {
		return []any{"sliding", r.interval(), r.Limit, r.Period.Microseconds()}
	}
	return []any{"even", r.interval(), r.Burst, r.Period.Microseconds()}
}

// throttle is the key of its state, which has another form for each way.
func (r *Rate) throttle(k store.Keys) string {
	if r.Sliding {
		return k.Window(r.Function, r.Value)
	}
	return k.Throttle(r.Function, r.Value)
}

// Begin is what a run takes at its beginning, all or nothing.
type Begin struct {
	Ref *Ref
	// Throttle is what it passes; nil: none. Where there is no start for it, it is
	// planned.
	Throttle *Rate
	// Since is when the run was planned first, and so its place in the line; zero:
	// it is new.
	Since time.Time
	// Slots are those of keyed concurrency limits: Want is what the runner holds
	// with it, in all.
	Slots []Slots
	// New says that it does not go ahead of a queue.
	New   bool
	Lease time.Duration
}

// Begun is what came of a Begin: one of the three.
type Begun struct {
	// Decision is Begun; "": the run waits.
	Decision run.Decision
	// Wait is until there may be a start for it.
	Wait time.Duration
	// Full is which of the slots there is not, from 1.
	Full int
}

// Begin begins a run, or says what it waits for.
func (c *Committer) Begin(ctx context.Context, b *Begin) (Begun, error) {
	k := c.store.keys
	r := b.Ref
	keys := []string{r.Stream, k.Run(c.function, r.RunID), k.Runners(c.function), k.Leases(c.function)}
	since := int64(0)
	pace := []any{"", 0, 0, 0}
	if b.Throttle != nil {
		if !b.Since.IsZero() {
			since = b.Since.UnixMicro()
		}
		pace = b.Throttle.pace()
		keys = append(keys, b.Throttle.throttle(k), k.Planned(c.function, b.Throttle.Value))
	}
	args := slices.Concat([]any{c.function, r.Entry, r.Runner, r.RunID, b.Lease.Milliseconds()}, pace, []any{since, store.Flag(b.New), len(b.Slots)})
	for i := range b.Slots {
		s := &b.Slots[i]
		keys = append(keys, k.Slots(c.function, s.Limit, s.Value), k.Queue(c.function, s.Limit, s.Value))
		args = append(args, s.Want, s.Max)
	}
	cmd, err := c.script(ctx, "begin", keys, args...)
	if err != nil {
		return Begun{}, fmt.Errorf("begin run %s: %w", r.RunID, err)
	}
	answer, err := cmd.Slice()
	if err != nil || len(answer) == 0 {
		return Begun{}, fmt.Errorf("begin run %s: answer %v: %w", r.RunID, answer, err)
	}
	word, _ := answer[0].(string)
	n := int64(0)
	if len(answer) > 1 {
		n, _ = answer[1].(int64)
	}
	switch word {
	case "wait":
		return Begun{Wait: time.Duration(n) * time.Millisecond}, nil
	case "full":
		return Begun{Full: int(n)}, nil
	}
	return Begun{Decision: run.Decision(word)}, nil
}

// Pass takes a start of a rate limit for a run: Counted; or Dropped, there is none.
// To ask again changes nothing.
func (c *Committer) Pass(ctx context.Context, r *Ref, limit *Rate) (run.Decision, error) {
	k := c.store.keys
	keys := []string{r.Stream, k.Run(c.function, r.RunID), k.RateLimit(c.function, limit.Value)}
	cmd, err := c.script(ctx, "pass", keys, c.function, r.Entry, r.Runner, limit.interval(), limit.Burst)
	if err != nil {
		return "", fmt.Errorf("rate limit of run %s: %w", r.RunID, err)
	}
	word, err := cmd.Text()
	if err != nil {
		return "", fmt.Errorf("rate limit of run %s: answer: %w", r.RunID, err)
	}
	return run.Decision(word), nil
}

// Starts returns how many new runs a throttle lets begin now, and when that
// is none, how long it takes until there is one.
func (s *Store) Starts(ctx context.Context, r Rate) (n int, wait time.Duration, err error) {
	keys := []string{r.throttle(s.keys), s.keys.Planned(r.Function, r.Value)}
	reply, err := s.run(ctx, "starts", keys, r.pace()...).Int64Slice()
	if err != nil || len(reply) != 2 {
		return 0, 0, fmt.Errorf("throttle of %s: %w", r.Function, store.Explain(err))
	}
	return int(reply[0]), time.Duration(reply[1]) * time.Millisecond, nil
}
