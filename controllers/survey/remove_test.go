package survey

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// sweepOnce does what the goroutine of a server does in one turn.
func (r *rig) sweepOnce(s *server) {
	for _, removal := range r.removalsOf(s) {
		r.attempt(r.t.Context(), s, removal)
	}
}

func TestRemoveFunction(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	r.lookAt(s)
	r.news()
	r.kickedOnce()
	remove := func() Removal { return r.RemoveFunction(name("f"), "wildout-redis", []string{"a/b", "c/d"}) }
	if got := remove(); got.Done || got.Err != nil {
		t.Errorf("at once it is %+v", got)
	}
	if !r.kickedOnce() || r.follows(name("f")) {
		t.Error("it is not begun soon, or followed still")
	}
	r.redis.fail("dropstream", store.Explain(answer("NOPERM")))
	r.sweepOnce(s)
	if got := remove(); got.Done || !strings.Contains(got.Err.Error(), "the Redis user may not") {
		t.Errorf("after an attempt that failed it is %+v", got)
	}
	r.expectNews()
	r.redis.did("uninstall")
	r.redis.did("dropstream")
	r.redis.fail("dropstream", nil)
	r.sweepOnce(s)
	r.expectNews("function shop/f")
	same(t, "uninstalled", r.redis.did("uninstall"), []string{"uninstall shop/f"})
	same(t, "dropped", r.redis.did("dropstream"), []string{"dropstream shop/a/b", "dropstream shop/c/d"})
	r.sweepOnce(s)
	same(t, "uninstalled again", r.redis.did("uninstall"), nil)
	if got := remove(); !got.Done || got.Err != nil {
		t.Errorf("then it is %+v", got)
	}
	if len(r.removals) > 0 {
		t.Error("what is done is remembered")
	}
	r.redis.fail("uninstall", errAway)
	remove()
	r.sweepOnce(s)
	same(t, "dropped though the rest failed", r.redis.did("dropstream"), nil)
}

func TestRemoveStream(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	s := r.connected()
	r.lookAt(s)
	r.news()
	r.RemoveStream(name("t"), "wildout-redis", "a/t")
	r.sweepOnce(s)
	same(t, "dropped", r.redis.did("dropstream"), []string{"dropstream shop/a/t"})
	same(t, "uninstalled", r.redis.did("uninstall"), nil)
	r.expectNews("type shop/t")
	if got := r.RemoveStream(name("t"), "wildout-redis", "a/t"); !got.Done || r.followsType(name("t")) {
		t.Errorf("it is %+v", got)
	}
}

// A function and an event type of one name are two.
func TestLeaversOfOneName(t *testing.T) {
	r := newRig(t)
	r.RemoveFunction(name("x"), "wildout-redis", nil)
	r.RemoveStream(name("x"), "wildout-redis", "a/x")
	s := r.connected()
	r.lookAt(s)
	r.sweepOnce(s)
	r.GiveUp(name("x"), true)
	if len(r.removals) != 1 || !r.RemoveFunction(name("x"), "wildout-redis", nil).Done {
		t.Errorf("left are %v", r.removals)
	}
	if r.RemoveStream(name("x"), "wildout-redis", "a/x").Done {
		t.Error("what was given up is done")
	}
}

// Who comes back is not removed.
func TestComesBack(t *testing.T) {
	r := newRig(t)
	r.RemoveFunction(name("f"), "wildout-redis", nil)
	r.RemoveStream(name("t"), "wildout-redis", "a/t")
	s := r.connected()
	r.lookAt(s)
	begun := r.removalsOf(s)
	if len(begun) != 2 {
		t.Fatalf("under way are %v", begun)
	}
	r.Follow(f("f"))
	r.FollowType(declared("t"))
	r.sweepOnce(s)
	same(t, "uninstalled", r.redis.did("uninstall"), nil)
	same(t, "dropped", r.redis.did("dropstream"), nil)
	r.news()
	r.attempt(t.Context(), s, begun[0]) // one that had begun
	r.expectNews()
}

// Another Secret is another Redis: it is begun anew there.
func TestRemoveElsewhere(t *testing.T) {
	r := newRig(t)
	r.RemoveFunction(name("f"), "wildout-redis", nil)
	s := r.connected()
	r.lookAt(s)
	r.sweepOnce(s)
	if got := r.RemoveFunction(name("f"), "other", nil); got.Done || got.Err != nil {
		t.Errorf("it is %+v", got)
	}
	r.readSecrets(t.Context())
	if got := r.RemoveFunction(name("f"), "other", nil); got.Done || !strings.Contains(got.Err.Error(), "does not exist") {
		t.Errorf("it is %+v", got)
	}
}

