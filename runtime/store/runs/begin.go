package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Rate is a rate limit.
type Rate struct {
	Function string
	Value    string // of its key; "" for the whole function
	Limit    int
	Burst    int
	Period   time.Duration
}

// interval is the time between two starts, in µs.
func (r *Rate) interval() int64 { return max(1, r.Period.Microseconds()/int64(r.Limit)) }

// Begin is what a run takes at its beginning, all or nothing.
type Begin struct {
	Ref *Ref
	// Rate is the rate limit that it passes; nil: none. With Drop it is dropped
	// when there is no start for it, else it is planned.
	Rate *Rate
	Drop bool
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
	// Decision is Begun or Dropped; "": the run waits.
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
	mode := ""
	interval, burst, since := int64(0), 0, int64(0)
	if b.Rate != nil {
		mode = "delay"
		if b.Drop {
			mode = "drop"
		}
		interval, burst = b.Rate.interval(), b.Rate.Burst
		if !b.Since.IsZero() {
			since = b.Since.UnixMicro()
		}
		keys = append(keys, k.Rate(c.function, b.Rate.Value), k.Planned(c.function, b.Rate.Value))
	}
	args := []any{c.function, r.Entry, r.Runner, r.RunID, b.Lease.Milliseconds(), mode, interval, burst, since, store.Flag(b.New), len(b.Slots)}
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

// Starts returns how many new runs a rate limit lets begin now, and when that
// is none, how long it takes until there is one.
func (s *Store) Starts(ctx context.Context, r Rate) (n int, wait time.Duration, err error) {
	keys := []string{s.keys.Rate(r.Function, r.Value), s.keys.Planned(r.Function, r.Value)}
	reply, err := s.run(ctx, "starts", keys, r.interval(), r.Burst).Int64Slice()
	if err != nil || len(reply) != 2 {
		return 0, 0, fmt.Errorf("rate limit of %s: %w", r.Function, store.Explain(err))
	}
	return int(reply[0]), time.Duration(reply[1]) * time.Millisecond, nil
}
