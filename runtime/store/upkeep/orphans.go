package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// A run that was invoked ends with its function, and the step that waits for it
// must be told: nobody else would ever do so.

// endInvoked tells the steps that wait for runs of a function that it was deleted.
// From its beginning on no run of it can be invoked any more: there is no inbox.
func (u *Upkeep) endInvoked(ctx context.Context, function string) error {
	closed := u.keys.Function(function) + "closed"
	for _, took := range []bool{false, true} { // an earlier attempt may have been cut short
		if took {
			err := u.rdb.Rename(ctx, u.keys.Inbox(function), closed).Err()
			if store.FaultOf(err) == store.NoGroup {
				break
			}
			if err != nil {
				return fmt.Errorf("close the inbox of %s: %w", function, store.Explain(err))
			}
		}
		if err := u.endStarts(ctx, function, closed); err != nil {
			return err
		}
	}
	return u.eachKey(ctx, u.keys.Run(function, ""), func(keys []string) error {
		identities := make([]*redis.StringCmd, len(keys))
		pipe := u.rdb.Pipeline()
		for i, key := range keys {
			identities[i] = pipe.HGet(ctx, key, run.IdentityField)
		}
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("read the runs of %s: %w", function, store.Explain(err))
		}
		for i := range keys {
			var identity run.Identity
			if json.Unmarshal([]byte(identities[i].Val()), &identity) != nil || identity.Parent == nil {
				continue
			}
			if err := u.tell(ctx, function, identity.Parent); err != nil {
				return err
			}
		}
		return nil
	})
}

// endStarts tells the steps that wait for runs that have not been parked: their
// entries have all of them.
func (u *Upkeep) endStarts(ctx context.Context, function, inbox string) error {
	const page = 500
	for after := "-"; ; {
		entries, err := u.rdb.XRangeN(ctx, inbox, after, "+", page).Result()
		if err != nil {
			return fmt.Errorf("read the inbox of %s: %w", function, store.Explain(err))
		}
		for _, e := range entries {
			text, _ := e.Values["parent"].(string)
			var parent run.Parent
			if text == "" || json.Unmarshal([]byte(text), &parent) != nil {
				continue
			}
			if err := u.tell(ctx, function, &parent); err != nil {
				return err
			}
		}
		if len(entries) < page {
			return nil
		}
		after = "(" + entries[len(entries)-1].ID
	}
}

func (u *Upkeep) tell(ctx context.Context, function string, parent *run.Parent) error {
	now, err := u.conn.Clock(ctx)
	if err != nil {
		return fmt.Errorf("tell run %s of %s that %s was deleted: %w", parent.RunID, parent.Function, function, err)
	}
	result := run.Result{Error: "the invoked function " + function + " was deleted, and its run with it", Attempts: 1, Start: now.UnixMilli()}
	err = u.run(ctx, "tell", []string{u.keys.Run(parent.Function, parent.RunID), u.keys.Inbox(parent.Function)},
		parent.Path, result.Encode(), parent.RunID).Err()
	if err != nil {
		return fmt.Errorf("tell run %s of %s that %s was deleted: %w", parent.RunID, parent.Function, function, store.Explain(err))
	}
	return nil
}

// eachKey calls f with the keys that begin with prefix, which has the hash tag of
// the namespace: all of them are on one node.
func (u *Upkeep) eachKey(ctx context.Context, prefix string, f func(keys []string) error) error {
	var node redis.Cmdable = u.rdb
	if cluster, ok := u.rdb.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, prefix)
		if err != nil {
			return fmt.Errorf("find the node with the keys %s: %w", prefix, store.Explain(err))
		}
		node = master
	}
	const page = 1000
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, globLiteral(prefix)+"*", page).Result()
		if err != nil {
			return fmt.Errorf("list the keys %s: %w", prefix, store.Explain(err))
		}
		if len(keys) > 0 {
			if err := f(keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// globLiteral escapes what SCAN would take for a pattern.
func globLiteral(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(text)
}
