package inspect

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// Functions returns the installed functions and their versions.
func (s *Inspector) Functions(ctx context.Context) (map[string]string, error) {
	all, err := s.rdb.HGetAll(ctx, s.keys.Functions()).Result()
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", store.Explain(err))
	}
	return all, nil
}

// PlanTexts returns the versions of functions as they are stored, in one round
// trip: function to version in, function to spec out. What is not there (any
// more) is left out.
func (s *Inspector) PlanTexts(ctx context.Context, versions map[string]string) (map[string]string, error) {
	pipe := s.rdb.Pipeline()
	cmds := make(map[string]*redis.StringCmd, len(versions))
	for function, version := range versions {
		cmds[function] = pipe.HGet(ctx, s.keys.Plans(function), version)
	}
	if _, err := pipe.Exec(ctx); err != nil && store.FaultOf(err) != store.Absent {
		return nil, fmt.Errorf("read functions: %w", store.Explain(err))
	}
	texts := make(map[string]string, len(cmds))
	for function, cmd := range cmds {
		if cmd.Err() == nil {
			texts[function] = cmd.Val()
		}
	}
	return texts, nil
}

// Groups returns the functions that read an event type.
func (s *Inspector) Groups(ctx context.Context, eventType string) ([]redis.XInfoGroup, error) {
	groups, err := s.rdb.XInfoGroups(ctx, s.keys.Stream(eventType)).Result()
	if store.FaultOf(err) == store.NoGroup {
		return nil, nil
	}
	return groups, store.Explain(err)
}
