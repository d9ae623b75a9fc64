package worker_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
)

var _ = Describe("a limit delays only starts", func() {
	// The limit lets one run begin in an hour: whatever else is to happen must
	// not ask it. The awaited type is one that also starts runs, or one that does not.
	for _, awaited := range []string{"answer", "a"} {
		It("and not a wait for an event of type "+awaited+", behind events that start nothing", func() {
			r, g := newRig(), newGauge()
			r.busy("work", g, 0)
			r.start(compile("f", `
				triggers: [{event: a, if: event.data.big}]
				throttle: {limit: 1, period: 1h}
				steps:
				- {name: one, handler: work, with: {key: all}}
				- {name: wait, waitForEvent: {event: `+awaited+`, match: data.id, if: "!has(async.data.big) || !async.data.big", timeout: 20s}}
				output: "${steps.wait.output == null ? 'nothing' : steps.wait.output.data.by}"`))
			e := r.send("a", `{"id":1,"big":true}`)
			r.sendMany("a", 8, func(int) string { return `{"id":2,"big":false}` })
			Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(int64(1)))
			r.send(awaited, `{"id":1,"big":false,"by":"found"}`)
			Expect(string(r.ended("f", e).Output)).To(Equal(`"found"`))
		})

		It("and not a wait for an event of type "+awaited+", behind starts that wait for theirs", func() {
			r, g := newRig(), newGauge()
			r.busy("work", g, 0)
			p := compile("f", `
				triggers: [{event: a}]
				throttle: {limit: 1, period: 1h}
				steps:
				- {name: one, handler: work, with: {key: all}}
				- {name: wait, waitForEvent: {event: `+awaited+`, match: data.id, timeout: 20s}}
				output: "${steps.wait.output == null ? 'nothing' : steps.wait.output.data.by}"`)
			r.start(p, named("a"))
			r.start(p, named("b"))
			e := r.send("a", `{"id":1}`)
			Eventually(func() int { return len(g.started("all")) }).Should(Equal(1))
			r.sendMany("a", 300, func(int) string { return `{"id":2}` })
			r.send(awaited, `{"id":1,"by":"found"}`)
			Expect(string(r.ended("f", e).Output)).To(Equal(`"found"`))
		})

		It("and not a wait for an event of type "+awaited+" while all places are taken", func() {
			r, g := newRig(), newGauge()
			r.busy("work", g, time.Hour)
			r.start(compile("f", `
				triggers: [{event: a}]
				concurrency: [{limit: 1}]
				steps:
				- {name: wait, if: event.data.id == 1, waitForEvent: {event: `+awaited+`, match: data.id, timeout: 20s}}
				- {name: one, if: event.data.id > 1, handler: work, with: {key: all}}`))
			r.send("a", `{"id":1}`)
			Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(int64(1)))
			r.send("a", `{"id":2}`) // takes the one place for ever
			Eventually(func() int { return len(g.started("all")) }).Should(Equal(1))
			r.sendMany("a", 20, func(int) string { return `{"id":3}` })
			e := r.send(awaited, `{"id":1}`)
			journal := r.store.Keys().Run("f", r.nthRun("f", "a", 0))
			Eventually(func() any { return do(dial(shared), "HGET", journal, "wait") }).Should(ContainSubstring(e.ID))
		})
	}

	It("and a filtered event or a duplicate takes no start from others", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.sendMany("a", 200, func(i int) string { return fmt.Sprintf(`{"id":"small","big":%t}`, i == 0) })
		r.send("a", `{"id":"second","big":true}`)
		r.start(compile("f", `
			triggers: [{event: a, if: event.data.big || event.data.id == 'small'}]
			idempotency: {key: event.data.id, ttl: 1h}
			throttle: {limit: 2, period: 1h, burst: 2}
			steps: [{name: one, handler: work, with: {key: "${event.data.id}"}}]`))
		r.finishes("f", 2)
		Expect(g.started("second")).To(HaveLen(1))
		Eventually(func() int64 { return r.stats("f").Duplicate }).Should(Equal(int64(199)))
	})
})

