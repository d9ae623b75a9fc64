package scaling_test

import (
	"testing"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/scaling"
	"github.com/wildout/wildout/controllers/view"
)

var begin = time.Unix(1_700_000_000, 0)

func limits() scaling.Limits {
	return scaling.Limits{Max: 10, Target: 100, Window: 5 * time.Minute}
}

func TestWants(t *testing.T) {
	next := begin.Add
	for name, test := range map[string]struct {
		set     func(*scaling.Limits)
		work    view.Work
		runners int32
		want    int32
	}{
		"nothing":                            {nil, view.Work{}, 1, 0},
		"one entry":                          {nil, view.Work{Open: 1}, 0, 1},
		"the target":                         {nil, view.Work{Open: 100}, 0, 1},
		"one more than the target":           {nil, view.Work{Open: 101}, 0, 2},
		"more than max can do":               {nil, view.Work{Open: 1 << 50}, 0, 10},
		"at least min":                       {func(l *scaling.Limits) { l.Min = 3 }, view.Work{Open: 150}, 3, 3},
		"no more than can run at once":       {func(l *scaling.Limits) { l.Useful = 2 }, view.Work{Open: 900}, 0, 2},
		"a limit above max":                  {func(l *scaling.Limits) { l.Useful = 50 }, view.Work{Open: 5000}, 0, 10},
		"min is more than can run at once":   {func(l *scaling.Limits) { l.Min, l.Useful = 3, 2 }, view.Work{Open: 900}, 0, 3},
		"a run waits for a slot":             {nil, view.Work{Queued: true}, 0, 1},
		"a timer keeps the last runner":      {nil, view.Work{Next: next(time.Minute)}, 1, 1},
		"a timer later than that":            {nil, view.Work{Next: next(time.Minute + 1)}, 1, 0},
		"a timer starts a runner in advance": {nil, view.Work{Next: next(scaling.StartAhead)}, 0, 1},
		"a timer does not start one early":   {nil, view.Work{Next: next(scaling.StartAhead + 1)}, 0, 0},
		"a timer that is late":               {nil, view.Work{Next: next(-time.Hour)}, 0, 1},
		"a timer adds nothing to more":       {nil, view.Work{Open: 150, Next: next(0)}, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			l := limits()
			if test.set != nil {
				test.set(&l)
			}
			if got := l.Wants(test.work, test.runners, begin); got != test.want {
				t.Errorf("wants %d runners, want %d", got, test.want)
			}
		})
	}
}

// step is a decision at a time.
type step struct {
	at    time.Duration
	open  int64 // unknown: nobody knows
	want  int32
	again time.Duration
}

const unknown = -1

