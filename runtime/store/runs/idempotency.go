package runs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// TakeKey takes an idempotency key for a run. An empty holder means that the run
// has it; otherwise outcome is what the holder ended with, nil while it has not.
// With follow the run is put back into the inbox when the holder ends.
func (c *Committer) TakeKey(ctx context.Context, key, runID string, ttl time.Duration, follow bool) (holder string, outcome []byte, err error) {
	cmd, err := c.script(ctx, "once", []string{c.store.keys.Idempotency(c.function, key), c.store.keys.Followers(c.function, key)}, runID, ttl.Milliseconds(), store.Flag(follow))
	if err != nil {
		return "", nil, fmt.Errorf("idempotency key of run %s: %w", runID, err)
	}
	text, err := cmd.Text()
	if err != nil || text == "" {
		return "", nil, err
	}
	holder, rest, ended := strings.Cut(text, " ")
	if ended {
		outcome = []byte(rest)
	}
	return holder, outcome, nil
}
