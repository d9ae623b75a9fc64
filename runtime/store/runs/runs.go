// Package runs is what a runner has of Redis: the entries that it reads, the
// journals of runs, their timers, waits and limits, the leases of runners, and
// the group commit through which all of it is written. Who owns a run and who
// may end it is decided here, by scripts, and nowhere else.
package runs

import (
	"context"
	"embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/upkeep"
)

//go:embed scripts/*.lua scripts/lib/*.lua
var scriptFiles embed.FS

var scripts = store.ReadScripts(scriptFiles)

// Store is the port of runners to one namespace. It is safe for use by many
// goroutines.
type Store struct {
	conn   *store.Conn
	rdb    redis.UniversalClient
	keys   store.Keys
	acts   *acts.Acts
	upkeep *upkeep.Upkeep
}

// New returns the port of runners over a connection.
func New(c *store.Conn) *Store {
	return &Store{conn: c, rdb: c.Redis(), keys: c.Keys(), acts: acts.New(c), upkeep: upkeep.New(c)}
}

// Keys returns the names of the keys.
func (s *Store) Keys() store.Keys { return s.keys }

// Now returns the server's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.conn.Now(ctx) }

func (s *Store) run(ctx context.Context, name string, keys []string, args ...any) *redis.Cmd {
	return scripts.Run(ctx, s.conn, name, keys, args...)
}

// HistoryLimits bounds the history of a function, in runs.
type HistoryLimits struct{ Done, Dead int64 }

// Ref names a run and the stream entry that owns it.
type Ref = run.Ref
