package store_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("a run that begins", func() {
	begin := func(c *runs.Committer, ref *runs.Ref, change ...func(*runs.Begin)) runs.Begun {
		GinkgoHelper()
		take := runs.Begin{Ref: ref, Lease: lease, New: true}
		for _, fn := range change {
			fn(&take)
		}
		begun, err := c.Begin(ctx, &take)
		Expect(err).NotTo(HaveOccurred())
		return begun
	}
	rated := func(burst int, period time.Duration) func(*runs.Begin) {
		return func(b *runs.Begin) {
			b.Throttle = &runs.Rate{Function: "f", Value: "v", Limit: 1, Burst: burst, Period: period}
		}
	}
	slot := func(limit, held, most int) func(*runs.Begin) {
		return func(b *runs.Begin) {
			b.Slots = append(b.Slots, runs.Slots{Limit: limit, Value: "v", Want: held, Max: most})
		}
	}
	old := func(b *runs.Begin) { b.New = false }
	begun := runs.Begun{Decision: run.Begun}
	starts := func(b *bench, burst int) int {
		GinkgoHelper()
		n, _, err := b.runs.Starts(ctx, runs.Rate{Function: "f", Value: "v", Limit: 1, Burst: burst, Period: time.Hour})
		Expect(err).NotTo(HaveOccurred())
		return n
	}

	It("takes one start of the burst, and is planned where there is none", func() {
		b := newBench()
		c := b.committer()
		Expect(starts(b, 3)).To(Equal(3))
		for i := range 3 {
			Expect(begin(c, b.begin("r1"), rated(3, time.Hour))).To(Equal(begun))
			Expect(starts(b, 3)).To(Equal(2 - i))
		}
		for i := range 3 {
			ref := b.begin("r1")
			for range 2 { // asked again, it keeps its place
				answer := begin(c, ref, rated(3, time.Hour))
				Expect(answer.Decision).To(BeEmpty())
				Expect(answer.Wait).To(BeNumerically("~", time.Duration(i+1)*time.Hour, time.Minute), "each later than the one before")
			}
		}
		Expect(b.rdb.TTL(ctx, b.keys.Throttle("f", "v")).Val()).To(BeNumerically("<", 8*time.Hour), "memory is bounded")
		Expect(b.rdb.TTL(ctx, b.keys.Planned("f", "v")).Val()).To(BeNumerically(">", 0))
	})

	It("has begun, however often that is asked", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		for range 3 {
			Expect(begin(c, ref, rated(2, time.Hour), slot(1, 1, 1))).To(Equal(begun))
		}
		Expect(starts(b, 2)).To(Equal(1), "it took one start")
		// Its runner dies, and another one begins it: the start was taken.
		b.dies("r1")
		b.alive("r2")
		entries, err := b.claim("r1", ref.Stream, "", 7)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		_, err = c.Begin(ctx, &runs.Begin{Ref: ref, Lease: lease})
		Expect(err).To(MatchError(runs.ErrFenced), "a zombie begins nothing")
		ref.Runner = "r2"
		Expect(begin(c, ref, rated(2, time.Hour), slot(1, 1, 1))).To(Equal(begun))
		Expect(starts(b, 2)).To(Equal(1))
		Expect(b.rdb.HGetAll(ctx, b.keys.Slots("f", 1, "v")).Val()).To(Equal(map[string]string{"r2": "1"}))
	})

	It("is dropped for good where the rate limit drops, and else counted once", func() {
		b := newBench()
		c := b.committer()
		limit := &runs.Rate{Function: "f", Value: "v", Limit: 1, Burst: 1, Period: time.Hour}
		pass := func(ref *runs.Ref) run.Decision {
			GinkgoHelper()
			decision, err := c.Pass(ctx, ref, limit)
			Expect(err).NotTo(HaveOccurred())
			return decision
		}
		first, second := b.begin("r1"), b.begin("r1")
		Expect(pass(first)).To(Equal(run.Counted))
		Expect(b.rdb.TTL(ctx, b.keys.RateLimit("f", "v")).Val()).To(BeNumerically("~", time.Hour, time.Minute))
		for range 2 {
			Expect(pass(second)).To(Equal(run.Dropped))
			Expect(pass(first)).To(Equal(run.Counted))
			Expect(b.rdb.Del(ctx, b.keys.RateLimit("f", "v")).Err()).To(Succeed()) // there is a start again
		}
		Expect(b.rdb.Exists(ctx, b.keys.RateLimit("f", "v")).Val()).To(BeZero(), "neither asked again")
		Expect(begin(c, first, rated(1, time.Hour))).To(Equal(begun), "a throttle is asked besides")
		Expect(pass(first)).To(Equal(run.Counted), "who has begun is not dropped later")
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour)).Wait).To(BeNumerically(">", time.Minute))
		third := b.begin("r1")
		third.Runner = "zombie"
		_, err := c.Pass(ctx, third, limit)
		Expect(err).To(MatchError(runs.ErrFenced))
	})

	It("takes all or nothing", func() {
		b := newBench()
		c := b.committer()
		b.alive("r2")
		Expect(b.rdb.HSet(ctx, b.keys.Slots("f", 2, "v"), "r2", 1).Err()).To(Succeed())
		ref := b.begin("r1")
		Expect(begin(c, ref, rated(1, time.Hour), slot(1, 1, 1), slot(2, 1, 1))).To(Equal(runs.Begun{Full: 2}))
		Expect(b.rdb.Exists(ctx, b.keys.Slots("f", 1, "v"), b.keys.Throttle("f", "v"), b.keys.Run("f", ref.RunID)).Val()).To(BeZero())
		b.dies("r2")
		Expect(begin(c, ref, rated(1, time.Hour), slot(1, 1, 1), slot(2, 1, 1))).To(Equal(begun), "those of the dead count for nobody")
		Expect(b.rdb.HGet(ctx, b.keys.Slots("f", 2, "v"), "r1").Val()).To(Equal("1"))
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour), slot(3, 1, 1)).Wait).To(BeNumerically(">", time.Minute))
		Expect(b.rdb.Exists(ctx, b.keys.Slots("f", 3, "v")).Val()).To(BeZero())
	})

	It("does not go ahead of a queue when it is new", func() {
		b := newBench()
		c := b.committer()
		queued := b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: queued, Meta: []byte(`{}`), Queue: 1, QueueValue: "v"})).To(Equal(runs.ParkOK))
		Expect(begin(c, b.begin("r1"), slot(1, 1, 5))).To(Equal(runs.Begun{Full: 1}))
		Expect(begin(c, b.begin("r1"), slot(1, 1, 5), old)).To(Equal(begun))
	})

	It("gives its place in the line to others while it has no slot, and gets it back", func() {
		b := newBench()
		c := b.committer()
		since := time.Now()
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour))).To(Equal(begun))
		first, second := b.begin("r1"), b.begin("r1")
		Expect(begin(c, first, rated(1, time.Hour)).Wait).To(BeNumerically("<", 61*time.Minute))
		Expect(begin(c, second, rated(1, time.Hour)).Wait).To(BeNumerically(">", 61*time.Minute))
		Expect(b.rdb.Set(ctx, b.keys.Throttle("f", "v"), time.Now().UnixMicro(), time.Hour).Err()).To(Succeed()) // an hour later
		b.alive("r2")
		Expect(b.rdb.HSet(ctx, b.keys.Slots("f", 1, "v"), "r2", 1).Err()).To(Succeed())
		Expect(begin(c, first, rated(1, time.Hour), slot(1, 1, 1), old)).To(Equal(runs.Begun{Full: 1}))
		Expect(begin(c, second, rated(1, time.Hour))).To(Equal(begun))
		third := b.begin("r1")
		Expect(begin(c, third, rated(1, time.Hour)).Wait).To(BeNumerically("<", 61*time.Minute))
		again := func(b *runs.Begin) { b.Since = since }
		Expect(begin(c, first, rated(1, time.Hour), again).Wait).To(BeNumerically("<", 61*time.Minute))
		Expect(begin(c, third, rated(1, time.Hour)).Wait).To(BeNumerically(">", 61*time.Minute))
	})

	It("does not wait for ever for those that were planned and do not come", func() {
		b := newBench()
		c := b.committer()
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour))).To(Equal(begun))
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour)).Wait).To(BeNumerically(">", time.Minute))
		idle := func(ago time.Duration) {
			Expect(b.rdb.Set(ctx, b.keys.Throttle("f", "v"), time.Now().Add(-ago).UnixMicro(), time.Hour).Err()).To(Succeed())
		}
		idle(30 * time.Second)
		Expect(starts(b, 1)).To(BeZero(), "the start is for the planned one")
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour)).Wait).To(BeNumerically(">", time.Minute))
		idle(2 * time.Minute)
		Expect(starts(b, 1)).To(Equal(1))
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour))).To(Equal(begun))
	})

	It("passes over one that does not come, also while others keep asking", func() {
		b := newBench()
		c := b.committer()
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour))).To(Equal(begun))
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour)).Wait).To(BeNumerically(">", 0), "it is first in the line, and never comes")
		second := b.begin("r1")
		state := b.keys.Throttle("f", "v")
		Expect(b.rdb.Set(ctx, state, time.Now().Add(-30*time.Second).UnixMicro(), time.Hour).Err()).To(Succeed())
		Expect(begin(c, second, rated(1, time.Hour)).Wait).To(BeNumerically(">", 0))
		Expect(b.rdb.IncrBy(ctx, state, -(40 * time.Second).Microseconds()).Err()).To(Succeed()) // 40 s later
		Expect(begin(c, second, rated(1, time.Hour))).To(Equal(begun))
	})

	It("leaves its lines when it ends before", func() {
		b := newBench()
		c := b.committer()
		r := runs.Rate{Function: "f", Value: "v", Limit: 1, Burst: 1, Period: time.Hour}
		Expect(begin(c, b.begin("r1"), rated(1, time.Hour))).To(Equal(begun))
		ref := b.begin("r1")
		Expect(begin(c, ref, rated(1, time.Hour)).Wait).To(BeNumerically(">", 0))
		Expect(b.rdb.RPush(ctx, b.keys.Queue("f", 1, "v"), "other", ref.RunID).Err()).To(Succeed())
		f := runs.Finish{Ref: ref, Record: record(ref.RunID), Cancelled: true, Planned: &r, Queues: []runs.Slots{{Limit: 1, Value: "v"}, {Limit: 2, Value: "v"}}}
		Expect(c.Finish(ctx, f)).To(BeTrue())
		Expect(b.rdb.Exists(ctx, b.keys.Planned("f", "v")).Val()).To(BeZero())
		Expect(b.rdb.LRange(ctx, b.keys.Queue("f", 1, "v"), 0, -1).Val()).To(Equal([]string{"other"}))
	})

	// The clock is the server's: what began is judged by when it answered, and a
	// slow answer can only make a window look emptier at its beginning.
	It("never begins beyond limit and burst in any window, whoever asks when", func() {
		b := newBench()
		c := b.committer()
		const burst, interval = 3, 20 * time.Millisecond
		rate := func(t *runs.Begin) {
			t.Throttle = &runs.Rate{Function: "f", Value: "v", Limit: 50, Burst: burst, Period: time.Second}
		}
		waiting := make([]*runs.Ref, 40)
		for i := range waiting {
			waiting[i] = b.begin("r1")
		}
		var at []int64
		for len(waiting) > 0 {
			i := rand.IntN(len(waiting))
			if begin(c, waiting[i], rate).Decision == run.Begun {
				tat, err := b.rdb.Get(ctx, b.keys.Throttle("f", "v")).Int64()
				Expect(err).NotTo(HaveOccurred())
				at = append(at, tat)
				waiting = append(waiting[:i], waiting[i+1:]...)
			}
			if rand.IntN(20) == 0 {
				time.Sleep(time.Duration(rand.IntN(int(8 * interval)))) // an outage
			}
		}
		for i := 1; i < len(at); i++ {
			Expect(at[i]-at[i-1]).To(BeNumerically(">=", interval.Microseconds()), fmt.Sprint("start ", i))
		}
		Expect(b.rdb.Exists(ctx, b.keys.Planned("f", "v")).Val()).To(BeZero())
	})

	sliding := func(limit int, period time.Duration) func(*runs.Begin) {
		return func(b *runs.Begin) {
			b.Throttle = &runs.Rate{Function: "f", Value: "v", Limit: limit, Burst: 1, Period: period, Sliding: true}
		}
	}

	It("begins at once in a sliding window until it is full, and then as its first ones leave it", func() {
		b := newBench()
		c := b.committer()
		free := func() int {
			GinkgoHelper()
			n, _, err := b.runs.Starts(ctx, runs.Rate{Function: "f", Value: "v", Limit: 3, Burst: 1, Period: time.Hour, Sliding: true})
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		window := b.keys.Window("f", "v")
		// shift makes what is in the window that much older.
		shift := func(by time.Duration) {
			for _, z := range b.rdb.ZRangeWithScores(ctx, window, 0, -1).Val() {
				Expect(b.rdb.ZIncrBy(ctx, window, -float64(by.Microseconds()), z.Member.(string)).Err()).To(Succeed())
			}
		}
		Expect(free()).To(Equal(3))
		Expect(begin(c, b.begin("r1"), sliding(3, time.Hour))).To(Equal(begun))
		shift(20 * time.Minute)
		second := b.begin("r1")
		for range 2 {
			Expect(begin(c, second, sliding(3, time.Hour))).To(Equal(begun), "asked again it takes no other")
		}
		Expect(begin(c, b.begin("r1"), sliding(3, time.Hour))).To(Equal(begun))
		Expect(free()).To(BeZero())
		fourth := b.begin("r1")
		for _, want := range []time.Duration{40 * time.Minute, time.Hour, time.Hour, 100 * time.Minute} {
			ref := b.begin("r1")
			if want == 40*time.Minute {
				ref = fourth
			}
			for range 2 {
				Expect(begin(c, ref, sliding(3, time.Hour)).Wait).To(BeNumerically("~", want, time.Minute), "when one leaves the window for it")
			}
		}
		Expect(b.rdb.TTL(ctx, window).Val()).To(And(BeNumerically(">", time.Hour), BeNumerically("<", 3*time.Hour)))
		shift(40 * time.Minute)
		Expect(free()).To(BeZero(), "the one that is free is for the first in the line")
		Expect(begin(c, b.begin("r1"), sliding(3, time.Hour)).Wait).To(BeNumerically(">", time.Minute))
		Expect(begin(c, fourth, sliding(3, time.Hour))).To(Equal(begun))
		shift(65 * time.Minute)
		Expect(free()).To(Equal(1), "those before have had their time, and do not come")
		Expect(begin(c, b.begin("r1"), sliding(3, time.Hour))).To(Equal(begun))
	})

	It("never begins more than the limit in any sliding window, whoever asks when", func() {
		b := newBench()
		c := b.committer()
		const limit, period = 5, 150 * time.Millisecond
		waiting := make([]*runs.Ref, 40)
		for i := range waiting {
			waiting[i] = b.begin("r1")
		}
		var at []float64
		for len(waiting) > 0 {
			i := rand.IntN(len(waiting))
			if begin(c, waiting[i], sliding(limit, period)).Decision == run.Begun {
				at = append(at, b.rdb.ZScore(ctx, b.keys.Window("f", "v"), waiting[i].RunID).Val())
				waiting = append(waiting[:i], waiting[i+1:]...)
			}
			if rand.IntN(20) == 0 {
				time.Sleep(time.Duration(rand.IntN(int(2 * period)))) // an outage
			}
		}
		for i := limit; i < len(at); i++ {
			Expect(at[i]-at[i-limit]).To(BeNumerically(">=", period.Microseconds()), fmt.Sprint("start ", i))
		}
		Expect(b.rdb.Exists(ctx, b.keys.Planned("f", "v")).Val()).To(BeZero())
	})
})
