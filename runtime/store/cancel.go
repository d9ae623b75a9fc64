package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

var (
	// ErrNoRun says that there is no such run, or none any more.
	ErrNoRun = errors.New("there is no such run: it may have left the history (spec.history.limit)")
	// ErrEnded says that the run has ended: there is nothing to cancel.
	ErrEnded = errors.New("the run has ended")
)

// maxReason bounds the reason of a cancellation, in bytes.
const maxReason = 1 << 10

// Cancel ends a run, and those that it has invoked and waits for. When it
// returns nil the request is durable and the run ends as Cancelled, in no other
// way: a parked run as soon as a runner has a place for it, one that runs
// within two seconds, one that is queued when it is read, before its first
// step. To ask again changes nothing; the first reason counts. The error is
// ErrEnded or ErrNoRun, or one of Redis.
func (s *Store) Cancel(ctx context.Context, function, runID, reason string) error {
	reason = strings.ToValidUTF8(reason, "�")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	open, err := s.cancel(ctx, function, runID, reason, true)
	if err != nil {
		return fmt.Errorf("cancel run %s of %s: %w", runID, function, err)
	}
	if open {
		return nil
	}
	ended, err := s.Ended(ctx, function, runID)
	if err != nil {
		return fmt.Errorf("cancel run %s of %s: %w", runID, function, err)
	}
	if ended != nil {
		return fmt.Errorf("cancel run %s of %s, which %s: %w", runID, function, ended.Status, ErrEnded)
	}
	return fmt.Errorf("cancel run %s of %s: %w", runID, function, ErrNoRun)
}

// cancel asks for the end of a run, or without ask drops a request that came too
// late. It reports whether the run has not ended.
func (s *Store) cancel(ctx context.Context, function, runID, reason string, ask bool) (open bool, err error) {
	k := s.keys
	try := func(stream, entry string) (bool, error) {
		n, err := s.run(ctx, "cancel", []string{k.Cancels(function), k.Run(function, runID), k.Timers(function), k.Inbox(function), stream},
			runID, reason, function, entry, flag(ask)).Int()
		return n == 1, Explain(err)
	}
	// Once a run was parked, its journal tells. Before, only the entry that
	// starts it does, which is gone when the run is parked meanwhile.
	if ask {
		if open, err = try(k.Inbox(function), ""); open || err != nil {
			return open, err
		}
	}
	source, err := s.source(ctx, function, runID)
	if err != nil {
		return false, err
	}
	if source != nil {
		if open, err = try(source.Stream, source.ID); open || err != nil {
			return open, err
		}
	}
	return try(k.Inbox(function), "")
}

// CancelRequests returns which of these runs are to be cancelled, by run.
func (s *Store) CancelRequests(ctx context.Context, function string, runIDs ...string) (map[string]*run.CancelRequest, error) {
	if len(runIDs) == 0 {
		return nil, nil
	}
	values, err := s.rdb.HMGet(ctx, s.keys.Cancels(function), runIDs...).Result()
	if err != nil {
		return nil, fmt.Errorf("look for runs of %s to cancel: %w", function, Explain(err))
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
	return n, Explain(err)
}

// DropCancel takes back the request to cancel a run that turned out to be none.
func (s *Store) DropCancel(ctx context.Context, function, runID string) error {
	return Explain(s.rdb.HDel(ctx, s.keys.Cancels(function), runID).Err())
}

// TidyCancels drops requests that came as their run ended. Younger ones than a
// minute are left alone.
func (s *Store) TidyCancels(ctx context.Context, function string) error {
	all, err := s.rdb.HGetAll(ctx, s.keys.Cancels(function)).Result()
	if err != nil || len(all) == 0 {
		return Explain(err)
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	for runID, text := range all {
		if now.Sub(run.ParseCancelRequest(text).At) < time.Minute {
			continue
		}
		if _, err := s.cancel(ctx, function, runID, "", false); err != nil {
			return fmt.Errorf("look after runs of %s to cancel: %w", function, err)
		}
	}
	return nil
}
