package worker_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/store/upkeep"
	"github.com/wildout/wildout/runtime/worker"
)

// created says when a function was made.
func created(at time.Time) func(*worker.Options) {
	return func(o *worker.Options) { o.Created = at }
}

var _ = Describe("where a function starts", func() {
	const (
		both = `
			triggers: [{event: a}, {event: b}]
			steps: [{name: one, handler: echo, with: {name: "${event.type + string(event.data.n)}"}}]`
		first = `
			triggers: [{event: a}]
			steps: [{name: one, handler: echo, with: {name: "${event.type + string(event.data.n)}"}}]`
	)
	// drops lets the group of a trigger go that was removed.
	drops := func(r *rig, function, eventType string) {
		GinkgoHelper()
		u := upkeep.New(r.store)
		Eventually(func() (bool, error) { return u.DropGroup(context.Background(), function, eventType) }).Should(BeTrue())
	}

	It("runs nothing twice when a trigger is removed and put back", func() {
		r := newRig()
		w := r.start(compile("f", both))
		r.send("b", `{"n":1}`)
		r.finishes("f", 1)
		w.stop()
		w = r.start(compile("f", first))
		r.send("a", `{"n":1}`)
		r.finishes("f", 2)
		w.stop()
		drops(r, "f", "b")
		r.send("b", `{"n":2}`) // it is retained, and the function goes on where it stood
		r.start(compile("f", both))
		r.finishes("f", 3)
		r.send("b", `{"n":3}`)
		r.finishes("f", 4)
		for _, name := range []string{"a1", "b1", "b2", "b3"} {
			Expect(r.called(name)).To(Equal(1), name)
		}
	})

	It("runs nothing twice when the function is deleted and applied again", func() {
		r := newRig()
		w := r.start(compile("f", first))
		r.send("a", `{"n":1}`)
		r.finishes("f", 1)
		w.stop()
		Expect(upkeep.New(r.store).Uninstall(context.Background(), "f")).To(Succeed())
		r.start(compile("f", first))
		r.send("a", `{"n":2}`)
		r.finishes("f", 1) // its history went with it
		Expect(r.called("a1")).To(Equal(1))
		Expect(r.called("a2")).To(Equal(1))
	})

	// past publishes an event of some time ago.
	past := func(r *rig, eventType, data string, ago time.Duration) {
		GinkgoHelper()
		do(dial(shared), "XADD", r.store.Keys().Stream(eventType), fmt.Sprint(time.Now().Add(-ago).UnixMilli()), "data", data)
	}

	It("runs nothing old in a function that is new, or has a new name", func() {
		r := newRig()
		past(r, "a", `{"n":1}`, time.Minute)
		w := r.start(compile("f", first), created(time.Now().Add(-time.Hour)))
		r.finishes("f", 1)
		w.stop()
		r.start(compile("renamed", first))
		r.send("a", `{"n":2}`)
		r.finishes("renamed", 1)
		Expect(r.called("a1")).To(Equal(1))
	})

	It("runs all that is retained, or what came since a time, where the manifest says so", func() {
		r := newRig()
		past(r, "a", `{"n":1}`, 2*time.Hour)
		past(r, "a", `{"n":2}`, time.Minute)
		since := time.Now().Add(-time.Hour).Format(time.RFC3339)
		r.start(compile("all", "\t\t\tstartFrom: Beginning"+first))
		r.start(compile("since", "\t\t\tstartFrom: "+since+first))
		r.finishes("all", 2)
		r.finishes("since", 1)
	})

	It("counts a trigger from when it was added", func() {
		r := newRig()
		w := r.start(compile("f", first))
		r.send("a", `{"n":1}`)
		r.finishes("f", 1)
		w.stop()
		past(r, "b", `{"n":1}`, time.Hour)
		past(r, "b", `{"n":2}`, time.Minute)
		r.start(compile("f", both), created(time.Unix(1, 0)), func(o *worker.Options) {
			o.Added = map[string]time.Time{"b": time.Now().Add(-30 * time.Minute)}
		})
		r.finishes("f", 2)
		Expect(r.called("b1")).To(BeZero())
		Expect(r.called("b2")).To(Equal(1))
	})
})
