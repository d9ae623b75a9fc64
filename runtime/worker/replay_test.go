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
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/worker"
)

// replays starts a run again and returns the id of the new one.
func (r *rig) replays(function, runID string) string {
	GinkgoHelper()
	id, err := r.acts.Replay(context.Background(), function, runID)
	Expect(err).NotTo(HaveOccurred())
	Expect(id).NotTo(Equal(runID))
	return id
}

// endedRun waits for the end of a run.
func (r *rig) endedRun(function, id string) run.Record {
	GinkgoHelper()
	var found *run.Record
	Eventually(func() (*run.Record, error) {
		var err error
		found, err = r.inspect.Ended(context.Background(), function, id)
		return found, err
	}).ShouldNot(BeNil(), "run %s has not ended", id)
	return *found
}

var _ = Describe("a replay", func() {
	It("of a run that succeeded has the same event and a journal of its own", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: echo, with: {name: "${event.id}"}}
			- {name: nap, sleep: 20ms}
			output: "${event.data.n + 1}"`))
		e := r.send("a", `{"n":1}`)
		first := r.ended("f", e)
		Expect(first.Event).To(BeNil(), "its stream has it")
		second := r.endedRun("f", r.replays("f", first.ID))
		Expect(second.ReplayOf).To(Equal(first.ID))
		Expect(second.EventID).To(Equal(e.ID))
		Expect(string(second.Output)).To(Equal("2"))
		third := r.endedRun("f", r.replays("f", second.ID))
		Expect(third.ReplayOf).To(Equal(second.ID))
		Expect(third.EventID).To(Equal(e.ID))
		Expect(r.called(e.ID)).To(Equal(3))
		Expect(r.stats("f").Succeeded).To(Equal(int64(3)))
		r.spotless("f")
	})

	It("of a run with an id of its own, whose stream was trimmed, is refused, and says why", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: echo, with: {name: one}}]`))
		e := &event.Event{ID: "mine", Type: "a", Data: []byte(`{}`)}
		Expect(r.store.Publish(context.Background(), e)).To(Succeed())
		record := r.ended("f", e)
		// The id is forgotten before the event.
		do(dial(shared), "DEL", r.store.Keys().EventID("a", "mine"))
		Expect(r.endedRun("f", r.replays("f", record.ID)).EventID).To(Equal("mine"))
		do(dial(shared), "XTRIM", r.store.Keys().Stream("a"), "MAXLEN", 0)
		_, err := r.acts.Replay(context.Background(), "f", record.ID)
		Expect(err).To(MatchError(acts.ErrNoEvent))
		Expect(err).To(MatchError(ContainSubstring("retention")))
		_, err = r.acts.Replay(context.Background(), "f", event.DerivedID(time.Now(), "x"))
		Expect(err).To(MatchError(acts.ErrNoRun))
		_, err = r.acts.Replay(context.Background(), "g", record.ID)
		Expect(err).To(MatchError(acts.ErrNoRun))
	})

	It("of a run that failed or was cancelled needs no stream", func() {
		r := newRig()
		ok := false
		wildout.Add(r.handlers, "moody", func(context.Context, struct{}) (int, error) {
			if ok {
				return 1, nil
			}
			return 0, wildout.NonRetriable(errors.New("not now"))
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: nap, if: event.data.nap, sleep: 1h}, {name: one, handler: moody}]`))
		failed := r.ended("f", r.send("a", `{"nap":false}`))
		Expect(failed.Status).To(Equal(run.Failed))
		e := r.send("a", `{"nap":true}`)
		r.waits("f", 1)
		// One that has not ended can be replayed too.
		again := r.replays("f", r.runOf("f", e))
		r.waits("f", 2)
		open, err := r.inspect.Unended(context.Background(), "f", again)
		Expect(err).NotTo(HaveOccurred())
		Expect(open.ReplayOf).To(Equal(r.runOf("f", e)))
		Expect(r.acts.Cancel(context.Background(), "f", again, "")).To(Succeed())
		cancelled := r.endedRun("f", again)
		Expect(cancelled.Status).To(Equal(run.Cancelled))
		Expect(cancelled.ReplayOf).To(Equal(r.runOf("f", e)))
		do(dial(shared), "XTRIM", r.store.Keys().Stream("a"), "MAXLEN", 0)
		ok = true
		Expect(r.endedRun("f", r.replays("f", failed.ID)).Status).To(Equal(run.Succeeded))
		r.replays("f", cancelled.ID)
		r.waits("f", 2)
	})

	It("of a run that nobody has read yet waits for a runner like that", func() {
		r := newRig()
		p := compile("f", `
			triggers: [{event: a, if: event.data.fits}]
			steps: [{name: one, handler: echo, with: {name: one}}]`)
		r.install(p)
		e := r.send("a", `{"fits":true}`)
		again := r.replays("f", r.runOf("f", e))
		third := r.replays("f", again)
		unfit := r.send("a", `{"fits":false}`)
		w := r.start(p)
		r.ended("f", e)
		Expect(r.endedRun("f", third).ReplayOf).To(Equal(again))
		Expect(r.called("one")).To(Equal(3))
		Eventually(func() int64 { return r.stats("f", "a").Pending + r.stats("f", "a").Unread }).Should(BeZero())
		w.stop()
		_, err := r.acts.Replay(context.Background(), "f", r.runOf("f", unfit))
		Expect(err).To(MatchError(acts.ErrNoRun), "the trigger's `if` kept it out")
	})

	It("of a run that no event of a stream started has its event from the history", func() {
		r := newRig()
		r.start(compile("child", `
			triggers: [{event: never}]
			steps: [{name: one, handler: echo, with: {name: "${event.data.user}"}}]`))
		r.start(compile("parent", `
			triggers: [{event: a}]
			steps: [{name: call, invoke: {function: child, data: {user: "${event.data.user}"}}}]`))
		record := r.ended("parent", r.send("a", `{"user":"u"}`))
		Expect(record.Status).To(Equal(run.Succeeded))
		child := r.history("child")[0]
		again := r.endedRun("child", r.replays("child", child.ID))
		Expect(again.EventID).To(Equal(child.EventID))
		Expect(r.called("u")).To(Equal(2))
		Expect(r.history("parent")).To(HaveLen(1), "nobody waits for it")

		large := r.ended("parent", r.send("a", fmt.Sprintf(`{"user":"%05000d"}`, 1)))
		Expect(large.Status).To(Equal(run.Succeeded))
		Expect(r.history("child")[0].Event).To(BeNil())
		_, err := r.acts.Replay(context.Background(), "child", r.history("child")[0].ID)
		Expect(err).To(MatchError(acts.ErrNoEvent))
	})

	It("runs on the current version, and a parked one stays on its own", func() {
		r := newRig()
		const spec = `
			triggers: [{event: a}]
			steps: [{name: nap, sleep: 400ms}]
			output: "${'%s'}"`
		w := r.start(compile("f", fmt.Sprintf(spec, "old")))
		first := r.ended("f", r.send("a", `{}`))
		Expect(string(first.Output)).To(Equal(`"old"`))
		old := r.replays("f", first.ID)
		r.waits("f", 1)
		w.stop()
		r.start(compile("f", fmt.Sprintf(spec, "new")))
		again := r.replays("f", first.ID)
		Expect(string(r.endedRun("f", old).Output)).To(Equal(`"old"`))
		Expect(string(r.endedRun("f", again).Output)).To(Equal(`"new"`))
		r.spotless("f")
	})

	It("is no duplicate, and leaves the idempotency key to others", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			idempotency: {key: event.data.user, ttl: 1h}
			steps: [{name: one, handler: echo, with: {name: one}}]`))
		first := r.ended("f", r.send("a", `{"user":"u"}`))
		Expect(r.endedRun("f", r.replays("f", first.ID)).Status).To(Equal(run.Succeeded))
		Expect(r.called("one")).To(Equal(2))
		Expect(do(dial(shared), "GET", r.store.Keys().Idempotency("f", "u"))).To(HavePrefix(first.ID))
		r.send("a", `{"user":"u"}`)
		Eventually(func() int64 { return r.stats("f").Duplicate }).Should(Equal(int64(1)))
	})

	It("keeps to the limits, but is never dropped", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 30*time.Millisecond)
		r.start(compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1, key: event.data.user}]
			rateLimit: {limit: 1, period: 1h}
			throttle: {limit: 10, period: 1s, burst: 1}
			steps: [{name: one, handler: work, with: {key: all}}]`))
		first := r.ended("f", r.send("a", `{"user":"u"}`))
		for range 5 {
			r.replays("f", first.ID)
		}
		r.finishes("f", 6)
		Expect(r.stats("f").Dropped).To(BeZero())
		Expect(g.peak("all")).To(Equal(1))
		starts := g.started("all")
		Expect(starts[5].Sub(starts[1])).To(BeNumerically(">=", 350*time.Millisecond))
	})

	It("is started once for each call, on one of many runners", func() {
		r := newRig()
		var p = compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: echo, with: {name: one}}]`)
		for _, name := range []string{"a", "b", "c"} {
			r.start(p, named(name), func(o *worker.Options) { o.MaxInFlight = 4 })
		}
		first := r.ended("f", r.send("a", `{}`))
		ids := map[string]bool{}
		for range 50 {
			ids[r.replays("f", first.ID)] = true
		}
		Expect(ids).To(HaveLen(50))
		r.finishes("f", 51)
		Expect(r.called("one")).To(Equal(51))
	})
})
