package store_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("reads for people", func() {
	It("peeks at events without their data", func() {
		b := newBench()
		e := &event.Event{Type: "a", ID: "mine", Data: []byte(`{"text":"` + strings.Repeat("x", 100_000) + `"}`)}
		Expect(b.Publish(ctx, e)).To(Succeed())
		b.publish(`{"n":2}`)
		lists, err := b.inspect.Peek(ctx, []inspect.EventRange{{Type: "a", Count: 10}, {Type: "none", Count: 10}, {Type: "a", Count: 1}}, 12)
		Expect(err).NotTo(HaveOccurred())
		Expect(lists).To(HaveLen(3))
		Expect(lists[0]).To(HaveLen(2), "the newest first")
		Expect(lists[0][0].Field("data")).To(Equal(`{"n":2}`))
		Expect(lists[0][1].Field("data")).To(Equal(`{"text":"xxx`))
		Expect(lists[0][1].Field("id")).To(Equal("mine"))
		Expect(lists[0][1].Bytes).To(Equal(len(e.Data)))
		Expect(lists[1]).To(BeEmpty())
		Expect(lists[2]).To(HaveLen(1))
		older, err := b.inspect.Peek(ctx, []inspect.EventRange{{Type: "a", Newest: "(" + lists[0][0].ID, Count: 10}}, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(older[0]).To(HaveLen(1))
		Expect(older[0][0].ID).To(Equal(lists[0][1].ID))
	})

	It("knows the types of which an event was published, with one command for each", func() {
		b := newBench()
		b.publish(`{}`)
		before := b.Traffic().Commands
		b.publish(`{}`)
		Expect(b.Traffic().Commands-before).To(Equal(int64(1)), "the type is known")
		Expect(b.SetRetention(ctx, "declared", time.Hour, 0)).To(Succeed())
		Expect(b.inspect.PublishedTypes(ctx)).To(ConsistOf("a", "declared"))
	})

	It("finds runs where they are", func() {
		b := newBench()
		reads := []inspect.Reads{{Function: "f", Triggers: []string{"a"}, Types: []string{"a"}}}
		all := inspect.OpenQuery{Functions: reads, Running: true, Waiting: true, Queued: true, Most: 10, MostQueued: 10}
		running, parked := b.begin("r1"), b.begin("r1")
		queued := b.publish(`{}`)
		due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		result, err := b.committer().Park(ctx, runs.Park{Ref: parked, Meta: []byte(`{"i":"e","y":"a","v":"v1"}`), Due: due})
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(Equal(runs.ParkOK))
		runs, more, err := b.inspect.OpenRuns(ctx, all)
		Expect(err).NotTo(HaveOccurred())
		Expect(more).To(BeFalse())
		found := map[string]inspect.OpenRun{}
		for _, r := range runs {
			found[r.ID] = r
		}
		Expect(found).To(HaveLen(3))
		Expect(found[running.RunID].Status).To(Equal(run.Running))
		Expect(found[parked.RunID].Status).To(Equal(run.Waiting))
		Expect(*found[parked.RunID].Due).To(BeTemporally("==", due))
		delete(found, running.RunID)
		delete(found, parked.RunID)
		for _, r := range found {
			Expect(r.Status).To(Equal(run.Queued))
			Expect(r.EventID).To(Equal(queued.ID))
		}
		Expect(b.inspect.HasJournal(ctx, []string{"g", "f"}, parked.RunID)).To(Equal("f"))
		Expect(b.inspect.HasJournal(ctx, []string{"g"}, parked.RunID)).To(BeEmpty())
		one := all
		one.Most = 1
		_, more, err = b.inspect.OpenRuns(ctx, one)
		Expect(err).NotTo(HaveOccurred())
		Expect(more).To(BeTrue(), "as many as were asked for may not be all")
	})

	It("finds a run that has ended among many, in any of the histories", func() {
		b := newBench()
		c := b.committer()
		var last *runs.Ref
		for range 60 { // more than the first page of the search
			last = b.begin("r1")
			Expect(c.Finish(ctx, runs.Finish{Ref: last, Record: record(last.RunID)})).To(BeTrue())
		}
		found, err := b.inspect.FindEnded(ctx, []string{"g", "f"}, last.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).NotTo(BeNil())
		Expect(found.Function).To(Equal("f"))
		Expect(b.inspect.FindEnded(ctx, []string{"g"}, last.RunID)).To(BeNil())
		// Its id may have a time that is a little after its end.
		late := event.DerivedID(time.Now().Add(30*time.Second), "late")
		ref := b.begin("r1")
		ref.RunID = late
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(late)})).To(BeTrue())
		Expect(b.inspect.FindEnded(ctx, []string{"f"}, late)).NotTo(BeNil())
		lists, err := b.inspect.Histories(ctx, []inspect.HistoryRange{{Function: "f", Count: 2}, {Function: "f", Dead: true, Count: 2}})
		Expect(err).NotTo(HaveOccurred())
		Expect(lists[0]).To(HaveLen(2))
		Expect(lists[0][0].Text()).To(ContainSubstring(late))
		Expect(lists[1]).To(BeEmpty())
	})
})
