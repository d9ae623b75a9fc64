package survey

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

var errAway = store.Explain(&net.OpError{Op: "dial", Err: errors.New("connection refused")})

func TestNumbersAreSeen(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f", "a/b"))
	s := r.connected()
	n := r.redis.of("shop/f")
	n.Stats = inspect.Stats{Unread: 1, Due: 2, Pending: 3, Waiting: 4, Succeeded: 5, Failed: 6}
	n.ByVersion = map[string]int64{"v": 7}
	at := begin.Add(-time.Minute)
	failed := run.Record{ID: "r2", Status: run.Failed, ErrorStep: "s", Error: "no route", EndedAt: &at}
	rejected := run.Record{ID: "r3", Status: run.Rejected, EndedAt: &at}
	last := begin.Add(-time.Second)
	fine := run.Record{ID: "r1", Status: run.Succeeded, EndedAt: &last}
	cancelled := run.Record{ID: "r4", Status: run.Cancelled, EndedAt: &at}
	r.redis.ends["shop/f"] = inspect.Ends{Runs: []run.Record{fine, failed, rejected, cancelled}, LastFailure: &failed}
	r.news()
	if known := r.Follow(f("f", "a/b")); known.Numbers != nil || known.Asked {
		t.Errorf("before a look there is %+v", known)
	}
	r.lookAt(s)
	r.expectNews("function shop/f", "function shop/f") // of the function, and of its server
	known := r.Follow(f("f", "a/b"))
	if want := (view.Numbers{Unread: 1, Due: 2, Pending: 3, Waiting: 4, Succeeded: 5, Failed: 6}); !sameNumbers(known.Numbers, &view.Numbers{
		Unread: 1, Due: 2, Pending: 3, Waiting: 4, Succeeded: 5, Failed: 6, ByVersion: map[string]int64{"v": 7}}) || known.Numbers.Ungrouped {
		t.Errorf("numbers %+v, want %+v", known.Numbers, want)
	}
	if known.Numbers.Backlog() != 3 {
		t.Errorf("the backlog is %d", known.Numbers.Backlog())
	}
	want := view.Failure{RunID: "r2", Step: "s", Message: "no route", At: at}
	if got := known.Runs; got.Ended != 4 || got.Failed != 2 || !got.LastEnd.Equal(last) || *got.LastFailure != want {
		t.Errorf("runs %+v", got)
	}
	if !known.Asked || known.Trouble != nil || known.State.Version != "7.2.4" {
		t.Errorf("server %+v", known.Redis)
	}
	if got := r.redis.subjects; len(got) != 1 || got[0].Namespace != "shop" || got[0].Function != "f" || got[0].Types[0] != "a/b" || got[0].Scaled {
		t.Errorf("it was asked for %+v", got)
	}
}

// The last runs are read only where one has ended.
func TestEndsAreReadWhenOneEnded(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	r.Follow(f("g"))
	s := r.connected()
	r.lookAt(s)
	if got := r.redis.did("ends"); len(got) != 2 {
		t.Errorf("the first time: %q", got)
	}
	r.lookAt(s)
	same(t, "nothing has ended", r.redis.did("ends"), nil)
	at := begin
	r.redis.ends["shop/g"] = inspect.Ends{Runs: []run.Record{{Status: run.Failed, EndedAt: &at}}}
	r.redis.of("shop/g").Succeeded++
	r.lookAt(s)
	same(t, "one has succeeded", r.redis.did("ends"), []string{"ends shop/g 20"})
	if r.Follow(f("g")).Runs.Failed != 1 || r.Follow(f("f")).Runs.Ended != 0 {
		t.Error("they are of the wrong function")
	}
	r.redis.of("shop/f").Failed++
	r.lookAt(s)
	same(t, "one has failed", r.redis.did("ends"), []string{"ends shop/f 20"})
	if r.Follow(f("g")).Runs.Failed != 1 {
		t.Error("what was known of the other is lost")
	}
}

