package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// grace sets how long runs may go on after a worker was asked to stop.
func grace(d time.Duration) func(*worker.Options) {
	return func(o *worker.Options) { o.Grace = d }
}

// inFlight bounds the runs that a worker has at once.
func inFlight(n int) func(*worker.Options) {
	return func(o *worker.Options) { o.MaxInFlight = n }
}

var _ = Describe("suspend", func() {
	It("reads nothing and loses nothing", func() {
		r := newRig()
		p := compile("f", `
			triggers: [{event: a}, {cron: "0 0 29 2 *"}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: nap, sleep: 100ms}`)
		active := r.start(p)
		asleep := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		active.stop()
		// An entry of a runner that died waits too.
		r.take("f", "a", `{}`, "", "")
		suspended := *p
		spec := *p.Spec
		spec.Suspend = true
		suspended.Spec = &spec
		held := r.start(&suspended, leased(400*time.Millisecond))
		r.sendMany("a", 5, func(int) string { return `{}` })
		Consistently(func() int { return r.called("one") }, "600ms").Should(Equal(1))
		st := r.stats("f", "a")
		Expect(st.Unread).To(Equal(int64(5)))
		Expect(st.Waiting).To(Equal(int64(1)))
		held.stop()
		r.start(p, leased(400*time.Millisecond))
		Expect(r.ended("f", asleep).Status).To(Equal(run.Succeeded))
		r.finishes("f", 7)
	})
})

