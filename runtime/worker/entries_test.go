package worker_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/worker"
)

var _ = Describe("an entry that is no event", func() {
	const spec = `
		triggers: [{event: a}]
		steps: [{name: one, handler: echo, with: {name: one}}]`

	// rejected waits for the dead run that tells of an entry.
	rejected := func(r *rig, entry string) run.Record {
		GinkgoHelper()
		var found run.Record
		Eventually(func() bool {
			for _, record := range r.history("f") {
				if strings.Contains(record.Error, "entry "+entry+" ") {
					found = record
					return true
				}
			}
			return false
		}, "5s").Should(BeTrue(), "entry %s is not among the dead runs", entry)
		return found
	}

	It("goes to the dead runs with a reason, and the worker goes on", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		r.start(compile("f", spec))
		for name, tc := range map[string]struct {
			fields []any
			reason string
		}{
			"no data":        {[]any{"payload", "{}"}, `no field "data"`},
			"invalid UTF-8":  {[]any{"data", "\"\xff\xfe\""}, "not valid UTF-8"},
			"invalid JSON":   {[]any{"data", "{"}, "data cannot be read: it ends too early"},
			"empty":          {[]any{"data", ""}, "data cannot be read"},
			"too large":      {[]any{"data", `"` + strings.Repeat("x", 5<<20) + `"`}, "5242882 bytes, the limit is 1048576"},
			"fields of junk": {[]any{"\x00", "\x00", "id", "\xff", "data", "nul"}, "data cannot be read"},
		} {
			entry := do(c, append([]any{"XADD", k.Stream("a"), "*"}, tc.fields...)...).(string)
			record := rejected(r, entry)
			Expect(record.Status).To(Equal(run.Rejected), name)
			Expect(record.Error).To(ContainSubstring(tc.reason), name)
			Expect(record.Error).To(ContainSubstring(k.Stream("a")), name)
			Expect(len(record.Error)).To(BeNumerically("<", 500), name)
		}
		Expect(r.ended("f", r.send("a", `{}`)).Status).To(Equal(run.Succeeded))
		Eventually(func() int64 { return r.stats("f", "a").Pending }).Should(BeZero())
	})

	It("is found in the inbox too", func() {
		r := newRig()
		c, inbox := dial(shared), r.store.Keys().Inbox("f")
		r.start(compile("f", spec))
		for name, tc := range map[string]struct {
			fields []any
			reason string
		}{
			"neither run nor start": {[]any{"hello", "world"}, "needs a field run or start"},
			"no event":              {[]any{"start", "x"}, "field event"},
			"no JSON":               {[]any{"start", "x", "event", "{"}, "field event"},
			"bad parent":            {[]any{"start", "x", "event", `{"data":{}}`, "parent", "["}, "field parent"},
		} {
			record := rejected(r, do(c, append([]any{"XADD", inbox, "*"}, tc.fields...)...).(string))
			Expect(record.Status).To(Equal(run.Rejected), name)
			Expect(record.Error).To(ContainSubstring(tc.reason), name)
		}
		// A wake-up for a run that is not there is stale, and nothing.
		do(c, "XADD", inbox, "*", "run", "nobody")
		do(c, "HSET", r.store.Keys().Run("f", "odd"), "@o", "")
		do(c, "XADD", inbox, "*", "run", "odd")
		Eventually(func() any { return do(c, "XLEN", inbox) }).Should(Equal(int64(0)))
		Expect(r.history("f")).To(HaveLen(5))
		Expect(dialKeys(r, "*:run:*")).To(BeEmpty())
		Expect(r.ended("f", r.send("a", `{}`)).Status).To(Equal(run.Succeeded))
	})

	It("is told of when it was deleted before it could run", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		r.take("f", "a", `{}`, "", "")
		r.take("f", "a", `{}`, "", "")
		pending := do(c, "XPENDING", k.Stream("a"), "f", "-", "+", 10).([]any)
		gone := pending[0].([]any)[0].(string)
		do(c, "XDEL", k.Stream("a"), gone)
		r.start(compile("f", spec), leased(400*time.Millisecond), named("a"))
		r.start(compile("f", spec), leased(400*time.Millisecond), named("b"))
		record := rejected(r, gone)
		Expect(record.Status).To(Equal(run.Rejected))
		Expect(record.Error).To(ContainSubstring("deleted from its stream"))
		r.finishes("f", 2)
		Eventually(func() any { return do(c, "ZSCORE", k.Runners("f"), "dead") }).Should(BeNil())
		Consistently(func() int { return len(r.history("f")) }, "300ms").Should(Equal(2))
	})
})

