package store_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("Survey", func() {
	subject := func(b *bench, types ...string) inspect.Subject {
		return inspect.Subject{Namespace: b.namespace, Function: "f", Types: types}
	}
	look := func(b *bench, types ...string) inspect.Numbers {
		GinkgoHelper()
		all, err := b.inspect.Survey(ctx, []inspect.Subject{subject(b, types...)})
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(1))
		Expect(all[0].Err).NotTo(HaveOccurred())
		return all[0]
	}

	It("agrees with the numbers of one function", func() {
		b := newBench()
		for range 5 {
			b.publish(`{}`)
		}
		b.alive("r1")
		b.read("r1", b.keys.Stream("a"), 2)
		n := look(b, "a")
		Expect(n.Unread).To(BeEquivalentTo(3))
		Expect(n.Pending).To(BeEquivalentTo(2))
		Expect(n.Missing).To(BeEmpty())
		alone, err := b.inspect.Stats(ctx, "f", []string{"a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(n.Stats).To(Equal(alone))
	})

	It("counts what the server cannot", func() {
		b := newBench()
		for range 4 {
			b.publish(`{}`)
		}
		// The server does not know the lag of a group that begins in the middle.
		entries, err := b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Result()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.rdb.XGroupSetID(ctx, b.keys.Stream("a"), "f", entries[0].ID).Err()).To(Succeed())
		Expect(look(b, "a").Unread).To(BeEquivalentTo(3))
	})

	It("finds groups that are missing, and makes them", func() {
		b := newBench()
		Expect(look(b, "a", "new").Missing).To(Equal([]string{"new"}))
		Expect(b.upkeep.EnsureGroups(ctx, "f", store.FromBeginning, "new")).To(Succeed())
		Expect(look(b, "a", "new").Missing).To(BeEmpty())
		Expect(look(b, "a").Gone).To(Equal([]string{"new"}))
		Expect(b.upkeep.EnsureGroups(ctx, "f", store.FromBeginning, "new")).To(Succeed(), "what is there stays")
	})

	It("drops a group once nothing hangs on it", func() {
		b := newBench()
		b.publish(`{}`)
		b.alive("r1")
		e := b.read("r1", b.keys.Stream("a"), 1)[0]
		Expect(b.upkeep.DropGroup(ctx, "f", "a")).To(BeFalse(), "an entry is pending")
		Expect(b.rdb.XAck(ctx, e.Stream, "f", e.ID).Err()).To(Succeed())
		_, err := b.runs.RegisterWaits(ctx, "f", []runs.WaitPath{{EventType: "a", Match: "data.id"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(b.upkeep.DropGroup(ctx, "f", "a")).To(BeFalse(), "a run may wait")
		Expect(b.rdb.Del(ctx, b.keys.Waits("f")).Err()).To(Succeed())
		Expect(b.upkeep.DropGroup(ctx, "f", "a")).To(BeTrue())
		Expect(b.inspect.Groups(ctx, "a")).To(BeEmpty())
		Expect(b.upkeep.DropGroup(ctx, "f", "nothing")).To(BeTrue(), "there is no such stream")
	})

	It("takes a fixed number of round trips for a thousand functions", func() {
		b := newBench()
		subjects := make([]inspect.Subject, 1000)
		for i := range subjects {
			subjects[i] = inspect.Subject{Namespace: b.namespace, Function: fmt.Sprint("f", i), Types: []string{"a"}}
		}
		_, err := b.inspect.Survey(ctx, subjects) // makes the connection
		Expect(err).NotTo(HaveOccurred())
		before := b.Traffic().RoundTrips
		began := time.Now()
		all, err := b.inspect.Survey(ctx, subjects)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(1000))
		_, err = b.inspect.LastEnds(ctx, subjects, 20)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.Traffic().RoundTrips - before).To(BeNumerically("<=", 2))
		AddReportEntry("1,000 functions", time.Since(began))
	})

	It("tells the last runs, the newest first", func() {
		b := newBench()
		c := b.committer()
		for i := range 3 {
			ref := b.begin("r1")
			r := &run.Record{ID: ref.RunID, Status: run.Succeeded, StartedAt: time.Now()}
			if i == 1 {
				r.Status, r.Error = run.Failed, "no route"
			}
			Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: run.AppendRecord(nil, r), Failed: i == 1})).To(BeTrue())
			time.Sleep(5 * time.Millisecond)
		}
		ends, err := b.inspect.LastEnds(ctx, []inspect.Subject{subject(b, "a")}, 2)
		Expect(err).NotTo(HaveOccurred())
		Expect(ends[0].Runs).To(HaveLen(2))
		Expect(ends[0].Runs[0].Status).To(Equal(run.Succeeded))
		Expect(ends[0].Runs[1].Error).To(Equal("no route"))
		Expect(ends[0].LastFailure.Error).To(Equal("no route"))
	})

	It("tells how large streams are, and makes those of event types", func() {
		b := newBench()
		refs := []inspect.StreamRef{{Namespace: b.namespace, Type: "a"}, {Namespace: b.namespace, Type: "b"}}
		b.publish(`{}`)
		states, err := b.inspect.SurveyStreams(ctx, refs)
		Expect(err).NotTo(HaveOccurred())
		Expect(states[0].Length).To(BeEquivalentTo(1))
		Expect(states[0].Newest).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(states[0].Bytes).To(BeNumerically(">", 0))
		Expect(states[1]).To(Equal(inspect.StreamState{}))
		Expect(b.upkeep.MakeStream(ctx, "b", time.Hour, 0)).To(Succeed())
		Expect(b.upkeep.MakeStream(ctx, "b", 2*time.Hour, 7)).To(Succeed())
		Expect(b.rdb.Exists(ctx, b.keys.Stream("b")).Val()).To(BeEquivalentTo(1))
		kept, err := b.Retention(ctx, "b")
		Expect(err).NotTo(HaveOccurred())
		Expect(kept.Period).To(Equal(2 * time.Hour))
		Expect(kept.MaxBytes).To(BeEquivalentTo(7))
		Expect(b.upkeep.DropStream(ctx, "a")).To(Succeed())
		Expect(b.upkeep.DropStream(ctx, "b")).To(Succeed())
		Expect(b.rdb.Exists(ctx, b.keys.Stream("a")).Val()).To(BeEquivalentTo(1), "a function reads it")
		Expect(b.rdb.Exists(ctx, b.keys.Stream("b")).Val()).To(BeZero())
	})

	It("forgets the ids of a stream that is gone: the same event comes anew", func() {
		b := newBench()
		for range 2 {
			for _, eventType := range []string{"x", "x/y"} {
				Expect(b.Publish(ctx, &event.Event{ID: "one", Type: eventType, Data: []byte(`{}`)})).To(Succeed())
			}
			Expect(b.rdb.XLen(ctx, b.keys.Stream("x")).Val()).To(BeEquivalentTo(1))
			Expect(b.upkeep.DropStream(ctx, "x")).To(Succeed())
			types, err := b.inspect.PublishedTypes(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(types).To(ConsistOf("x/y"))
		}
		Expect(b.rdb.XLen(ctx, b.keys.Stream("x/y")).Val()).To(BeEquivalentTo(1), "that is another type")
	})
})

