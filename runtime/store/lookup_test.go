package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("looking up", func() {
	It("finds what streams hold, and functions as they are stored", func() {
		b := newBench()
		b.publish(`{}`)
		last := b.publish(`{}`)
		infos, err := b.inspect.Streams(ctx, []string{"a", "none"})
		Expect(err).NotTo(HaveOccurred())
		Expect(infos[0].Length).To(Equal(int64(2)))
		Expect(event.EntryTime(infos[0].Newest)).To(Equal(last.Time))
		Expect(infos[1]).To(Equal(inspect.StreamInfo{}))
		Expect(b.inspect.Streams(ctx, nil)).To(BeEmpty())
		Expect(b.runs.SavePlan(ctx, "f", "v1", []byte(`{"v":1}`))).To(Succeed())
		Expect(b.runs.SavePlan(ctx, "g", "v9", []byte(`{"v":9}`))).To(Succeed())
		Expect(b.inspect.Functions(ctx)).To(Equal(map[string]string{"f": "v1", "g": "v9"}))
		texts, err := b.inspect.PlanTexts(ctx, map[string]string{"f": "v1", "g": "v0"})
		Expect(err).NotTo(HaveOccurred())
		Expect(texts).To(Equal(map[string]string{"f": `{"v":1}`}))
		stats, err := b.inspect.StatsOf(ctx, []inspect.Reads{{Function: "f", Types: []string{"a"}}, {Function: "g"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(stats[0].Backlog()).To(Equal(int64(2)))
		Expect(stats[1]).To(Equal(inspect.Stats{}))
	})

	It("finds the entry of an event, by its own id or by one that was derived", func() {
		b := newBench()
		own := &event.Event{ID: "mine", Type: "a", Data: []byte(`{"n":1}`)}
		Expect(b.Publish(ctx, own)).To(Succeed())
		derived := b.publish(`{"n":2}`)
		for _, e := range []*event.Event{own, derived} {
			entry, err := b.inspect.Locate(ctx, "a", e.ID)
			Expect(err).NotTo(HaveOccurred())
			found, err := entry.StartEvent()
			Expect(err).NotTo(HaveOccurred())
			Expect(found.ID).To(Equal(e.ID))
			Expect(found.Data).To(MatchJSON(e.Data))
		}
		Expect(b.inspect.Locate(ctx, "a", "other")).To(BeNil())
		Expect(b.inspect.Locate(ctx, "b", derived.ID)).To(BeNil())
	})

	It("says how far a function is with an entry", func() {
		b := newBench()
		b.publish(`{}`)
		stream := b.keys.Stream("a")
		entry := b.rdb.XRange(ctx, stream, "-", "+").Val()[0].ID
		Expect(b.inspect.Delivery(ctx, "f", "a", entry)).To(Equal(inspect.Unread))
		Expect(b.inspect.Delivery(ctx, "f", "none", entry)).To(Equal(inspect.Unread))
		b.alive("r1")
		b.read("r1", stream, 1)
		Expect(b.inspect.Delivery(ctx, "f", "a", entry)).To(Equal(inspect.Pending))
		Expect(b.inspect.Delivery(ctx, "g", "a", entry)).To(Equal(inspect.Unread), "another function")
		Expect(b.committer().Ack(ctx, stream, entry)).To(Succeed())
		Expect(b.inspect.Delivery(ctx, "f", "a", entry)).To(Equal(inspect.Acknowledged))
	})

	It("finds the entry that starts a run, in the stream of its event or the inbox", func() {
		b := newBench()
		Expect(b.runs.EnsureGroups(ctx, "f", store.FromBeginning, "b", "a")).To(Succeed())
		ref := b.begin("r1")
		entry, err := b.inspect.Source(ctx, "f", ref.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.ID).To(Equal(ref.Entry))
		Expect(entry.Type).To(Equal("a"))
		start := event.DerivedID(time.Now(), "start")
		for range 600 { // more than a page
			b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Inbox("f"), Values: []any{"run", "other"}})
		}
		Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Inbox("f"), Values: []any{"start", start, "event", `{"id":"x"}`}}).Err()).To(Succeed())
		entry, err = b.inspect.Source(ctx, "f", start)
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Field("start")).To(Equal(start))
		Expect(b.inspect.Source(ctx, "f", event.DerivedID(time.Now(), "none"))).To(BeNil())
		Expect(b.inspect.Source(ctx, "f", "no id")).To(BeNil())
	})

	It("tells of a run that has not ended what its journal knows", func() {
		b := newBench()
		c := b.committer()
		running, parked := b.begin("r1"), b.begin("r1")
		Expect(b.inspect.Unended(ctx, "f", running.RunID)).To(BeNil(), "it has no journal yet")
		_, err := c.CommitResult(ctx, running.RunID, "one", []byte(`{"o":1}`))
		Expect(err).NotTo(HaveOccurred())
		r, err := b.inspect.Unended(ctx, "f", running.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(run.Running))
		Expect(r.Steps).To(HaveLen(1))

		Expect(b.runs.EnsureGroups(ctx, "g", store.FromBeginning)).To(Succeed()) // else it is not invoked
		_, err = c.Invoke(ctx, parked, "call", []byte(`{"c":"child"}`), "g", "child", []byte(`{}`), []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(b.inspect.Child(ctx, "f", parked.RunID, "call")).To(Equal("child"))
		Expect(b.inspect.Child(ctx, "f", parked.RunID, "other")).To(BeEmpty())
		due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		lack := &run.Lack{Handlers: []string{"gone"}}
		Expect(c.Park(ctx, runs.Park{Ref: parked, Meta: []byte(`{"i":"e1","y":"a","b":5,"v":"v1","r":"before"}`), Due: due, Lacks: lack})).To(Equal(runs.ParkOK))
		r, err = b.inspect.Unended(ctx, "f", parked.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(run.Waiting))
		Expect(r.EventID).To(Equal("e1"))
		Expect(r.EventType).To(Equal("a"))
		Expect(r.Version).To(Equal("v1"))
		Expect(r.ReplayOf).To(Equal("before"))
		Expect(r.Error).To(ContainSubstring("gone"))
		Expect(*r.WaitsFor).To(BeTemporally("==", due))
		waiting, err := b.inspect.Waiting(ctx, "f", 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(waiting).To(HaveLen(1))
		Expect(waiting[0].ID).To(Equal(parked.RunID))
		open := []inspect.OpenRun{{Function: "f", ID: parked.RunID, Status: run.Waiting, Due: &due}, {Function: "f", ID: running.RunID, Status: run.Running}}
		Expect(b.inspect.Parked(ctx, open)).To(Equal([]bool{true, false}))
		briefs, err := b.inspect.Briefs(ctx, open)
		Expect(err).NotTo(HaveOccurred())
		Expect(briefs[0].EventID).To(Equal("e1"))
		Expect(briefs[0].Error).To(ContainSubstring("gone"))
		Expect(*briefs[0].WaitsFor).To(BeTemporally("==", due))
		Expect(briefs[1].Status).To(Equal(run.Running))
		numbers, err := b.inspect.Survey(ctx, []inspect.Subject{{Namespace: b.namespace, Function: "f", Types: []string{"a"}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(numbers[0].Lacking.Runs).To(Equal(int64(1)))
		Expect(numbers[0].Lacking.Code).To(Equal([]run.Lack{*lack}))
		Expect(numbers[0].ByVersion).To(Equal(map[string]int64{"v1": 1}))
	})

	It("searches histories from the oldest entry on, as far as it may", func() {
		b := newBench()
		c := b.committer()
		var refs []*runs.Ref
		for i := range 4 {
			ref := b.begin("r1")
			refs = append(refs, ref)
			Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID), Failed: i == 3})).To(BeTrue())
		}
		var seen int
		search := inspect.HistorySearch{Functions: []string{"f"}, Fits: func(string) bool { seen++; return false }}
		Expect(b.inspect.SearchEnded(ctx, &search)).To(BeNil())
		Expect(seen).To(Equal(4))
		search = inspect.HistorySearch{Functions: []string{"none", "f"}, Fits: func(string) bool { return true }}
		found, err := b.inspect.SearchEnded(ctx, &search)
		Expect(err).NotTo(HaveOccurred())
		Expect(found.ID).To(BeElementOf(refs[0].RunID, refs[3].RunID))
		Expect(b.inspect.Ended(ctx, "f", refs[3].RunID)).To(HaveField("ID", refs[3].RunID))
	})
})

