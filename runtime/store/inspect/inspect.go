// Package inspect reads and changes nothing: the numbers of functions, their
// runs that have not ended and those that have, events, and which functions
// there are. The console, the CLI, metrics and the operator look through it.
package inspect

import (
	"context"
	"embed"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

var scripts = store.ReadScripts(scriptFiles)

// Inspector looks at one namespace. It is safe for use by many goroutines.
type Inspector struct {
	conn *store.Conn
	rdb  redis.UniversalClient
	keys store.Keys
	log  *slog.Logger
}

// New returns the Inspector of the namespace of a connection.
func New(c *store.Conn) *Inspector {
	return &Inspector{conn: c, rdb: c.Redis(), keys: c.Keys(), log: c.Logger()}
}

// Now returns the server's clock.
func (s *Inspector) Now(ctx context.Context) (time.Time, error) { return s.conn.Now(ctx) }

func (s *Inspector) run(ctx context.Context, name string, keys []string, args ...any) *redis.Cmd {
	return scripts.Run(ctx, s.conn, name, keys, args...)
}
