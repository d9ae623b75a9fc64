package survey

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// hourly ticks at each full hour.
func hourly(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }

func TestAhead(t *testing.T) {
	const hour = time.Hour
	// By the server it is half past; our own clock is four seconds ahead.
	server := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC)
	local := server.Add(4 * time.Second)
	at := server.Add
	for name, test := range map[string]struct {
		due   time.Time
		ticks map[string]time.Time // by schedule
		plan  []string
		next  time.Duration // 0: none; by the server
		open  int64
	}{
		"nothing":                             {open: 0},
		"a timer":                             {due: at(hour), next: hour},
		"a tick that was made":                {plan: []string{"h"}, ticks: map[string]time.Time{"h": at(-hour / 2)}, next: hour / 2},
		"a tick that was not made":            {plan: []string{"h"}, ticks: map[string]time.Time{"h": at(-hour)}, open: 1},
		"many that were not":                  {plan: []string{"h"}, ticks: map[string]time.Time{"h": at(-99 * hour)}, open: 1},
		"a schedule that is new":              {plan: []string{"h"}, open: 1},
		"two that are new":                    {plan: []string{"h", "never"}, open: 2},
		"a schedule without a tick":           {plan: []string{"never"}, ticks: map[string]time.Time{"never": at(0)}},
		"a tick that only our clock has seen": {plan: []string{"soon"}, ticks: map[string]time.Time{"soon": at(0)}, next: 2 * time.Second},
		"a schedule that is gone":             {ticks: map[string]time.Time{"h": at(-99 * hour)}},
		"the first of a timer and a tick":     {due: at(hour), plan: []string{"h"}, ticks: map[string]time.Time{"h": at(0)}, next: hour / 2},
		"the first of a tick and a timer":     {due: at(time.Minute), plan: []string{"h"}, ticks: map[string]time.Time{"h": at(0)}, next: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f := found{numbers: inspect.Numbers{Outlook: inspect.Outlook{At: server, NextDue: test.due, Ticks: test.ticks}}}
			for _, cron := range test.plan {
				f.function.Schedules = append(f.function.Schedules, Schedule{cron, map[string]func(time.Time) time.Time{
					"h":     hourly,
					"never": func(time.Time) time.Time { return time.Time{} },
					"soon":  func(time.Time) time.Time { return at(2 * time.Second) },
				}[cron]})
			}
			ticks, next := f.ahead(local)
			want := time.Time{}
			if test.next > 0 {
				want = local.Add(test.next)
			}
			if ticks != test.open || !next.Equal(want) {
				t.Errorf("%d ticks are due, and the next thing at %s; want %d, %s", ticks, next, test.open, want)
			}
		})
	}
}

// wanting asks for as many runners as there is to do; -1: nobody knows.
func wanting(w *view.Work, _ time.Time) int32 {
	if w == nil {
		return -1
	}
	return int32(w.Open)
}

// scaled is a function that is scaled.
func scaled(text string) Function {
	function := f(text, "a/b")
	function.Scaled = true
	return function
}

func TestWork(t *testing.T) {
	at := begin.Add(-time.Second)
	whole := func() inspect.Numbers {
		return inspect.Numbers{Stats: inspect.Stats{Unread: 1, Pending: 20, Due: 300}, Outlook: inspect.Outlook{At: at, Queued: 2, NextDue: at.Add(time.Hour)}}
	}
	l := found{numbers: whole(), function: Function{Schedules: []Schedule{{Cron: "new"}}}}
	if got, want := *l.work(begin), (view.Work{Open: 322, Queued: true, Next: begin.Add(time.Hour)}); got != want {
		t.Errorf("it is %+v, want %+v", got, want)
	}
	l.numbers.Outlook.Queued = 0
	if l.work(begin).Queued {
		t.Error("nothing is queued")
	}
	for what, change := range map[string]func(*inspect.Numbers){
		"an error":        func(n *inspect.Numbers) { n.Err = errAway },
		"a missing group": func(n *inspect.Numbers) { n.Missing = []string{"a/b"} },
		"one not asked":   func(n *inspect.Numbers) { n.Outlook = inspect.Outlook{} },
	} {
		l := found{numbers: whole()}
		change(&l.numbers)
		if l.work(begin) != nil {
			t.Errorf("%s: it is known", what)
		}
	}
}

// What earlier versions wait for is read, too, as long as it is waited for.
func TestOlderReads(t *testing.T) {
	r := newRig(t)
	r.Follow(scaled("f"))
	s := r.connected()
	r.redis.of("shop/f").Outlook.Waits = []string{"a/b", "c/d"}
	r.lookAt(s)
	if !r.functions[name("f")].fresh {
		t.Error("what it reads is not looked at soon")
	}
	r.lookAt(s)
	same(t, "read", r.redis.subjects[0].Types, []string{"a/b", "c/d"})
	if r.functions[name("f")].fresh {
		t.Error("it is looked at again and again")
	}
	r.redis.of("shop/f").Outlook.Waits = nil
	r.lookAt(s)
	r.lookAt(s)
	same(t, "read", r.redis.subjects[0].Types, []string{"a/b"})
}

