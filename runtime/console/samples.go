package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store/inspect"
)

const (
	// sampleSpan is how far back samples go.
	sampleSpan = time.Hour
	// maxMeasured is how many of the runs that ended in one function in a step
	// are looked at; maxRecalled how many of the hour before.
	maxMeasured = 500
	maxRecalled = 5000
)

// sampler measures the functions at regular times. Its loop owns last; the
// rings are shared with those who look.
type sampler struct {
	*Service
	every time.Duration
	last  map[string]measured

	mu    sync.RWMutex
	rings map[string]*ring
}

// measured is what the sampler knows of a function from the step before.
type measured struct {
	stats      inspect.Stats
	done, dead string // the newest entries of the histories
}

// ring has the samples of a function, one per step; next is the oldest.
type ring struct {
	samples []Sample
	next    int
	// touched says that the function is still installed.
	touched bool
}

func newSampler(s *Service) *sampler {
	return &sampler{Service: s, every: s.opts.SampleEvery, last: map[string]measured{}, rings: map[string]*ring{}}
}

// size is how many samples a ring has.
func (m *sampler) size() int { return int(sampleSpan / m.every) }

func (m *sampler) run(ctx context.Context) {
	ticker := time.NewTicker(m.every)
	defer ticker.Stop()
	for {
		if err := m.measure(ctx, time.Now()); err != nil && ctx.Err() == nil {
			m.log.Warn("the functions could not be measured", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// measure adds one sample for each function.
func (m *sampler) measure(ctx context.Context, now time.Time) error {
	functions, err := m.functions(ctx, "")
	if err != nil {
		return err
	}
	stats, err := m.inspect.StatsOf(ctx, readsOf(functions))
	if err != nil {
		return err
	}
	ranges := make([]inspect.HistoryRange, 0, 2*len(functions))
	for _, f := range functions {
		ranges = append(ranges, m.since(f.name, false, now), m.since(f.name, true, now))
	}
	histories, err := m.inspect.Histories(ctx, ranges)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rings {
		r.touched = false
	}
	for i, f := range functions {
		m.add(f.name, stats[i], histories[2*i], histories[2*i+1], now)
	}
	for name, r := range m.rings {
		if !r.touched {
			delete(m.rings, name)
			delete(m.last, name)
		}
	}
	return nil
}

// since is the part of a history that is new, or the last hour of one that was
// not looked at before.
func (m *sampler) since(function string, dead bool, now time.Time) inspect.HistoryRange {
	r := inspect.HistoryRange{Function: function, Dead: dead, Count: maxMeasured}
	before, known := m.last[function]
	switch {
	case !known:
		r.Count = maxRecalled
		r.Oldest = strconv.FormatInt(now.Add(-sampleSpan).UnixMilli(), 10)
	case dead:
		r.Oldest = "(" + before.dead
	default:
		r.Oldest = "(" + before.done
	}
	return r
}

// add puts the sample of a function into its ring; the first time, those of
// the last hour too, as far as the history tells.
func (m *sampler) add(function string, stats inspect.Stats, done, dead []inspect.HistoryEntry, now time.Time) {
	before, known := m.last[function]
	r := m.rings[function]
	if !known || r == nil {
		r = &ring{samples: make([]Sample, m.size())}
		m.rings[function] = r
		before = measured{stats: stats, done: "0-0", dead: "0-0"}
	}
	r.touched = true
	if len(done) > 0 {
		before.done = done[0].ID
	}
	if len(dead) > 0 {
		before.dead = dead[0].ID
	}
	entries := slices.Concat(done, dead)
	if !known {
		m.recall(r, entries, now)
		entries = nil
	}
	sample := m.sample(entries, now)
	// The totals are exact; the history may hold less than ended in a step.
	sample.Succeeded = max(0, stats.Succeeded-before.stats.Succeeded)
	sample.Failed = max(0, stats.Failed-before.stats.Failed)
	sample.Load = &Load{Backlog: stats.Backlog(), InFlight: stats.Pending, Waiting: stats.Waiting}
	r.push(sample)
	before.stats = stats
	m.last[function] = before
}

func (r *ring) push(s Sample) {
	r.samples[r.next] = s
	r.next = (r.next + 1) % len(r.samples)
}

// recall fills a new ring with what the history has of the last hour.
func (m *sampler) recall(r *ring, entries []inspect.HistoryEntry, now time.Time) {
	n := len(r.samples)
	steps := make([][]inspect.HistoryEntry, n)
	for _, e := range entries {
		age := int(now.Sub(event.EntryTime(e.ID)) / m.every)
		if i := n - 1 - age; i >= 0 && i < n {
			steps[i] = append(steps[i], e)
		}
	}
	for i, list := range steps {
		s := m.sample(list, now.Add(-time.Duration(n-1-i)*m.every))
		for _, e := range list {
			if e.Dead {
				s.Failed++
			} else {
				s.Succeeded++
			}
		}
		r.push(s)
	}
}

// sample measures how long runs took that ended in one step.
func (m *sampler) sample(entries []inspect.HistoryEntry, at time.Time) Sample {
	s := Sample{Time: at.UTC().Truncate(time.Millisecond)}
	var took, start []int64
	for i := range entries {
		run, err := entries[i].Record()
		if err != nil || run.EndedAt == nil {
			continue // whoever lists the runs says so
		}
		took = append(took, run.EndedAt.Sub(run.StartedAt).Milliseconds())
		if began, ok := event.IDTime(run.ID); ok {
			start = append(start, max(0, run.StartedAt.Sub(began).Milliseconds()))
		}
	}
	if len(took) > 0 {
		s.Latency = &Latency{P50: quantile(took, 0.5), P99: quantile(took, 0.99), Start: quantile(start, 0.99)}
	}
	return s
}

// Samples returns what was measured of a function over the last hour, or of
// all together with "". Latencies of all are the largest of any.
func (s *Service) Samples(_ context.Context, function string) (Series, error) {
	m := s.samples
	series := Series{Function: function, StepSeconds: int(m.every / time.Second), Samples: []Sample{}}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if function != "" {
		r := m.rings[function]
		if r == nil {
			return series, failf(http.StatusNotFound, "function %q was not measured: there is none, or it was installed only just now", function)
		}
		series.Samples = r.list()
		return series, nil
	}
	for _, r := range m.rings {
		series.Samples = add(series.Samples, r.list())
	}
	return series, nil
}

// list returns the samples in the order of time.
func (r *ring) list() []Sample {
	return slices.Concat(r.samples[r.next:], r.samples[:r.next])
}

// add sums two series, of which the first may be empty; they end together.
func add(a, b []Sample) []Sample {
	if len(a) == 0 {
		return b
	}
	for i := range a {
		x, y := &a[i], b[i]
		x.Succeeded += y.Succeeded
		x.Failed += y.Failed
		switch {
		case x.Load == nil:
			x.Load = y.Load
		case y.Load != nil:
			x.Load = &Load{x.Load.Backlog + y.Load.Backlog, x.Load.InFlight + y.Load.InFlight, x.Load.Waiting + y.Load.Waiting}
		}
		switch {
		case x.Latency == nil:
			x.Latency = y.Latency
		case y.Latency != nil:
			x.Latency = &Latency{max(x.Latency.P50, y.Latency.P50), max(x.Latency.P99, y.Latency.P99), max(x.Latency.Start, y.Latency.Start)}
		}
	}
	return a
}
