package worker

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/wildout/wildout/runtime/store/runs"
)

// recoverer finds what nobody works on: entries of dead runners, and of this one
// whose delivery was lost on its way, and runs that wait for code. Its goroutines, of which the
// heartbeat begins one at a time for each, own it.
type recoverer struct {
	*self
	store     claims
	streams   *streams
	processor *processor

	side    sync.WaitGroup
	busy    atomic.Bool // the dead are looked after
	fetches atomic.Bool // runs that waited for code are taken up
	reading atomic.Bool // what is this runner's own is looked for
	// missed: entries may have been given to this runner that it does not know of.
	// Whoever reads and fails writes it.
	missed atomic.Bool
}

// look begins what is to be done, in goroutines of its own.
func (r *recoverer) look(ctx context.Context, b *runs.Beat) {
	dead := b.Dead
	if b.Lacking > 0 && !r.Plan.Spec.Suspend && r.fetches.CompareAndSwap(false, true) {
		r.side.Go(func() {
			defer r.fetches.Store(false)
			r.adopt(ctx)
		})
	}
	if len(dead) > 0 && !r.Plan.Spec.Suspend && r.busy.CompareAndSwap(false, true) {
		r.side.Go(func() {
			defer r.busy.Store(false)
			r.recover(ctx, dead)
		})
	}
	if r.missed.Load() && r.reading.CompareAndSwap(false, true) {
		r.missed.Store(false)
		r.side.Go(func() {
			defer r.reading.Store(false)
			r.reread(ctx)
		})
	}
}

// recover takes over the entries of dead runners, as places are free.
func (r *recoverer) recover(ctx context.Context, dead []string) {
	claims := r.streams.now().claims
	for _, name := range dead {
		taken := 0
		for _, stream := range claims {
			n, err := r.takeOver(ctx, name, stream)
			if err != nil {
				r.log.Warn("could not take over the runs of a dead runner; trying again", "dead", name, "error", err)
				return
			}
			taken += n
		}
		if ctx.Err() != nil {
			return
		}
		r.metrics.recovered.Add(float64(taken))
		if taken > 0 {
			r.log.Info("took over the runs of a dead runner", "dead", name, "runs", taken)
		}
		if _, err := r.store.Forget(ctx, r.Plan.Function, name, claims); err != nil {
			r.log.Warn("could not remove a dead runner", "dead", name, "error", err)
		}
	}
}

// claimed is how many entries are taken over at once.
const claimed = 64

// takeOver claims what a dead runner has pending in a stream.
func (r *recoverer) takeOver(ctx context.Context, dead, stream string) (taken int, err error) {
	for after := ""; ; {
		n := r.processor.placesOf(stream).wait(ctx)
		if n == 0 {
			return taken, nil
		}
		c := runs.Claim{Function: r.Plan.Function, Runner: r.name, Dead: dead, Stream: stream, After: after, Lease: r.Lease,
			Most: min(n, claimed), Often: r.processor.often()}
		if r.processor.suspects.Load() == 0 {
			c.Suspects = 1
		}
		entries, err := r.store.Claim(ctx, c)
		if err != nil {
			r.missed.Store(true)
			return taken, err
		}
		if len(entries) == 0 {
			return taken, nil
		}
		after = entries[len(entries)-1].ID
		taken += len(entries)
		r.processor.take(entries, false, nil)
	}
}

// reread begins what Redis has given to this runner and the runner does not
// know of. That is no delivery: it counts for nobody.
func (r *recoverer) reread(ctx context.Context) {
	r.processor.begun.look(func() {
		for _, stream := range r.streams.now().claims {
			if err := r.rereadStream(ctx, stream); err != nil {
				r.missed.Store(true)
				r.log.Warn("could not look for entries whose delivery was lost; trying again", "stream", stream, "error", err)
				return
			}
		}
	})
}

func (r *recoverer) rereadStream(ctx context.Context, stream string) error {
	c := runs.Claim{Function: r.Plan.Function, Runner: r.name, Dead: r.name, Stream: stream, Lease: r.Lease, Most: claimed}
	for {
		entries, err := r.store.Claim(ctx, c)
		if err != nil || len(entries) == 0 {
			return err
		}
		r.processor.take(entries, true, nil)
		c.After = entries[len(entries)-1].ID
	}
}