var _ = Describe("an entry that kills its runners", func() {
	few := func(o *worker.Options) { o.MaxDeliveries, o.Lease = 3, 400*time.Millisecond }
	const spec = `
		triggers: [{event: a}]
		idempotency: {key: event.data.key, ttl: 1h}
		steps: [{name: one, handler: echo, with: {name: one}}, {name: nap, sleep: 1h}]`

	It("goes to the dead runs when it was delivered too often", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		p := compile("f", spec)
		r.take("f", "a", `{"key":"k"}`, "one", p.Hash)
		do(c, "SET", k.Idempotency("f", "k"), r.pendingRun("f", "a"), "PX", 60000)
		entry := do(c, "XPENDING", k.Stream("a"), "f", "-", "+", 1).([]any)[0].([]any)[0].(string)
		do(c, "XCLAIM", k.Stream("a"), "f", "dead", 0, entry, "RETRYCOUNT", 3)
		r.start(p, few)
		r.finishes("f", 1)
		record := r.history("f")[0]
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("delivered 3 times and never finished"))
		Expect(string(record.Event.Data)).To(Equal(`{"key":"k"}`), "so that it can be sent again")
		Expect(r.called("one")).To(BeZero())
		Expect(dialKeys(r, "*:run:*")).To(BeEmpty())
		Expect(do(c, "GET", k.Idempotency("f", "k"))).To(ContainSubstring("never finished"), "who meets the key is told")
	})

	It("is tried alone before it is condemned, so that it takes nobody along", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 20*time.Millisecond)
		p := compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: work, with: {key: "${event.data.n < 6 ? 'suspect' : 'other'}"}}]`)
		c, k := dial(shared), r.store.Keys()
		for i := range 12 {
			r.take("f", "a", fmt.Sprintf(`{"n":%d}`, i), "", "")
		}
		pending := do(c, "XPENDING", k.Stream("a"), "f", "-", "+", 6).([]any)
		for _, row := range pending { // their runners died with them, or with what ran beside
			do(c, "XCLAIM", k.Stream("a"), "f", "dead", 0, row.([]any)[0], "RETRYCOUNT", 12)
		}
		r.start(p, leased(400*time.Millisecond))
		r.finishes("f", 12)
		Expect(g.peak("suspect")).To(Equal(1))
		Expect(r.history("f")).To(HaveEach(HaveField("Status", run.Succeeded)))
	})

	It("gives it up where it is a run that was parked before, and tells its parent", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		r.start(compile("parent", `
			triggers: [{event: start}]
			steps: [{name: call, invoke: {function: f, data: {key: k}}}]`))
		p := compile("f", spec)
		first := r.start(p)
		e := r.send("start", `{}`)
		Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(int64(1)))
		first.stop()
		id := do(c, "ZRANGE", k.Timers("f"), 0, 0).([]any)[0].(string)
		do(c, "XADD", k.Inbox("f"), "*", "run", id)
		do(c, "XREADGROUP", "GROUP", "f", "dead", "STREAMS", k.Inbox("f"), ">")
		entry := do(c, "XPENDING", k.Inbox("f"), "f", "-", "+", 1).([]any)[0].([]any)[0].(string)
		do(c, "XCLAIM", k.Inbox("f"), "f", "dead", 0, entry, "RETRYCOUNT", 3)
		do(c, "ZADD", k.Runners("f"), 1000, "dead")
		r.start(p, few)
		record := r.ended("parent", e)
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("delivered 3 times and never finished"))
		Expect(dialKeys(r, "*:versions")).To(BeEmpty())
		Expect(dialKeys(r, "*:fn:f:run:*")).To(BeEmpty())
		Expect(r.stats("f").Waiting).To(BeZero())
	})
})

var _ = Describe("recovery", func() {
	It("takes over everything that a dead runner had, and then removes it", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		p := compile("f", `
			triggers: [{event: a}]
			history: {limit: 100000}
			steps: [{name: one, handler: echo, with: {name: one}}]`)
		const n = 3000
		Expect(r.runs.EnsureGroups(context.Background(), "f", store.FromBeginning, "a")).To(Succeed())
		r.sendMany("a", n, func(int) string { return `{}` })
		do(c, "XREADGROUP", "GROUP", "f", "dead", "COUNT", n, "STREAMS", k.Stream("a"), ">")
		do(c, "ZADD", k.Runners("f"), 1000, "dead")
		for _, name := range []string{"a", "b"} {
			r.start(p, named(name), leased(500*time.Millisecond), inFlight(16))
		}
		r.send("a", `{}`)
		r.finishes("f", n+1)
		Expect(r.called("one")).To(Equal(n+1), "each once")
		Eventually(func() string { return fmt.Sprint(do(c, "XINFO", "CONSUMERS", k.Stream("a"), "f")) }).ShouldNot(ContainSubstring("dead"))
		Expect(do(c, "ZSCORE", k.Runners("f"), "dead")).To(BeNil())
	})

	It("leaves a runner alone that lives, however long its entries are pending", func() {
		r := newRig()
		c, k := dial(shared), r.store.Keys()
		r.take("f", "a", `{}`, "", "")
		alive := func() { do(c, "ZADD", k.Runners("f"), time.Now().UnixMilli(), "dead") }
		alive()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: echo, with: {name: one}}]`), leased(time.Second))
		for began := time.Now(); time.Since(began) < 2500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
			alive()
		}
		Expect(r.called("one")).To(BeZero())
		r.finishes("f", 1) // it is dead now
	})

	It("goes on after a step that was committed, without the step", func() {
		r := newRig()
		p := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: two, set: "${steps.one.output + 1}"}`)
		r.take("f", "a", `{}`, "one", p.Hash)
		r.start(p, leased(400*time.Millisecond))
		r.finishes("f", 1)
		Expect(string(r.history("f")[0].Output)).To(Equal("8"))
		Expect(r.called("one")).To(BeZero())
	})

	It("finds what is pending in a stream that the function does not read any more", func() {
		r := newRig()
		p := compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: echo, with: {name: one}}, {name: two, set: 1}]`)
		r.install(p)
		r.take("f", "a", `{}`, "one", p.Hash)
		r.start(compile("f", `
			triggers: [{event: b}]
			steps: [{name: one, set: 2}]`), leased(400*time.Millisecond))
		r.finishes("f", 1)
		Expect(string(r.history("f")[0].Output)).To(Equal("1"))
	})
})
