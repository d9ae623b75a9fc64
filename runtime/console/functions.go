package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// installed is a function as it is stored, in its newest version.
type installed struct {
	name, version string
	text          string
	spec          v1alpha1.WildoutFunctionSpec
}

// reads is what the store needs to know of the function.
func (f *installed) reads() inspect.Reads {
	return inspect.Reads{Function: f.name, Triggers: f.spec.Triggered(), Types: f.spec.Reads()}
}

// awaits reports whether a step waits for events of the type.
func (f *installed) awaits(eventType string) bool {
	return slices.ContainsFunc(f.spec.Awaited(), func(a v1alpha1.AwaitedEvent) bool { return string(a.Event) == eventType })
}

func readsOf(functions []*installed) []inspect.Reads {
	reads := make([]inspect.Reads, len(functions))
	for i, f := range functions {
		reads[i] = f.reads()
	}
	return reads
}

// planCache keeps decoded functions for as long as their text is the same.
type planCache struct {
	mu    sync.Mutex
	known map[string]*installed
}

func (c *planCache) decode(name, version, text string) (*installed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.known[name]; f != nil && f.version == version && f.text == text {
		return f, nil
	}
	f := &installed{name: name, version: version, text: text}
	if err := json.Unmarshal([]byte(text), &f.spec); err != nil {
		return nil, fmt.Errorf("the stored version %s of %s cannot be read: %w", version, name, err)
	}
	if c.known == nil {
		c.known = map[string]*installed{}
	}
	c.known[name] = f
	return f, nil
}

// forget drops the functions that are not installed any more.
func (c *planCache) forget(versions map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.known {
		if _, there := versions[name]; !there {
			delete(c.known, name)
		}
	}
}

// functions returns the installed functions by name; all, or the one asked for.
func (s *Service) functions(ctx context.Context, only string) ([]*installed, error) {
	versions, err := s.inspect.Functions(ctx)
	if err != nil {
		return nil, err
	}
	s.plans.forget(versions)
	if only != "" {
		version, there := versions[only]
		if !there {
			return nil, failf(http.StatusNotFound, "there is no function %q", only)
		}
		versions = map[string]string{only: version}
	}
	texts, err := s.inspect.PlanTexts(ctx, versions)
	if err != nil {
		return nil, err
	}
	all := make([]*installed, 0, len(versions))
	for name, text := range texts {
		f, err := s.plans.decode(name, versions[name], text)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *installed) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// Functions returns the installed functions by name.
func (s *Service) Functions(ctx context.Context) ([]Function, error) {
	all, err := s.functions(ctx, "")
	if err != nil {
		return nil, err
	}
	return s.describe(ctx, all)
}

// Function returns the function of that name.
func (s *Service) Function(ctx context.Context, name string) (*Function, error) {
	all, err := s.functions(ctx, name)
	if err != nil {
		return nil, err
	}
	shown, err := s.describe(ctx, all)
	if err != nil || len(shown) == 0 {
		return nil, err
	}
	return &shown[0], nil
}

// Manifest returns the spec of a function as it is installed: JSON.
func (s *Service) Manifest(ctx context.Context, name string) (json.RawMessage, error) {
	all, err := s.functions(ctx, name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return json.RawMessage(all[0].text), nil
}

// recentRuns is how many runs Recent looks at.
const recentRuns = 100

// describe adds the numbers of functions to what their manifests say.
func (s *Service) describe(ctx context.Context, all []*installed) ([]Function, error) {
	stats, err := s.inspect.StatsOf(ctx, readsOf(all))
	if err != nil {
		return nil, err
	}
	ranges := make([]inspect.HistoryRange, 0, 2*len(all))
	for _, f := range all {
		ranges = append(ranges, inspect.HistoryRange{Function: f.name, Count: recentRuns}, inspect.HistoryRange{Function: f.name, Dead: true, Count: recentRuns})
	}
	histories, err := s.inspect.Histories(ctx, ranges)
	if err != nil {
		return nil, err
	}
	out := make([]Function, len(all))
	for i, f := range all {
		out[i] = Function{Name: f.name, Version: f.version, Description: f.spec.Description, Triggers: f.spec.Triggered(), Stats: stats[i]}
		for _, t := range f.spec.Triggers {
			if t.Cron != "" {
				out[i].Triggers = append(out[i].Triggers, strings.TrimSpace("cron "+t.Cron+" "+t.TimeZone))
			}
		}
		s.recent(&out[i], newest(histories[2*i], histories[2*i+1]), time.Now())
		out[i].State = stateOf(&out[i], f.spec.Suspend)
	}
	return out, nil
}

// newest joins two histories, the newest runs first.
func newest(done, dead []inspect.HistoryEntry) []inspect.HistoryEntry {
	all := slices.Concat(done, dead)
	slices.SortStableFunc(all, func(a, b inspect.HistoryEntry) int { return store.CompareEntries(b.ID, a.ID) })
	return all[:min(recentRuns, len(all))]
}

// rateWindow is the time over which Recent.PerMinute counts.
const rateWindow = 5 * time.Minute

// recent fills in what the last runs tell.
func (s *Service) recent(f *Function, entries []inspect.HistoryEntry, now time.Time) {
	var took []int64
	counted, since := 0, now.Add(-rateWindow)
	for i := range entries {
		record, err := entries[i].Record()
		if err != nil || record.EndedAt == nil {
			s.log.Warn("history entry skipped", "function", f.Name, "entry", entries[i].ID, "error", err)
			continue
		}
		if f.LastRun == nil {
			f.LastRun = record.EndedAt
		}
		if !record.EndedAt.Before(since) {
			counted++
		}
		f.Recent.Runs++
		if record.Status == run.Failed || record.Status == run.Rejected {
			f.Recent.Failed++
			if f.LastFailure == nil {
				f.LastFailure = &Failure{RunID: record.ID, Step: record.ErrorStep, Error: record.Error, Time: *record.EndedAt}
			}
		}
		took = append(took, record.EndedAt.Sub(record.StartedAt).Milliseconds())
	}
	window := rateWindow
	if counted == recentRuns { // there were more, which are not looked at
		if oldest, err := entries[len(entries)-1].Record(); err == nil {
			window = max(now.Sub(*oldest.EndedAt), time.Second)
		}
	}
	f.Recent.PerMinute = math.Round(float64(counted)/window.Minutes()*10) / 10
	f.Recent.P50Millis, f.Recent.P99Millis = quantile(took, 0.5), quantile(took, 0.99)
}

// quantile returns the value below which a share of the values is; 0 of none.
// It sorts them.
func quantile(values []int64, share float64) int64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(share*float64(len(values))))]
}

func stateOf(f *Function, suspended bool) State {
	switch {
	case suspended:
		return Suspended
	case f.Runners == 0:
		return Down
	case f.Recent.Failed > 0 && 2*f.Recent.Failed >= f.Recent.Runs:
		return Failing
	case f.Backlog() > 0 || f.Pending > 0:
		return Busy
	}
	return Idle
}
