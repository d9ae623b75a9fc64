// Package storetest holds what a worker relies on in its Store, as specs that any
// implementation passes: Holds makes them. They know the port alone, never a key or
// a command, and every call may lose its answer: what has no answer is asked again,
// and must have happened once.
package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// Site is what an implementation is tried at: a namespace of its own.
type Site struct {
	// Store is what is tried.
	Store worker.Store
	// Conn leads to the same data: events are published through it, and the
	// histories and the numbers read.
	Conn *store.Conn
}

// Holds makes the specs of an implementation; open is called for each, and opens
// an empty site that lives until the spec ends.
func Holds(name string, open func() Site) bool {
	return Describe("a store: "+name, func() {
		begin := func() *site {
			GinkgoHelper()
			opened := open()
			s := &site{Site: opened, inspect: inspect.New(opened.Conn), acts: acts.New(opened.Conn), keys: opened.Store.Keys()}
			done(func() error {
				return s.Store.EnsureGroups(ctx, function, store.FromBeginning, eventType)
			})
			return s
		}
		holdsForRuns(begin)
		holdsForParkedRuns(begin)
		holdsForRunners(begin)
		holdsForStreams(begin)
		holdsForLimits(begin)
	})
}

const (
	function  = "f"
	eventType = "a"
	lease     = time.Minute
	patience  = 30 * time.Second // for a call whose answer is lost again and again
)

var ctx = context.Background()

// site is a Site, with what the specs do there again and again.
type site struct {
	Site
	inspect   *inspect.Inspector
	acts      *acts.Acts
	keys      store.Keys
	published atomic.Int64
}

// again makes a call until it has an answer, as a worker does.
func again[T any](call func() (T, error)) T {
	GinkgoHelper()
	for began := time.Now(); ; {
		got, err := call()
		if err == nil {
			return got
		}
		if !store.Temporary(err) || time.Since(began) > patience {
			Fail(err.Error())
		}
	}
}

// done makes a call that answers nothing until it has succeeded.
func done(call func() error) {
	GinkgoHelper()
	again(func() (struct{}, error) { return struct{}{}, call() })
}

// publish appends an event to the stream that the function reads.
func (s *site) publish() *event.Event {
	GinkgoHelper()
	e := &event.Event{ID: fmt.Sprint("e", s.published.Add(1)), Type: eventType, Data: []byte(`{}`)}
	done(func() error { return s.Conn.Publish(ctx, e) })
	return e
}

// alive makes a runner one that lives.
func (s *site) alive(runner string) {
	GinkgoHelper()
	beat := s.beat(runner, true)
	Expect(beat.Fenced).To(BeFalse())
}

func (s *site) beat(runner string, first bool) runs.Beat {
	GinkgoHelper()
	return again(func() (runs.Beat, error) { return s.Store.Beat(ctx, function, runner, lease, first) })
}

// dies makes a runner one whose lease has run out.
func (s *site) dies(runner string) {
	GinkgoHelper()
	done(func() error { return s.Store.Expire(ctx, function, runner) })
}

// read lets a runner, which lives, read all that is new in a stream, and returns what it has of it.
func (s *site) read(runner, stream string) []store.Entry {
	GinkgoHelper()
	s.alive(runner)
	reader := s.Store.NewReader(function, runner, store.FromBeginning)
	defer reader.Close()
	again(func() ([]store.Entry, error) {
		entries, err := reader.Read(ctx, []string{stream}, 100, 0)
		return entries, store.Explain(err)
	})
	return s.claim(runner, runner, stream)
}

// claim lets a runner take over what another one has of a stream, and returns what
// it has of it then.
func (s *site) claim(runner, from, stream string) []store.Entry {
	GinkgoHelper()
	if from != runner {
		again(func() ([]store.Entry, error) {
			return s.Store.Claim(ctx, runs.Claim{Function: function, Runner: runner, Dead: from, Stream: stream, Lease: lease, Most: 1000})
		})
	}
	return again(func() ([]store.Entry, error) {
		return s.Store.Claim(ctx, runs.Claim{Function: function, Runner: runner, Dead: runner, Stream: stream, Lease: lease, Most: 1000})
	})
}

// begin publishes an event and gives it to a runner.
func (s *site) begin(runner string) *run.Ref {
	GinkgoHelper()
	e := s.publish()
	for _, entry := range s.read(runner, s.keys.Stream(eventType)) {
		if read, err := entry.Event(); err == nil && read.ID == e.ID {
			return &run.Ref{Function: function, RunID: store.RunID(function, eventType, entry.ID), Stream: entry.Stream, Entry: entry.ID, Runner: runner, Version: "v1"}
		}
	}
	Fail("the runner was not given what was published")
	return nil
}

// woken returns the inbox entries that wake a run, as a runner has them.
func (s *site) woken(runner, runID string) (entries []store.Entry) {
	GinkgoHelper()
	for _, e := range s.read(runner, s.keys.Inbox(function)) {
		if e.Field("run") == runID {
			entries = append(entries, e)
		}
	}
	return entries
}

// committer starts the group commit of a runner whose lease holds.
func (s *site) committer() worker.Committer {
	c := s.Store.NewCommitter(function, runs.HistoryLimits{Done: 100, Dead: 100}, func() error { return nil })
	DeferCleanup(c.Close)
	return c
}

// finish ends a run. Whether that counted is not told where the answer was lost.
func finish(c worker.Committer, f runs.Finish) {
	GinkgoHelper()
	if f.Record == nil && f.Count == "" {
		f.Record = run.AppendRecord(nil, &run.Record{ID: f.Ref.RunID, Status: run.Succeeded, StartedAt: time.UnixMilli(1)})
	}
	again(func() (bool, error) { return c.Finish(ctx, f) })
}

// park puts a run aside. The answer is that it is parked, also where the first one
// was lost.
func park(c worker.Committer, p runs.Park) {
	GinkgoHelper()
	p.Meta = []byte(`{}`)
	Expect(again(func() (runs.ParkResult, error) { return c.Park(ctx, p) })).To(BeElementOf(runs.ParkOK, runs.ParkLost))
}

// ended returns the runs that have ended, the newest first.
func (s *site) ended() []run.Record {
	GinkgoHelper()
	return again(func() ([]run.Record, error) { return s.inspect.History(ctx, function, 100) })
}

func (s *site) journal(runID string) *run.Journal {
	GinkgoHelper()
	return again(func() (*run.Journal, error) { return s.Store.Load(ctx, function, runID) })
}

// entries returns the streams' entries, by nobody read.
func (s *site) entries(streams ...string) []store.Entry {
	GinkgoHelper()
	reader := s.Store.NewReader("nobody", "nobody", store.FromBeginning)
	defer reader.Close()
	from := map[string]string{}
	for _, stream := range streams {
		from[stream] = "0-0"
	}
	return again(func() ([]store.Entry, error) { return reader.After(ctx, from, 1000, -1) })
}
