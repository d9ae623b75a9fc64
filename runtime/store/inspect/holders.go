package inspect

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// pendingOf is a group that has begun what it has not finished.
type pendingOf struct {
	at     int // among the streams
	group  string
	oldest *redis.XPendingCmd
}

// addHolders adds what keeps events that were to be removed, in two round trips,
// none where there are no such events.
func (s *Inspector) addHolders(ctx context.Context, refs []StreamRef, all []StreamState) error {
	pipe := s.rdb.Pipeline()
	groups := make([]*redis.XInfoGroupsCmd, len(refs))
	for i, ref := range refs {
		if !ref.Before.IsZero() && all[i].Length > 0 && all[i].Oldest.Before(ref.Before) {
			groups[i] = pipe.XInfoGroups(ctx, store.NewKeys(ref.Namespace).Stream(ref.Type))
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return fmt.Errorf("look at what %d streams are kept for: %w", len(refs), store.Explain(err))
	}
	pipe = s.rdb.Pipeline()
	var pending []pendingOf
	for i, answer := range groups {
		if answer == nil {
			continue
		}
		for _, g := range answer.Val() { // of a stream that has gone since there are none
			if g.Pending > 0 {
				stream := store.NewKeys(refs[i].Namespace).Stream(refs[i].Type)
				pending = append(pending, pendingOf{i, g.Name, pipe.XPending(ctx, stream, g.Name)})
				continue
			}
			all[i].hold(refs[i], g.Name, g.LastDeliveredID)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); store.FaultOf(err).General() {
		return fmt.Errorf("look at what %d groups have begun: %w", len(pending), store.Explain(err))
	}
	for _, p := range pending {
		if begun, err := p.oldest.Result(); err == nil && begun.Lower != "" {
			all[p.at].hold(refs[p.at], p.group, begun.Lower)
		}
	}
	return nil
}

// hold notes that a group needs what comes after an entry, if that is why older
// events are there. A group that has read all needs nothing.
func (s *StreamState) hold(ref StreamRef, group, after string) {
	since := event.EntryTime(after)
	if since.Before(ref.Before) && since.Before(s.Newest) {
		if since.Before(s.Oldest) {
			since = s.Oldest
		}
		s.Holders = append(s.Holders, Holder{group, since})
	}
}
