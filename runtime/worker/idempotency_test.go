package worker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

var _ = Describe("idempotency", func() {
	const child = `
			triggers: [{event: user/registered}]
			idempotency: {key: event.data.user, ttl: 1h}
			steps:
			- {name: work, handler: work, with: {key: "${event.data.user}"}}
			- {name: nap, sleep: 50ms}
			output: "${'for ' + event.data.user}"`
	const parent = `
			triggers: [{event: a}]
			steps:
			- {name: call, invoke: {function: child, data: {user: "${event.data.user}"}}}
			output: "${steps.call.output}"`

	It("makes runs with the same key one run, and counts the others", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("child", child), named("a"))
		r.start(compile("child", child), named("b"))
		r.sendMany("user/registered", 30, func(i int) string { return fmt.Sprintf(`{"user":"u%d"}`, i%3) })
		r.finishes("child", 3)
		Eventually(func() int64 { return r.stats("child").Duplicate }).Should(Equal(int64(27)))
		for i := range 3 {
			Expect(g.started(fmt.Sprint("u", i))).To(HaveLen(1))
		}
		// The key outlives the run.
		r.send("user/registered", `{"user":"u1"}`)
		Eventually(func() int64 { return r.stats("child").Duplicate }).Should(Equal(int64(28)))
		Expect(r.history("child")).To(HaveLen(3))
		Eventually(func() int64 { return r.stats("child", "user/registered").Pending }).Should(BeZero())
	})

	It("gives an invocation that meets the key of a running or an ended run its output", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 150*time.Millisecond)
		r.start(compile("child", child))
		r.start(compile("parent", parent))
		r.send("user/registered", `{"user":"ada"}`)
		Eventually(func() int { return g.peak("ada") }).Should(Equal(1))
		running := r.ended("parent", r.send("a", `{"user":"ada"}`))
		Expect(string(running.Output)).To(Equal(`"for ada"`), running.Error)
		ended := r.ended("parent", r.send("a", `{"user":"ada"}`))
		Expect(string(ended.Output)).To(Equal(`"for ada"`), ended.Error)
		Expect(g.started("ada")).To(HaveLen(1))
		var follows int
		for _, record := range r.history("child") {
			if record.Follows != "" {
				follows++
			}
		}
		Expect(follows).To(Equal(2))
	})

	It("hands on a failure too", func() {
		r := newRig()
		var calls int
		wildout.Add(r.handlers, "work", func(context.Context, struct {
			Key string `json:"key"`
		}) (int, error) {
			calls++
			return 0, wildout.NonRetriable(errors.New("never"))
		})
		r.start(compile("child", child))
		r.start(compile("parent", parent))
		r.ended("child", r.send("user/registered", `{"user":"ada"}`))
		record := r.ended("parent", r.send("a", `{"user":"ada"}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("never"))
		Expect(calls).To(Equal(1))
	})

	It("forgets a key when its time is up", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("f", `
			triggers: [{event: a}]
			idempotency: {key: event.data.user, ttl: 300ms}
			steps: [{name: one, handler: work, with: {key: all}}]`))
		r.send("a", `{"user":"u"}`)
		r.send("a", `{"user":"u"}`)
		r.finishes("f", 1)
		time.Sleep(400 * time.Millisecond)
		r.send("a", `{"user":"u"}`)
		r.finishes("f", 2)
		Expect(r.stats("f").Duplicate).To(Equal(int64(1)))
	})

	It("tells followers the outcome of a run that another runner took over", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		// A runner that died with a step done: its entry is pending, its key taken.
		p := compile("child", child)
		r.take("child", "user/registered", `{"user":"ada"}`, "work", p.Hash)
		c, k := dial(shared), r.store.Keys()
		do(c, "SET", k.Idempotency("child", "ada"), r.pendingRun("child", "user/registered"), "PX", 60000)
		r.start(p, leased(400*time.Millisecond))
		r.start(compile("parent", parent))
		record := r.ended("parent", r.send("a", `{"user":"ada"}`))
		Expect(string(record.Output)).To(Equal(`"for ada"`), record.Error)
		Expect(g.started("ada")).To(BeEmpty(), "a step that was done is not done again")
	})

})

// take makes an event, and a runner that read it and died; with a step, after
// that step's result was committed under a version of the function.
func (r *rig) take(function, eventType, data, step, version string) {
	GinkgoHelper()
	c, k := dial(shared), r.store.Keys()
	stream := k.Stream(eventType)
	Expect(r.runs.EnsureGroups(context.Background(), function, store.FromBeginning, eventType)).To(Succeed())
	r.send(eventType, data)
	do(c, "XREADGROUP", "GROUP", function, "dead", "STREAMS", stream, ">")
	do(c, "ZADD", k.Runners(function), 1000, "dead")
	if step != "" {
		do(c, "HSET", k.Run(function, r.pendingRun(function, eventType)), step, `{"v":"`+version+`","n":1,"t":1,"o":7}`)
	}
}

// pendingRun is the id of the run of the first pending entry.
func (r *rig) pendingRun(function, eventType string) string {
	GinkgoHelper()
	pending := do(dial(shared), "XPENDING", r.store.Keys().Stream(eventType), function, "-", "+", 1).([]any)
	entry := pending[0].([]any)[0].(string)
	return event.DerivedID(event.EntryTime(entry), function, eventType, entry)
}