func TestDecide(t *testing.T) {
	const m = time.Minute
	for name, test := range map[string]struct {
		set     func(*scaling.Limits)
		runners int32 // at the beginning; then what was decided
		steps   []step
	}{
		"up at once": {nil, 0, []step{{0, 0, 0, 0}, {m, 180, 2, 0}, {m + time.Second, 5000, 10, 0}}},
		"down after the window": {nil, 0, []step{
			{0, 450, 5, 0}, {m, 50, 5, 5 * m}, {5 * m, 50, 5, m}, {6*m - 1, 50, 5, 1}, {6 * m, 50, 1, 0},
		}},
		"the highest of the window counts": {nil, 0, []step{
			{0, 450, 5, 0}, {m, 50, 5, 5 * m}, {2 * m, 250, 5, 4 * m}, {3 * m, 0, 5, 3 * m}, {6 * m, 0, 3, 2 * m}, {8 * m, 0, 0, 0},
		}},
		"a number counts until another one is wanted": {nil, 0, []step{{0, 450, 5, 0}, {30 * m, 0, 5, 5 * m}, {35 * m, 0, 0, 0}}},
		"to zero and back":                            {nil, 1, []step{{0, 0, 1, 5 * m}, {5 * m, 0, 0, 0}, {5*m + time.Second, 1, 1, 0}}},
		"an operator that begins takes none away":     {nil, 7, []step{{0, 0, 7, 5 * m}, {m, 0, 7, 4 * m}, {5 * m, 0, 0, 0}}},
		"an operator that begins adds at once":        {nil, 2, []step{{0, 900, 9, 0}}},
		"nothing is known":                            {nil, 7, []step{{0, unknown, 7, 0}, {30 * m, unknown, 7, 0}, {31 * m, 0, 7, 5 * m}, {36 * m, 0, 0, 0}}},
		"Redis is away while fewer are wanted": {nil, 0, []step{
			{0, 450, 5, 0}, {m, 50, 5, 5 * m}, {2 * m, unknown, 5, 0}, {30 * m, 50, 5, 5 * m}, {35 * m, 50, 1, 0},
		}},
		"Redis is away at zero":                  {nil, 0, []step{{0, 0, 0, 0}, {m, unknown, 0, 0}, {2 * m, 5, 1, 0}}},
		"not below min":                          {func(l *scaling.Limits) { l.Min = 2 }, 4, []step{{0, 0, 4, 5 * m}, {5 * m, 0, 2, 0}, {6 * m, unknown, 2, 0}}},
		"min is raised, though nothing is known": {func(l *scaling.Limits) { l.Min = 2 }, 0, []step{{0, unknown, 2, 0}}},
		"max is lowered: at once":                {func(l *scaling.Limits) { l.Max = 3 }, 8, []step{{0, 900, 3, 5 * m}}},
		"a short window":                         {func(l *scaling.Limits) { l.Window = time.Second }, 3, []step{{0, 0, 3, time.Second}, {time.Second, 0, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			l, runners := limits(), test.runners
			if test.set != nil {
				test.set(&l)
			}
			var memory scaling.Memory
			for _, s := range test.steps {
				work := &view.Work{Open: s.open}
				if s.open == unknown {
					work = nil
				}
				var d scaling.Decision
				d, memory = memory.Decide(l, work, runners, begin.Add(s.at))
				if d.Runners != s.want || d.Again != s.again {
					t.Fatalf("after %s with %d to do: %d runners, again after %s; want %d and %s", s.at, s.open, d.Runners, d.Again, s.want, s.again)
				}
				runners = d.Runners
			}
		})
	}
}

// What is decided does not depend on how often somebody asks.
func TestAskingChangesNothing(t *testing.T) {
	open := func(at time.Duration) int64 {
		if at < 3*time.Minute {
			return 450
		}
		return 120
	}
	var often, seldom scaling.Memory
	var a, b scaling.Decision
	var again time.Duration
	for at := time.Duration(0); at <= 10*time.Minute; at += time.Second {
		work := &view.Work{Open: open(at)}
		a, often = often.Decide(limits(), work, a.Runners, begin.Add(at))
		if changed := open(at) != open(at-time.Second); at == 0 || changed || at == again {
			b, seldom = seldom.Decide(limits(), work, b.Runners, begin.Add(at))
			again = at + b.Again
		}
		if a.Runners != b.Runners {
			t.Fatalf("after %s: %d, and %d when asked seldom", at, a.Runners, b.Runners)
		}
		if len(often) > int(limits().Max)+1 {
			t.Fatalf("it remembers %d numbers", len(often))
		}
	}
}

func TestLimitsOf(t *testing.T) {
	spec := &v1alpha1.WildoutFunctionSpec{
		Concurrency: []v1alpha1.ConcurrencyLimit{{Limit: 1, Key: "event.data.userId"}, {Limit: 4}},
		Runner:      &v1alpha1.Runner{Scaling: &v1alpha1.Scaling{Min: 1, Max: 20, TargetBacklog: 50, StabilizationWindow: "90s"}},
	}
	want := scaling.Limits{Min: 1, Max: 20, Target: 50, Window: 90 * time.Second, Useful: 4}
	if got := scaling.LimitsOf(spec); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
