package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/worker"
)

// cancels asks for the end of the run that an event started.
func (r *rig) cancels(function string, e *event.Event, reason string) {
	GinkgoHelper()
	entry, err := r.inspect.Locate(context.Background(), e.Type, e.ID)
	Expect(err).NotTo(HaveOccurred())
	Expect(r.acts.Cancel(context.Background(), function, store.RunID(function, e.Type, entry.ID), reason)).To(Succeed())
}

// spotless checks that nothing is left of the runs of a function.
func (r *rig) spotless(function string) {
	GinkgoHelper()
	for _, kind := range []string{"run:", "timers", "wait:", "queue", "queued", "versions", "followers", "cancels"} {
		Eventually(func() []string { return dialKeys(r, "*fn:"+function+":"+kind+"*") }).Should(BeEmpty(), kind)
	}
	Eventually(func() any { return do(dial(shared), "XLEN", r.store.Keys().Inbox(function)) }).Should(Equal(int64(0)))
}

// waits waits until a function has that many parked runs.
func (r *rig) waits(function string, n int64) {
	GinkgoHelper()
	Eventually(func() int64 { return r.stats(function).Waiting }).Should(Equal(n))
}

var _ = Describe("cancelling a run", func() {
	const reason = "the order was a mistake"

	cancelled := func(r *rig, function string, e *event.Event) run.Record {
		GinkgoHelper()
		began := time.Now()
		record := r.ended(function, e)
		Expect(time.Since(began)).To(BeNumerically("<", 10*time.Second), "no runner waits for its next beat")
		Expect(record.Status).To(Equal(run.Cancelled))
		Expect(record.Error).To(Equal(reason))
		Expect(record.Event).NotTo(BeNil())
		Expect(r.stats(function).Cancelled).To(BeNumerically(">", 0))
		Expect(r.stats(function).Failed).To(BeZero())
		Expect(r.called("on failure")).To(BeZero())
		return record
	}

	for what, steps := range map[string]string{
		"a sleep":               `{name: wait, sleep: 1h}`,
		"an event":              `{name: wait, waitForEvent: {event: b, match: data.user, timeout: 1h}}`,
		"an event with an `if`": `{name: wait, waitForEvent: {event: b, if: "async.data.x == steps.first.output.name", timeout: 1h}}`,
		"a retry":               `{name: wait, handler: broken, retryPolicy: {initialInterval: 5m}}`,
		"several things":        `{name: wait, needs: [first], sleep: 1h}, {name: more, needs: [first], forEach: "${[1, 2]}", maxParallel: 2, waitForEvent: {event: b, timeout: 1h}}`,
	} {
		It("that waits for "+what+" ends it, and takes back what it waits for", func() {
			r := newRig()
			wildout.Add(r.handlers, "broken", func(context.Context, struct{}) (int, error) { return 0, errors.New("not today") })
			r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: first, handler: echo, with: {name: first}}, `+steps+`, {name: last, handler: echo, with: {name: last}}]
			onFailure: [{name: tell, handler: echo, with: {name: on failure}}]`))
			e := r.send("a", `{"user":"u"}`)
			r.waits("f", 1)
			r.cancels("f", e, reason)
			record := cancelled(r, "f", e)
			Expect(r.called("last")).To(BeZero())
			Expect(record.Steps[0].Status).To(Equal(run.StepOK))
			Expect(record.Steps[1].Status).To(Equal(run.StepCancelled))
			Expect(record.Steps[len(record.Steps)-1].Status).To(Equal(run.StepPending))
			r.spotless("f")
		})
	}

	It("that waits for a slot takes it out of the queue", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, time.Second)
		r.start(compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1, key: event.data.user}]
			steps: [{name: one, handler: work, with: {key: all}}]`))
		first := r.send("a", `{"user":"u"}`)
		Eventually(func() int { return g.peak("all") }).Should(Equal(1))
		second := r.send("a", `{"user":"u"}`)
		r.waits("f", 1)
		third := r.send("a", `{"user":"u"}`)
		r.waits("f", 2)
		r.cancels("f", second, reason)
		record := cancelled(r, "f", second)
		Expect(record.Steps).To(BeEmpty())
		Expect(do(dial(shared), "LLEN", r.store.Keys().Queue("f", 1, "u"))).To(Equal(int64(1)))
		Expect(r.ended("f", first).Status).To(Equal(run.Succeeded))
		Expect(r.ended("f", third).Status).To(Equal(run.Succeeded))
		Expect(g.started("all")).To(HaveLen(2))
		r.spotless("f")
	})

	It("that waits for a start of the rate limit ends it unbegun", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			throttle: {limit: 1, period: 1h, key: event.data.user}
			steps: [{name: one, handler: echo, with: {name: one}}]`))
		r.ended("f", r.send("a", `{"user":"u"}`))
		e := r.send("a", `{"user":"u"}`)
		r.waits("f", 1)
		r.cancels("f", e, reason)
		cancelled(r, "f", e)
		Expect(r.called("one")).To(Equal(1))
		r.spotless("f")
	})

	It("that is under way ends the contexts of its handlers, with the reason", func() {
		r := newRig()
		causes := make(chan error, 2)
		wildout.Add(r.handlers, "stuck", func(ctx context.Context, _ struct{}) (int, error) {
			r.count("stuck")
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return 0, ctx.Err()
		})
		// Runners that wait for nothing but cannot know who has the run.
		for _, name := range []string{"a", "b", "c"} {
			r.start(compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1, key: event.data.user}]
			steps:
			- {name: one, needs: [], handler: stuck}
			- {name: two, needs: [], handler: stuck}
			onFailure: [{name: tell, handler: echo, with: {name: on failure}}]`), named(name), leased(time.Minute))
		}
		e := r.send("a", `{"user":"u"}`)
		Eventually(func() int { return r.called("stuck") }).Should(Equal(2))
		r.cancels("f", e, reason)
		record := cancelled(r, "f", e)
		for range 2 {
			cause := <-causes
			Expect(cause).To(MatchError(wildout.ErrCancelled))
			Expect(cause).To(MatchError(ContainSubstring(reason)))
		}
		Expect(record.Steps).To(HaveEach(HaveField("Status", run.StepCancelled)))
		r.spotless("f")
		Eventually(func() any { return do(dial(shared), "EXISTS", r.store.Keys().Slots("f", 1, "u")) }).Should(Equal(int64(0)))
	})

	It("ends it within two seconds even if its handler ignores its context", func() {
		r := newRig()
		release := make(chan struct{})
		DeferCleanup(func() { close(release) })
		wildout.Add(r.handlers, "deaf", func(context.Context, struct{}) (int, error) {
			r.count("deaf")
			<-release
			return 0, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: deaf}]`))
		e := r.send("a", `{}`)
		Eventually(func() int { return r.called("deaf") }).Should(Equal(1))
		r.cancels("f", e, reason)
		cancelled(r, "f", e)
	})

	It("wins over a step that ends at the same moment", func() {
		r := newRig()
		var e *event.Event
		ready := make(chan struct{})
		wildout.Add(r.handlers, "last", func(context.Context, struct{}) (int, error) {
			defer GinkgoRecover()
			<-ready
			r.cancels("f", e, reason)
			return 7, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: last}]`))
		e = r.send("a", `{}`)
		close(ready)
		record := cancelled(r, "f", e)
		Expect(record.Output).To(BeNil())
		Expect(record.Steps[0].Status).To(Equal(run.StepOK), "the result was there")
		Expect(r.history("f")).To(HaveLen(1))
		r.spotless("f")
	})

	It("wins over a sleep that begins at the same moment", func() {
		r := newRig()
		var e *event.Event
		ready := make(chan struct{})
		wildout.Add(r.handlers, "one", func(context.Context, struct{}) (int, error) {
			defer GinkgoRecover()
			<-ready
			r.cancels("f", e, reason)
			return 7, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: one}, {name: nap, sleep: 1h}]`))
		e = r.send("a", `{}`)
		close(ready)
		cancelled(r, "f", e)
		r.spotless("f")
	})

	It("that nobody has read yet keeps it from beginning", func() {
		r := newRig()
		p := compile("f", `
			triggers: [{event: a, if: "event.data.fits"}]
			steps: [{name: one, handler: echo, with: {name: "${event.data.name}"}}]`)
		r.install(p)
		e := r.send("a", `{"fits":true,"name":"cancelled"}`)
		other := r.send("a", `{"fits":true,"name":"other"}`)
		unfit := r.send("a", `{"fits":false}`)
		r.cancels("f", e, reason)
		r.cancels("f", unfit, "it would have been no run at all")
		r.start(p)
		cancelled(r, "f", e)
		Expect(r.ended("f", other).Status).To(Equal(run.Succeeded))
		Expect(r.called("cancelled")).To(BeZero())
		Expect(r.history("f")).To(HaveLen(2))
		r.spotless("f")
	})

	It("that is suspended ends it when the function is resumed, and not a step further", func() {
		r := newRig()
		const spec = `
			triggers: [{event: a}]
			suspend: %t
			steps: [{name: nap, sleep: 300ms}, {name: one, handler: echo, with: {name: one}}]`
		w := r.start(compile("f", fmt.Sprintf(spec, false)))
		e := r.send("a", `{}`)
		r.waits("f", 1)
		w.stop()
		w = r.start(compile("f", fmt.Sprintf(spec, true)))
		r.cancels("f", e, reason)
		open, err := r.inspect.Unended(context.Background(), "f", r.runOf("f", e))
		Expect(err).NotTo(HaveOccurred())
		Expect(open.CancelAsked).NotTo(BeNil())
		time.Sleep(400 * time.Millisecond)
		Expect(r.history("f")).To(BeEmpty())
		w.stop()
		r.start(compile("f", fmt.Sprintf(spec, false)))
		cancelled(r, "f", e)
		Expect(r.called("one")).To(BeZero())
	})

	It("goes on while the runner drains", func() {
		r := newRig()
		wildout.Add(r.handlers, "stuck", func(ctx context.Context, _ struct{}) (int, error) {
			r.count("stuck")
			<-ctx.Done()
			return 0, ctx.Err()
		})
		w := r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: stuck}]`), func(o *worker.Options) { o.Grace = time.Minute })
		e := r.send("a", `{}`)
		Eventually(func() int { return r.called("stuck") }).Should(Equal(1))
		w.cancel()
		r.cancels("f", e, reason)
		cancelled(r, "f", e)
		Eventually(w.done).Should(BeClosed())
	})

	It("is refused once it has ended, or where there is none", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: echo, with: {name: one}}]`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(r.acts.Cancel(context.Background(), "f", record.ID, reason)).To(MatchError(acts.ErrEnded))
		Expect(r.acts.Cancel(context.Background(), "f", event.DerivedID(time.Now(), "x"), reason)).To(MatchError(acts.ErrNoRun))
		Expect(r.acts.Cancel(context.Background(), "g", record.ID, reason)).To(MatchError(acts.ErrNoRun))
		Expect(r.acts.Cancel(context.Background(), "f", "no id", reason)).To(MatchError(acts.ErrNoRun))
		r.spotless("f")
	})
})

// runOf is the id of the run that an event starts.
func (r *rig) runOf(function string, e *event.Event) string {
	GinkgoHelper()
	entry, err := r.inspect.Locate(context.Background(), e.Type, e.ID)
	Expect(err).NotTo(HaveOccurred())
	return store.RunID(function, e.Type, entry.ID)
}

var _ = Describe("a cancelled run", func() {
	const parent = `
			triggers: [{event: a}]
			steps:
			- {name: call, invoke: {function: child, data: {user: "${event.data.user}"}}}
			- {name: last, handler: echo, with: {name: last}}
			output: "${steps.call.output}"`
	const child = `
			triggers: [{event: never}]
			idempotency: {key: event.data.user, ttl: 1h}
			steps:
			- {name: work, handler: echo, with: {name: "${event.data.user}"}}
			- {name: wait, waitForEvent: {event: go, match: data.user, timeout: 1h}}
			output: "${run.id}"`

	It("fails the step that invoked it", func() {
		r := newRig()
		r.start(compile("parent", parent))
		r.start(compile("child", child))
		e := r.send("a", `{"user":"u"}`)
		r.waits("child", 1)
		r.waits("parent", 1)
		open, err := r.inspect.Waiting(context.Background(), "child", 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.acts.Cancel(context.Background(), "child", open[0].ID, "no more")).To(Succeed())
		record := r.ended("parent", e)
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(Equal("the invoked run was cancelled: no more"))
		r.spotless("child")
		r.spotless("parent")
	})

	It("cancels the runs that it has invoked and waits for, and no others", func() {
		r := newRig()
		r.start(compile("parent", `
			triggers: [{event: a}]
			steps:
			- {name: calls, needs: [], forEach: "${['one', 'two', 'three']}", maxParallel: 3, invoke: {function: child, data: {user: "${item}"}}}
			- {name: call, needs: [], invoke: {function: middle, data: {user: deep}}}
			- {name: last, handler: echo, with: {name: last}}`))
		r.start(compile("middle", strings.Replace(parent, "event: a", "event: never", 1)))
		r.start(compile("child", child))
		e := r.send("a", `{}`)
		r.waits("child", 4)
		r.waits("middle", 1)
		r.waits("parent", 1)
		r.send("go", `{"user":"two"}`)
		r.finishes("child", 1)
		r.waits("parent", 1)
		r.cancels("parent", e, "all of it")
		Expect(r.ended("parent", e).Status).To(Equal(run.Cancelled))
		Eventually(func() int { return len(r.history("child")) }).Should(Equal(4))
		statuses := map[run.Status]int{}
		for _, record := range append(r.history("child"), r.history("middle")...) {
			statuses[record.Status]++
			if record.Status == run.Cancelled {
				Expect(record.Error).To(HavePrefix("the run that invoked it was cancelled: "))
				Expect(record.Error).To(HaveSuffix("all of it"))
			}
		}
		Expect(statuses).To(Equal(map[run.Status]int{run.Succeeded: 1, run.Cancelled: 4}))
		Expect(r.called("last")).To(BeZero())
		for _, f := range []string{"child", "middle", "parent"} {
			r.spotless(f)
		}
	})

	It("cancels an invoked run that nobody has read yet", func() {
		r := newRig()
		r.install(compile("child", child))
		r.start(compile("parent", parent))
		e := r.send("a", `{"user":"u"}`)
		r.waits("parent", 1)
		r.cancels("parent", e, "all of it")
		Expect(r.ended("parent", e).Status).To(Equal(run.Cancelled))
		r.start(compile("child", child))
		Eventually(func() []run.Record { return r.history("child") }).Should(HaveLen(1))
		Expect(r.history("child")[0].Status).To(Equal(run.Cancelled))
		Expect(r.called("u")).To(BeZero())
		r.spotless("child")
	})

	It("gives its idempotency key back: to one that waits for its outcome, and to later ones", func() {
		r := newRig()
		r.start(compile("parent", parent))
		r.start(compile("child", child))
		e := r.send("a", `{"user":"u"}`)
		r.waits("child", 1)
		holder, err := r.inspect.Waiting(context.Background(), "child", 1)
		Expect(err).NotTo(HaveOccurred())
		follower := r.send("a", `{"user":"u"}`)
		r.waits("child", 2)
		Expect(r.acts.Cancel(context.Background(), "child", holder[0].ID, "no more")).To(Succeed())
		Expect(r.ended("parent", e).Status).To(Equal(run.Failed))
		Eventually(func() int { return r.called("u") }).Should(Equal(2), "the one that followed does the work")
		r.waits("child", 1)
		r.send("go", `{"user":"u"}`)
		record := r.ended("parent", follower)
		Expect(record.Status).To(Equal(run.Succeeded))
		Expect(string(record.Output)).NotTo(Equal(`"` + holder[0].ID + `"`))
	})
})