var _ = Describe("what a late write may not do", func() {
	It("leaves the idempotency key of another run alone", func() {
		b := newBench()
		c := b.committer()
		holder, other := b.begin("r1"), b.begin("r1")
		_, _, err := c.TakeKey(ctx, "k", holder.RunID, time.Hour, false)
		Expect(err).NotTo(HaveOccurred())
		_, _, err = c.TakeKey(ctx, "k", "follower", time.Hour, true)
		Expect(err).NotTo(HaveOccurred())
		for _, f := range []runs.Finish{{Cancelled: true}, {Outcome: []byte(`{"o":9}`)}} {
			f.Ref, f.Record, f.OnceKey = other, record(other.RunID), "k"
			Expect(c.Finish(ctx, f)).To(BeTrue())
			Expect(b.rdb.Get(ctx, b.keys.Idempotency("f", "k")).Val()).To(Equal(holder.RunID))
			Expect(b.rdb.SMembers(ctx, b.keys.Followers("f", "k")).Val()).To(Equal([]string{"follower"}))
			Expect(b.rdb.XLen(ctx, b.keys.Inbox("f")).Val()).To(BeZero(), "nobody is woken")
			other = b.begin("r1")
		}
		Expect(c.Finish(ctx, runs.Finish{Ref: holder, Record: record(holder.RunID), OnceKey: "k", Outcome: []byte(`{"o":1}`)})).To(BeTrue())
		// Who meets the key now is told, and follows nobody.
		got, outcome, err := c.TakeKey(ctx, "k", "late", time.Hour, true)
		Expect(err).NotTo(HaveOccurred())
		Expect(got).To(Equal(holder.RunID))
		Expect(string(outcome)).To(Equal(`{"o":1}`))
		Expect(b.rdb.Exists(ctx, b.keys.Followers("f", "k")).Val()).To(BeZero())
		_, _, err = c.TakeKey(ctx, "k2", holder.RunID, time.Hour, true)
		Expect(err).NotTo(HaveOccurred())
		_, _, err = c.TakeKey(ctx, "k2", "asks only", time.Hour, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.rdb.Exists(ctx, b.keys.Followers("f", "k2")).Val()).To(BeZero(), "who does not follow is not noted")
	})

	It("is swept once the run has ended, and not before", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		_, err := c.CommitResult(ctx, ref.RunID, "one", []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Sweep(ctx, ref.Stream, ref.Entry, ref.RunID)).To(Succeed())
		Expect(b.rdb.Exists(ctx, b.keys.Run("f", ref.RunID)).Val()).To(Equal(int64(1)), "somebody has it")
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeTrue())
		_, err = c.CommitResult(ctx, ref.RunID, "late", []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Sweep(ctx, ref.Stream, ref.Entry, ref.RunID)).To(Succeed())
		Expect(b.rdb.Exists(ctx, b.keys.Run("f", ref.RunID)).Val()).To(BeZero())
	})
})