var _ = Describe("Uninstall", func() {
	It("removes what one function has, and nothing else", func() {
		b := newBench()
		for _, f := range []string{"f", "f2", "other"} {
			Expect(b.runs.EnsureGroups(ctx, f, store.FromBeginning, "a")).To(Succeed())
			Expect(b.runs.SavePlan(ctx, f, "v1", []byte("{}"))).To(Succeed())
			Expect(b.rdb.Set(ctx, b.keys.Idempotency(f, "key"), "run", 0).Err()).To(Succeed())
			Expect(b.rdb.HSet(ctx, b.keys.Run(f, "r"), "a", 1).Err()).To(Succeed())
		}
		b.publish(`{}`)
		b.alive("r1")
		b.read("r1", b.keys.Stream("a"), 1) // pending entries go with the group
		Expect(b.upkeep.Uninstall(ctx, "f")).To(Succeed())
		Expect(b.upkeep.Uninstall(ctx, "f")).To(Succeed(), "twice")
		left, err := b.rdb.Keys(ctx, "wo:{"+b.namespace+".0}:fn:f:*").Result()
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
		functions, err := b.inspect.Functions(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(functions).To(HaveLen(2))
		groups, err := b.inspect.Groups(ctx, "a")
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(HaveLen(2))
		for _, f := range []string{"f2", "other"} {
			Expect(b.rdb.Exists(ctx, b.keys.Idempotency(f, "key"), b.keys.Run(f, "r"), b.keys.Inbox(f), b.keys.Plans(f)).Val()).To(BeEquivalentTo(4))
		}
	})
})

var _ = Describe("AskServer", func() {
	It("says how far the server can be trusted", func() {
		redis7 := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"), servicetest.MaxMemory("64mb"))
		s, err := store.Open(store.Options{URL: redis7.URL(), Namespace: "n"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
		state, err := s.AskServer(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(state.TooOld()).To(BeFalse())
		Expect(state.Durable()).To(BeTrue())
		Expect(state.AppendOnly).To(BeTrue())
		Expect(state.EvictionPolicy).To(Equal("noeviction"))
		Expect(state.Max).To(BeEquivalentTo(64 << 20))
		Expect(state.NearlyFull()).To(BeFalse())
		redis7.Kill()
		_, err = s.AskServer(ctx)
		Expect(store.FaultOf(err)).To(Equal(store.Away))
	})

	It("does not find a server without persistence durable", func() {
		b := newBench()
		state, err := b.AskServer(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(state.Durable()).To(BeFalse())
	})
})
