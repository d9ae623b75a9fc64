package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// memoryRuns is how many runs the memory of a run is an average of. It is
// below what any contender's history keeps.
const memoryRuns = 4000

// warmUpShare divides the runs of a measurement for the one before the first,
// which opens connections, grows heaps and is thrown away.
const warmUpShare = 20

// stepCounts are the kinds of run that are compared.
var stepCounts = []int{1, 3}

// runSession takes all measurements: round after round, and in a round one
// system after the other, so that a noisy minute hits all of them.
func runSession(ctx context.Context, srv *server, o options, progress io.Writer) (*report, error) {
	chosen := choose(o.Systems)
	rep := newReport(srv, o, chosen)
	for i, c := range chosen {
		fmt.Fprintf(progress, "warm-up and memory: %s\n", c.Name())
		for _, steps := range stepCounts {
			if _, err := measureDrain(ctx, srv, c, steps, max(o.Runs/c.share/warmUpShare, 1)); err != nil {
				return nil, fmt.Errorf("%s: warm-up with %d steps: %w", c.Name(), steps, err)
			}
		}
		var err error
		if rep.Systems[i].Memory, err = measureMemory(ctx, srv, c, memoryRuns/min(c.share, 4)); err != nil {
			return nil, fmt.Errorf("%s: memory: %w", c.Name(), err)
		}
	}
	for round := range o.Rounds {
		for i, c := range chosen {
			begun := time.Now()
			if err := measureRound(ctx, srv, c, o, rep.Systems[i]); err != nil {
				return nil, fmt.Errorf("%s: round %d: %w", c.Name(), round+1, err)
			}
			fmt.Fprintf(progress, "round %d of %d: %s (%.0f s)\n", round+1, o.Rounds, c.Name(), time.Since(begun).Seconds())
		}
	}
	rep.summarise()
	return rep, nil
}

// measureRound takes one measurement of each kind and adds it to r.
func measureRound(ctx context.Context, srv *server, c contender, o options, r *systemReport) error {
	for _, steps := range stepCounts {
		d, err := measureDrain(ctx, srv, c, steps, o.Runs/c.share)
		if err != nil {
			return fmt.Errorf("backlog of runs with %d steps: %w", steps, err)
		}
		l, err := measureLight(ctx, srv, c, steps, o.Light)
		if err != nil {
			return fmt.Errorf("light load of runs with %d steps: %w", steps, err)
		}
		k := r.kind(steps)
		k.Drains, k.Lights = append(k.Drains, d), append(k.Lights, l)
	}
	return nil
}

// choose returns the contenders of those names, in the order of the names.
func choose(names []string) []contender {
	var chosen []contender
	for _, name := range names {
		i := slices.IndexFunc(contenders(), func(c contender) bool { return c.Name() == name })
		chosen = append(chosen, contenders()[i])
	}
	return chosen
}

func newReport(srv *server, o options, chosen []contender) *report {
	rep := &report{
		AppendFsync: o.AppendFsync, Redis: srv.Version, Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Rounds: o.Rounds, LightEventsPerSecond: lightRate, LightSeconds: o.Light.Seconds(),
	}
	for _, c := range chosen {
		r := &systemReport{Name: c.Name(), RunsPerDrain: o.Runs / c.share}
		for _, steps := range stepCounts {
			r.Kinds = append(r.Kinds, &kindReport{Steps: steps})
		}
		rep.Systems = append(rep.Systems, r)
	}
	return rep
}
