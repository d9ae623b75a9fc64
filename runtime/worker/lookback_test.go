package worker_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gmeasure"

	"github.com/wildout/wildout/runtime/run"
)

var _ = Describe("an event and the waits of one run", func() {
	It("answers one of two waits in a row: two approvals are two", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: first, waitForEvent: {event: ok, match: data.id, timeout: 20s}}
			- {name: second, waitForEvent: {event: ok, match: data.id, timeout: 20s}}
			- {name: third, waitForEvent: {event: ok, if: "async.data.id == event.data.id", timeout: 20s}}
			output: "${[steps.first.output.data.by, steps.second.output.data.by, steps.third.output.data.by]}"`))
		e := r.send("a", `{"id":1}`)
		// Each comes when the wait before it is over: of events that come in one burst, which
		// are delivered side by side, any may be the one that answers first.
		for _, next := range []struct{ step, by string }{{"first", "ann"}, {"second", "ben"}, {"third", "cem"}} {
			Eventually(func(g Gomega) {
				steps := r.unended("f", e).Steps
				g.Expect(steps).NotTo(BeEmpty())
				g.Expect(steps[len(steps)-1]).To(And(HaveField("Name", next.step), HaveField("Status", run.StepWaiting)))
			}).Should(Succeed())
			r.send("ok", fmt.Sprintf(`{"id":1,"by":%q}`, next.by))
		}
		Expect(string(r.ended("f", e).Output)).To(Equal(`["ann","ben","cem"]`))
	})

	It("answers no wait that begins after another was answered by it, however it was found", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: nap, sleep: 300ms}
			- {name: first, waitForEvent: {event: ok, match: data.id, timeout: 20s}}
			- {name: second, waitForEvent: {event: ok, match: data.id, timeout: 300ms}}
			output: "${[steps.first.output.data.by, steps.second.output == null ? 'nobody' : steps.second.output.data.by]}"`))
		e := r.send("a", `{"id":1}`)
		r.send("ok", `{"id":1,"by":"ann"}`) // while it sleeps: the first wait finds it looking back
		Expect(string(r.ended("f", e).Output)).To(Equal(`["ann","nobody"]`))
		e = r.send("a", `{"id":2}`)
		r.send("ok", `{"id":2,"by":"ann"}`)
		r.send("ok", `{"id":2,"by":"ben"}`)
		Expect(string(r.ended("f", e).Output)).To(Equal(`["ann","ben"]`))
	})

	It("is shared by those that are open when it comes", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: left, needs: [], waitForEvent: {event: ok, match: data.id, timeout: 20s}}
			- {name: right, needs: [], waitForEvent: {event: ok, if: "async.data.id == event.data.id", timeout: 20s}}
			- {name: after, needs: [left, right], waitForEvent: {event: ok, match: data.id, timeout: 300ms}}
			output: "${[steps.left.output.data.by, steps.right.output.data.by, steps.after.output == null ? 'nobody' : 'somebody']}"`))
		e := r.send("a", `{"id":1}`)
		Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(int64(1)))
		r.send("ok", `{"id":1,"by":"ann"}`)
		Expect(string(r.ended("f", e).Output)).To(Equal(`["ann","ann","nobody"]`))
	})
})

var _ = Describe("a run whose entry has an id ahead of the clock", func() {
	It("gets what it waits for, before the wait and after", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: nap, sleep: 500ms}
			- {name: early, waitForEvent: {event: b, match: data.id, timeout: 20s}}
			- {name: late, waitForEvent: {event: c, match: data.id, timeout: 20s}}
			output: "${[steps.early.output.data.by, steps.late.output.data.by]}"`))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(1)))
		ahead := time.Now().Add(time.Hour).UnixMilli()
		do(dial(shared), "XADD", r.store.Keys().Stream("a"), fmt.Sprint(ahead), "id", "x", "data", `{"id":1}`)
		r.send("b", `{"id":1,"by":"ann"}`) // while it sleeps
		Eventually(func() []string { return dialKeys(r, "*:wait:c:*") }).ShouldNot(BeEmpty())
		r.send("c", `{"id":1,"by":"ben"}`)
		Eventually(func() int { return len(r.history("f")) }).Should(Equal(1))
		Expect(string(r.history("f")[0].Output)).To(Equal(`["ann","ben"]`))
	})
})

var _ = Describe("a look back over a long stream", Serial, func() {
	// wakes lets runs wake together over what came before them, and reports the memory
	// that it took, at most, beyond what there was before.
	wakes := func(runs, events, size int) (took time.Duration, memory uint64) {
		GinkgoHelper()
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			history: {limit: 10000}
			steps:
			- {name: nap, sleepUntil: "${event.data.at}"}
			- {name: wait, waitForEvent: {event: b, match: data.id, timeout: 10m}}
			output: "${steps.wait.output.data.id}"`))
		at := time.Now().Add(3 * time.Second)
		for i := range runs {
			r.send("a", fmt.Sprintf(`{"id":%d,"at":%q}`, i, at.Format(time.RFC3339Nano)))
		}
		Eventually(func() int64 { return r.stats("f").Waiting }).Should(Equal(int64(runs)))
		c := dial(shared)
		text := strings.Repeat("x", size)
		const script = `for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'data', ARGV[2]) end return 1`
		for left := events; left > 0; left -= 1000 {
			do(c, "EVAL", script, 1, r.store.Keys().Stream("b"), min(left, 1000), `{"id":-1,"text":"`+text+`"}`)
		}
		for i := range runs {
			r.send("b", fmt.Sprintf(`{"id":%d}`, i))
		}
		var most atomic.Uint64
		done := make(chan struct{})
		watched := make(chan struct{})
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		runtime.GC()
		before := heap()
		go func() {
			defer close(watched)
			for {
				most.Store(max(most.Load(), heap()))
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
		began := time.Now()
		if began.Before(at) {
			began = at
		}
		r.finishes("f", runs)
		took = time.Since(began)
		close(done)
		<-watched
		return took, most.Load() - min(before, most.Load())
	}

	It("holds a page of it, however many runs look", func() {
		e := gmeasure.NewExperiment("look back")
		AddReportEntry(e.Name, e)
		took, memory := wakes(100, 2000, 50_000)
		e.RecordDuration("100 runs, 2,000 events of 50 KB", took)
		e.RecordValue("of heap, MB", float64(memory)/1e6)
		Expect(memory).To(BeNumerically("<", 200<<20), "100 looks of their own hold gigabytes")
	})
})
