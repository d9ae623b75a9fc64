package store_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("a heartbeat", func() {
	It("tells who lives, who is dead and what is due", func() {
		b := newBench()
		b.alive("r1")
		b.alive("r2")
		b.dies("r0")
		due := time.Now().Add(time.Minute).Truncate(time.Millisecond)
		Expect(b.rdb.ZAdd(ctx, b.keys.Timers("f"), redis.Z{Score: float64(due.UnixMilli()), Member: "run"}).Err()).To(Succeed())
		beat, err := b.runs.Beat(ctx, "f", "r2", lease, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(beat.Fenced).To(BeFalse())
		Expect(beat.Alive).To(Equal(2))
		Expect(beat.Rank).To(Equal(1))
		Expect(beat.Dead).To(Equal([]string{"r0"}))
		Expect(beat.NextDue).To(Equal(due))
		Expect(beat.Now).To(BeTemporally("~", time.Now(), 10*time.Second))
	})

	It("does not bring a runner back whose lease ran out, or that was removed", func() {
		b := newBench()
		b.alive("r1")
		b.dies("r1")
		beat, err := b.runs.Beat(ctx, "f", "r1", lease, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(beat.Fenced).To(BeTrue())
		Expect(b.rdb.ZScore(ctx, b.keys.Runners("f"), "r1").Val()).To(Equal(1000.0), "others must find it")
		Expect(b.runs.Forget(ctx, "f", "r1", []string{b.keys.Stream("a")})).To(BeTrue())
		beat, err = b.runs.Beat(ctx, "f", "r1", lease, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(beat.Fenced).To(BeTrue())
	})
})

var _ = Describe("a dead runner", func() {
	It("loses its entries to others, page by page, and then its consumer", func() {
		b := newBench()
		stream := b.keys.Stream("a")
		for range 100 {
			b.publish(`{}`)
		}
		Expect(b.read("r1", stream, 100)).To(HaveLen(100))
		b.dies("r1")
		b.alive("r2")
		Expect(b.runs.Forget(ctx, "f", "r1", []string{stream})).To(BeFalse(), "removing a consumer drops what is pending for it")
		taken, after := map[string]bool{}, ""
		for {
			entries, err := b.claim("r1", stream, after, 7)
			Expect(err).NotTo(HaveOccurred())
			if len(entries) == 0 {
				break
			}
			Expect(len(entries)).To(BeNumerically("<=", 7))
			for _, e := range entries {
				taken[e.ID] = true
				Expect(e.Type).To(Equal("a"))
				Expect(e.Fields).To(HaveKeyWithValue("data", "{}"))
			}
			after = entries[len(entries)-1].ID
		}
		Expect(taken).To(HaveLen(100))
		Expect(b.pending(stream)).To(Equal(int64(100)), "nothing is dropped")
		Expect(b.runs.Forget(ctx, "f", "r1", []string{stream, b.keys.Stream("nothing here")})).To(BeTrue())
		consumers, err := b.rdb.XInfoConsumers(ctx, stream, "f").Result()
		Expect(err).NotTo(HaveOccurred())
		Expect(consumers).To(HaveLen(1))
	})

	It("keeps its entries while it lives", func() {
		b := newBench()
		ref := b.begin("r1")
		b.alive("r2")
		entries, err := b.claim("r1", ref.Stream, "", 7)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(BeEmpty())
	})

	It("takes no entries of another one", func() {
		b := newBench()
		ref := b.begin("r1")
		b.dies("r1")
		b.dies("r2")
		entries, err := b.claim("r1", ref.Stream, "", 7)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(BeEmpty())
		b.alive("r2")
		entries, err = b.claim("r1", ref.Stream, "", 7)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
	})

	It("is found when it never had a heartbeat", func() {
		b := newBench()
		b.publish(`{}`)
		b.alive("r2")
		b.read("stray", b.keys.Stream("a"), 1)
		b.read("r2", b.keys.Stream("a"), 1)
		Expect(b.runs.AdoptStrays(ctx, "f", []string{b.keys.Stream("a"), b.keys.Stream("not there")})).To(Succeed())
		beat, err := b.runs.Beat(ctx, "f", "r2", lease, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(beat.Dead).To(Equal([]string{"stray"}))
		Expect(beat.Alive).To(Equal(1))
		entries, err := b.claim("stray", b.keys.Stream("a"), "", 7)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
	})

	It("leaves entries that were deleted until that is recorded", func() {
		b := newBench()
		ref := b.begin("r1")
		b.dies("r1")
		b.alive("r2")
		Expect(b.rdb.XDel(ctx, ref.Stream, ref.Entry).Err()).To(Succeed())
		entries, err := b.claim("r1", ref.Stream, "", 7)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		Expect(entries[0].Fields).To(BeNil())
		_, err = entries[0].Event()
		Expect(err).To(MatchError(ContainSubstring("deleted from its stream")))
		Expect(b.runs.Forget(ctx, "f", "r1", []string{ref.Stream})).To(BeFalse())
		Expect(b.committer().Finish(ctx, runs.Finish{Ref: ref, Failed: true, Record: record("x")})).To(BeTrue())
		Expect(b.runs.Forget(ctx, "f", "r1", []string{ref.Stream})).To(BeTrue())
	})
})

var _ = Describe("a lease", func() {
	It("is the one that each runner states, whoever judges it", func() {
		b := newBench()
		beat := func(runner string, lease time.Duration) runs.Beat {
			GinkgoHelper()
			beat, err := b.runs.Beat(ctx, "f", runner, lease, true)
			Expect(err).NotTo(HaveOccurred())
			return beat
		}
		silent := func(runner string, ago time.Duration) {
			GinkgoHelper()
			z := redis.Z{Score: float64(time.Now().Add(-ago).UnixMilli()), Member: runner}
			Expect(b.rdb.ZAdd(ctx, b.keys.Runners("f"), z).Err()).To(Succeed())
		}
		ref := b.begin("r1")
		beat("r1", time.Hour)
		silent("r1", time.Minute)
		Expect(b.rdb.HSet(ctx, b.keys.Slots("f", 1, "v"), "r1", 1).Err()).To(Succeed())
		short := runs.Slots{Function: "f", Limit: 1, Value: "v", Runner: "r2", Want: 1, Max: 1, Lease: time.Second}
		claim := runs.Claim{Function: "f", Runner: "r2", Dead: "r1", Stream: ref.Stream, Lease: time.Second, Most: 9}

		second := beat("r2", time.Second)
		Expect(second.Dead).To(BeEmpty())
		Expect(second.Alive).To(Equal(2))
		Expect(b.runs.Claim(ctx, claim)).To(BeEmpty())
		Expect(b.runs.Hold(ctx, short)).To(BeZero())
		other := b.begin("r2")
		answer, err := b.committer().Begin(ctx, &runs.Begin{Ref: other, Lease: time.Second, Slots: []runs.Slots{{Limit: 1, Value: "v", Want: 1, Max: 1}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Full).To(Equal(1))

		beat("r1", time.Second)
		silent("r1", time.Minute)
		Expect(beat("r2", time.Hour).Dead).To(Equal([]string{"r1"}))
		Expect(b.runs.Hold(ctx, short)).To(Equal(1))
		Expect(b.runs.Claim(ctx, claim)).To(HaveLen(1))
		Expect(b.runs.Forget(ctx, "f", "r1", []string{ref.Stream})).To(BeTrue())
		Expect(b.rdb.HKeys(ctx, b.keys.Leases("f")).Val()).To(Equal([]string{"r2"}))
	})
})

var _ = Describe("what a runner has", func() {
	It("is told to it without counting as a delivery, also what is gone", func() {
		b := newBench()
		refs := []*runs.Ref{b.begin("r1"), b.begin("r1")}
		Expect(b.rdb.XDel(ctx, refs[1].Stream, refs[1].Entry).Err()).To(Succeed())
		for range 5 {
			entries, err := b.runs.Claim(ctx, runs.Claim{Function: "f", Runner: "r1", Dead: "r1", Stream: refs[0].Stream, Lease: lease, Most: 9})
			Expect(err).NotTo(HaveOccurred())
			Expect(entries).To(HaveLen(2))
			Expect(entries[0].Deliveries).To(Equal(int64(1)))
			Expect(entries[0].Fields).To(HaveKey("data"))
			Expect(entries[1].Fields).To(BeNil())
		}
	})

	It("is taken over alone where it was begun often, and hides nothing", func() {
		b := newBench()
		var refs []*runs.Ref
		for range 8 {
			refs = append(refs, b.begin("r1"))
		}
		for _, ref := range refs[:5] {
			Expect(b.rdb.Do(ctx, "XCLAIM", ref.Stream, "f", "r1", 0, ref.Entry, "RETRYCOUNT", 3).Err()).To(Succeed())
		}
		b.dies("r1")
		b.alive("r2")
		c := runs.Claim{Function: "f", Runner: "r2", Dead: "r1", Stream: refs[0].Stream, Lease: lease, Most: 2, Often: 3}
		first, err := b.runs.Claim(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		Expect(first).To(HaveLen(1))
		Expect(first[0].ID).To(Equal(refs[5].Entry))
		c.Suspects = 1
		second, err := b.runs.Claim(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		Expect(second).To(HaveLen(1))
		Expect(second[0].ID).To(Equal(refs[0].Entry))
		Expect(second[0].Deliveries).To(Equal(int64(4)))
	})
})

var _ = Describe("slots", func() {
	hold := func(b *bench, runner string, want int, change ...func(*runs.Slots)) int {
		GinkgoHelper()
		s := runs.Slots{Function: "f", Limit: 1, Value: "v", Runner: runner, Want: want, Max: 3, Lease: lease}
		for _, c := range change {
			c(&s)
		}
		n, err := b.runs.Hold(ctx, s)
		Expect(err).NotTo(HaveOccurred())
		return n
	}

	It("are never more than the limit, and those of the dead count for nobody", func() {
		b := newBench()
		b.alive("r1")
		b.alive("r2")
		Expect(hold(b, "r1", 2)).To(Equal(2))
		Expect(hold(b, "r1", 2)).To(Equal(2), "an answer that was lost is asked for again")
		Expect(hold(b, "r2", 2)).To(Equal(1))
		Expect(hold(b, "r2", 3)).To(Equal(1))
		b.dies("r1")
		Expect(hold(b, "r2", 3)).To(Equal(3))
		Expect(hold(b, "r2", 0)).To(BeZero())
		Expect(b.rdb.Exists(ctx, b.keys.Slots("f", 1, "v")).Val()).To(BeZero())
	})

	It("go to runs in the queue before new ones", func() {
		b := newBench()
		c := b.committer()
		b.alive("r1")
		Expect(hold(b, "r1", 1, func(s *runs.Slots) { s.Max = 1 })).To(Equal(1))
		var ids []string
		for range 3 {
			ref := b.begin("r1")
			ids = append(ids, ref.RunID)
			Expect(c.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{}`), Queue: 1, QueueValue: "v"})).To(Equal(runs.ParkOK))
		}
		Expect(hold(b, "r1", 2, func(s *runs.Slots) { s.New = true })).To(Equal(1))
		queued, err := b.runs.Queued(ctx, "f", 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(queued).To(HaveLen(1))
		Expect(queued[0].Value).To(Equal("v"))
		Expect(queued[0].Limit).To(Equal(1))
		for i := range 3 {
			Expect(b.runs.Release(ctx, runs.Slots{Function: "f", Limit: 1, Value: "v", Runner: "r1", Want: 0, Max: 1, Lease: lease})).To(Succeed())
			entries := b.read("r1", b.keys.Inbox("f"), 10)
			Expect(entries).To(HaveLen(1))
			Expect(entries[0].Field("run")).To(Equal(ids[i]), "first come, first served")
		}
		Expect(b.rdb.Exists(ctx, b.keys.Queued("f"), b.keys.Queue("f", 1, "v")).Val()).To(BeZero())
	})
})

var _ = Describe("a cron tick", func() {
	It("starts one run, in order", func() {
		b := newBench()
		at := time.UnixMilli(1_700_000_000_000)
		for i, want := range []bool{true, false} {
			Expect(b.runs.Tick(ctx, "f", "* * * * *", at, "id", []byte(`{}`))).To(Equal(want), fmt.Sprint(i))
		}
		Expect(b.runs.Tick(ctx, "f", "* * * * *", at.Add(-time.Minute), "id", []byte(`{}`))).To(BeFalse(), "an older one")
		Expect(b.runs.Tick(ctx, "f", "5 * * * *", at, "id", []byte(`{}`))).To(BeTrue(), "another schedule")
		Expect(b.runs.LastTick(ctx, "f", "* * * * *")).To(Equal(at))
		Expect(b.runs.NoteTick(ctx, "f", "* * * * *", at.Add(time.Hour))).To(Succeed())
		Expect(b.runs.LastTick(ctx, "f", "* * * * *")).To(Equal(at), "a note changes nothing that is known")
	})
})
