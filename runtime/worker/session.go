package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
)

// session is a runner under one name. Fenced, it ends, and the worker begins
// another one.
type session struct {
	*Worker
	name     string
	log      *slog.Logger
	types    []string // the event types that are read
	events   []string // their streams
	starts   []string // the inbox, and the streams whose events start runs
	waitOnly []string // those whose events only runs wait for
	both     []string // those of starts whose events runs wait for, too
	claims   []string // streams, and those that other versions of the function read
	gate     *gate    // places of runs
	// deliveries are places of entries that only runs wait for: these never wait
	// for a run.
	deliveries *gate
	committer  *store.Committer
	reader     *store.Reader
	engine     *engine.Engine
	admission  *admission.Admission

	runCtx   context.Context // of the runs; ends with ErrInterrupted or ErrFenced
	stopRuns context.CancelCauseFunc
	begins   context.Context // ends, with runCtx at the latest, when no run may begin any more
	noMore   context.CancelFunc
	runs     sync.WaitGroup
	side     sync.WaitGroup // what the loops have begun besides

	lease      atomic.Int64 // until when it holds, by the local monotonic clock, in ns since epoch
	epoch      time.Time
	skew       atomic.Int64 // server clock minus local clock, ns
	due        atomic.Int64 // the next known timer, ms of the server clock; 0: none
	dueChanged chan struct{}
	recovering atomic.Bool
	begun      begun
	missed     atomic.Bool // entries may have been given to this runner that it does not know of
	over       atomic.Bool // the lease was found to have run out: no later heartbeat brings it back
	rank       atomic.Int64
	pathsSince atomic.Int64 // when all runners know the wait paths, ms
	held       holding      // written by beat only
	heldAt     time.Time
	tripTime   time.Duration // of the heartbeat that skew comes from, doubled with each slower one; beat only
}

// holding is what the shares of the concurrency limits depend on.
type holding struct {
	alive, rank int
	over        bool // more is in use, or less is held, than the share
}

func newSession(w *Worker) *session {
	var tail [4]byte
	_, _ = rand.Read(tail[:]) // never fails
	s := &session{Worker: w, name: w.Name + "-" + hex.EncodeToString(tail[:]), epoch: time.Now(),
		dueChanged: make(chan struct{}, 1)}
	s.log = w.Logger.With("runner", s.name)
	s.runCtx, s.stopRuns = context.WithCancelCause(context.Background())
	s.begins, s.noMore = context.WithCancel(s.runCtx)
	s.gate = newGate(w.MaxInFlight)
	s.deliveries = newGate(w.MaxInFlight)
	s.engine = &engine.Engine{Handlers: w.Handlers, Env: w.Env, Now: s.now}
	s.admission = &admission.Admission{Function: w.Plan.Function, Env: w.Env, Now: s.now, Port: port{s}}
	return s
}

// now is the server's clock, as of the last heartbeat: due times are compared
// with it, on whatever machine they were made.
func (s *session) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

// fenced is asked before every write.
func (s *session) fenced() error {
	if s.over.Load() || time.Since(s.epoch) > time.Duration(s.lease.Load()) {
		// Runs were refused a write: they are only taken up again elsewhere.
		s.over.Store(true)
		return store.ErrFenced
	}
	return nil
}

// open makes the function known, its groups, and the first heartbeat.
func (s *session) open(ctx context.Context) error {
	k, f := s.Store.Keys(), s.Plan.Function
	waits := waitPaths(s.Plan.Spec)
	known, err := s.Store.WaitPaths(ctx, f)
	if err != nil {
		return err
	}
	s.sortStreams(s.Plan.Spec.Triggered(), append(known, waits...))
	inbox := k.Inbox(f)
	if err := s.Store.EnsureGroup(ctx, f, append([]string{inbox}, s.events...)...); err != nil {
		return err
	}
	ever, err := s.Store.NoteReads(ctx, f, s.types)
	if err != nil {
		return err
	}
	s.claims = append([]string{inbox}, s.events...)
	for _, t := range ever {
		s.claims = appendNew(s.claims, k.Stream(t))
	}
	spec, err := json.Marshal(s.Plan.Spec)
	if err != nil {
		return fmt.Errorf("encode the spec of %s: %w", f, err)
	}
	if err := s.Store.SavePlan(ctx, f, s.Plan.Hash, spec); err != nil {
		return err
	}
	fresh, err := s.Store.RegisterWaits(ctx, f, waits)
	if err != nil {
		return err
	}
	if known, err = s.Store.WaitPaths(ctx, f); err != nil {
		return err
	}
	if err := s.admission.WaitFor(known); err != nil {
		return err
	}
	beat, err := s.beat(ctx, true)
	if err != nil {
		return err
	}
	if fresh && beat.Alive > 1 {
		// Runners of an older version learn the new paths with their next
		// heartbeat; look-backs wait until they have.
		s.pathsSince.Store(s.now().Add(s.interval() + time.Second).UnixMilli())
	}
	return nil
}

