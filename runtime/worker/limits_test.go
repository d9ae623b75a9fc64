package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
)

var _ = Describe("concurrency", func() {
	for _, limit := range []int{1, 2, 5} {
		It(fmt.Sprintf("lets no more than %d runs of a function run at once, on three workers", limit), func() {
			r, g := newRig(), newGauge()
			r.busy("work", g, 10*time.Millisecond)
			p := compile("f", fmt.Sprintf(`
				triggers: [{event: a}]
				concurrency: [{limit: %d}]
				steps: [{name: one, handler: work, with: {key: all}}]`, limit))
			for _, name := range []string{"a", "b", "c"} {
				r.start(p, named(name), leased(time.Second))
			}
			const n = 60
			r.sendMany("a", n, func(int) string { return `{}` })
			r.finishes("f", n)
			Expect(g.peak("all")).To(BeNumerically("<=", limit))
			Expect(g.started("all")).To(HaveLen(n))
		})
	}

	It("holds while workers come and go", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 15*time.Millisecond)
		p := compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 3}]
			steps: [{name: one, handler: work, with: {key: all}}]`)
		first := r.start(p, named("a"), leased(400*time.Millisecond))
		const n = 150
		r.sendMany("a", n, func(int) string { return `{}` })
		second := r.start(p, named("b"), leased(400*time.Millisecond))
		time.Sleep(300 * time.Millisecond)
		first.stop()
		r.start(p, named("c"), leased(400*time.Millisecond))
		time.Sleep(300 * time.Millisecond)
		second.stop()
		r.finishes("f", n)
		Expect(g.peak("all")).To(BeNumerically("<=", 3))
	})

	It("is handed over by a worker that leaves, and waits for no heartbeat", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		p := compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1}]
			steps: [{name: one, handler: work, with: {key: all}}]`)
		// Heartbeats are three minutes apart, so that none of them helps.
		first := r.start(p, named("a"), leased(10*time.Minute))
		Eventually(first.Health).Should(Succeed())
		for i := range 3 { // a deployment after the other
			next := r.start(p, named(fmt.Sprint("b", i)), leased(10*time.Minute))
			Eventually(next.Health).Should(Succeed())
			first.stop()
			r.send("a", `{}`)
			r.finishes("f", i+1)
			first = next
		}
	})

	It("takes the slots of a worker that died", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 5*time.Millisecond)
		p := compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 2}, {limit: 1, key: event.data.user}]
			steps: [{name: one, handler: work, with: {key: all}}]`)
		// A runner that held everything and was last heard of long ago.
		c, k := dial(shared), r.store.Keys()
		do(c, "ZADD", k.Runners("f"), 1000, "dead")
		do(c, "HSET", k.Slots("f", 1, ""), "dead", 2)
		do(c, "HSET", k.Slots("f", 2, "u"), "dead", 1)
		r.start(p, leased(time.Second))
		r.sendMany("a", 5, func(int) string { return `{"user":"u"}` })
		r.finishes("f", 5)
		Eventually(func() any { return do(c, "ZSCORE", k.Runners("f"), "dead") }).Should(BeNil())
	})

	It("gives each value of a key one run at a time and starves none", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 3*time.Millisecond)
		p := compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1, key: event.data.user}]
			steps: [{name: one, handler: work, with: {key: "${event.data.user}"}}]`)
		r.sendMany("a", 200, func(int) string { return `{"user":"busy"}` })
		r.sendMany("a", 3, func(int) string { return `{"user":"rare"}` })
		r.start(p, named("a"))
		r.start(p, named("b"))
		r.finishes("f", 203)
		Expect(g.peak("busy")).To(Equal(1))
		Expect(g.peak("rare")).To(Equal(1))
		busy, rare := g.started("busy"), g.started("rare")
		Expect(busy).To(HaveLen(200))
		Expect(rare).To(HaveLen(3))
		Expect(rare[2]).To(BeTemporally("<", busy[150]), "the rare value waited for the busy one")
		Expect(dialKeys(r, "*:queue*")).To(BeEmpty())
		Expect(dialKeys(r, "*:slots:1:busy")).To(BeEmpty(), "a slot has leaked")
	})

	It("wakes a queued run at once when its slot becomes free", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		p := compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1, key: event.data.user}]
			steps: [{name: one, handler: work, with: {key: "${event.data.user}"}}]`)
		// Heartbeats are far apart, so that none of them helps.
		r.start(p, named("a"), leased(time.Minute))
		r.start(p, named("b"), leased(time.Minute))
		// The second of two ends up in the queue about when the first has ended.
		const users = 200
		r.sendMany("a", 2*users, func(i int) string { return fmt.Sprintf(`{"user":"u%d"}`, i/2) })
		r.finishes("f", 2*users)
		for i := range users {
			Expect(g.peak(fmt.Sprint("u", i))).To(Equal(1))
		}
	})

	It("holds two limits at once", func() {
		r, all, each := newRig(), newGauge(), newGauge()
		wildout.Add(r.handlers, "work", func(_ context.Context, in struct {
			User string `json:"user"`
		}) (int, error) {
			all.enter("all")
			each.enter(in.User)
			time.Sleep(5 * time.Millisecond)
			each.leave(in.User)
			all.leave("all")
			return 0, nil
		})
		p := compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 3}, {limit: 1, key: event.data.user}]
			steps: [{name: one, handler: work, with: {user: "${event.data.user}"}}]`)
		r.start(p, named("a"), leased(time.Second))
		r.start(p, named("b"), leased(time.Second))
		const n = 80
		r.sendMany("a", n, func(i int) string { return fmt.Sprintf(`{"user":"u%d"}`, i%4) })
		r.finishes("f", n)
		Expect(all.peak("all")).To(BeNumerically("<=", 3))
		for i := range 4 {
			Expect(each.peak(fmt.Sprint("u", i))).To(Equal(1))
		}
	})

	It("holds for runs that come back from a sleep and from a retry", func() {
		for _, limit := range []string{"{limit: 2}", "{limit: 2, key: event.data.user}"} {
			r, g := newRig(), newGauge()
			r.busy("work", g, 10*time.Millisecond)
			var failures atomic.Int32
			wildout.Add(r.handlers, "flaky", func(ctx context.Context, _ struct{}) (int, error) {
				g.enter("all")
				defer g.leave("all")
				time.Sleep(5 * time.Millisecond)
				if wildout.Info(ctx).Attempt == 1 {
					failures.Add(1)
					return 0, errors.New("once more")
				}
				return 1, nil
			})
			p := compile("f", `
				triggers: [{event: a}]
				concurrency: [`+limit+`]
				steps:
				- {name: one, handler: work, with: {key: all}}
				- {name: nap, sleep: 50ms}
				- {name: two, handler: flaky, retryPolicy: {initialInterval: 20ms}}`)
			r.start(p, named("a"), leased(time.Second))
			r.start(p, named("b"), leased(time.Second))
			const n = 30
			r.sendMany("a", n, func(int) string { return `{"user":"u"}` })
			r.finishes("f", n)
			Expect(g.peak("all")).To(BeNumerically("<=", 2), limit)
			Expect(failures.Load()).To(Equal(int32(n)), limit)
			Expect(r.history("f")).To(HaveEach(HaveField("Status", BeEquivalentTo("succeeded"))))
		}
	})
})