// Who asks for another number of runners is told of it at once.
func TestWantsIsTold(t *testing.T) {
	r := newRig(t)
	r.Follow(scaled("f"))
	s := r.connected()
	n := r.redis.of("shop/f")
	n.Outlook.At = begin
	r.lookAt(s)
	r.news()
	r.kickedOnce()
	r.Watch(name("f"), Watch{Wants: wanting, Decided: 0})
	if r.kickedOnce() {
		t.Error("what was decided on is looked at again")
	}
	n.Unread = 3
	r.lookAt(s)
	r.expectNews("function shop/f")
	r.lookAt(s)
	r.expectNews() // once
	r.Watch(name("f"), Watch{Wants: wanting, Decided: 2})
	if !r.kickedOnce() || !r.functions[name("f")].fresh {
		t.Error("what has changed meanwhile is not looked at soon")
	}
	r.Watch(name("nobody"), Watch{Wants: wanting, Asleep: true})
	if r.follows(name("nobody")) {
		t.Error("who is watched is not known by that")
	}
}

func TestSleepers(t *testing.T) {
	r := newRig(t)
	s := func() *server { r.Follow(scaled("f")); return r.connected() }()
	asleep := Watch{Wants: wanting, Decided: -1, Asleep: true}
	r.Watch(name("f"), asleep)
	r.wake(t.Context(), s)
	same(t, "asked before the first look", r.redis.did("news"), nil)
	n := r.redis.of("shop/f")
	n.Outlook = inspect.Outlook{At: begin, Read: map[string]string{"stream": "1-0"}}
	n.Runners = 1
	r.lookAt(s)
	r.news()
	awake := scaled("g")
	r.Follow(awake)
	elsewhere := scaled("h")
	elsewhere.Secret = "other"
	r.Follow(elsewhere)
	r.lookAt(s)
	r.Watch(name("h"), asleep)
	r.redis.did("survey")
	r.Watch(name("f"), Watch{Wants: wanting, Asleep: true})
	r.functions[name("f")].fresh = false
	r.wake(t.Context(), s)
	if got := r.redis.sleepers; len(got) != 1 || got[0].Namespace != "shop" || got[0].Function != "f" || got[0].Read["stream"] != "1-0" || !got[0].Leaving {
		t.Errorf("asked about %+v", got)
	}
	same(t, "looked at without news", r.redis.did("survey"), nil)
	n.Runners = 0
	r.lookAt(s)
	r.wake(t.Context(), s)
	if r.redis.sleepers[0].Leaving {
		t.Error("its runners have gone")
	}
	r.redis.did("survey")
	r.news()

	r.redis.stirred["shop/f"] = true
	r.redis.fail("news", errAway)
	r.wake(t.Context(), s)
	same(t, "looked at when nobody knows", r.redis.did("survey"), nil)
	r.redis.fail("news", nil)
	n.Unread = 1
	r.wake(t.Context(), s)
	if len(r.redis.subjects) != 1 || r.redis.subjects[0].Function != "f" {
		t.Errorf("looked at %+v, want f alone", r.redis.subjects)
	}
	r.expectNews("function shop/f")
	if r.functions[name("f")].Asleep {
		t.Error("it is asleep until it is decided on")
	}
	r.redis.did("news")
	r.wake(t.Context(), s)
	same(t, "asked again before it was decided on", r.redis.did("news"), nil)
}

// A sleeper whose time has come is looked at, though nothing is to be read.
func TestTimeComes(t *testing.T) {
	r := newRig(t)
	r.Follow(scaled("f"))
	s := r.connected()
	r.redis.of("shop/f").Outlook = inspect.Outlook{At: begin, NextDue: begin.Add(time.Minute)}
	r.lookAt(s)
	due := func(w *view.Work, now time.Time) int32 {
		if now.Before(w.Next) {
			return 0
		}
		return 1
	}
	r.Watch(name("f"), Watch{Wants: due, Asleep: true})
	r.now = r.now.Add(time.Minute - 1)
	r.redis.did("survey")
	r.wake(t.Context(), s)
	same(t, "looked at before", r.redis.did("survey"), nil)
	r.now = r.now.Add(1)
	r.wake(t.Context(), s)
	same(t, "looked at in time", r.redis.did("survey"), []string{"survey 1"})
	r.Forget(name("f"))
	if r.rouse([]types.NamespacedName{name("f")}, []bool{true}) {
		t.Error("one that is gone is woken")
	}
}
