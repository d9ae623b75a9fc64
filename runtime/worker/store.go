package worker

import (
	"context"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// Store is what a worker needs of Redis: every part of the worker sees its own
// piece of it alone. What each method promises is written at its implementation,
// in runtime/store/runs, and held for any implementation by runtime/worker/storetest.
//
// One promise is that of all methods: who got no answer may ask again, and
// what was asked has happened once.
type Store interface {
	heartbeats
	groups
	shared
	queues
	claims
	lacking
	journals
	starts
	positions
	timers
	versions
	upkeep

	// NewReader returns the reader of a runner, with a connection of its own.
	NewReader(function, runner string, origin store.Origin) Reader
	// NewCommitter starts the group commit of a runner. guard is asked before
	// each write; its error is that of all that waits.
	NewCommitter(function string, limits runs.HistoryLimits, guard func() error) Committer
}

// Reader gives a runner what is new in streams.
type Reader interface {
	Read(ctx context.Context, streams []string, count int, block time.Duration) ([]store.Entry, error)
	After(ctx context.Context, positions map[string]string, count int, block time.Duration) ([]store.Entry, error)
	// Close ends the reader, and a read that waits.
	Close() error
}

// Committer writes what runs come to, many in one round trip. A write that fails
// for a reason that passes is repeated until it succeeds, or the guard refuses,
// or Close is called: the error is then runs.ErrFenced or runs.ErrClosed.
type Committer interface {
	steps
	ends

	// Take makes a runner the owner of a parked run that an entry wakes, of the
	// inbox or of the stream of adopted runs; nil: the entry is stale.
	Take(ctx context.Context, stream, runID, entry, runner string) (*run.Journal, error)
	Ack(ctx context.Context, stream, entry string) error
	Sweep(ctx context.Context, stream, entry, runID string) error
	Stats() runs.CommitStats
	Observe(fn func(operations, repeat int, took time.Duration))
	Close()
}

// steps is what the journal of a run is written by.
type steps interface {
	CommitResult(ctx context.Context, runID, path string, value []byte) (held []byte, err error)
	Emit(ctx context.Context, ref *run.Ref, path string, value []byte, events []event.Event, dedupe []bool) (held []byte, err error)
	Invoke(ctx context.Context, ref *run.Ref, path string, progress []byte, function, childID string, eventJSON, parent []byte) (started bool, err error)
	Await(ctx context.Context, ref *run.Ref, w run.Wait, progress []byte, candidate string) (newest string, err error)
}

// ends is what admission decides: that a run begins, waits, is woken, or ends.
type ends interface {
	TakeKey(ctx context.Context, key, runID string, ttl time.Duration, follow bool) (holder string, outcome []byte, err error)
	Pass(ctx context.Context, ref *run.Ref, limit *runs.Rate) (run.Decision, error)
	Begin(ctx context.Context, b *runs.Begin) (runs.Begun, error)
	Park(ctx context.Context, p runs.Park) (runs.ParkResult, error)
	Deliver(ctx context.Context, w run.Wait, runID string, result []byte, candidate, entry string) error
	Finish(ctx context.Context, f runs.Finish) (counted bool, err error)
}

// heartbeats keep the lease of a runner.
type heartbeats interface {
	Beat(ctx context.Context, function, runner string, lease time.Duration, first bool) (runs.Beat, error)
}

// groups are what a function reads, and has ever read.
type groups interface {
	Keys() store.Keys
	EnsureGroups(ctx context.Context, function string, origin store.Origin, eventTypes ...string) error
	Reads(ctx context.Context, function string) (ever []string, err error)
	RegisterWaits(ctx context.Context, function string, paths []run.WaitPath) (fresh bool, err error)
	WaitPaths(ctx context.Context, function string) ([]run.WaitPath, error)
}

// shared are the slots of limits that runners divide among them.
type shared interface {
	Hold(ctx context.Context, s runs.Slots) (held int, err error)
	TellLeft(ctx context.Context, function, runner string) error
}

// queues are the runs that wait for a slot.
type queues interface {
	Release(ctx context.Context, s runs.Slots) error
	Queued(ctx context.Context, function string, most int64) ([]runs.Slots, error)
}

// claims take over from the dead.
type claims interface {
	Claim(ctx context.Context, c runs.Claim) ([]store.Entry, error)
	Forget(ctx context.Context, function, runner string, streams []string) (gone bool, err error)
	Expire(ctx context.Context, function, runner string) error
}

// lacking are the runs that wait for code, which a runner that has it takes up.
type lacking interface {
	Lacking(ctx context.Context, function string, cursor uint64) (all []runs.Lacking, next uint64, err error)
	Adopt(ctx context.Context, function, runner string, lease time.Duration, all []runs.Lacking) ([]store.Entry, error)
}

// journals are what a run has so far, and what was asked of it.
type journals interface {
	Load(ctx context.Context, function, runID string) (*run.Journal, error)
	Waiters(ctx context.Context, function, eventType, match, value string) ([]run.Waiter, error)
	Between(ctx context.Context, eventType, after, upTo string, count int) ([]store.Entry, error)
	CancelCount(ctx context.Context, function string) (int64, error)
	CancelRequests(ctx context.Context, function string, runIDs ...string) (map[string]*run.CancelRequest, error)
	DropCancel(ctx context.Context, function, runID string) error
}

// starts is how many runs a throttle lets begin.
type starts interface {
	Starts(ctx context.Context, r runs.Rate) (n int, wait time.Duration, err error)
}

// positions are how far a function has read.
type positions interface {
	ReadUpTo(ctx context.Context, function string, streams []string) (map[string]string, error)
}

// timers wake parked runs, and start those of schedules.
type timers interface {
	Fire(ctx context.Context, function string, most int) (fired int, next, now time.Time, err error)
	LastTick(ctx context.Context, function, schedule string) (time.Time, error)
	NoteTick(ctx context.Context, function, schedule string, tick time.Time) error
	Tick(ctx context.Context, function, schedule string, tick time.Time, runID string, eventJSON []byte) (started bool, err error)
}

// versions are the functions as they were when runs began.
type versions interface {
	SavePlan(ctx context.Context, function, version string, spec []byte) error
	Plans(ctx context.Context, function string) (map[string]string, error)
}

// upkeep bounds what a function keeps.
type upkeep interface {
	AdoptStrays(ctx context.Context, function string, streams []string) error
	TidyCancels(ctx context.Context, function string) error
	TrimHistory(ctx context.Context, function string, maxBytes int64) error
	Retention(ctx context.Context, eventType string) (period time.Duration, maxBytes int64, err error)
	Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error
}

// OnRedis returns the Store of a Redis.
func OnRedis(s *runs.Store) Store { return redisStore{s} }

type redisStore struct{ *runs.Store }

// NewReader implements Store.
func (s redisStore) NewReader(function, runner string, origin store.Origin) Reader {
	return s.Store.NewReader(function, runner, origin)
}

// NewCommitter implements Store.
func (s redisStore) NewCommitter(function string, limits runs.HistoryLimits, guard func() error) Committer {
	return s.Store.NewCommitter(function, limits, guard)
}