var _ = Describe("a throttle and a rate limit", func() {
	// within says how many starts are in the fullest window of that length.
	within := func(starts []time.Time, window time.Duration) int {
		most := 0
		for i := range starts {
			n := 0
			for _, at := range starts[i:] {
				if at.Sub(starts[i]) < window {
					n++
				}
			}
			most = max(most, n)
		}
		return most
	}

	It("spreads the runs of a function over time and loses none", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		p := compile("f", `
			triggers: [{event: a}]
			throttle: {limit: 10, period: 1s}
			steps: [{name: one, handler: work, with: {key: all}}]`)
		const n = 25
		r.sendMany("a", n, func(int) string { return `{}` })
		r.start(p, named("a"))
		r.start(p, named("b"))
		r.finishes("f", n)
		starts := g.started("all")
		Expect(starts).To(HaveLen(n))
		// Half of the period: on a busy machine a start may be late, and the next one not.
		Expect(within(starts, 500*time.Millisecond)).To(BeNumerically("<", 10))
		Expect(starts[n-1].Sub(starts[0])).To(And(BeNumerically(">", 2*time.Second), BeNumerically("<", 4500*time.Millisecond)))
	})

	It("counts for each value of its key", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		p := compile("f", `
			triggers: [{event: a}]
			throttle: {limit: 10, period: 1s, key: event.data.user}
			steps: [{name: one, handler: work, with: {key: "${event.data.user}"}}]`)
		r.start(p, named("a"))
		r.start(p, named("b"))
		r.sendMany("a", 36, func(i int) string { return fmt.Sprintf(`{"user":"u%d"}`, i%3) })
		r.finishes("f", 36)
		for i := range 3 {
			starts := g.started(fmt.Sprint("u", i))
			Expect(starts).To(HaveLen(12))
			Expect(within(starts, 500*time.Millisecond)).To(BeNumerically("<", 10))
			Expect(starts[11].Sub(starts[0])).To(And(BeNumerically(">", 700*time.Millisecond), BeNumerically("<", 3*time.Second)))
		}
	})

	It("lets a burst through at once", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("f", `
			triggers: [{event: a}]
			throttle: {limit: 5, period: 5s, burst: 5}
			steps: [{name: one, handler: work, with: {key: all}}]`))
		r.sendMany("a", 7, func(int) string { return `{}` })
		r.finishes("f", 7)
		starts := g.started("all")
		Expect(starts[4].Sub(starts[0])).To(BeNumerically("<", 2*time.Second), "one a second without a burst")
		Expect(starts[6].Sub(starts[0])).To(And(BeNumerically(">", 1500*time.Millisecond), BeNumerically("<", 4*time.Second)))
	})

	It("never lets more than the limit begin in any window that slides", func() {
		for _, key := range []string{"", ", key: event.data.user"} {
			r, g := newRig(), newGauge()
			r.busy("work", g, 0)
			p := compile("f", `
				triggers: [{event: a}]
				throttle: {limit: 6, period: 2s, window: Sliding`+key+`}
				steps: [{name: one, handler: work, with: {key: all}}]`)
			r.start(p, named("a"))
			r.start(p, named("b"))
			r.sendMany("a", 20, func(int) string { return `{"user":"u"}` })
			r.finishes("f", 20)
			window := dialScores(r, "*:window:*")
			Expect(window).To(HaveLen(20), "what began is remembered for a while")
			for i := 6; i < len(window); i++ {
				Expect(window[i]-window[i-6]).To(BeNumerically(">=", 2e6), fmt.Sprint("start ", i, key))
			}
		}
	})

	It("drops what is too much and counts it", func() {
		for _, key := range []string{"", ", key: event.data.user"} {
			r, g := newRig(), newGauge()
			r.busy("work", g, 0)
			r.start(compile("f", `
				triggers: [{event: a}]
				rateLimit: {limit: 2, burst: 2, period: 1h`+key+`}
				steps: [{name: one, handler: work, with: {key: all}}]`))
			r.sendMany("a", 10, func(int) string { return `{"user":"u"}` })
			Eventually(func() int64 { return r.stats("f").Dropped }).Should(Equal(int64(8)), key)
			Expect(g.started("all")).To(HaveLen(2), key)
			Expect(r.history("f")).To(HaveLen(2), key)
			Eventually(func() int64 { return r.stats("f", "a").Pending }).Should(BeZero())
		}
	})

	It("counts the runs of an invocation and those of events together", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("child", `
			triggers: [{event: b}]
			throttle: {limit: 10, period: 1s}
			steps: [{name: one, handler: work, with: {key: all}}]`))
		r.start(compile("parent", `
			triggers: [{event: a}]
			steps: [{name: one, invoke: {function: child}}]`))
		r.sendMany("a", 6, func(int) string { return `{}` })
		r.sendMany("b", 6, func(int) string { return `{}` })
		r.finishes("child", 12)
		r.finishes("parent", 6)
		starts := g.started("all")
		Expect(within(starts, 500*time.Millisecond)).To(BeNumerically("<", 10))
		Expect(starts[11].Sub(starts[0])).To(BeNumerically(">", 700*time.Millisecond), "half of it if each had a limit of its own")
	})
})

