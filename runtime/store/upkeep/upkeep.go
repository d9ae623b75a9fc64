// Package upkeep keeps a namespace of Redis in order: the consumer groups of
// functions, the streams of event types, their retention, and the removal of
// what a function or an event type leaves behind. The operator does it, and the
// runners trim what they read.
package upkeep

import (
	"context"
	"embed"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

var scripts = store.ReadScripts(scriptFiles)

// Upkeep looks after one namespace. It is safe for use by many goroutines.
type Upkeep struct {
	conn *store.Conn
	rdb  redis.UniversalClient
	keys store.Keys
}

// New returns the upkeep of the namespace of a connection.
func New(c *store.Conn) *Upkeep {
	return &Upkeep{conn: c, rdb: c.Redis(), keys: c.Keys()}
}

func (u *Upkeep) run(ctx context.Context, name string, keys []string, args ...any) *redis.Cmd {
	return scripts.Run(ctx, u.conn, name, keys, args...)
}
