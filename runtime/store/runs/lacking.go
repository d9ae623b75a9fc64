package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Lacking is a parked run that waits for code.
type Lacking struct {
	RunID string
	Code  *run.Lack
	text  string // as it is stored
}

// Lacking returns some of the runs that wait for code that no runner had, from a
// cursor on, which is 0 at the beginning and again at the end.
func (s *Store) Lacking(ctx context.Context, function string, cursor uint64) (all []Lacking, next uint64, err error) {
	const page = 200
	fields, next, err := s.rdb.HScan(ctx, s.keys.Lacking(function), cursor, "", page).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list the runs of %s that wait for code: %w", function, store.Explain(err))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		all = append(all, Lacking{RunID: fields[i], Code: run.ParseLack(fields[i+1]), text: fields[i+1]})
	}
	return all, next, nil
}

// Adopt takes over runs that wait for code which the runner has, and returns the
// entries that it has for them now. Those that others took first are not among
// them.
func (s *Store) Adopt(ctx context.Context, function, runner string, lease time.Duration, runs []Lacking) ([]store.Entry, error) {
	k := s.keys
	stream := k.Adopted(function)
	keys := []string{k.Runners(function), k.Leases(function), k.Lacking(function), k.Timers(function), stream}
	args := []any{function, runner, lease.Milliseconds()}
	for i := range runs {
		keys = append(keys, k.Run(function, runs[i].RunID))
		args = append(args, runs[i].RunID, runs[i].text)
	}
	reply, err := s.run(ctx, "adopt", keys, args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("take over runs of %s that waited for code: %w", function, store.Explain(err))
	}
	all := make([]store.Entry, 0, len(reply))
	for _, item := range reply {
		row, ok := item.([]any)
		if !ok || len(row) < 2 {
			continue
		}
		id, _ := row[0].(string)
		e := k.Entry(stream, id, nil)
		e.Fields = store.EntryFields(row[1])
		e.Deliveries = 1
		all = append(all, e)
	}
	return all, nil
}