func TestGroups(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f", "a/b"))
	s := r.connected()
	n := r.redis.of("shop/f")
	n.Missing = []string{"", "a/b"}
	r.lookAt(s)
	same(t, "created", r.redis.did("create"), []string{"create shop/f [ a/b]"})
	if known := r.Follow(f("f", "a/b")); known.Numbers.Ungrouped {
		t.Error("what was just created is missing")
	}
	n.Missing = nil
	n.Gone = []string{"c/d", "e/f"}
	r.lookAt(s)
	same(t, "dropped while a runner may read them", r.redis.did("drop"), nil)
	settled := f("f", "a/b")
	settled.Settled = true
	r.Follow(settled)
	r.lookAt(s)
	same(t, "dropped", r.redis.did("drop"), []string{"drop shop/f c/d", "drop shop/f e/f"})
	same(t, "created", r.redis.did("create"), nil)
	n.Gone = nil
	r.lookAt(s)
	same(t, "dropped again", r.redis.did("drop"), nil)

	// What goes wrong is of this function alone.
	r.Follow(f("g"))
	r.news()
	n.Missing = []string{"a/b"}
	r.redis.fail("create", store.Explain(answer("WRONGTYPE not a stream")))
	r.lookAt(s)
	if known := r.Follow(settled); !known.Numbers.Ungrouped || known.Trouble != nil {
		t.Errorf("it is %+v", known)
	}
	isTrouble(t, r.Follow(settled).GroupTrouble, view.Refused)
	isTrouble(t, r.Follow(f("g")).GroupTrouble, -1)
	r.expectNews("function shop/f", "function shop/g")
	first := r.Follow(settled).GroupTrouble
	r.redis.fail("create", store.Explain(answer("WRONGTYPE something else")))
	r.lookAt(s)
	if r.Follow(settled).GroupTrouble != first {
		t.Error("the words of one trouble change")
	}
	r.expectNews()
	r.redis.fail("create", store.Explain(answer("NOPERM")))
	r.lookAt(s)
	isTrouble(t, r.Follow(settled).GroupTrouble, view.Unauthorized)
	r.expectNews("function shop/f")
	n.Missing, n.Gone = nil, []string{"c/d"}
	r.redis.fail("drop", store.Explain(answer("READONLY")))
	r.lookAt(s)
	isTrouble(t, r.Follow(settled).GroupTrouble, view.ReadOnly)
	n.Gone = nil
	r.lookAt(s)
	isTrouble(t, r.Follow(settled).GroupTrouble, -1)
}

// A function that is being deleted does not get its groups back from a look that
// had begun before.
func TestForgottenDuringALook(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f", "a/b"))
	s := r.connected()
	r.redis.of("shop/f").Missing = []string{"a/b"}
	r.redis.during = func() { r.Forget(name("f")) }
	r.news()
	r.lookAt(s)
	same(t, "created", r.redis.did("create"), nil)
	r.expectNews()
	r.redis.during = nil
	r.redis.did("survey")
	r.lookAt(s)
	same(t, "looked at", r.redis.did("survey"), nil)
}

// What changes during a look is looked at once more.
func TestChangedDuringALook(t *testing.T) {
	for what, change := range map[string]func(*Function){
		"types":   func(f *Function) { f.Types = []string{"c/d"} },
		"settled": func(f *Function) { f.Settled = true },
		"scaled":  func(f *Function) { f.Scaled = true },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.Follow(f("f", "a/b"))
			s := r.connected()
			changed := f("f", "a/b")
			change(&changed)
			r.redis.during = func() { r.Follow(changed) }
			r.kickedOnce()
			r.lookAt(s)
			if !r.functions[name("f")].fresh || !r.kickedOnce() {
				t.Error("it is not looked at again")
			}
			r.redis.during = nil
			r.look(t.Context(), s, false)
			if r.functions[name("f")].fresh || r.kickedOnce() {
				t.Error("it is looked at again and again")
			}
			if got := r.redis.subjects[0]; got.Types[0] != changed.Types[0] || got.Scaled != changed.Scaled {
				t.Errorf("it was looked at as %+v", got)
			}
		})
	}
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	moved := f("f")
	moved.Secret = "other"
	r.redis.during = func() { r.Follow(moved) }
	r.lookAt(s)
	if known := r.Follow(moved); known.Numbers != nil {
		t.Error("it has the numbers of another Redis")
	}
}

