package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/worker"
)

var _ = Describe("what a run waits for", func() {
	waiting := func(r *rig, n int64) {
		GinkgoHelper()
		Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(n))
	}

	It("goes to all runs that wait for it, and to all steps of one run", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: left, needs: [], waitForEvent: {event: b, match: data.id, timeout: 10s}}
			- {name: right, needs: [], waitForEvent: {event: b, match: data.id, timeout: 10s}}
			- {name: any, needs: [], waitForEvent: {event: b, timeout: 10s}}
			output: "${[steps.left.output.id, steps.right.output.id, steps.any.output.id]}"`))
		const n = 20
		r.sendMany("a", n, func(int) string { return `{"id":"x"}` })
		waiting(r, n)
		e := r.send("b", `{"id":"x"}`)
		r.finishes("f", n)
		for _, record := range r.history("f") {
			Expect(string(record.Output)).To(Equal(fmt.Sprintf(`[%q,%q,%q]`, e.ID, e.ID, e.ID)))
		}
		Expect(dialKeys(r, "*:wait:*")).To(BeEmpty())
	})

	It("may be different for each element of a list", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: all, forEach: "${event.data.list}", maxParallel: 2, waitForEvent: {event: b, if: "async.data.id == item", timeout: 10s}}
			output: "${steps.all.output.map(e, e.data.by)}"`))
		record := r.send("a", `{"list":[1,2,3]}`)
		waiting(r, 1)
		r.send("b", `{"id":2,"by":"two"}`)
		r.send("b", `{"id":3,"by":"three"}`) // before its wait begins: it counts
		r.send("b", `{"id":1,"by":"one"}`)
		Expect(string(r.ended("f", record).Output)).To(Equal(`["one","two","three"]`))
		Expect(dialKeys(r, "*:wait:*")).To(BeEmpty())
	})

	It("is not the event that started the run", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a, if: "event.data.first"}]
			steps:
			- {name: nap, sleep: 20ms}
			- {name: next, waitForEvent: {event: a, match: data.id, timeout: 300ms}}
			output: "${steps.next.output == null ? 'nothing' : steps.next.output.id}"`))
		alone := r.send("a", `{"first":true,"id":1}`)
		e := r.send("a", `{"first":true,"id":2}`)
		second := r.send("a", `{"first":false,"id":2}`)
		Expect(string(r.ended("f", alone).Output)).To(Equal(`"nothing"`))
		Expect(string(r.ended("f", e).Output)).To(Equal(`"` + second.ID + `"`))
	})

	It("is not an older event that is read late", func() {
		r := newRig()
		old := r.send("b", `{"id":1}`)
		time.Sleep(5 * time.Millisecond)
		e := r.send("a", `{"id":1}`)
		suspended := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: wait, waitForEvent: {event: b, match: data.id, timeout: 500ms}}
			output: "${steps.wait.output == null ? 'nothing' : steps.wait.output.id}"`)
		// The run waits before the old event is read.
		k := r.store.Keys()
		Expect(r.runs.EnsureGroups(context.Background(), "f", store.FromBeginning, "b")).To(Succeed())
		do(dial(shared), "XREADGROUP", "GROUP", "f", "dead", "STREAMS", k.Stream("b"), ">")
		do(dial(shared), "ZADD", k.Runners("f"), time.Now().UnixMilli(), "dead")
		r.start(suspended, leased(300*time.Millisecond))
		record := r.ended("f", e)
		Expect(string(record.Output)).To(Equal(`"nothing"`), "event %s is older than the run", old.ID)
		Eventually(func() int64 { return r.stats("f", "b").Pending }).Should(BeZero())
	})

	It("is not what came before an invoked run, only what came after", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: never}]
			steps: [{name: seen, waitForEvent: {event: active, match: data.user, timeout: 300ms}}]
			output: "${steps.seen.output == null ? 'nothing' : 'seen'}"`))
		r.start(compile("parent", `
			triggers: [{event: a}]
			steps:
			- {name: nap, sleep: 150ms}
			- {name: call, invoke: {function: f, data: {user: "${event.data.user}"}}}
			output: "${steps.call.output}"`))
		e := r.send("a", `{"user":"u"}`)
		Eventually(func() int64 { return r.stats("parent").Waiting }).Should(Equal(int64(1)))
		r.send("active", `{"user":"u"}`) // while the parent sleeps
		Expect(string(r.ended("parent", e).Output)).To(Equal(`"nothing"`))
		e = r.send("a", `{"user":"v"}`)
		waiting(r, 1)
		r.send("active", `{"user":"v"}`)
		Expect(string(r.ended("parent", e).Output)).To(Equal(`"seen"`))
	})

	It("ends once, whether the event or the time-out is first", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			history: {limit: 10000}
			steps:
			- {name: wait, waitForEvent: {event: b, match: data.id, timeout: 50ms}}
			- {name: after, handler: echo, with: {name: "${'after ' + string(event.data.id)}"}}
			output: "${steps.wait.output == null}"`), named("a"))
		const n = 100
		for i := range n {
			r.send("a", fmt.Sprintf(`{"id":%d}`, i))
			if i >= 20 {
				r.send("b", fmt.Sprintf(`{"id":%d}`, i-20)) // about when the time is up
			}
			time.Sleep(2 * time.Millisecond)
		}
		r.finishes("f", n)
		for i := range n {
			Expect(r.called(fmt.Sprint("after ", i))).To(Equal(1))
		}
		Expect(r.stats("f").Waiting).To(BeZero())
		Expect(dialKeys(r, "*:fn:f:run:*")).To(BeEmpty())
		Expect(dialKeys(r, "*:wait:*")).To(BeEmpty())
	})

	It("leaves nothing behind when the run goes on after its wait", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: over, needs: [], waitForEvent: {event: b, match: data.id, timeout: 50ms}}
			- {name: cond, needs: [], waitForEvent: {event: b, match: data.id, if: "async.data.ok", timeout: 100ms}}
			- {name: nap, needs: [over, cond], sleep: 300ms}`))
		e := r.send("a", `{"id":1}`)
		time.Sleep(250 * time.Millisecond)
		r.sendMany("b", 5, func(int) string { return `{"id":1,"ok":true}` })
		journal := r.store.Keys().Run("f", store.RunID("f", "a", r.entry("a")))
		Consistently(func() any { return do(dial(shared), "HEXISTS", journal, "?cond") }, "80ms").Should(Equal(int64(0)), "a wait that is over must not wake its run")
		Expect(do(dial(shared), "HEXISTS", journal, "cond")).To(Equal(int64(1)))
		Expect(r.ended("f", e).Status).To(Equal(run.Succeeded))
		Expect(dialKeys(r, "*:wait:*")).To(BeEmpty())
		r.send("a", `{"id":2}`)
		r.finishes("f", 2)
		Expect(dialKeys(r, "*:wait:*")).To(BeEmpty())
	})

	It("is found by runners of a version that does not know the wait", func() {
		r := newRig()
		v1 := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: wait, waitForEvent: {event: b, match: data.id, timeout: 20s}}
			output: "${steps.wait.output.data.by}"`)
		first := r.start(v1, leased(400*time.Millisecond))
		e := r.send("a", `{"id":1}`)
		waiting(r, 1)
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, set: 1}]`), named("new"), leased(400*time.Millisecond))
		first.stop()
		r.send("b", `{"id":1,"by":"found"}`)
		Expect(string(r.ended("f", e).Output)).To(Equal(`"found"`))
	})

	It("is met by runs of a new version while a runner of the old one reads", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, waitForEvent: {event: b, match: data.other, timeout: 1ms}}]`), named("old"), leased(400*time.Millisecond))
		waiting(r, 0)
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: wait, waitForEvent: {event: b, match: data.id, timeout: 10m}}
			output: "${steps.wait.output.data.by}"`), named("new"), leased(400*time.Millisecond))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(2)))
		const n = 40 // some are begun by the new one; those of the old one end at once
		for i := range n {
			r.send("a", fmt.Sprintf(`{"id":%d,"other":"o"}`, i))
			r.send("b", fmt.Sprintf(`{"id":%d,"by":"x"}`, i))
			time.Sleep(5 * time.Millisecond)
		}
		r.finishes("f", n) // before any wait is over
	})

	It("keeps what other branches have when an event arrives just before the run is parked", func() {
		r := newRig()
		var attempts atomic.Int32
		entered, release := make(chan struct{}, 10), make(chan struct{})
		wildout.Add(r.handlers, "flaky", func(ctx context.Context, _ struct{}) (int, error) {
			if attempts.Add(1) == 1 {
				close(entered)
				<-release
				return 0, wildout.RetryAfter(300*time.Millisecond, fmt.Errorf("not yet"))
			}
			return wildout.Info(ctx).Attempt, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: work, needs: [], handler: flaky, retryPolicy: {maxAttempts: 2}}
			- {name: wait, needs: [], waitForEvent: {event: b, match: data.id, timeout: 10s}}
			output: "${steps.work.output}"`))
		e := r.send("a", `{"id":1}`)
		<-entered
		// The wait is registered, the run is not parked: the event goes into the journal.
		Eventually(func() []string { return dialKeys(r, "*:wait:*") }).ShouldNot(BeEmpty())
		time.Sleep(50 * time.Millisecond)
		r.send("b", `{"id":1}`)
		Eventually(func() []string { return dialKeys(r, "*:wait:*") }).Should(BeEmpty())
		began := time.Now()
		close(release)
		record := r.ended("f", e)
		Expect(string(record.Output)).To(Equal("2"), "the failed attempt must count: %s", record.Error)
		Expect(time.Since(began)).To(BeNumerically(">=", 290*time.Millisecond), "the retry's interval must hold")
	})

	It("is looked for again when Redis failed in the middle", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: wait, waitForEvent: {event: b, timeout: 5s}}]
			output: "${steps.wait.output.data.by}"`), func(o *worker.Options) { o.Lease = time.Minute })
		record := r.send("a", `{}`)
		waiting(r, 1)
		do(dial(shared), "SCRIPT", "FLUSH")
		r.send("b", `{"by":"x"}`)
		Expect(string(r.ended("f", record).Output)).To(Equal(`"x"`))
	})
})

var _ = Describe("branches", func() {
	It("retry in time while a slow sibling is at work", func() {
		r := newRig()
		retried := make(chan struct{})
		wildout.Add(r.handlers, "flaky", func(ctx context.Context, _ struct{}) (int, error) {
			if wildout.Info(ctx).Attempt == 1 {
				return 0, fmt.Errorf("not yet")
			}
			close(retried)
			return 0, nil
		})
		wildout.Add(r.handlers, "slow", func(context.Context, struct{}) (int, error) {
			select {
			case <-retried:
				return 0, nil
			case <-time.After(20 * time.Second):
				return 0, wildout.NonRetriable(fmt.Errorf("its sibling waits for it"))
			}
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: fast, needs: [], handler: flaky, retryPolicy: {initialInterval: 50ms, jitter: "0"}}
			- {name: first, needs: [], handler: echo, with: {name: first}}
			- {name: slow, needs: [first], handler: slow}`))
		Expect(r.ended("f", r.send("a", `{}`)).Status).To(Equal(run.Succeeded))
	})
})
