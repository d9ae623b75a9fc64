package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// version is a function in one of its versions: it sleeps between two steps.
func version(name, more string) *plan.Plan {
	return compile("f", fmt.Sprintf(`
		triggers: [{event: a}]
		%s
		steps:
		- {name: one, handler: echo, with: {name: "one %s"}}
		- {name: nap, sleep: 400ms}
		- {name: two, handler: echo, with: {name: "two %s"}}
		output: "%s"`, more, name, name, name))
}

var _ = Describe("versions", func() {
	plans := func(r *rig) map[string]string {
		GinkgoHelper()
		all, err := r.runs.Plans(context.Background(), "f")
		Expect(err).NotTo(HaveOccurred())
		return all
	}

	It("finish a run on the version that it began with", func() {
		r := newRig()
		v1, v2 := version("v1", ""), version("v2", "")
		first := r.start(v1)
		old := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		r.start(v2)
		young := r.send("a", `{}`)
		record := r.ended("f", old)
		Expect(string(record.Output)).To(Equal(`"v1"`))
		Expect(record.Version).To(Equal(v1.Hash))
		Expect(string(r.ended("f", young).Output)).To(Equal(`"v2"`))
		Expect(r.called("two v1")).To(Equal(1))
		Expect(r.called("two v2")).To(Equal(1))
		Expect(dialKeys(r, "*:versions")).To(BeEmpty(), "the count of parked runs by version")
	})

	It("go on with the newest one where the function wants it so", func() {
		r := newRig()
		first := r.start(version("v1", "versioning: Latest"))
		old := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		r.start(version("v2", "versioning: Latest"))
		Expect(string(r.ended("f", old).Output)).To(Equal(`"v2"`))
		Expect(dialKeys(r, "*:versions")).To(BeEmpty())
	})

	It("hold for a run whose runner died in its first phase, after a step", func() {
		r := newRig()
		v1, v2, v3 := version("v1", ""), version("v2", ""), version("v3", "")
		r.install(v1)
		r.take("f", "a", `{}`, "one", v1.Hash)
		// Two more deployments, each of two runners.
		for range 2 {
			r.install(v2)
		}
		r.start(v3, leased(400*time.Millisecond))
		r.start(v3, leased(400*time.Millisecond))
		r.finishes("f", 1)
		record := r.history("f")[0]
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal(`"v1"`))
		Expect(r.called("one v1")).To(BeZero())
		Expect(r.called("two v1")).To(Equal(1))
	})

	It("hold for a run that was interrupted when its version had been replaced already", func() {
		r := newRig()
		entered := make(chan struct{}, 10)
		wildout.Add(r.handlers, "slow", func(ctx context.Context, _ struct{}) (int, error) {
			entered <- struct{}{}
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(500 * time.Millisecond):
				return wildout.Info(ctx).Attempt, nil
			}
		})
		spec := `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: slow}
			output: "${'%s ' + string(steps.one.output)}"`
		first := r.start(compile("f", fmt.Sprintf(spec, "v1")), func(o *worker.Options) { o.Grace = 100 * time.Millisecond })
		e := r.send("a", `{}`)
		<-entered
		r.start(compile("f", fmt.Sprintf(spec, "v2")))
		r.start(compile("f", fmt.Sprintf(spec, "v2")))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(3)))
		first.stop()
		record := r.ended("f", e)
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal(`"v1 1"`), "the interrupted attempt must not count")
	})

	It("hold for a run that the triggers of a later version would not start", func() {
		r := newRig()
		v1 := version("v1", "")
		r.install(v1)
		r.take("f", "a", `{}`, "one", v1.Hash)
		r.start(compile("f", `
			triggers: [{event: b}]
			steps: [{name: one, set: 1}]`), leased(400*time.Millisecond))
		r.finishes("f", 1)
		Expect(string(r.history("f")[0].Output)).To(Equal(`"v1"`))
	})

	It("leave nothing behind when one that was new is gone, and older runners live on", func() {
		r := newRig()
		v1 := compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, set: 1}]`)
		v2 := compile("f", `
			triggers: [{event: a}, {event: new}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: wait, if: event.type == 'new', waitForEvent: {event: answer, timeout: 20s}}
			output: "${steps.wait.output == null ? 'nothing' : steps.wait.output.data.by}"`)
		r.start(v1, leased(400*time.Millisecond))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(1)))
		// A runner of the new version has the function's newest plan, and dies as it
		// begins a run with a trigger, and a wait, that the old one does not know.
		ctx := context.Background()
		spec, err := json.Marshal(v2.Spec)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.runs.SavePlan(ctx, "f", v2.Hash, spec)).To(Succeed())
		_, err = r.runs.RegisterWaits(ctx, "f", []runs.WaitPath{{EventType: "answer"}})
		Expect(err).NotTo(HaveOccurred())
		r.take("f", "new", `{}`, "", "")
		Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(int64(1)))
		Expect(r.called("one")).To(Equal(1))
		r.send("answer", `{"by":"found"}`)
		r.finishes("f", 1)
		Expect(string(r.history("f")[0].Output)).To(Equal(`"found"`))
		Eventually(func() any { return do(dial(shared), "ZSCORE", r.store.Keys().Runners("f"), "dead") }).Should(BeNil())
		Eventually(func() int64 { return r.stats("f", "new", "answer").Pending }).Should(BeZero())
	})

	It("that somebody changed in Redis are not run: their runs wait until they are as they were", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		v1 := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: wait, waitForEvent: {event: answer, timeout: 20s}}
			- {name: one, handler: echo, with: {name: one}}`)
		v2 := version("v2", "")
		first := r.start(v1)
		r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		stored := plans(r)[v1.Hash]
		do(c, "HSET", k.Plans("f"), v1.Hash, strings.Replace(stored, `"name":"one"`, `"name":"stolen"`, 1))
		r.start(v2)
		r.send("answer", `{}`)
		Eventually(func() any { return do(c, "HLEN", k.Lacking("f")) }).Should(Equal(int64(1)))
		Expect(r.called("one")).To(BeZero())
		Expect(r.called("stolen")).To(BeZero())

		do(c, "HSET", k.Plans("f"), v1.Hash, stored)
		r.finishes("f", 1)
		Expect(r.called("one")).To(Equal(1))
		Expect(r.called("stolen")).To(BeZero())
	})

	It("are dropped when no run needs them any more", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		v1, v2, v3 := version("v1", ""), version("v2", ""), version("v3", "")
		first := r.start(v1)
		e := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		suspended := version("v2", "")
		suspended.Spec.Suspend = true
		second := r.start(suspended)
		Eventually(func() any { return plans(r) }).Should(HaveKey(v2.Hash))
		Expect(plans(r)).To(HaveKey(v1.Hash))
		// Long ago, but the run still needs it.
		do(c, "HSET", k.Replaced("f"), v1.Hash, 1000)
		second.stop()
		third := r.start(v3)
		Expect(string(r.ended("f", e).Output)).To(Equal(`"v1"`))
		Expect(plans(r)).To(HaveLen(3))
		third.stop()
		r.install(v3)
		Expect(plans(r)).NotTo(HaveKey(v1.Hash))
		Expect(plans(r)).To(HaveKey(v2.Hash), "a version that was replaced just now may have runs that are not parked")
		do(c, "HSET", k.Replaced("f"), v2.Hash, 1000)
		r.install(v3)
		Expect(plans(r)).To(HaveLen(1))
	})

	It("wait for one that is missing, and leave no count behind", func() {
		r := newRig()
		v1 := version("v1", "")
		first := r.start(v1)
		e := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		r.install(version("v2", ""))
		do(dial(shared), "HDEL", r.store.Keys().Plans("f"), v1.Hash)
		second := r.start(version("v2", ""))
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksVersion))
		second.stop()
		r.start(v1) // somebody goes back to it
		Expect(string(r.ended("f", e).Output)).To(Equal(`"v1"`))
		Expect(dialKeys(r, "*:versions")).To(BeEmpty())
	})
})
