package acts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Cancel ends a run, and those that it has invoked and waits for. When it
// returns nil the request is durable and the run ends as Cancelled, in no other
// way: a parked run as soon as a runner has a place for it, one that runs
// within two seconds, one that is queued when it is read, before its first
// step. To ask again changes nothing; the first reason counts. The error is
// ErrEnded or ErrNoRun, or one of Redis.
func (a *Acts) Cancel(ctx context.Context, function, runID, reason string) error {
	reason = strings.ToValidUTF8(reason, "�")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	open, err := a.cancel(ctx, function, runID, reason, true)
	if err != nil {
		return fmt.Errorf("cancel run %s of %s: %w", runID, function, err)
	}
	if open {
		return nil
	}
	ended, err := a.inspect.Ended(ctx, function, runID)
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
func (a *Acts) cancel(ctx context.Context, function, runID, reason string, ask bool) (open bool, err error) {
	k := a.keys
	try := func(stream, entry string) (bool, error) {
		n, err := a.run(ctx, "cancel", []string{k.Cancels(function), k.Run(function, runID), k.Timers(function), k.Inbox(function), stream},
			runID, reason, function, entry, store.Flag(ask)).Int()
		return n == 1, store.Explain(err)
	}
	// Once a run was parked, its journal tells. Before, only the entry that
	// starts it does, which is gone when the run is parked meanwhile.
	if ask {
		if open, err = try(k.Inbox(function), ""); open || err != nil {
			return open, err
		}
	}
	source, err := a.inspect.Source(ctx, function, runID)
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

// TidyCancels drops requests that came as their run ended. Younger ones than a
// minute are left alone.
func (a *Acts) TidyCancels(ctx context.Context, function string) error {
	all, err := a.rdb.HGetAll(ctx, a.keys.Cancels(function)).Result()
	if err != nil || len(all) == 0 {
		return store.Explain(err)
	}
	now, err := a.conn.Now(ctx)
	if err != nil {
		return err
	}
	for runID, text := range all {
		if now.Sub(run.ParseCancelRequest(text).At) < time.Minute {
			continue
		}
		if _, err := a.cancel(ctx, function, runID, "", false); err != nil {
			return fmt.Errorf("look after runs of %s to cancel: %w", function, err)
		}
	}
	return nil
}