var _ = Describe("a lease at its limit", func() {
	// Each heartbeat tells by which time it has judged: the last millisecond counts.
	It("holds up to its last millisecond, and not a moment longer", func() {
		b := newBench()
		const lease = 30 * time.Millisecond
		b.alive("judge")
		exact := 0
		for range 20 {
			beat, err := b.runs.Beat(ctx, "f", "r1", lease, true)
			Expect(err).NotTo(HaveOccurred())
			until := beat.Now.Add(lease)
			for now := beat.Now; !now.After(until.Add(2 * time.Millisecond)); {
				seen, err := b.runs.Beat(ctx, "f", "judge", time.Minute, true)
				Expect(err).NotTo(HaveOccurred())
				now = seen.Now
				if now.Equal(until) {
					exact++
				}
				Expect(seen.Dead == nil).To(Equal(!now.After(until)), "%s after the end", now.Sub(until))
			}
			fenced, err := b.runs.Beat(ctx, "f", "r1", lease, false)
			Expect(err).NotTo(HaveOccurred())
			Expect(fenced.Fenced).To(BeTrue())
		}
		AddReportEntry("judged in the very millisecond", exact)
	})
})

var _ = Describe("what a group commit tells", func() {
	It("is how much it has written, and that writes are repeated", func() {
		b := newBench()
		c := b.committer()
		observed := make(chan int, 100)
		c.Observe(func(operations, repeat int, _ time.Duration) { observed <- operations - repeat })
		ref := b.begin("r1")
		for _, step := range []string{"one", "two"} {
			_, err := c.CommitResult(ctx, ref.RunID, step, []byte(`{}`))
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(<-observed + <-observed).To(Equal(2))
		Expect(c.Stats()).To(And(HaveField("Operations", int64(2)), HaveField("Retries", BeZero()), HaveField("Trouble", BeNil())))
		Expect(b.rdb.ScriptFlush(ctx).Err()).To(Succeed())
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeTrue())
		Expect(c.Stats().Retries).To(BeNumerically(">", 0))
		Expect(c.Stats().Trouble).NotTo(HaveOccurred(), "it is over")
		Expect(store.FaultOf(c.Stats().Trouble)).To(Equal(store.NoFault))
	})
})