var _ = Describe("an invoked run that does not begin", func() {
	const caller = `
		triggers: [{event: a}]
		steps:
		- {name: call, invoke: {function: dropper, data: {user: u}}, onError: Continue}
		- {name: after, set: "${steps.call.error}"}
		output: "${steps.after.output}"`

	It("tells its parent when the rate limit drops it", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("dropper", `
			triggers: [{event: never}]
			rateLimit: {limit: 1, period: 1h}
			steps: [{name: one, handler: work, with: {key: all}}]`))
		r.start(compile("caller", caller))
		Expect(r.ended("caller", r.send("a", `{}`)).Status).To(Equal(run.Succeeded))
		record := r.ended("caller", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(ContainSubstring("rate limit"))
		Expect(g.started("all")).To(HaveLen(1))
	})

	It("tells its parent when its start cannot be read", func() {
		r := newRig()
		r.start(compile("dropper", `
			triggers: [{event: never}]
			steps: [{name: one, set: 1}]`))
		r.install(compile("caller", caller))
		c, k := dial(shared), r.store.Keys()
		do(c, "HSET", k.Run("caller", "p"), "@o", "", "~call", `{"c":"x"}`)
		do(c, "XADD", k.Inbox("dropper"), "*", "start", "x", "event", "{", "parent", `{"f":"caller","r":"p","p":"call"}`)
		Eventually(func() any { return do(c, "HGET", k.Run("caller", "p"), "call") }).Should(ContainSubstring("could not be started"))
	})
})

var _ = Describe("an idempotency key", func() {
	keys := func(r *rig) []string { return dialKeys(r, "*:once:*") }

	It("is free again when the rate limit drops the run that took it", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("f", `
			triggers: [{event: a}]
			idempotency: {key: event.data.id, ttl: 1h}
			rateLimit: {limit: 1, period: 1h}
			steps: [{name: one, handler: work, with: {key: "${event.data.id}"}}]`))
		r.ended("f", r.send("a", `{"id":"first"}`))
		r.send("a", `{"id":"second"}`)
		Eventually(func() int64 { return r.stats("f").Dropped }).Should(Equal(int64(1)))
		Expect(keys(r)).To(HaveExactElements(HaveSuffix("once:first")))
	})

	It("is free again when the key of a limit cannot be evaluated", func() {
		for _, limit := range []string{"concurrency: [{limit: 1, key: event.data.none}]", "throttle: {limit: 1, period: 1s, key: event.data.none}", "rateLimit: {limit: 1, period: 1s, key: event.data.none}"} {
			r := newRig()
			r.start(compile("f", `
				triggers: [{event: a}]
				idempotency: {key: event.data.id, ttl: 1h}
				`+limit+`
				steps: [{name: one, set: 1}]`))
			record := r.ended("f", r.send("a", `{"id":"first"}`))
			Expect(record.Status).To(Equal(run.Rejected))
			Expect(record.Error).To(ContainSubstring("none"))
			Expect(keys(r)).To(BeEmpty(), limit)
		}
	})

	It("is kept when its run failed, and with Release it is free for the next event", func() {
		for policy, runs := range map[string]int{"": 1, ", onFailure: Release": 2} {
			r := newRig()
			r.start(compile("f", `
				triggers: [{event: a}]
				idempotency: {key: event.data.id, ttl: 1h`+policy+`}
				steps: [{name: one, assert: [{that: event.data.good, message: not good}]}]`))
			Expect(r.ended("f", r.send("a", `{"id":null,"good":false}`)).Status).To(Equal(run.Failed))
			r.send("a", `{"id":null,"good":true}`)
			if runs == 1 {
				Eventually(func() int64 { return r.stats("f").Duplicate }).Should(Equal(int64(1)))
			}
			Eventually(func() int { return len(r.history("f")) }).Should(Equal(runs))
		}
	})
})

