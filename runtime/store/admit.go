package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Slots is a request for slots of a concurrency limit.
type Slots struct {
	Function string
	Limit    int    // which limit of the function, from 1
	Value    string // of its key; "" for the whole function
	Runner   string
	Want     int // in all, those already held included
	Max      int
	Share    int // 0: no bound of its own
	New      bool
	Lease    time.Duration
}

// Hold asks for slots and returns how many the runner holds now.
func (s *Store) Hold(ctx context.Context, r Slots) (int, error) {
	k := s.keys
	n, err := s.run(ctx, "slots",
		[]string{k.Slots(r.Function, r.Limit, r.Value), k.Runners(r.Function), k.Queue(r.Function, r.Limit, r.Value)},
		r.Runner, r.Want, r.Max, r.Lease.Milliseconds(), r.Share, flag(r.New)).Int()
	if err != nil {
		return 0, fmt.Errorf("hold slots of %s: %w", r.Function, Explain(err))
	}
	return n, nil
}

// Release gives slots of a keyed limit back (Want is what is still held; -1
// changes nothing) and puts as many queued runs back as there is room for.
func (s *Store) Release(ctx context.Context, r Slots) error {
	k := s.keys
	held := ""
	if r.Want >= 0 {
		held = strconv.Itoa(r.Want)
	}
	err := s.run(ctx, "release",
		[]string{k.Slots(r.Function, r.Limit, r.Value), k.Runners(r.Function), k.Queue(r.Function, r.Limit, r.Value), k.Queued(r.Function), k.Inbox(r.Function)},
		r.Runner, held, r.Max, r.Lease.Milliseconds(), queuedMember(r.Limit, r.Value)).Err()
	if err != nil {
		return fmt.Errorf("release a slot of %s: %w", r.Function, Explain(err))
	}
	return nil
}

func queuedMember(limit int, value string) string { return strconv.Itoa(limit) + " " + value }

// Queued returns some of the values that runs are queued for.
func (s *Store) Queued(ctx context.Context, function string, most int64) ([]Slots, error) {
	members, err := s.rdb.SRandMemberN(ctx, s.keys.Queued(function), most).Result()
	if err != nil {
		return nil, fmt.Errorf("list the queues of %s: %w", function, Explain(err))
	}
	all := make([]Slots, 0, len(members))
	for _, m := range members {
		n, value, _ := strings.Cut(m, " ")
		limit, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		all = append(all, Slots{Function: function, Limit: limit, Value: value, Want: -1})
	}
	return all, nil
}

// Once takes an idempotency key for a run. An empty holder means that the run
// has it; otherwise outcome is what the holder ended with, nil while it has not.
// With follow the run is put back into the inbox when the holder ends.
func (c *Committer) Once(ctx context.Context, key, runID string, ttl time.Duration, follow bool) (holder string, outcome []byte, err error) {
	cmd, err := c.script(ctx, "once", []string{c.store.keys.Once(c.function, key), c.store.keys.Followers(c.function, key)}, runID, ttl.Milliseconds(), flag(follow))
	if err != nil {
		return "", nil, fmt.Errorf("idempotency key of run %s: %w", runID, err)
	}
	text, err := cmd.Text()
	if err != nil || text == "" {
		return "", nil, err
	}
	holder, rest, ended := strings.Cut(text, " ")
	if ended {
		outcome = []byte(rest)
	}
	return holder, outcome, nil
}
