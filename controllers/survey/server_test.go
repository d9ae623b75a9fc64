package survey

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// One look that fails is an answer that came late; two in a row are trouble.
func TestFailuresToTell(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	r.lookAt(s)
	r.news()
	r.redis.fail("ask", errAway)
	r.lookAt(s)
	r.expectNews()
	isTrouble(t, r.Follow(f("f")).Trouble, -1)
	r.redis.fail("ask", nil)
	r.lookAt(s)
	r.redis.fail("ask", errAway)
	r.lookAt(s)
	r.expectNews() // not two in a row
	r.lookAt(s)
	r.expectNews("function shop/f")
	isTrouble(t, r.Follow(f("f")).Trouble, view.Unreachable)
	first := r.Follow(f("f")).Trouble
	r.redis.fail("ask", store.Explain(context.DeadlineExceeded)) // as unreachable, in other words
	r.lookAt(s)
	r.expectNews()
	if r.Follow(f("f")).Trouble != first {
		t.Error("the words of one trouble change")
	}
	r.redis.fail("ask", store.Explain(answer("WRONGPASS")))
	r.lookAt(s)
	r.expectNews("function shop/f")
	isTrouble(t, r.Follow(f("f")).Trouble, view.Unauthorized)
	r.redis.fail("ask", nil)
	r.lookAt(s)
	r.expectNews("function shop/f")
	isTrouble(t, r.Follow(f("f")).Trouble, -1)
}

// Nobody knows what there is to do while Redis is away.
func TestNoWorkWhileAway(t *testing.T) {
	r := newRig(t)
	scaled := f("f")
	scaled.Scaled = true
	r.Follow(scaled)
	s := r.connected()
	r.redis.of("shop/f").Outlook.At = begin
	if r.Follow(scaled).Work != nil {
		t.Error("it is known before Redis was asked")
	}
	r.lookAt(s)
	if r.Follow(scaled).Work == nil {
		t.Fatal("it is not known")
	}
	r.redis.fail("ask", errAway)
	r.lookAt(s)
	r.lookAt(s)
	if r.Follow(scaled).Work != nil {
		t.Error("it is known though Redis is away")
	}
}

func TestSafetyIsTold(t *testing.T) {
	for what, change := range map[string]func(*store.Server){
		"version":     func(s *store.Server) { s.Version = "6.2.0" },
		"replica":     func(s *store.Server) { s.Replica = true },
		"cluster":     func(s *store.Server) { s.Cluster = true },
		"replicas":    func(s *store.Server) { s.Replicas++ },
		"policy":      func(s *store.Server) { s.EvictionPolicy = "allkeys-lru" },
		"log":         func(s *store.Server) { s.AppendOnly = false },
		"snapshots":   func(s *store.Server) { s.Snapshots = true },
		"unknown":     func(s *store.Server) { s.SnapshotsUnknown = true },
		"most":        func(s *store.Server) { s.Max = 200 },
		"nearly full": func(s *store.Server) { s.Used = 95 },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.redis.server.Max = 100
			r.Follow(f("f"))
			r.FollowType(declared("t"))
			s := r.connected()
			r.lookAt(s)
			r.news()
			r.redis.server.Used++ // nobody has to do anything
			r.lookAt(s)
			r.expectNews()
			change(&r.redis.server)
			r.lookAt(s)
			r.expectNews("function shop/f", "type shop/t")
			if got, want := r.Follow(f("f")).State, stateOf(&r.redis.server); got != want {
				t.Errorf("it is %+v, want %+v", got, want)
			}
		})
	}
}

// A look that ends with the Poller has found nothing.
func TestLookThatIsCancelled(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	r.news()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.redis.fail("ask", context.Canceled)
	r.look(ctx, s, true)
	r.expectNews()
	if r.Follow(f("f")).Asked {
		t.Error("it counts")
	}
}

// running runs the Poller of a rig, in a bubble where time passes by itself.
func running(t *testing.T, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.o.Now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Start(ctx) }()
		test(r)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := r.redis.did("close"); len(got) != 1 {
			t.Errorf("at the end %d connections were closed, want 1", len(got))
		}
	})
}

