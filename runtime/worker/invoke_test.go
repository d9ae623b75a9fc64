package worker_test

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/upkeep"
)

var _ = Describe("invoking a function", func() {
	caller := func(more string) *plan.Plan {
		return compile("caller", `
			triggers: [{event: go}]
			steps:
			- {name: call, invoke: {function: callee`+more+`}}
			output: "${steps.call.output}"`)
	}
	callee := func() *plan.Plan {
		return compile("callee", `
			steps:
			- {name: wait, waitForEvent: {event: answer, timeout: 1h}}
			- {name: one, set: done}
			triggers: [{event: never}]`)
	}

	It("that is not there waits for it, and says so", func() {
		r := newRig()
		r.start(caller(""))
		e := r.send("go", `{}`)
		Eventually(func() []run.Reason { return r.reasons("caller") }).Should(ConsistOf(run.NoSuchFunction))
		Expect(r.open("caller")[0].Steps[0].Error).To(ContainSubstring("there is no function callee in this namespace"))
		Expect(dialKeys(r, "*fn:callee:*")).To(BeEmpty(), "what nobody reads")
		r.start(compile("callee", `
			triggers: [{event: never}]
			steps: [{name: one, set: done}]`))
		Expect(string(r.ended("caller", e).Output)).To(Equal(`"done"`))
	})

	It("that is not there fails when its time is up, and can be cancelled before", func() {
		r := newRig()
		r.start(caller(", timeout: 3s"))
		e := r.send("go", `{}`)
		record := r.ended("caller", e)
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("there has been no function callee for 3s"))

		r = newRig()
		r.start(caller(""))
		e = r.send("go", `{}`)
		Eventually(func() []run.Reason { return r.reasons("caller") }).Should(ConsistOf(run.NoSuchFunction))
		r.cancels("caller", e, "it is not needed any more")
		Expect(r.ended("caller", e).Status).To(Equal(run.Cancelled))
	})

	It("that is deleted meanwhile fails its steps, wherever its runs are", func() {
		r := newRig()
		ctx := context.Background()
		first := r.start(callee())
		r.start(caller(""))
		var events []*event.Event
		const parked = 3
		for range parked {
			events = append(events, r.send("go", `{}`))
		}
		r.waits("callee", parked)
		r.waits("caller", parked)
		first.stop()
		// Of these no runner has heard yet.
		const unread = 2
		for range unread {
			events = append(events, r.send("go", `{}`))
		}
		r.waits("caller", parked+unread)
		Expect(upkeep.New(r.store).Uninstall(ctx, "callee")).To(Succeed())
		for _, e := range events {
			record := r.ended("caller", e)
			Expect(record.Status).To(Equal(run.Failed))
			Expect(record.Error).To(ContainSubstring("the invoked function callee was deleted"))
		}
		Expect(dialKeys(r, "*fn:callee:*")).To(BeEmpty())
		// Whoever invokes it now waits until it is there again.
		later := r.send("go", `{}`)
		Eventually(func() []run.Reason { return r.reasons("caller") }).Should(ConsistOf(run.NoSuchFunction))
		r.start(callee())
		r.waits("callee", 1)
		r.send("answer", `{}`)
		Expect(r.ended("caller", later).Status).To(Equal(run.Succeeded))
	})

	It("that is deleted is told, though an attempt before was cut short", func() {
		r := newRig()
		r.install(callee())
		r.start(caller(""))
		e := r.send("go", `{}`)
		r.waits("caller", 1)
		k := r.store.Keys()
		do(dial(shared), "RENAME", k.Inbox("callee"), strings.TrimSuffix(k.Function("callee"), ":")+":closed")
		Expect(upkeep.New(r.store).Uninstall(context.Background(), "callee")).To(Succeed())
		Expect(r.ended("caller", e).Error).To(ContainSubstring("was deleted"))
	})
})
