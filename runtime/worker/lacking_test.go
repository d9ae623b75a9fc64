package worker_test

import (
	"context"
	"encoding/json"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/worker"
)

// image is a runner image: its workers have these handlers and no others. Each
// returns the name of the image.
func (r *rig) image(name string, handlers ...string) func(*worker.Options) {
	registry := &wildout.Registry{}
	for _, h := range handlers {
		wildout.Add(registry, h, func(context.Context, map[string]any) (string, error) {
			r.count(name + " " + h)
			return name, nil
		})
	}
	return func(o *worker.Options) {
		o.Handlers = registry
		o.Name = name
	}
}

// open returns the runs of a function that wait, as people see them.
func (r *rig) open(function string) []run.Record {
	GinkgoHelper()
	open, _, err := r.inspect.OpenRuns(context.Background(), inspect.OpenQuery{Functions: []inspect.Reads{{Function: function}}, Waiting: true, Most: 1000, MostQueued: 1000})
	Expect(err).NotTo(HaveOccurred())
	var all []run.Record
	for _, o := range open {
		record, err := r.inspect.Unended(context.Background(), function, o.ID)
		Expect(err).NotTo(HaveOccurred())
		if record != nil {
			all = append(all, *record)
		}
	}
	return all
}

// reasons are those for which the runs of a function wait.
func (r *rig) reasons(function string) []run.Reason {
	GinkgoHelper()
	var all []run.Reason
	for _, record := range r.open(function) {
		all = append(all, record.Reason)
	}
	return all
}