func TestRun(t *testing.T) {
	running(t, func(r *rig) {
		r.Follow(f("f", "a/b"))
		time.Sleep(together)
		synctest.Wait()
		if got := r.redis.did("survey"); len(got) != 1 {
			t.Errorf("after a moment it was looked %d times, want once", len(got))
		}
		if !r.Follow(f("f", "a/b")).Asked {
			t.Error("it is not known to have been asked")
		}
		time.Sleep(r.o.Interval)
		synctest.Wait()
		if got := r.redis.did("survey"); len(got) != 1 {
			t.Errorf("within an interval it was looked %d times, want once", len(got))
		}
		// Who is new is looked at at once.
		r.Follow(f("g"))
		time.Sleep(together)
		synctest.Wait()
		if known := r.Follow(f("g")); known.Numbers == nil {
			t.Error("a new one waits for the next look")
		}
		// A Secret is read again, and a server that nobody uses is left.
		r.secrets.set("shop/wildout-redis", "redis://two.example:6379/0")
		r.redis.did("open")
		for len(r.redis.did("open")) == 0 {
			r.redis.did("survey")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if calls := r.redis.did("survey"); !slices.Contains(calls, "survey 2") {
			t.Errorf("of a new server not all functions are looked at: %q", calls)
		}
		if got := r.redis.did("close"); len(got) != 1 {
			t.Errorf("the old one was closed %d times", len(got))
		}
		if len(r.servers) != 1 {
			t.Errorf("there are %d servers", len(r.servers))
		}
	})
}

// A sleeper is asked about much more often than the others.
func TestRunWakes(t *testing.T) {
	running(t, func(r *rig) {
		scaled := f("f")
		scaled.Scaled = true
		r.redis.of("shop/f").Outlook.At = time.Now()
		r.Follow(scaled)
		time.Sleep(together)
		synctest.Wait()
		r.Watch(name("f"), Watch{Wants: func(w *view.Work, _ time.Time) int32 { return int32(w.Open) }, Asleep: true})
		r.redis.did("news")
		time.Sleep(3 * r.o.WakeInterval)
		synctest.Wait()
		if got := r.redis.did("news"); len(got) != 3 {
			t.Errorf("it was asked %d times, want 3", len(got))
		}
	})
}

// A server whose loop never began is closed all the same.
func TestCloseAll(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	r.closeAll()
	if r.redis.closed != 1 {
		t.Errorf("closed %d times, want once", r.redis.closed)
	}
	s.stop = func() {}
	r.closeAll()
	if r.redis.closed != 1 {
		t.Error("a loop closes its own")
	}
}

// One that nobody uses goes, also before its loop began; others are woken.
func TestConnect(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	s.stop = func() { r.redis.note("stopped") }
	r.connect(t.Context())
	if len(s.kick) != 1 {
		t.Error("who is fresh is not looked at")
	}
	<-s.kick
	r.lookAt(s)
	r.connect(t.Context())
	if len(s.kick) != 0 {
		t.Error("it is woken for nothing")
	}
	r.FollowType(declared("t"))
	r.connect(t.Context())
	r.connect(t.Context()) // it may be woken already
	if len(s.kick) != 1 {
		t.Error("an event type that is fresh is not looked at")
	}
	r.secrets.set("shop/wildout-redis", "")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.connect(t.Context())
	same(t, "stopped", r.redis.did("stopped"), []string{"stopped"})
	if len(r.servers) > 0 {
		t.Error("it is still known")
	}
	r.secrets.set("shop/wildout-redis", "redis://one.example:6379/0")
	r.now = r.now.Add(r.o.SecretInterval)
	r.connected()
	r.secrets.set("shop/wildout-redis", "")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.connect(t.Context())
	if r.redis.closed != 1 || len(r.servers) > 0 {
		t.Errorf("closed %d times", r.redis.closed)
	}
}

// Two Secrets with one URL and one authority are one server.
func TestOneServer(t *testing.T) {
	r := newRig(t)
	other := r.secrets.set("shop/other", "redis://one.example:6379/0")
	r.Follow(f("f"))
	g := f("g")
	g.Secret = "other"
	r.Follow(g)
	s := r.connected()
	r.lookAt(s)
	if n := len(r.redis.subjects); n != 2 {
		t.Errorf("%d functions are looked at together, want 2", n)
	}
	other.Data = map[string][]byte{KeyURL: []byte("redis://one.example:6379/1")}
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	if len(r.servers) != 2 {
		t.Errorf("there are %d servers, want 2", len(r.servers))
	}
	r.lookAt(s)
	if n := len(r.redis.subjects); n != 1 {
		t.Errorf("%d functions are looked at, want 1", n)
	}
}

func TestOptions(t *testing.T) {
	secrets := &cluster{objects: map[string]*corev1.Secret{}}
	if _, err := New(Options{}); err == nil {
		t.Error("it takes no Secrets")
	}
	if _, err := New(Options{Secrets: secrets, WakeInterval: -1}); err == nil {
		t.Error("it takes a negative interval")
	}
	p, err := New(Options{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	o := p.o
	if o.Interval != 5*time.Second || o.WakeInterval != 250*time.Millisecond || o.SecretInterval != 10*time.Second || o.NumbersInterval != 15*time.Second {
		t.Errorf("the defaults are %+v", o)
	}
	if o.Now == nil || o.Open == nil || o.Logger == nil {
		t.Error("a default is missing")
	}
	if !p.NeedLeaderElection() {
		t.Error("every operator looks")
	}
	if p.patience() != 5*time.Second {
		t.Errorf("a look may take %s", p.patience())
	}
	p.o.Interval = time.Minute
	if p.patience() != time.Minute {
		t.Errorf("a look may take %s", p.patience())
	}
	p.tell(nil, nil)
	if _, err := o.Open(store.Options{URL: "nowhere", Namespace: "a"}); err == nil {
		t.Error("it opens a Redis at no URL")
	}
	redis, err := o.Open(store.Options{URL: "redis://127.0.0.1:1/0", Namespace: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if redis.In("b") == nil || redis.Close() != nil {
		t.Error("it cannot be used")
	}
}
