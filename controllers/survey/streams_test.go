package survey

import (
	"testing"
	"time"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// declared is an event type with a retention of an hour and 7 bytes.
func declared(text string) EventType {
	return EventType{Name: name(text), Secret: "wildout-redis", Type: "a/" + text, Period: time.Hour, MaxBytes: 7}
}

func TestStreams(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	s := r.connected()
	r.news()
	state := inspect.StreamState{Length: 3, Bytes: 9, Oldest: begin, Newest: begin.Add(1)}
	r.redis.streams["shop/a/t"] = state
	if known := r.FollowType(declared("t")); known.Stream != nil {
		t.Error("there is a stream before a look")
	}
	r.lookAt(s)
	same(t, "made", r.redis.did("make"), []string{"make shop/a/t 1h0m0s 7"})
	same(t, "trimmed", r.redis.did("trim"), []string{"trim shop/a/t 1h0m0s 7"})
	r.expectNews("type shop/t", "type shop/t")
	want := view.Stream{Length: 3, Bytes: 9, Oldest: begin, Newest: begin.Add(1)}
	if known := r.FollowType(declared("t")); !known.Stream.Same(&want) || known.StreamTrouble != nil || !known.Asked {
		t.Errorf("it is %+v", known)
	}

	// It is made once, and trimmed now and then.
	r.now = r.now.Add(trimEvery - 1)
	r.lookAt(s)
	same(t, "made again", r.redis.did("make"), nil)
	same(t, "trimmed again", r.redis.did("trim"), nil)
	r.now = r.now.Add(1)
	r.lookAt(s)
	same(t, "trimmed in time", r.redis.did("trim"), []string{"trim shop/a/t 1h0m0s 7"})
	r.expectNews()

	// Redis was emptied.
	r.redis.streams["shop/a/t"] = inspect.StreamState{}
	r.lookAt(s)
	r.lookAt(s)
	if got := r.redis.did("make"); len(got) == 0 {
		t.Error("it is not made again")
	}
}

// Numbers of streams are told now and then.
func TestStreamNumbersWait(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	s := r.connected()
	r.redis.streams["shop/a/t"] = inspect.StreamState{Length: 1, Bytes: 1}
	r.lookAt(s)
	r.news()
	r.redis.streams["shop/a/t"] = inspect.StreamState{Length: 2, Bytes: 1}
	r.now = r.now.Add(r.o.NumbersInterval - 1)
	r.lookAt(s)
	r.expectNews()
	r.now = r.now.Add(1)
	r.lookAt(s)
	r.expectNews("type shop/t")
	r.now = r.now.Add(r.o.NumbersInterval)
	r.lookAt(s)
	r.expectNews()
}

func TestStreamTrouble(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	r.FollowType(declared("u"))
	s := r.connected()
	for _, of := range []string{"shop/a/t", "shop/a/u"} {
		r.redis.streams[of] = inspect.StreamState{Bytes: 1}
	}
	r.redis.fail("make", store.Explain(answer("WRONGTYPE")))
	r.lookAt(s)
	isTrouble(t, r.FollowType(declared("t")).StreamTrouble, view.Refused)
	if got := r.redis.did("trim"); len(got) > 0 {
		t.Errorf("what could not be made is trimmed: %q", got)
	}
	r.redis.did("make")
	r.news()
	first := r.FollowType(declared("t")).StreamTrouble
	r.redis.fail("make", store.Explain(answer("WRONGTYPE, in other words")))
	r.lookAt(s)
	if got := r.redis.did("make"); len(got) != 2 {
		t.Errorf("it is not tried again: %q", got)
	}
	if r.FollowType(declared("t")).StreamTrouble != first {
		t.Error("the words of one trouble change")
	}
	r.expectNews()
	r.redis.fail("make", nil)
	r.redis.fail("trim", store.Explain(answer("NOPERM")))
	r.lookAt(s)
	isTrouble(t, r.FollowType(declared("t")).StreamTrouble, view.Unauthorized)
	r.expectNews("type shop/t", "type shop/u")
	r.redis.fail("trim", nil)
	r.lookAt(s)
	isTrouble(t, r.FollowType(declared("t")).StreamTrouble, view.Unauthorized)
	r.now = r.now.Add(trimEvery)
	r.lookAt(s)
	isTrouble(t, r.FollowType(declared("t")).StreamTrouble, -1)
	r.expectNews("type shop/t", "type shop/u")
}

// One that is changed, or forgotten, during a look is another one.
func TestEventTypeChangesDuringALook(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	r.FollowType(declared("u"))
	s := r.connected()
	longer := declared("t")
	longer.Period = 2 * time.Hour
	r.redis.during = func() { r.FollowType(longer); r.ForgetType(name("u")) }
	r.redis.of("shop/f")
	r.Follow(f("f"))
	r.lookAt(s)
	same(t, "made", r.redis.did("make"), []string{"make shop/a/t 2h0m0s 7"})

	r.redis.during = nil
	looked := r.typesOf(s, true)
	r.FollowType(declared("t"))
	looked[0].view.Stream = &view.Stream{}
	r.keepTypes(looked)
	if known := r.FollowType(declared("t")); known.Stream != nil {
		t.Error("it has what was found of an earlier one")
	}
	r.FollowType(declared("u"))
	looked = r.typesOf(s, true)
	for i := range looked {
		looked[i].view.Stream = &view.Stream{Length: 1}
	}
	gone := looked[0]
	gone.Name = name("gone")
	r.keepTypes([]eventType{gone, looked[0], looked[1]})
	for _, text := range []string{"t", "u"} {
		if known := r.FollowType(declared(text)); known.Stream == nil {
			t.Errorf("%s: what was found is lost for one that is gone", text)
		}
	}
	forgotten := EventType{Name: name("gone"), Type: "a/gone"}
	r.mendStream(t.Context(), s, &eventType{EventType: forgotten})
	for _, call := range r.redis.did("make") {
		t.Errorf("what nobody follows is made: %s", call)
	}
}

// What is new is looked at alone, and what does not change is not new.
func TestFreshEventTypes(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	if !r.kickedOnce() {
		t.Error("a new one is not looked at soon")
	}
	s := r.connected()
	r.lookAt(s)
	r.FollowType(declared("t"))
	if r.kickedOnce() {
		t.Error("the same is looked at again")
	}
	r.FollowType(declared("u"))
	if looked := r.typesOf(s, false); len(looked) != 1 || looked[0].Name != name("u") {
		t.Errorf("looked at %v", looked)
	}
	if looked := r.typesOf(s, true); len(looked) != 2 {
		t.Errorf("looked at %v", looked)
	}
	elsewhere := declared("v")
	elsewhere.Secret = "other"
	r.FollowType(elsewhere)
	if looked := r.typesOf(s, true); len(looked) != 2 {
		t.Errorf("one of another Redis is looked at here: %v", looked)
	}
	r.ForgetType(name("u"))
	if looked := r.typesOf(s, true); len(looked) != 1 {
		t.Errorf("one that is gone is looked at: %v", looked)
	}
}
