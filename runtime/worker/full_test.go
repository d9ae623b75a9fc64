package worker_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/upkeep"
)

// A full Redis refuses a script whose first write may need memory. What ends runs
// frees memory, so all of the way to the end must work there: also that of a runner
// that starts.
var _ = Describe("a Redis at maxmemory", func() {
	const n = 40
	// large is the data of an event, of 20 KB.
	large := func(i int) string { return fmt.Sprintf(`{"id":"i%d","text":%q}`, i, strings.Repeat("x", 20_000)) }

	full := func(redis *servicetest.Redis) {
		GinkgoHelper()
		c := dial(redis)
		do(c, "CONFIG", "SET", "maxmemory", "1")
		_, err := c.Do("SET", "more", "x")
		Expect(err).To(MatchError(ContainSubstring("OOM")), "it is not full")
	}
	length := func(redis *servicetest.Redis, r *rig, pattern string) func() int {
		return func() int {
			keys, err := dial(redis).Strings("KEYS", "wo:{"+r.namespace+".*"+pattern)
			Expect(err).NotTo(HaveOccurred())
			return len(keys)
		}
	}

	for name, more := range map[string]string{
		"":                       "",
		"of a throttle":          "throttle: {limit: 1000, period: 1s, burst: 100}",
		"of a sliding throttle":  "throttle: {limit: 1000, period: 1s, window: Sliding}",
		"of a rate limit":        "rateLimit: {limit: 1000, period: 1s, burst: 100}",
		"of a concurrency limit": "concurrency: [{limit: 2}]",
		"of keyed slots":         "concurrency: [{limit: 1, key: \"'all'\"}]",
		"with idempotency keys":  "idempotency: {key: event.data.id, ttl: 1h}",
		"of slots and a limit":   "concurrency: [{limit: 3}, {limit: 1, key: event.data.id}]",
	} {
		It(strings.TrimSpace("ends runs that have not begun "+name), func() {
			redis := servicetest.StartRedis(GinkgoTB())
			r := newRigOn(redis.URL())
			p := compile("f", `
				triggers: [{event: a}]
				`+more+`
				steps: [{name: one, handler: echo, with: {name: one}}]`)
			w := r.start(p)
			Eventually(w.Health).Should(Succeed())
			w.stop()
			r.sendMany("a", n, large)
			full(redis)
			r.start(p)
			r.finishes("f", n)
			Expect(r.called("one")).To(Equal(n))
			Eventually(length(redis, r, "*fn:f:run:*")).Should(BeZero())
		})

		It(strings.TrimSpace("ends runs that sleep "+name), func() {
			redis := servicetest.StartRedis(GinkgoTB())
			r := newRigOn(redis.URL())
			p := compile("f", `
				triggers: [{event: a}]
				`+more+`
				steps:
				- {name: nap, sleep: 3s}
				- {name: one, handler: echo, with: {name: one}}`)
			w := r.start(p)
			r.sendMany("a", n, large)
			Eventually(length(redis, r, "*fn:f:run:*")).Should(BeNumerically(">=", 2))
			w.stop()
			full(redis)
			r.start(p)
			r.finishes("f", n)
			Eventually(length(redis, r, "*fn:f:run:*")).Should(BeZero())
		})
	}

	It("frees memory as runs end", func() {
		redis := servicetest.StartRedis(GinkgoTB())
		r := newRigOn(redis.URL())
		p := compile("f", `
			triggers: [{event: a}]
			history: {limit: 5}
			steps:
			- {name: nap, sleep: 3s}
			- {name: one, handler: echo, with: {name: one}}`)
		w := r.start(p)
		const n = 300
		r.sendMany("a", n, large)
		r.waits("f", n)
		w.stop()
		full(redis)
		used := func() float64 {
			server, err := r.store.AskServer(context.Background())
			Expect(err).NotTo(HaveOccurred())
			return float64(server.Used)
		}
		before := used()
		r.start(p)
		Eventually(func() int64 { return r.stats("f").Succeeded }).Should(Equal(int64(n)))
		Eventually(used).Should(BeNumerically("<", before-n*20_000/2), "the journals of %d runs, each with an event of 20 KB, are gone", n)
	})

	It("wakes runs for which events have come, with and without an if, and ends waits that time out", func() {
		redis := servicetest.StartRedis(GinkgoTB())
		r := newRigOn(redis.URL())
		wait := func(more string) *plan.Plan {
			return compile("f", `
				triggers: [{event: a}]
				steps:
				- {name: wait, waitForEvent: {event: answer, match: data.id, timeout: 4s`+more+`}}
				output: "${steps.wait.output == null ? 'late' : 'answered'}"`)
		}
		p := wait(", if: async.data.good")
		w := r.start(p)
		var events []*event.Event
		for i := range 3 {
			events = append(events, r.send("a", large(i)))
		}
		r.waits("f", 3)
		w.stop()
		r.send("answer", `{"id":"i0","good":true}`)
		r.send("answer", `{"id":"i1","good":false}`)
		full(redis)
		r.start(p)
		for i, want := range []string{`"answered"`, `"late"`, `"late"`} {
			Expect(string(r.ended("f", events[i]).Output)).To(Equal(want), "run %d", i)
		}
	})

	It("lets runs be cancelled, and functions be deleted, by which steps end that wait for them", func() {
		redis := servicetest.StartRedis(GinkgoTB())
		r := newRigOn(redis.URL())
		asleep := compile("asleep", `
			triggers: [{event: never}, {event: a}]
			steps: [{name: nap, sleep: 1h}]`)
		caller := compile("caller", `
			triggers: [{event: go}]
			steps: [{name: call, invoke: {function: asleep}}]`)
		w := r.start(asleep)
		r.start(caller)
		e := r.send("a", large(1))
		call := r.send("go", `{}`)
		r.waits("asleep", 2)
		r.waits("caller", 1)
		full(redis)
		r.cancels("asleep", e, "no room")
		Expect(r.ended("asleep", e).Status).To(Equal(run.Cancelled))
		w.stop()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		Expect(upkeep.New(r.store).Uninstall(ctx, "asleep")).To(Succeed())
		Expect(r.ended("caller", call).Error).To(ContainSubstring("was deleted"))
	})
})
