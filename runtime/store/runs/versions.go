package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// keepReplaced is how long a version that was replaced is kept for runs that
// are not parked, such as those of a runner that crashed.
const keepReplaced = time.Hour

// SavePlan stores a version of a function and makes it the installed one.
// Versions that no run needs any more are dropped.
func (s *Store) SavePlan(ctx context.Context, function, version string, spec []byte) error {
	k := s.keys
	err := s.run(ctx, "plan", []string{k.Plans(function), k.Functions(), k.Versions(function), k.Replaced(function)},
		function, version, spec, keepReplaced.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("store version %s of %s: %w", version, function, store.Explain(err))
	}
	return nil
}

// Plans returns the stored versions of a function.
func (s *Store) Plans(ctx context.Context, function string) (map[string]string, error) {
	all, err := s.rdb.HGetAll(ctx, s.keys.Plans(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("read versions of %s: %w", function, store.Explain(err))
	}
	return all, nil
}