// sortStreams says which streams are read, and for what.
func (s *session) sortStreams(triggers []string, waits []store.WaitPath) {
	k := s.Store.Keys()
	s.types = triggers
	s.starts = []string{k.Inbox(s.Plan.Function)}
	for _, t := range triggers {
		s.starts = append(s.starts, k.Stream(t))
	}
	for _, w := range waits {
		s.types = appendNew(s.types, w.EventType)
		if slices.Contains(triggers, w.EventType) {
			s.both = appendNew(s.both, k.Stream(w.EventType))
		} else {
			s.waitOnly = appendNew(s.waitOnly, k.Stream(w.EventType))
		}
	}
	for _, t := range s.types {
		s.events = append(s.events, k.Stream(t))
	}
}

// waitPaths are the ways in which runs of a function wait for events.
func waitPaths(spec *v1alpha1.WildoutFunctionSpec) []store.WaitPath {
	awaited := spec.Awaited()
	paths := make([]store.WaitPath, len(awaited))
	for i, a := range awaited {
		paths[i] = store.WaitPath{EventType: string(a.Event), Match: a.Match}
	}
	return paths
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func decodePlan(function string, text []byte) (*plan.Plan, error) {
	var spec v1alpha1.WildoutFunctionSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, fmt.Errorf("stored version of %s: %w", function, err)
	}
	return plan.Compile(function, &spec, plan.Options{Stored: true})
}

// run works until ctx ends or the lease has run out.
func (s *session) run(ctx context.Context) error {
	limits := store.HistoryLimits{Done: s.historyLimit(), Dead: 1000}
	s.committer = s.Store.NewCommitter(s.Plan.Function, limits, s.fenced)
	s.committer.Observe(s.metrics.committed)
	s.reader = s.Store.NewReader(s.Plan.Function, s.name)
	loops, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, loop := range []func(context.Context){s.beatLoop, s.timerLoop, s.cronLoop, s.cancelLoop, s.tidyLoop} {
		wg.Go(func() { loop(loops) })
	}
	reading := make(chan struct{})
	go func() { defer close(reading); s.readLoop(loops) }()
	var err error
	select {
	case <-ctx.Done():
	case <-s.runCtx.Done():
		err = context.Cause(s.runCtx)
	}
	stop()
	_ = s.reader.Close()
	<-reading
	wg.Wait()
	s.side.Wait()
	s.drain()
	s.committer.Close()
	s.engine.Close()
	return err
}

func (s *session) historyLimit() int64 {
	if h := s.Plan.Spec.History; h != nil && h.Limit != nil {
		return int64(*h.Limit)
	}
	return 1000
}

// drain ends the runs of this runner: within the grace period by themselves,
// after it by parking them, without costing an attempt.
func (s *session) drain() {
	s.noMore()
	ended := make(chan struct{})
	go func() { s.runs.Wait(); close(ended) }()
	keep, stop := context.WithCancel(context.Background())
	defer stop()
	var beats sync.WaitGroup
	if s.runCtx.Err() == nil {
		beats.Go(func() { s.beatLoop(keep) }) // the lease must outlast the grace period
		beats.Go(func() { s.cancelLoop(keep) })
	}
	select {
	case <-ended:
	case <-time.After(s.Grace):
	case <-s.runCtx.Done():
	}
	s.stopRuns(engine.ErrInterrupted)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		s.log.Warn("runs are left to other runners: they did not stop in time")
	}
	stop()
	beats.Wait()
	if errors.Is(context.Cause(s.runCtx), engine.ErrFenced) {
		s.abandon()
		return
	}
	s.leave()
}

// abandon makes the runner known as dead, though others may have forgotten it
// already: a late read may have brought it entries since.
func (s *session) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), s.Lease)
	defer cancel()
	if err := s.Store.Expire(ctx, s.Plan.Function, s.name); err != nil {
		s.log.Warn("could not leave in order; others clean up in a minute", "error", err)
	}
}

// leave hands back what was read and not begun, and takes the runner off the
// list.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, stream := range s.claims {
		entries, err := s.Store.Claim(ctx, s.Plan.Function, s.name, s.name, stream, "", s.Lease, 10_000)
		if err != nil {
			s.log.Warn("could not hand back what was not begun; others take it once the lease is over", "error", err)
			return
		}
		for _, e := range entries {
			s.process(delivery{Entry: e, back: true, release: func() {}})
		}
	}
	if err := s.leaveLimits(ctx); err != nil {
		s.log.Warn("could not give back slots; they are free once the lease is over", "error", err)
	}
	gone, err := s.Store.Forget(ctx, s.Plan.Function, s.name, s.claims)
	if err == nil && !gone {
		err = s.Store.Expire(ctx, s.Plan.Function, s.name)
	}
	if err != nil {
		s.log.Warn("could not leave in order; others clean up once the lease is over", "error", err)
	}
}

// leaveLimits gives back the slots that the runner holds.
func (s *session) leaveLimits(ctx context.Context) error {
	if err := s.admission.LeaveAll(ctx); err != nil {
		return err
	}
	for i, l := range s.Plan.Concurrency {
		if l.Key != nil {
			continue
		}
		none := store.Slots{Function: s.Plan.Function, Limit: i + 1, Runner: s.name, Max: l.Limit, Lease: s.Lease}
		if _, err := s.Store.Hold(ctx, none); err != nil {
			return err
		}
	}
	return nil
}
