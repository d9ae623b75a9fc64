// Package acts is what a person asks for: that a run ends, or that it is done
// again. When an act returns, what was asked is durable and happens exactly once.
package acts

import (
	"context"
	"embed"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

var scripts = store.ReadScripts(scriptFiles)

// Acts are the acts on one namespace. It is safe for use by many goroutines.
type Acts struct {
	conn    *store.Conn
	rdb     redis.UniversalClient
	keys    store.Keys
	inspect *inspect.Inspector
}

// New returns the acts on the namespace of a connection.
func New(c *store.Conn) *Acts {
	return &Acts{conn: c, rdb: c.Redis(), keys: c.Keys(), inspect: inspect.New(c)}
}

func (a *Acts) run(ctx context.Context, name string, keys []string, args ...any) *redis.Cmd {
	return scripts.Run(ctx, a.conn, name, keys, args...)
}

var (
	// ErrNoRun says that there is no such run, or none any more.
	ErrNoRun = errors.New("there is no such run: it may have left the history (spec.history.limit)")
	// ErrEnded says that the run has ended: there is nothing to cancel.
	ErrEnded = errors.New("the run has ended")
)

// maxReason bounds the reason of a cancellation, in bytes.
const maxReason = 1 << 10