var _ = Describe("runs whose code a runner does not have", func() {
	// upgraded is a function whose next image has another handler in the place of
	// the first one's.
	upgraded := func(handler string) *plan.Plan {
		return compile("f", fmt.Sprintf(`
			triggers: [{event: a}]
			steps:
			- {name: nap, sleep: 300ms}
			- {name: one, handler: %s}
			output: "${steps.one.output}"`, handler))
	}

	It("wait for a runner that has it, and do not fail", func() {
		r := newRig()
		v1, v2 := upgraded("old.send"), upgraded("new.send")
		first := r.start(v1, r.image("one", "old.send"))
		e := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		second := r.start(v2, r.image("two", "new.send"))
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksHandler))
		Expect(r.open("f")[0].Error).To(Equal("RunnerLacksHandler: it waits for a runner with the handler old.send"))
		// What comes after it is not held up.
		young := r.send("a", `{}`)
		Expect(string(r.ended("f", young).Output)).To(Equal(`"two"`))
		numbers, err := r.inspect.Survey(context.Background(), []inspect.Subject{{Namespace: r.namespace, Function: "f"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(numbers[0].Lacking).To(Equal(inspect.Lacking{Runs: 1, Code: []run.Lack{{Handlers: []string{"old.send"}, Version: v1.Hash}}}))
		// The image goes back, and the other one is still there for a while.
		r.start(v1, r.image("one", "old.send"))
		record := r.ended("f", e)
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal(`"one"`))
		Expect(record.Version).To(Equal(v1.Hash))
		Expect(r.called("one old.send")).To(Equal(1))
		second.stop()
		Expect(dialKeys(r, "*:lacking")).To(BeEmpty())
		Expect(dialKeys(r, "*:run:*")).To(BeEmpty())
		Expect(dialKeys(r, "*:versions")).To(BeEmpty())
	})

	It("are all finished by the runners that have it, while those of two images are at work", func() {
		r := newRig()
		v1, v2 := upgraded("old.send"), upgraded("new.send")
		for i := range 3 {
			r.start(v2, r.image(fmt.Sprint("new", i), "new.send"))
		}
		r.start(v1, r.image("old", "old.send"))
		Eventually(func() int64 { return r.stats("f").Runners }).Should(Equal(int64(4)))
		const n = 60
		r.sendMany("a", n, func(int) string { return `{}` })
		r.finishes("f", n)
		for _, record := range r.history("f") {
			Expect(record.Status).To(Equal(run.Succeeded), record.Error)
			if record.Version == v1.Hash {
				Expect(string(record.Output)).To(Equal(`"old"`))
			} else {
				Expect(string(record.Output)).To(HavePrefix(`"new`))
			}
		}
		Expect(dialKeys(r, "*:lacking")).To(BeEmpty())
	})

	It("go on where they can meanwhile", func() {
		r := newRig()
		p := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, needs: [], handler: old.send}
			- {name: wait, needs: [], waitForEvent: {event: answer, timeout: 1h}}
			- {name: two, needs: [wait], handler: new.send}
			output: "${steps.one.output + ' ' + steps.two.output}"`)
		second := r.start(p, r.image("two", "new.send"))
		e := r.send("a", `{}`)
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksHandler))
		r.send("answer", `{}`)
		Eventually(func() int { return r.called("two new.send") }).Should(Equal(1))
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksHandler))
		second.stop()
		r.start(p, r.image("one", "old.send"))
		Expect(string(r.ended("f", e).Output)).To(Equal(`"one two"`))
	})

	It("can be cancelled meanwhile", func() {
		r := newRig()
		v1, v2 := upgraded("old.send"), upgraded("new.send")
		first := r.start(v1, r.image("one", "old.send"))
		e := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		r.start(v2, r.image("two", "new.send"))
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksHandler))
		r.cancels("f", e, "it is not needed any more")
		Expect(r.ended("f", e).Status).To(Equal(run.Cancelled))
		Expect(dialKeys(r, "*:lacking")).To(BeEmpty())
		Expect(dialKeys(r, "*:run:*")).To(BeEmpty())
	})

	It("wait where another release wrote their version, also those that have no journal yet", func() {
		r := newRig()
		v1 := upgraded("old.send")
		first := r.start(v1, r.image("one", "old.send"))
		asleep := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		c, k := dial(shared), r.store.Keys()
		// A later release has an action that this one does not know.
		later := *v1.Spec
		text, err := json.Marshal(later)
		Expect(err).NotTo(HaveOccurred())
		var fields map[string]any
		Expect(json.Unmarshal(text, &fields)).To(Succeed())
		fields["steps"] = []any{map[string]any{"name": "one", "dream": "1h"}}
		unknown, err := json.Marshal(fields)
		Expect(err).NotTo(HaveOccurred())
		do(c, "HSET", k.Plans("f"), v1.Hash, string(unknown))
		b := compile("f", `
			triggers: [{event: b}]
			steps: [{name: one, set: 1}]`)
		r.take("f", "a", `{}`, "", "") // its runner died before the first step
		older := r.start(b, r.image("older"))
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksVersion))
		Eventually(func() int64 { return r.stats("f", "a").Pending }).Should(Equal(int64(1)), "the event is for the later release")
		older.stop()
		do(c, "HSET", k.Plans("f"), v1.Hash, string(text))
		r.start(b, r.image("later", "old.send"))
		Expect(string(r.ended("f", asleep).Output)).To(Equal(`"later"`))
		r.finishes("f", 2)
		for _, record := range r.history("f") {
			Expect(string(record.Output)).To(Equal(`"later"`), record.Error)
		}
	})

	It("wait where another release wrote their journal", func() {
		r := newRig()
		v1 := upgraded("old.send")
		first := r.start(v1, r.image("one", "old.send"))
		e := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		first.stop()
		id := r.open("f")[0].ID
		c, k := dial(shared), r.store.Keys()
		identity := do(c, "HGET", k.Run("f", id), run.IdentityField)
		do(c, "HSET", k.Run("f", id), run.FormatField, run.Format+1, run.IdentityField, "not for this release")
		older := r.start(v1, r.image("one", "old.send"))
		Eventually(func() []run.Reason { return r.reasons("f") }).Should(ConsistOf(run.RunnerLacksVersion))
		older.stop()
		Expect(do(c, "HGET", k.Run("f", id), run.IdentityField)).To(Equal("not for this release"))
		// The later release can read it.
		do(c, "HSET", k.Run("f", id), run.FormatField, run.Format, run.IdentityField, identity)
		do(c, "HSET", k.Lacking("f"), id, (&run.Lack{Format: run.Format}).Encode())
		r.start(v1, r.image("one", "old.send"))
		Expect(r.ended("f", e).Status).To(Equal(run.Succeeded))
	})
})
