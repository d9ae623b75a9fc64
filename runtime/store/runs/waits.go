package runs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// WaitPath is an event type and a match path that some run waits on.
type WaitPath = run.WaitPath

// RegisterWaits adds to what runs of the function may wait on and says whether
// anything was new: then other runners may not know it yet.
func (s *Store) RegisterWaits(ctx context.Context, function string, paths []WaitPath) (fresh bool, err error) {
	known, err := s.WaitPaths(ctx, function)
	if err != nil {
		return false, err
	}
	for _, p := range paths {
		if slices.Contains(known, p) { // a full Redis refuses to add what is there already
			continue
		}
		added, err := s.rdb.HSetNX(ctx, s.keys.Waits(function), p.EventType+" "+p.Match, 1).Result()
		if err != nil {
			return false, fmt.Errorf("register waits of %s: %w", function, store.Explain(err))
		}
		fresh = fresh || added
	}
	return fresh, nil
}

// WaitPaths returns what runs of the function, of any version, wait on.
func (s *Store) WaitPaths(ctx context.Context, function string) ([]WaitPath, error) {
	fields, err := s.rdb.HKeys(ctx, s.keys.Waits(function)).Result()
	if err != nil {
		return nil, fmt.Errorf("read waits of %s: %w", function, store.Explain(err))
	}
	paths := make([]WaitPath, 0, len(fields))
	for _, f := range fields {
		eventType, match, _ := strings.Cut(f, " ")
		paths = append(paths, WaitPath{EventType: eventType, Match: match})
	}
	return paths, nil
}

// Waiters returns the runs that wait for an event type with a matched value.
func (s *Store) Waiters(ctx context.Context, function, eventType, match, value string) ([]run.Waiter, error) {
	members, err := s.rdb.SMembers(ctx, s.keys.Wait(function, eventType, match, value)).Result()
	if err != nil {
		return nil, fmt.Errorf("read waits of %s: %w", function, store.Explain(err))
	}
	all := make([]run.Waiter, 0, len(members))
	for _, m := range members {
		all = append(all, run.ParseMember(m))
	}
	return all, nil
}

// Await registers a wait and returns the newest entry of the stream at that
// moment: what came before it is for the caller to look through.
func (c *Committer) Await(ctx context.Context, ref *Ref, w run.Wait, progress []byte, candidate string) (newest string, err error) {
	k := c.store.keys
	cmd, err := c.script(ctx, "await",
		[]string{k.Run(c.function, ref.RunID), k.Wait(c.function, w.EventType, w.Match, w.Value), k.Stream(w.EventType), ref.Stream},
		run.ProgressField(w.Path), progress, candidate, w.Member(ref.RunID), c.function, ref.Entry, ref.Runner)
	if err != nil {
		return "", fmt.Errorf("wait for %s in step %s of run %s: %w", w.EventType, w.Path, ref.RunID, err)
	}
	return cmd.Text()
}

// Deliver gives an event to a waiting run. An empty result means that only the
// run itself can tell whether the event fits.
func (c *Committer) Deliver(ctx context.Context, w run.Wait, runID string, result []byte, candidate, entry string) error {
	k := c.store.keys
	_, err := c.script(ctx, "deliver",
		[]string{k.Run(c.function, runID), k.Wait(c.function, w.EventType, w.Match, w.Value), k.Inbox(c.function)},
		runID, w.Member(runID), w.Path, result, candidate, entry)
	if err != nil {
		return fmt.Errorf("deliver %s to run %s: %w", w.EventType, runID, err)
	}
	return nil
}
