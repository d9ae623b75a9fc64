package worker

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/store/runs"
)

// processor takes entries to their end: each in a goroutine of its own, which
// owns the run. What it has besides are counts and places.
type processor struct {
	*self
	clock   *clock
	lease   *lease
	streams *streams
	waker   *waker

	store     journals
	queues    queues
	committer Committer
	engine    *engine.Engine
	admission *admission.Admission

	places *gate // of runs
	// deliveries are places of entries that only runs wait for: these never wait
	// for a run.
	deliveries *gate
	begun      begun
	// suspects counts the entries under way that were begun often. Who takes one
	// writes it, and its end.
	suspects atomic.Int32
	// pathsSince is when all runners know the wait paths, in ms of the server's
	// clock; only the opening of the session writes it.
	pathsSince atomic.Int64

	runs   context.Context // of the runs; ends with ErrInterrupted or ErrFenced
	stop   context.CancelCauseFunc
	begins context.Context // ends, with runs at the latest, when no run may begin any more
	noMore context.CancelFunc
	work   sync.WaitGroup // the entries under way
}

// newProcessor returns a processor; its committer comes with open.
func newProcessor(s *self, l *lease, st *streams, w *waker) *processor {
	p := &processor{self: s, store: s.Store, queues: s.Store, clock: l.clock, lease: l, streams: st, waker: w}
	p.runs, p.stop = context.WithCancelCause(context.Background())
	p.begins, p.noMore = context.WithCancel(p.runs)
	p.places = newGate(s.MaxInFlight)
	p.deliveries = newGate(s.MaxInFlight)
	p.engine = &engine.Engine{Handlers: s.Handlers, Env: s.Env, Now: l.clock.now, Local: s.Now}
	p.admission = &admission.Admission{Function: s.Plan.Function, Env: s.Env, Now: l.clock.now, Port: port{p}}
	return p
}

// open opens the group commit.
func (p *processor) open() {
	limits := runs.HistoryLimits{Done: p.historyLimit(), Dead: deadLimit}
	p.committer = p.Store.NewCommitter(p.Plan.Function, limits, p.lease.check)
	p.committer.Observe(p.metrics.committed)
}

// close ends the group commit and the goroutines of the engine.
func (p *processor) close() {
	p.committer.Close()
	p.engine.Close()
}

// Bounds of the histories, in runs.
const (
	doneLimit = 1000
	deadLimit = 1000
)

func (p *processor) historyLimit() int64 {
	if h := p.Plan.Spec.History; h != nil && h.Limit != nil {
		return int64(*h.Limit)
	}
	return doneLimit
}

// often is from how many deliveries on an entry is a suspect: half of what
// condemns it, so that whatever died beside it is tried alone in time.
func (p *processor) often() int64 { return max(2, p.MaxDeliveries/2) }