var _ = Describe("shutdown", func() {
	// slow registers a handler that goes on until it is released, and tells when
	// it begins.
	slow := func(r *rig) (entered, release chan struct{}) {
		entered, release = make(chan struct{}, 1000), make(chan struct{})
		wildout.Add(r.handlers, "slow", func(ctx context.Context, _ struct{}) (int, error) {
			entered <- struct{}{}
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-release:
				return wildout.Info(ctx).Attempt, nil
			}
		})
		return entered, release
	}
	const spec = `
		triggers: [{event: a}]
		steps: [{name: one, handler: slow, retryPolicy: {maxAttempts: 1}}]
		output: "${steps.one.output}"`

	It("lets runs go on for the grace period", func() {
		r := newRig()
		entered, release := slow(r)
		first := r.start(compile("f", spec), grace(time.Minute))
		e := r.send("a", `{}`)
		<-entered
		time.AfterFunc(300*time.Millisecond, func() { close(release) })
		first.stop()
		Expect(r.history("f")).To(HaveLen(1), "it ended before the worker did")
		Expect(r.history("f")[0].EventID).To(Equal(e.ID))
		Expect(dialKeys(r, "*:runners")).To(BeEmpty())
	})

	It("hands runs to another worker at once when the grace period is over, and counts no attempt", func() {
		r := newRig()
		entered, release := slow(r)
		p := compile("f", spec)
		first := r.start(p, named("a"), grace(100*time.Millisecond), leased(time.Minute))
		const n = 10
		r.sendMany("a", n, func(int) string { return `{}` })
		for range n {
			<-entered
		}
		r.start(p, named("b"), leased(time.Minute))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(2)))
		go first.stop()
		for range n {
			Eventually(entered).Should(Receive(), "another worker has it before the lease is over")
		}
		close(release)
		r.finishes("f", n)
		for _, record := range r.history("f") {
			Expect(string(record.Output)).To(Equal("1"), "%s %s", record.Status, record.Error)
		}
	})

	It("hands back what was read and not begun at once, not after the grace period", func() {
		r := newRig()
		entered, release := slow(r)
		p := compile("f", `
			triggers: [{event: a}]
			throttle: {limit: 100, period: 1s, burst: 100, key: event.data.id}
			idempotency: {key: event.data.id, ttl: 1h}
			concurrency: [{limit: 1, key: event.data.id}]
			steps: [{name: one, handler: slow, retryPolicy: {maxAttempts: 1}}]`)
		r.take("f", "a", `{"id":"first"}`, "", "")
		do(dial(shared), "ZADD", r.store.Keys().Runners("f"), time.Now().UnixMilli(), "dead")
		first := r.start(p, named("a"), inFlight(1), grace(time.Minute), leased(400*time.Millisecond))
		// Its read waits for an event, for the one place that it has, which is then
		// taken by what a runner had that dies just now.
		<-entered
		waits := r.send("a", `{"id":"second"}`)
		Eventually(func() int64 { return r.stats("f", "a").Pending }).Should(Equal(int64(2)), "read beyond the places there are")
		second := r.start(p, named("b"), leased(time.Minute))
		Eventually(second.Health).Should(Succeed())
		go first.stop()
		Eventually(entered).Should(Receive(), "while the first still has its run")
		close(release)
		Expect(r.ended("f", waits).Status).To(Equal(run.Succeeded))
		r.finishes("f", 2)
		Expect(r.stats("f").Duplicate).To(BeZero())
		Expect(dialKeys(r, "*:once:*")).To(HaveLen(2))
	})

	It("loses nothing while workers come and go under load, and leaves no goroutine", func() {
		r := newRig()
		var done atomic.Int64
		wildout.Add(r.handlers, "count", func(ctx context.Context, _ struct{}) (int, error) {
			select {
			case <-time.After(2 * time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			done.Add(1)
			return wildout.Info(ctx).Attempt, nil
		})
		p := compile("f", `
			triggers: [{event: a}]
			history: {limit: 100000}
			concurrency: [{limit: 20}, {limit: 3, key: event.data.user}]
			steps:
			- {name: one, handler: count, retryPolicy: {maxAttempts: 1}}
			- {name: nap, sleep: 5ms}
			- {name: two, handler: count, retryPolicy: {maxAttempts: 1}}`)
		ignore := goleak.IgnoreCurrent()
		own, err := store.Open(store.Options{URL: r.url, Namespace: r.namespace, Logger: r.log})
		Expect(err).NotTo(HaveOccurred())
		on := func(o *worker.Options) { o.Store = worker.OnRedis(runs.New(own)) }
		const cycles, batch = 50, 10
		for i := range cycles {
			w := r.start(p, on, grace(10*time.Millisecond), leased(300*time.Millisecond))
			r.sendMany("a", batch, func(i int) string { return fmt.Sprintf(`{"user":"u%d"}`, i%4) })
			time.Sleep(time.Duration(i%5) * 10 * time.Millisecond)
			w.stop()
		}
		last := r.start(p, on, leased(300*time.Millisecond))
		r.finishes("f", cycles*batch)
		for _, record := range r.history("f") {
			Expect(record.Status).To(Equal(run.Succeeded), record.Error)
			Expect(record.Steps[0].Attempts).To(Equal(1))
		}
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(1)), "one that was too slow for its lease is cleaned up")
		last.stop()
		Expect(done.Load()).To(BeNumerically(">=", 2*cycles*batch))
		Expect(dialKeys(r, "*:runners")).To(BeEmpty())
		Expect(dialKeys(r, "*:fn:f:run:*")).To(BeEmpty())
		Expect(dialKeys(r, "*:fn:f:slots:*")).To(BeEmpty())
		Expect(own.Close()).To(Succeed())
		Eventually(func() error { return goleak.Find(ignore) }).Should(Succeed())
	})

	It("ends in time when a handler ignores its context, and another worker does the run", func() {
		r := newRig()
		var calls atomic.Int64
		release := make(chan struct{})
		wildout.Add(r.handlers, "deaf", func(context.Context, struct{}) (int, error) {
			if calls.Add(1) == 1 {
				<-release
			}
			return 1, nil
		})
		p := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: two, handler: deaf}
			- {name: three, handler: echo, with: {name: three}}`)
		first := r.start(p, named("a"), grace(100*time.Millisecond))
		e := r.send("a", `{}`)
		Eventually(calls.Load).Should(Equal(int64(1)))
		r.start(p, named("b"))
		began := time.Now()
		first.stop()
		Expect(time.Since(began)).To(BeNumerically("<", 8*time.Second))
		Expect(r.ended("f", e).Status).To(Equal(run.Succeeded))
		Expect(r.called("one")).To(Equal(1))
		close(release) // what comes too late writes nothing
		Consistently(func() []string { return dialKeys(r, "*:fn:f:run:*") }, "300ms").Should(BeEmpty())
	})
})
