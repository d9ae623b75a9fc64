package runs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/store"
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
		[]string{k.Slots(r.Function, r.Limit, r.Value), k.Runners(r.Function), k.Leases(r.Function), k.Queue(r.Function, r.Limit, r.Value)},
		r.Runner, r.Want, r.Max, r.Lease.Milliseconds(), r.Share, store.Flag(r.New)).Int()
	if err != nil {
		return 0, fmt.Errorf("hold slots of %s: %w", r.Function, store.Explain(err))
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
		[]string{k.Slots(r.Function, r.Limit, r.Value), k.Runners(r.Function), k.Leases(r.Function), k.Queue(r.Function, r.Limit, r.Value), k.Queued(r.Function), k.Inbox(r.Function)},
		r.Runner, held, r.Max, r.Lease.Milliseconds(), queuedMember(r.Limit, r.Value)).Err()
	if err != nil {
		return fmt.Errorf("release a slot of %s: %w", r.Function, store.Explain(err))
	}
	return nil
}

func queuedMember(limit int, value string) string { return strconv.Itoa(limit) + " " + value }

// Queued returns some of the values that runs are queued for.
func (s *Store) Queued(ctx context.Context, function string, most int64) ([]Slots, error) {
	members, err := s.rdb.SRandMemberN(ctx, s.keys.Queued(function), most).Result()
	if err != nil {
		return nil, fmt.Errorf("list the queues of %s: %w", function, store.Explain(err))
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