// What is followed anew is looked at soon, and alone.
func TestFresh(t *testing.T) {
	r := newRig(t)
	fresh := func(function Function) bool {
		r.kickedOnce()
		r.Follow(function)
		if is := r.functions[function.Name].fresh; is != r.kickedOnce() {
			t.Error("who is fresh is looked at soon")
		}
		return r.functions[function.Name].fresh
	}
	if !fresh(f("f", "a/b")) {
		t.Error("a new one is not fresh")
	}
	s := r.connected()
	r.lookAt(s)
	if fresh(f("f", "a/b")) {
		t.Error("one that was looked at is fresh")
	}
	r.Follow(f("g"))
	r.look(t.Context(), s, false)
	if got := r.redis.subjects; len(got) != 1 || got[0].Function != "g" {
		t.Errorf("looked at %+v, want g alone", got)
	}
	for what, change := range map[string]func(*Function){
		"types":      func(f *Function) { f.Types = []string{"a/b", "c/d"} },
		"other type": func(f *Function) { f.Types = []string{"c/d"} },
		"settled":    func(f *Function) { f.Settled = true },
		"scaled":     func(f *Function) { f.Scaled = true },
		"secret":     func(f *Function) { f.Secret = "other" },
	} {
		changed := f("f", "a/b")
		r.Follow(changed)
		r.lookAt(s)
		change(&changed)
		if !fresh(changed) {
			t.Errorf("%s: it is not fresh", what)
		}
		r.Forget(name("f"))
	}
	settled := f("f", "a/b")
	settled.Settled = true
	r.Follow(settled)
	r.lookAt(s)
	if fresh(f("f", "a/b")) {
		t.Error("one that is not settled any more has nothing to be looked at")
	}
}

// Numbers alone are told now and then.
func TestNumbersWait(t *testing.T) {
	for what, change := range map[string]func(*inspect.Numbers){
		"unread":    func(n *inspect.Numbers) { n.Unread++ },
		"due":       func(n *inspect.Numbers) { n.Due++ },
		"pending":   func(n *inspect.Numbers) { n.Pending++ },
		"waiting":   func(n *inspect.Numbers) { n.Waiting++ },
		"succeeded": func(n *inspect.Numbers) { n.Succeeded++ },
		"failed":    func(n *inspect.Numbers) { n.Failed++ },
		"versions":  func(n *inspect.Numbers) { n.ByVersion = map[string]int64{"v": 1} },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.Follow(f("f"))
			s := r.connected()
			r.lookAt(s)
			r.news()
			change(r.redis.of("shop/f"))
			r.now = r.now.Add(r.o.NumbersInterval - 1)
			r.lookAt(s)
			r.expectNews()
			r.now = r.now.Add(1)
			r.lookAt(s)
			r.expectNews("function shop/f")
			r.now = r.now.Add(r.o.NumbersInterval)
			r.lookAt(s)
			r.expectNews()
		})
	}
}

// An error of the server is one of all, and nothing is kept.
func TestLookFails(t *testing.T) {
	for _, word := range []string{"ask", "survey", "ends", "streams"} {
		t.Run(word, func(t *testing.T) {
			r := newRig(t)
			r.Follow(f("f"))
			r.FollowType(declared("t"))
			s := r.connected()
			r.news()
			r.redis.fail(word, errAway)
			r.lookAt(s)
			isTrouble(t, r.Follow(f("f")).Trouble, view.Unreachable)
			if !r.Follow(f("f")).Asked {
				t.Error("it was not asked")
			}
			if got := r.news(); len(got) == 0 || got[0] != "function shop/f" {
				t.Errorf("told %q", got)
			}
			r.redis.fail(word, nil)
			r.lookAt(s)
			isTrouble(t, r.Follow(f("f")).Trouble, -1)
			if r.Follow(f("f")).Numbers == nil {
				t.Error("there are no numbers")
			}
		})
	}
}
