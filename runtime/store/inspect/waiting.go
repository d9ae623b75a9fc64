package inspect

import (
	"context"
	"fmt"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Waiting returns the parked runs of a function, by
// the time at which they go on.
func (s *Inspector) Waiting(ctx context.Context, function string, most int) ([]run.Record, error) {
	ids, err := s.rdb.ZRange(ctx, s.keys.Timers(function), 0, int64(most)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list waiting runs of %s: %w", function, store.Explain(err))
	}
	var all []run.Record
	for _, id := range ids {
		r, err := s.Unended(ctx, function, id)
		if err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, *r)
		}
	}
	return all, nil
}