// A server that is away is not tried for each of those that go.
func TestRemoveWhileAway(t *testing.T) {
	r := newRig(t)
	r.RemoveFunction(name("f"), "wildout-redis", nil)
	s := r.connected()
	r.sweepOnce(s)
	same(t, "tried before it was asked", r.redis.did("uninstall"), nil)
	r.redis.fail("ask", errAway)
	r.lookAt(s)
	r.sweepOnce(s)
	same(t, "tried", r.redis.did("uninstall"), nil)
	if got := r.RemoveFunction(name("f"), "wildout-redis", nil); got.Done || got.Err == nil {
		t.Errorf("it is %+v", got)
	}
	r.redis.fail("ask", nil)
	<-s.swept // of the trouble
	r.lookAt(s)
	if len(s.swept) != 1 {
		t.Error("it is not tried soon after Redis is back")
	}
	r.sweepOnce(s)
	if !r.RemoveFunction(name("f"), "wildout-redis", nil).Done {
		t.Error("it is not done")
	}
}

// What is in a Redis can be removed when its Secret goes first.
func TestSecretGoesFirst(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	r.lookAt(s)
	r.secrets.remove("shop/wildout-redis")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.RemoveFunction(name("f"), "wildout-redis", nil)
	s.stop = func() {}
	r.connect(t.Context())
	if r.servers[s.id] != s || len(s.swept) != 1 {
		t.Fatal("the way to Redis is lost")
	}
	r.sweepOnce(s)
	if !r.RemoveFunction(name("f"), "wildout-redis", nil).Done {
		t.Error("it is not done")
	}
	r.connect(t.Context())
	if len(r.servers) > 0 {
		t.Error("nobody uses the server any more")
	}
	// Also long after, when there was no connection any more.
	r.RemoveFunction(name("g"), "wildout-redis", nil)
	r.connect(t.Context())
	if len(r.servers) != 1 {
		t.Error("the way to Redis is forgotten")
	}
}

func TestNoRedis(t *testing.T) {
	r := newRig(t)
	for want, change := range map[string]func(){
		"does not exist":         func() { r.secrets.remove("shop/wildout-redis") },
		"cannot be used: it has": func() { r.secrets.set("shop/wildout-redis", "") },
	} {
		change()
		r.RemoveFunction(name("f"), "wildout-redis", nil)
		r.now = r.now.Add(time.Hour)
		r.readSecrets(t.Context())
		err := r.RemoveFunction(name("f"), "wildout-redis", nil).Err
		var none *NoRedisError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "shop/wildout-redis") {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
	for problem, want := range map[view.Problem]string{view.Forbidden: "may not be read", view.NotRead: "could not be read"} {
		if got := (&NoRedisError{Secret: view.Secret{Problem: problem}}).Error(); !strings.Contains(got, want) {
			t.Error(got)
		}
	}
}

// A function does not get its groups back from a look that began before it was
// removed.
func TestRemoveWaitsForALook(t *testing.T) {
	running(t, func(r *rig) {
		r.redis.of("shop/f").Missing = []string{"a/b"}
		began, goOn := make(chan bool), make(chan bool)
		r.redis.during = func() { began <- true; <-goOn }
		r.Follow(f("f", "a/b"))
		<-began
		r.RemoveFunction(name("f"), "wildout-redis", nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.redis.did("uninstall"); len(got) > 0 {
			t.Error("it does not wait for a look")
		}
		r.redis.mu.Lock()
		r.redis.during = nil
		r.redis.mu.Unlock()
		goOn <- true
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.redis.did("uninstall"); len(got) != 1 {
			t.Errorf("then it was removed %d times", len(got))
		}
		if got := r.redis.did("create"); len(got) > 0 {
			t.Errorf("it got its groups back: %q", got)
		}
		if !r.RemoveFunction(name("f"), "wildout-redis", nil).Done {
			t.Error("it is not done")
		}
	})
}

// What fails is tried again with each interval.
func TestRemoveIsTriedAgain(t *testing.T) {
	running(t, func(r *rig) {
		r.redis.fail("uninstall", store.Explain(answer("LOADING")))
		r.RemoveFunction(name("f"), "wildout-redis", nil)
		time.Sleep(r.o.Interval)
		synctest.Wait()
		r.redis.did("uninstall")
		r.redis.fail("uninstall", nil)
		time.Sleep(r.o.Interval)
		synctest.Wait()
		if got := r.redis.did("uninstall"); len(got) != 1 {
			t.Errorf("it was tried %d times, want once", len(got))
		}
		r.expectNews("function shop/f")
	})
}
