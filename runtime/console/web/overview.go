package web

import (
	"context"
	"slices"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

// tile is a number of the overview.
type tile struct{ Name, Link, Class, Icon, Figure, Unit string }

// troubled is a function that needs a look.
type troubled struct {
	Name, Text string
	Status     sign
	Failure    *console.Failure
}

// overviewBody is the first page.
type overviewBody struct {
	Tiles   []tile
	Charts  []chart
	Trouble []troubled
	Latest  []run.Record
}

// shortestChart is the least that charts look back: the hour is shown once
// there is an hour.
const shortestChart = 10 * time.Minute

// latestRuns is how many runs the overview has.
const latestRuns = 8

func (s *Site) loadOverview(ctx context.Context) (*overviewBody, error) {
	functions, err := s.source.Functions(ctx)
	if err != nil {
		return nil, err
	}
	page, err := s.source.Runs(ctx, console.RunQuery{Limit: latestRuns})
	if err != nil {
		return nil, err
	}
	samples, err := s.source.Samples(ctx, "")
	if err != nil {
		return nil, err
	}
	b := &overviewBody{Latest: page.Runs, Charts: overviewCharts(samples)}
	var flight, waiting, backlog int64
	var rate float64
	var runs, failed int
	for i := range functions {
		f := &functions[i]
		flight, waiting, backlog = flight+f.Pending, waiting+f.Waiting, backlog+f.Backlog()
		rate += f.Recent.PerMinute
		runs, failed = runs+f.Recent.Runs, failed+f.Recent.Failed
		if t := troubleOf(f); t != nil {
			b.Trouble = append(b.Trouble, *t)
		}
	}
	slices.SortStableFunc(b.Trouble, func(x, y troubled) int { return rank(x.Status) - rank(y.Status) })
	success := tile{"Succeeded lately", "/runs?status=failed", "succeeded", "succeeded", successRate(runs, failed), ""}
	if failed > 0 {
		success.Class, success.Icon = "failed", "failed"
	}
	b.Tiles = []tile{
		{"In flight", "/runs?status=running", "running", "running", count(flight), ""},
		{"Waiting", "/runs?status=waiting", "waiting", "waiting", count(waiting), ""},
		{"Backlog", "/functions", "", "pending", count(backlog), ""},
		success,
		{"Runs ended", "/runs", "", "idle", perMinute(rate), "per minute"},
	}
	if flight == 0 {
		b.Tiles[0].Class, b.Tiles[0].Icon = "", "idle"
	}
	return b, nil
}

func overviewCharts(all console.Series) []chart {
	all = recent(all, shortestChart)
	times := make([]time.Time, len(all.Samples))
	for i := range all.Samples {
		times[i] = all.Samples[i].Time
	}
	return []chart{
		newChart("backlog", "Backlog", times, []series{
			{"not begun", measured(all, load(func(l *console.Load) int64 { return l.Backlog })), false},
			{"in flight", measured(all, load(func(l *console.Load) int64 { return l.InFlight })), false},
		}, whole),
		newChart("latency", "Latency of runs", times, []series{{"median", measured(all, p50), true}, {"99th percentile", measured(all, p99), true}}, millis),
	}
}

func (s *Site) overview(r *request) error {
	body, err := s.loadOverview(r.Context())
	if err != nil {
		return err
	}
	return s.show(r, "overview", "Overview", "/live/overview", body)
}
