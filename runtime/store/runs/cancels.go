package runs

import (
	"context"
	"fmt"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// CancelRequests returns which of these runs are to be cancelled, by run.
func (s *Store) CancelRequests(ctx context.Context, function string, runIDs ...string) (map[string]*run.CancelRequest, error) {
	if len(runIDs) == 0 {
		return nil, nil
	}
	values, err := s.rdb.HMGet(ctx, s.keys.Cancels(function), runIDs...).Result()
	if err != nil {
		return nil, fmt.Errorf("look for runs of %s to cancel: %w", function, store.Explain(err))
	}
	asked := map[string]*run.CancelRequest{}
	for i, v := range values {
		if text, ok := v.(string); ok {
			asked[runIDs[i]] = run.ParseCancelRequest(text)
		}
	}
	return asked, nil
}

// CancelCount returns how many runs of a function are to be cancelled.
func (s *Store) CancelCount(ctx context.Context, function string) (int64, error) {
	n, err := s.rdb.HLen(ctx, s.keys.Cancels(function)).Result()
	return n, store.Explain(err)
}

// DropCancel takes back the request to cancel a run that turned out to be none.
func (s *Store) DropCancel(ctx context.Context, function, runID string) error {
	return store.Explain(s.rdb.HDel(ctx, s.keys.Cancels(function), runID).Err())
}