var _ = Describe("an event of which a key or a trigger's if cannot be evaluated", func() {
	for what, spec := range map[string]string{
		"spec.triggers[0].if":     "triggers: [{event: a, if: event.data.none == 1}]",
		"spec.idempotency.key":    "triggers: [{event: a}]\n\t\t\t\tidempotency: {key: event.data.none, ttl: 1h}",
		"spec.concurrency[0].key": "triggers: [{event: a}]\n\t\t\t\tconcurrency: [{limit: 1, key: event.data.none}]",
	} {
		It("is rejected once, with the path, and may be sent again: "+what, func() {
			r, g := newRig(), newGauge()
			r.busy("work", g, 0)
			p := compile("f", `
				`+spec+`
				steps: [{name: one, handler: work, with: {key: step}}]
				onFailure: [{name: two, handler: work, with: {key: failed}}]`)
			r.start(p)
			record := r.ended("f", r.send("a", `{"other":1}`))
			Expect(record.Status).To(Equal(run.Rejected))
			Expect(record.Error).To(HavePrefix(what))
			Expect(record.Event.Data).To(MatchJSON(`{"other":1}`))
			Expect(r.history("f")).To(HaveLen(1))
			Expect(g.started("step")).To(BeEmpty())
			Expect(g.started("failed")).To(BeEmpty(), "nothing has failed")
			Expect(r.stats("f", "a").Pending).To(BeZero())
		})
	}
})

var _ = Describe("a throttle after an outage", func() {
	for _, key := range []string{"", ", key: event.data.user"} {
		It("lets no more begin than at any other time"+strings.TrimPrefix(key, ","), func() {
			r, g := newRig(), newGauge()
			r.busy("work", g, 0)
			p := compile("f", `
				triggers: [{event: a}]
				throttle: {limit: 5, period: 1s`+key+`}
				steps: [{name: one, handler: work, with: {key: all}}]`)
			r.sendMany("a", 18, func(int) string { return `{"user":"u"}` })
			// They are read, and planned, and then there is no runner for a while.
			first := r.start(p)
			Eventually(func() int { return len(g.started("all")) }).Should(BeNumerically(">=", 2))
			first.stop()
			time.Sleep(3 * time.Second)
			r.start(p)
			r.finishes("f", 18)
			starts := g.started("all")
			Expect(starts).To(HaveLen(18))
			for i := range starts {
				within := 0
				for _, at := range starts[i:] {
					if at.Sub(starts[i]) < time.Second {
						within++
					}
				}
				Expect(within).To(BeNumerically("<=", 5+1), "begun within a second of start %d", i)
			}
		})
	}

	It("lets those begin first that were planned", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 0)
		r.start(compile("f", `
			triggers: [{event: a}]
			throttle: {limit: 5, period: 1s, key: event.data.user}
			steps: [{name: one, handler: work, with: {key: "${event.data.n}"}}]`))
		r.sendMany("a", 6, func(i int) string { return fmt.Sprintf(`{"user":"u","n":%d}`, i) })
		Eventually(func() int64 { return r.stats("f").Waiting }).Should(BeNumerically(">=", 3))
		r.sendMany("a", 3, func(i int) string { return fmt.Sprintf(`{"user":"u","n":%d}`, 100+i) })
		r.finishes("f", 9)
		last := g.started("0")[0]
		for i := range 6 {
			at := g.started(fmt.Sprint(i))[0]
			if at.After(last) {
				last = at
			}
		}
		for i := range 3 {
			Expect(g.started(fmt.Sprint(100 + i))[0]).To(BeTemporally(">", last))
		}
		Expect(dialKeys(r, "*:planned:*")).To(BeEmpty())
	})
})

// nthRun is the id of the run that the n-th entry of a stream starts.
func (r *rig) nthRun(function, eventType string, n int) string {
	GinkgoHelper()
	entries, err := r.inspect.Peek(context.Background(), peekAll(eventType), 10)
	Expect(err).NotTo(HaveOccurred())
	all := entries[0]
	return runID(function, eventType, all[len(all)-1-n].ID)
}
