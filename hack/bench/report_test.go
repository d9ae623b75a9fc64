package main

import (
	"errors"
	"flag"
	"io"
	"testing"
	"time"
)

// The ratio is taken round by round: a machine that is twice as slow in one
// round is so for both systems.
func TestRatioIsTheMedianOfTheRounds(t *testing.T) {
	kinds := func(rates ...float64) []*kindReport {
		k := &kindReport{Steps: 1}
		for _, r := range rates {
			k.Drains = append(k.Drains, drain{RunsPerSecond: r})
		}
		return []*kindReport{k}
	}
	rep := &report{Systems: []*systemReport{
		{Name: "raw", Kinds: kinds(1000, 100, 2000)},
		{Name: "other", Kinds: kinds(500, 50, 500)},
	}}
	rep.summarise()
	got := rep.Systems[1].Kinds[0].Drain
	if got.RatioToRaw != 0.5 || got.RunsPerSecond != 500 {
		t.Errorf("ratio %v and %v runs/s, want 0.5 and 500", got.RatioToRaw, got.RunsPerSecond)
	}
}

func TestNewDrainIsPerRun(t *testing.T) {
	begin := time.Unix(100, 0)
	before := account{at: begin, serverCPU: time.Second, workerCPU: 2 * time.Second, sent: 10, executed: map[string]int64{"xack": 5, "ping": 1}}
	after := account{at: begin.Add(2 * time.Second), serverCPU: 3 * time.Second, workerCPU: 3 * time.Second, sent: 110, executed: map[string]int64{"xack": 205, "ping": 1}}
	d := newDrain(before, after, 200)
	if d.RunsPerSecond != 100 || d.SentPerRun != 0.5 || d.ExecutedPerRun != 1 || d.ServerCPU != 10 || d.WorkerCPU != 5 {
		t.Errorf("got %+v", d)
	}
	if _, there := d.Executed["ping"]; there || d.Executed["xack"] != 1 {
		t.Errorf("executed %v, want xack 1 and nothing that was not called", d.Executed)
	}
}

func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		runs   int
		rounds int
		bad    bool
	}{
		"defaults":                       {args: nil, runs: 60_000, rounds: 3},
		"quick":                          {args: []string{"--quick"}, runs: 40_000, rounds: 1},
		"quick leaves what is set":       {args: []string{"--quick", "--rounds", "5"}, runs: 40_000, rounds: 5},
		"a system that there is not":     {args: []string{"--systems", "raw,cron"}, bad: true},
		"an fsync that there is not":     {args: []string{"--appendfsync", "sometimes"}, bad: true},
		"an output that there is not":    {args: []string{"-o", "xml"}, bad: true},
		"too few runs":                   {args: []string{"--runs", "10"}, bad: true},
		"no rounds":                      {args: []string{"--rounds", "0"}, bad: true},
		"an argument that is not a flag": {args: []string{"raw"}, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseOptions(tc.args, io.Discard)
			if (err != nil) != tc.bad {
				t.Fatalf("error %v, want one: %v", err, tc.bad)
			}
			if !tc.bad && (o.Runs != tc.runs || o.Rounds != tc.rounds) {
				t.Errorf("runs %d, rounds %d, want %d and %d", o.Runs, o.Rounds, tc.runs, tc.rounds)
			}
		})
	}
	if _, err := parseOptions([]string{"--help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v, want flag.ErrHelp", err)
	}
}
