package timeline

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

var zero = time.Date(2030, 1, 2, 15, 0, 0, 0, time.UTC)

func at(d time.Duration) *time.Time { t := zero.Add(d); return &t }

// step makes a step that began after start and took so long.
func step(name string, kind plan.Kind, status run.StepStatus, start, took time.Duration) console.Step {
	return console.Step{Kind: kind, StepRecord: run.StepRecord{Name: name, Status: status, Attempts: 1, Start: at(start), Millis: took.Milliseconds()}}
}

func pending(name string) console.Step {
	return console.Step{Kind: plan.KindHandler, StepRecord: run.StepRecord{Name: name, Status: run.StepPending}}
}

func running(name string, needs ...string) console.Step {
	return console.Step{Kind: plan.KindHandler, Needs: needs, StepRecord: run.StepRecord{Name: name, Status: "running"}}
}

// picture writes the rows for comparison: name, state, and for each segment
// its kind, attempt, beginning and length.
func picture(t *Timeline) string {
	var b strings.Builder
	for _, r := range t.Rows {
		fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", r.Depth), r.Name, r.State)
		for _, s := range r.Segments {
			fmt.Fprintf(&b, " %s%d[%s+%s]", s.Kind, s.Attempt, s.Start.Sub(zero), s.Duration())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestRows(t *testing.T) {
	const ms = time.Millisecond
	retried := step("mail", plan.KindHandler, "ok", 3*time.Second, 20*ms)
	retried.Attempts = 3
	retried.Tries = []run.Try{{Start: *at(10 * ms), Millis: 5, Error: "450"}, {Start: *at(time.Second), Millis: 7, Error: "451"}}
	lost := step("mail", plan.KindHandler, "failed", 3*time.Second, 20*ms)
	lost.Attempts, lost.Error = 2, "no"
	lost.Tries = []run.Try{{Start: *at(10 * ms), Millis: 5, Error: "450"}, {Start: *at(3 * time.Second), Millis: 20, Error: "no"}}
	pausing := step("mail", plan.KindHandler, "waiting", 10*ms, 0)
	pausing.Tries = []run.Try{{Start: *at(10 * ms), Millis: 5, Error: "450"}}
	pausing.Until = at(8 * time.Second)
	again := step("mail", plan.KindHandler, "running", 10*ms, 0)
	again.Tries = []run.Try{{Start: *at(10 * ms), Millis: 5, Error: "450"}}
	sleeping := step("sleep", plan.KindSleep, "waiting", 30*ms, 0)
	sleeping.Until = at(72 * time.Hour)
	skipped := console.Step{StepRecord: run.StepRecord{Name: "maybe", Status: "skipped"}}
	followUp := pending("log-failure")

	for name, c := range map[string]struct {
		status    run.Status
		ended     time.Duration // 0: it has not
		now       time.Duration
		steps     []console.Step
		onFailure []console.Step
		want      string
	}{
		"nothing yet": {run.Running, 0, ms, []console.Step{pending("a")}, nil, "a pending\n"},
		"in the order of their starts": {run.Succeeded, time.Second, 0, []console.Step{step("b", plan.KindHandler, "ok", 20*ms, 5*ms), skipped, step("a", plan.KindHandler, "ok", 0, 10*ms)}, nil,
			"a ok work1[0s+10ms]\nb ok work1[20ms+5ms]\nmaybe skipped\n"},
		"retries with the pauses between": {run.Succeeded, 4 * time.Second, 0, []console.Step{retried}, nil,
			"mail ok fault1[10ms+5ms] retry0[15ms+985ms] fault2[1s+7ms] retry0[1.007s+1.993s] work3[3s+20ms]\n"},
		"the last attempt is among the tries": {run.Failed, 4 * time.Second, 0, []console.Step{lost}, nil,
			"mail failed fault1[10ms+5ms] retry0[15ms+2.985s] fault2[3s+20ms]\n"},
		"a pause that goes on": {run.Waiting, 0, 2 * time.Second, []console.Step{pausing, pending("next")}, nil,
			"mail waiting fault1[10ms+5ms] retry0[15ms+1.985s] ahead0[2s+6s]\nnext pending\n"},
		"an attempt after a pause": {run.Running, 0, 2 * time.Second, []console.Step{again}, nil,
			"mail running fault1[10ms+5ms] live2[15ms+1.985s]\n"},
		"nothing is written of an attempt": {run.Running, 0, 2 * time.Second, []console.Step{step("a", plan.KindHandler, "ok", 0, 300*ms), running("b", "a"), running("c")}, nil,
			"a ok work1[0s+300ms]\nc running live1[0s+2s]\nb running live1[300ms+1.7s]\n"},
		"a sleep": {run.Waiting, 0, time.Hour, []console.Step{sleeping}, nil,
			"sleep waiting wait0[30ms+59m59.97s] ahead0[1h0m0s+71h0m0s]\n"},
		"a sleep that was cancelled": {run.Cancelled, time.Hour, 0, []console.Step{sleeping, pending("next")}, nil,
			"sleep cancelled wait0[30ms+59m59.97s]\nnext never\n"},
		"elements under their step": {run.Succeeded, time.Second, 0, []console.Step{step("pack", plan.KindHandler, "ok", 0, 30*ms),
			step("pack[0]", plan.KindHandler, "ok", 0, 10*ms), step("pack[0]/weigh", plan.KindHandler, "ok", 2*ms, ms), step("packing", plan.KindHandler, "ok", 5*ms, ms)}, nil,
			"pack ok work1[0s+30ms]\n  pack[0] ok work1[0s+10ms]\n  pack[0]/weigh ok work1[2ms+1ms]\npacking ok work1[5ms+1ms]\n"},
		"failed, and then": {run.Failed, time.Second, 0, []console.Step{step("a", plan.KindHandler, "failed", 0, ms), pending("b")}, []console.Step{followUp},
			"a failed fault1[0s+1ms]\nb never\nlog-failure never\n"},
	} {
		t.Run(name, func(t *testing.T) {
			record := &console.RunDetail{Record: run.Record{Status: c.status, StartedAt: zero}, Steps: c.steps, OnFailure: c.onFailure}
			if c.ended > 0 {
				record.EndedAt = at(c.ended)
			}
			built := Build(record, zero.Add(c.now))
			if got := picture(built); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if ended := c.ended > 0; ended != (built.Now < 0) {
				t.Errorf("now is at %g", built.Now)
			}
			checkPlaces(t, built)
		})
	}
}

// checkPlaces holds every place against what a reader takes for granted: all
// on the axis, later further right, longer within one scale wider.
func checkPlaces(t *testing.T, l *Timeline) {
	t.Helper()
	const slack = 1e-6
	for _, r := range l.Rows {
		x := 0.0
		for _, s := range r.Segments {
			if s.X < x-slack || s.Width < 0 || s.X+s.Width > 100+slack || math.IsNaN(s.X+s.Width) {
				t.Errorf("%s: segment %s is at %g, %g wide, after %g", r.Name, s.Kind, s.X, s.Width, x)
			}
			x = s.X + s.Width
		}
	}
	last := -1.0
	for _, tick := range l.Ticks {
		if tick.X <= last || tick.X > 100+slack {
			t.Errorf("tick %s is at %g, after %g", tick.At, tick.X, last)
		}
		last = tick.X
	}
}

// TestLongWaits has steps of milliseconds around a sleep of days: both must be
// seen, and the sleep must say how long it is.
func TestLongWaits(t *testing.T) {
	const ms = time.Millisecond
	end := 72*time.Hour + 100*ms
	record := &console.RunDetail{Record: run.Record{Status: run.Succeeded, StartedAt: zero, EndedAt: at(end)}, Steps: []console.Step{
		step("first", plan.KindHandler, "ok", 0, 30*ms), step("sleep", plan.KindSleep, "ok", 30*ms, 72*time.Hour), step("last", plan.KindHandler, "ok", 72*time.Hour+30*ms, 70*ms)}}
	l := Build(record, zero.Add(end))
	for _, n := range []int{0, 2} {
		if w := l.Rows[n].Segments[0].Width; w < 10 {
			t.Errorf("%s is %.2f%% wide: nobody sees it", l.Rows[n].Name, w)
		}
	}
	if ratio := l.Rows[2].Segments[0].Width / l.Rows[0].Segments[0].Width; math.Abs(ratio-70.0/30) > .01 {
		t.Errorf("70 ms are %.2f times as wide as 30 ms", ratio)
	}
	if len(l.Gaps) != 1 || l.Gaps[0].Duration < 71*time.Hour || l.Gaps[0].Width < 20 {
		t.Errorf("gaps %+v", l.Gaps)
	}
	checkPlaces(t, l)
}

// TestNothingButWaits has steps of no time before a sleep that goes on: they are
// apart all the same.
func TestNothingButWaits(t *testing.T) {
	const ms = time.Millisecond
	sleep := step("sleep", plan.KindSleep, "waiting", 20*ms, 0)
	sleep.Until = at(72 * time.Hour)
	l := Build(&console.RunDetail{Record: run.Record{Status: run.Waiting, StartedAt: zero}, Steps: []console.Step{
		step("a", plan.KindHandler, "ok", 2*ms, 0), step("b", plan.KindInvoke, "ok", 4*ms, 12*ms), sleep}}, zero.Add(time.Minute))
	if b, s := l.Rows[1].Segments[0], l.Rows[2].Segments[0]; b.X < 1 || b.Width < 2 || s.X < 5 || s.Width < 10 {
		t.Errorf("b is at %.1f, %.1f wide, the sleep at %.1f, %.1f wide until now", b.X, b.Width, s.X, s.Width)
	}
	if n := len(l.Gaps); n == 0 || l.Gaps[n-1].Duration < 71*time.Hour {
		t.Errorf("gaps %+v", l.Gaps)
	}
	checkPlaces(t, l)
}

// TestEvenTime has little waiting: nothing is drawn shorter than it is.
func TestEvenTime(t *testing.T) {
	record := &console.RunDetail{Record: run.Record{Status: run.Succeeded, StartedAt: zero, EndedAt: at(10 * time.Second)}, Steps: []console.Step{
		step("a", plan.KindHandler, "ok", 0, 4*time.Second), step("b", plan.KindHandler, "ok", 6*time.Second, 4*time.Second)}}
	l := Build(record, zero)
	if len(l.Gaps) != 0 || l.Rows[1].Segments[0].X != 60 || l.Ticks[1].At != 2*time.Second {
		t.Errorf("gaps %v, b at %g, ticks %v", l.Gaps, l.Rows[1].Segments[0].X, l.Ticks)
	}
	checkPlaces(t, l)
}

func TestManyElements(t *testing.T) {
	steps := []console.Step{step("send", plan.KindInvoke, "ok", 0, time.Second)}
	for i := range 300 {
		steps = append(steps, step(fmt.Sprintf("send[%d]", i), plan.KindInvoke, "ok", time.Duration(i)*time.Millisecond, time.Millisecond))
	}
	l := Build(&console.RunDetail{Record: run.Record{Status: run.Succeeded, StartedAt: zero, EndedAt: at(time.Second)}, Steps: steps}, zero)
	if len(l.Rows) != mostParts+1 || l.More != 300-mostParts {
		t.Errorf("%d rows and %d more", len(l.Rows), l.More)
	}
}

// TestOdd has what clocks that disagree, and runs of no length, leave behind.
func TestOdd(t *testing.T) {
	for name, steps := range map[string][]console.Step{
		"before the run":  {step("a", plan.KindHandler, "ok", -time.Second, 10*time.Millisecond)},
		"after its end":   {step("a", plan.KindHandler, "ok", time.Hour, 10*time.Millisecond)},
		"no length":       {step("a", plan.KindHandler, "ok", 0, 0)},
		"no steps":        nil,
		"side by side":    {step("a", plan.KindHandler, "ok", 0, time.Second), step("b", plan.KindHandler, "ok", 0, 2*time.Second)},
		"only waits":      {step("a", plan.KindSleep, "ok", 0, time.Hour)},
		"thousand pauses": pauses(1000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, ended := range []*time.Time{nil, at(0), at(time.Minute)} {
				record := &console.RunDetail{Record: run.Record{Status: run.Succeeded, StartedAt: zero, EndedAt: ended}, Steps: steps}
				checkPlaces(t, Build(record, zero.Add(time.Minute)))
			}
		})
	}
}

func pauses(n int) []console.Step {
	s := step("a", plan.KindHandler, "ok", time.Duration(n)*time.Second, time.Millisecond)
	for i := range n {
		s.Tries = append(s.Tries, run.Try{Start: *at(time.Duration(i) * time.Second), Millis: 1, Error: "x"})
	}
	s.Attempts = n + 1
	return []console.Step{s}
}
