package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// busyTown is a function that uses everything there is, and a child of it.
const busyTown = `
	triggers: [{event: a}]
	history: {limit: 100000}
	concurrency: [{limit: 30}, {limit: 3, key: event.data.user}]
	throttle: {limit: 5000, period: 1s, burst: 100}
	idempotency: {key: string(event.data.id), ttl: 1h}
	steps:
	- {name: one, handler: step, with: {}}
	- {name: list, forEach: "${[1, 2, 3]}", maxParallel: 3, handler: step, with: {}}
	- {name: nap, sleep: 30ms}
	- {name: tell, sendEvent: [{name: b, data: {id: "${event.data.id}"}}, {name: c, data: {id: "${event.data.id}"}}]}
	- {name: told, waitForEvent: {event: b, match: data.id, timeout: 1m}}
	- {name: cond, waitForEvent: {event: c, match: data.id, if: "async.data.id == steps.told.output.data.id", timeout: 1m}}
	- {name: call, invoke: {function: child, data: {id: "${event.data.id}"}}}
	output: "${steps.call.output}"`

// town is a busyTown with its handlers on a Redis of its own.
type town struct {
	*rig
	redis *servicetest.Redis
	sent  int
}

func newTown(opts ...servicetest.RedisOption) *town {
	GinkgoHelper()
	redis := servicetest.StartRedis(GinkgoTB(), opts...)
	t := &town{rig: newRigOn(redis.URL()), redis: redis}
	wildout.Add(t.handlers, "step", func(ctx context.Context, _ struct{}) (int, error) {
		t.count(wildout.Info(ctx).IdempotencyKey)
		select {
		case <-time.After(5 * time.Millisecond):
			return 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	return t
}

// work starts a worker of each function.
func (t *town) work(name string, lease time.Duration) []*runner {
	GinkgoHelper()
	return []*runner{
		t.start(compile("f", busyTown), named(name), leased(lease)),
		t.start(compile("child", `
			triggers: [{event: never}]
			history: {limit: 100000}
			steps:
			- {name: one, handler: step}
			- {name: nap, sleep: 10ms}
			output: "${event.data.id}"`), named(name), leased(lease)),
	}
}

// more publishes n events.
func (t *town) more(n int) {
	GinkgoHelper()
	for range n {
		// The client goes on refusing for a second after Redis is back.
		e := &event.Event{ID: fmt.Sprint("e", t.sent), Type: "a", Data: fmt.Appendf(nil, `{"id":%d,"user":"u%d"}`, t.sent, t.sent%5)}
		Eventually(func() error { return t.store.Publish(context.Background(), e) }).Should(Succeed())
		t.sent++
	}
}

// settles waits for the end of all runs and sees that each ended well and once,
// and that nothing is left of them.
func (t *town) settles() {
	GinkgoHelper()
	t.finishes("f", t.sent)
	outputs := map[string]bool{}
	for _, record := range t.history("f") {
		Expect(record.Status).To(Equal(run.Succeeded), "%s: %s", record.ErrorStep, record.Error)
		outputs[string(record.Output)] = true
	}
	Expect(outputs).To(HaveLen(t.sent))
	Expect(t.history("child")).To(HaveLen(t.sent))
	Expect(do(dial(t.redis), "XLEN", t.store.Keys().Stream("b"))).To(Equal(int64(t.sent)), "events sent by steps, each once")
	Eventually(func() []string {
		keys, err := dial(t.redis).Strings("KEYS", "*")
		Expect(err).NotTo(HaveOccurred())
		var left []string
		for _, key := range keys {
			for _, kind := range []string{":run:", ":queue", ":wait:", ":timers", ":versions", ":slots:2:"} {
				if strings.Contains(key, kind) {
					left = append(left, key)
				}
			}
		}
		return left
	}).Should(BeEmpty(), "of runs that have ended")
	st := t.stats("f", "a", "b")
	Expect(st.Waiting).To(BeZero())
	Eventually(func() int64 { return t.stats("f", "a", "b").Pending }).Should(BeZero())
}

var _ = Describe("trouble with Redis", func() {
	It("is none without trouble", func() {
		t := newTown()
		t.work("a", 2*time.Second)
		t.work("b", 2*time.Second)
		t.more(100)
		t.settles()
	})

	It("loses nothing in a restart, with appendfsync always", func() {
		t := newTown(servicetest.AppendFsync("always"))
		t.work("a", 2*time.Second)
		t.work("b", 2*time.Second)
		t.more(60)
		time.Sleep(100 * time.Millisecond)
		t.redis.Stop()
		t.redis.Start()
		t.more(20)
		time.Sleep(200 * time.Millisecond)
		t.redis.Kill()
		t.redis.Start()
		t.settles()
	})

	It("goes on after Redis was away for less than the lease, and nothing hangs", func() {
		t := newTown(servicetest.AppendFsync("always"))
		workers := t.work("a", time.Minute)
		t.more(80)
		time.Sleep(100 * time.Millisecond)
		t.redis.Kill()
		time.Sleep(3 * time.Second)
		Expect(workers[0].Health()).To(MatchError(ContainSubstring("nothing listens at the address in the Redis URL")))
		t.redis.Start()
		t.more(10)
		t.settles() // no lease is over before: all of it is this worker's own work
		Eventually(workers[0].Health).Should(Succeed())
	})

	It("goes on after Redis did not answer for a while", func() {
		t := newTown()
		t.work("a", 10*time.Second)
		t.more(60)
		time.Sleep(100 * time.Millisecond)
		t.redis.Pause()
		time.Sleep(5 * time.Second)
		t.redis.Resume()
		t.more(10)
		t.settles()
	})

	It("goes on under a new name after Redis was away for longer than the lease", func() {
		t := newTown(servicetest.AppendFsync("always"))
		t.work("a", 2*time.Second)
		t.work("b", 2*time.Second)
		t.more(60)
		time.Sleep(100 * time.Millisecond)
		t.redis.Kill()
		time.Sleep(20 * time.Second)
		t.redis.Start()
		t.more(10)
		t.settles()
		Eventually(func() int64 { return t.stats("f").Runners }).Should(Equal(int64(2)), "the old names are gone")
	})

	It("says what to do about a wrong password, and comes up when it is right", func() {
		t := newTown(servicetest.Password("right"))
		t.url = strings.ReplaceAll(t.url, "right", "wrong")
		t.connect()
		w := t.work("a", 2*time.Second)[0]
		Eventually(w.Health).Should(MatchError(ContainSubstring("check the Redis URL (key `url` of the Secret)")))
		c := dial(t.redis)
		do(c, "AUTH", "right")
		do(c, "CONFIG", "SET", "requirepass", "wrong")
		Eventually(w.Health).Should(Succeed())
		t.send("a", `{"id":1,"user":"u"}`)
		t.finishes("f", 1)
	})

	It("loses nothing when Redis is full for a while, and says so", func() {
		t := newTown()
		c := dial(t.redis)
		workers := append(t.work("a", time.Second), t.work("b", time.Second)...)
		health := func() error {
			var all []error
			for _, w := range workers {
				all = append(all, w.Health())
			}
			return errors.Join(all...)
		}
		Eventually(func() int64 { return t.stats("f").Runners }).Should(Equal(int64(2)))
		before := do(c, "ZRANGE", t.store.Keys().Runners("f"), 0, -1).([]any)
		t.more(60)
		time.Sleep(50 * time.Millisecond)
		do(c, "CONFIG", "SET", "maxmemory", "1")
		Eventually(health).Should(MatchError(ContainSubstring("Redis is at maxmemory: raise it")))
		_, err := c.Do("XADD", "x", "*", "a", "b")
		Expect(err).To(MatchError(ContainSubstring("OOM")))
		time.Sleep(2 * time.Second) // longer than the lease
		do(c, "CONFIG", "SET", "maxmemory", "0")
		t.settles()
		Expect(do(c, "ZRANGE", t.store.Keys().Runners("f"), 0, -1)).To(ConsistOf(before...), "no runner lost its lease")
		Eventually(health).Should(Succeed())
	})

	It("goes on when the scripts are gone", func() {
		t := newTown()
		t.work("a", 10*time.Second)
		c := dial(t.redis)
		for range 10 {
			t.more(8)
			do(c, "SCRIPT", "FLUSH")
			time.Sleep(20 * time.Millisecond)
		}
		t.settles()
	})

	It("begins anew when somebody deletes a stream or everything", func() {
		t := newTown()
		w := t.work("a", time.Second)[0]
		c := dial(t.redis)
		t.more(5)
		t.settles()
		do(c, "DEL", t.store.Keys().Stream("a"))
		Eventually(w.Health).Should(Succeed())
		t.more(5)
		t.finishes("f", 10)
		do(c, "FLUSHALL")
		time.Sleep(500 * time.Millisecond)
		Eventually(w.Health).Should(Succeed())
		t.more(5)
		t.finishes("f", 5)
	})
})

var _ = Describe("the keys of a function", func() {
	It("are in one hash slot, whatever the function does", func() {
		t := newTown()
		t.work("a", 2*time.Second)
		t.send("a", `{"id":"{other}tag","user":"{x}"}`)
		t.sent++
		Eventually(func() int { // while it runs, to see what lives only then
			keys, err := dial(t.redis).Strings("KEYS", "*")
			Expect(err).NotTo(HaveOccurred())
			for _, key := range keys {
				Expect(key).To(HavePrefix("wo:{" + t.namespace + ".0}:"))
			}
			return len(t.history("f"))
		}, "10s", "1ms").Should(Equal(1))
		t.settles()
	})
})