var _ = Describe("an idle worker", func() {
	It("costs Redis less than one command a second", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}, {event: b}, {cron: "0 3 * * *"}]
			concurrency: [{limit: 5}]
			throttle: {limit: 5, period: 1m}
			steps: [{name: one, handler: echo, with: {name: one}}]`), leased(10*time.Second))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(1)))
		time.Sleep(time.Second)
		before := r.store.Traffic().Commands
		time.Sleep(8 * time.Second)
		Expect(r.store.Traffic().Commands - before).To(BeNumerically("<", 8))
	})
})

// dialKeys lists the keys of the namespace that match.
func dialKeys(r *rig, pattern string) []string {
	GinkgoHelper()
	all, err := dial(shared).Strings("KEYS", "wo:{"+r.namespace+".*"+strings.TrimPrefix(pattern, "*"))
	Expect(err).NotTo(HaveOccurred())
	return all
}

// dialScores are those of the members of the one sorted set of the namespace
// that matches, in order.
func dialScores(r *rig, pattern string) []float64 {
	GinkgoHelper()
	keys := dialKeys(r, pattern)
	Expect(keys).To(HaveLen(1))
	all, err := dial(shared).Strings("ZRANGE", keys[0], "0", "-1", "WITHSCORES")
	Expect(err).NotTo(HaveOccurred())
	scores := make([]float64, 0, len(all)/2)
	for i := 1; i < len(all); i += 2 {
		score, err := strconv.ParseFloat(all[i], 64)
		Expect(err).NotTo(HaveOccurred())
		scores = append(scores, score)
	}
	return scores
}
