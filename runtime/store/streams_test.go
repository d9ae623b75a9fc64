package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

var _ = Describe("publishing", func() {
	It("keeps one event of those with the same id", func() {
		b := newBench()
		first := &event.Event{ID: "x", Type: "a", Data: []byte(`1`)}
		second := &event.Event{ID: "x", Type: "a", Data: []byte(`2`)}
		other := &event.Event{ID: "x", Type: "b", Data: []byte(`3`)}
		Expect(b.Publish(ctx, first)).To(Succeed())
		time.Sleep(5 * time.Millisecond)
		Expect(b.Publish(ctx, second, other)).To(Succeed())
		Expect(second.ID).To(Equal("x"))
		Expect(second.Time).To(Equal(first.Time), "the time of the one that was kept")
		Expect(b.rdb.XLen(ctx, b.keys.Stream("a")).Val()).To(Equal(int64(1)))
		Expect(b.rdb.XLen(ctx, b.keys.Stream("b")).Val()).To(Equal(int64(1)))
		Expect(b.rdb.TTL(ctx, b.keys.EventID("a", "x")).Val()).To(BeNumerically("~", 24*time.Hour, time.Minute))
	})

	It("derives an id from the place of an event without one", func() {
		b := newBench()
		e, f := b.publish(`{}`), b.publish(`{}`)
		Expect(e.ID).To(HaveLen(26))
		Expect(e.ID).NotTo(Equal(f.ID))
		at, ok := event.IDTime(e.ID)
		Expect(ok).To(BeTrue())
		Expect(at).To(Equal(e.Time))
		entry := b.read("r1", b.keys.Stream("a"), 1)[0]
		read, err := entry.Event()
		Expect(err).NotTo(HaveOccurred())
		Expect(read.ID).To(Equal(e.ID), "who reads it derives the same")
	})

	It("says when it did not happen", func() {
		s, err := store.Open(store.Options{URL: "redis://127.0.0.1:1", Namespace: "x"})
		Expect(err).NotTo(HaveOccurred())
		defer s.Close()
		err = s.Publish(ctx, &event.Event{Type: "a", Data: []byte(`{}`)})
		Expect(err).To(MatchError(ContainSubstring("nothing listens at the address in the Redis URL")))
		Expect(store.Temporary(err)).To(BeTrue())
	})
})

var _ = Describe("trimming", func() {
	old := func(b *bench, n int) {
		for i := range n {
			Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Stream("a"), ID: fmt.Sprintf("1000-%d", i+1), Values: []any{"data", "{}"}}).Err()).To(Succeed())
		}
	}
	length := func(b *bench) int64 { return b.rdb.XLen(ctx, b.keys.Stream("a")).Val() }

	It("removes what is older than the retention and done with", func() {
		b := newBench()
		old(b, 500)
		b.publish(`{}`)
		for _, e := range b.read("r1", b.keys.Stream("a"), 1000) {
			Expect(b.rdb.XAck(ctx, b.keys.Stream("a"), "f", e.ID).Err()).To(Succeed())
		}
		Expect(b.upkeep.Trim(ctx, "a", time.Hour, 0)).To(Succeed())
		Expect(length(b)).To(BeNumerically("<", 110), "whole nodes of up to 100 entries are kept")
	})

	It("never removes what a group has not read", func() {
		b := newBench()
		old(b, 500)
		Expect(b.runs.EnsureGroups(ctx, "g", store.FromBeginning, "a")).To(Succeed())
		for _, e := range b.read("r1", b.keys.Stream("a"), 1000) {
			Expect(b.rdb.XAck(ctx, b.keys.Stream("a"), "f", e.ID).Err()).To(Succeed())
		}
		Expect(b.upkeep.Trim(ctx, "a", time.Hour, 1)).To(Succeed())
		Expect(length(b)).To(Equal(int64(500)))
	})

	It("never removes what a group has pending", func() {
		b := newBench()
		old(b, 500)
		entries := b.read("r1", b.keys.Stream("a"), 1000)
		for _, e := range entries[250:] {
			Expect(b.rdb.XAck(ctx, b.keys.Stream("a"), "f", e.ID).Err()).To(Succeed())
		}
		for _, e := range entries[:240] {
			Expect(b.rdb.XAck(ctx, b.keys.Stream("a"), "f", e.ID).Err()).To(Succeed())
		}
		Expect(b.upkeep.Trim(ctx, "a", time.Hour, 1)).To(Succeed())
		left, err := b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Result()
		Expect(err).NotTo(HaveOccurred())
		Expect(left[0].ID).To(BeElementOf("1000-201", "1000-240", "1000-241"))
		Expect(b.rdb.XRange(ctx, b.keys.Stream("a"), entries[240].ID, entries[249].ID).Val()).To(HaveLen(10))
	})

	It("removes by size only what is too much, also where nobody reads", func() {
		b := newBench()
		Expect(b.rdb.XGroupDestroy(ctx, b.keys.Stream("a"), "f").Err()).To(Succeed())
		for range 1000 {
			b.publish(`{"text":"` + strings.Repeat("x", 500) + `"}`)
		}
		used := b.rdb.MemoryUsage(ctx, b.keys.Stream("a"), 0).Val()
		Expect(b.upkeep.Trim(ctx, "a", time.Hour, used*7/10)).To(Succeed())
		Expect(length(b)).To(And(BeNumerically("<=", 800), BeNumerically(">=", 500)))
		Expect(b.upkeep.Trim(ctx, "a", time.Hour, 1)).To(Succeed())
		Expect(length(b)).To(BeNumerically("<=", 100), "the last node stays")
	})

	It("removes nothing that any group needs, however it reads, fails and claims meanwhile", func() {
		b := newBench()
		stream := b.keys.Stream("a")
		seed := GinkgoRandomSeed()
		AddReportEntry("seed", seed)
		const events = 4000
		names := []string{"f", "g"}
		for _, name := range names {
			Expect(b.runs.EnsureGroups(ctx, name, store.FromBeginning, "a")).To(Succeed())
		}
		var published atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			defer GinkgoRecover()
			for range events / 20 {
				batch := make([]*event.Event, 20)
				for i := range batch {
					batch[i] = &event.Event{Type: "a", Data: []byte(`{}`)}
				}
				Expect(b.Publish(ctx, batch...)).To(Succeed())
			}
			published.Store(true)
		})
		got := make([]map[string]bool, len(names))
		for i, name := range names {
			got[i] = map[string]bool{}
			wg.Go(func() {
				defer GinkgoRecover()
				dice := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
				for end := time.Now().Add(30 * time.Second); len(got[i]) < events && time.Now().Before(end); {
					b.readSome(dice, stream, name, got[i])
					if published.Load() && b.drained(stream, name) {
						return
					}
				}
			})
		}
		read := make(chan struct{})
		go func() { wg.Wait(); close(read) }()
		for trimming := true; trimming; {
			select {
			case <-read:
				trimming = false
			default:
				Expect(b.upkeep.Trim(ctx, "a", 0, 1)).To(Succeed())
			}
		}
		for i, name := range names {
			Expect(got[i]).To(HaveLen(events), "group %s, seed %d", name, seed)
		}
		Expect(length(b)).To(BeNumerically("<", events), "it was trimmed meanwhile")
	})

	It("keeps what is young and small enough", func() {
		b := newBench()
		for range 300 {
			b.publish(`{}`)
		}
		Expect(b.upkeep.Trim(ctx, "a", time.Hour, 1<<20)).To(Succeed())
		Expect(length(b)).To(Equal(int64(300)))
		Expect(b.upkeep.Trim(ctx, "none", time.Hour, 1<<20)).To(Succeed())
	})

	It("bounds the bytes of the history", func() {
		b := newBench()
		for range 100 {
			Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Done("f"), Values: []any{"r", strings.Repeat("x", 1000)}}).Err()).To(Succeed())
		}
		Expect(b.upkeep.TrimHistory(ctx, "f", 1<<20)).To(Succeed())
		Expect(b.rdb.XLen(ctx, b.keys.Done("f")).Val()).To(Equal(int64(100)))
		Expect(b.upkeep.TrimHistory(ctx, "f", 50_000)).To(Succeed())
		Expect(b.rdb.XLen(ctx, b.keys.Done("f")).Val()).To(Equal(int64(75)))
	})

	It("reads back the retention, and takes the default where there is none", func() {
		b := newBench()
		Expect(b.SetRetention(ctx, "a", time.Hour, 12)).To(Succeed())
		kept, err := b.Retention(ctx, "a")
		Expect(err).NotTo(HaveOccurred())
		Expect(kept.Period).To(Equal(time.Hour))
		Expect(kept.MaxBytes).To(Equal(int64(12)))
		Expect(b.rdb.HSet(ctx, b.keys.Types(), "b", "junk").Err()).To(Succeed())
		for _, t := range []string{"b", "c"} {
			kept, err = b.Retention(ctx, t)
			Expect(err).NotTo(HaveOccurred())
			Expect(kept.Period).To(Equal(72 * time.Hour))
			Expect(kept.MaxBytes).To(BeZero())
		}
	})
})

var _ = Describe("keys", func() {
	It("share a hash tag, stay short, and differ where their values do", func() {
		k := store.NewKeys("team")
		long := strings.Repeat("x", 500)
		all := []string{
			k.Stream("a"), k.EventID("a", "x"), k.EventID("a", long), k.Types(), k.Functions(), k.Inbox("f"), k.Run("f", "r"), k.Timers("f"),
			k.Wait("f", "a", "data.id", "x"), k.Wait("f", "a", "data.id", long), k.Wait("f", "a", "data.i", "dx"), k.Waits("f"), k.Throttle("f", ""), k.Throttle("f", long), k.RateLimit("f", ""), k.RateLimit("f", long), k.Window("f", ""), k.Window("f", long),
			k.Slots("f", 1, "x"), k.Slots("f", 2, "x"), k.Slots("f", 1, long), k.Queue("f", 1, "x"), k.Queued("f"), k.Idempotency("f", "x"), k.Idempotency("f", long), k.Idempotency("f", long+"y"),
			k.Done("f"), k.Dead("f"), k.Plans("f"), k.Versions("f"), k.Replaced("f"), k.Reads("f"), k.Runners("f"), k.Cron("f"), k.Counters("f"), k.Fallback("x"),
		}
		seen := map[string]bool{}
		for _, key := range all {
			Expect(key).To(HavePrefix("wo:{team.0}:"))
			Expect(len(key)).To(BeNumerically("<", 128))
			Expect(seen[key]).To(BeFalse(), key)
			seen[key] = true
		}
		Expect(k.Idempotency("f", long)).To(Equal(k.Idempotency("f", long)))
		Expect(k.StreamType(k.Stream("user/registered"))).To(Equal("user/registered"))
		Expect(k.StreamType(k.Inbox("f"))).To(BeEmpty())
	})
})

var _ = Describe("errors of Redis", func() {
	It("are left alone where there is none", func() {
		Expect(store.Explain(nil)).To(Succeed())
		Expect(store.Temporary(errors.New("of another kind"))).To(BeFalse())
	})

	It("do not tell the password", func() {
		for _, url := range []string{"redis://user:secret@host:port", "redis://user:secret@host:port,other:1", `redis://user:sec"secret@host:port`, "redis://user:secret%zz@host"} {
			_, err := store.Open(store.Options{URL: url, Namespace: "x"})
			Expect(err).To(HaveOccurred())
			Expect(err.Error()).NotTo(ContainSubstring("secret"))
			Expect(err.Error()).To(ContainSubstring("it looks like redis://"))
		}
	})
})

var _ = Describe("ids", func() {
	It("are the same for the same parts, for ever", func() {
		at := time.UnixMilli(1_700_000_000_000)
		// Golden: ids are in journals and in the databases of handlers.
		Expect(event.DerivedID(at, "f", "a", "1700000000000-0")).To(Equal("01HF7YAT001G94PRG6XX3XPPVM"))
		Expect(store.RunID("f", "a", "1700000000000-0")).To(Equal("01HF7YAT001G94PRG6XX3XPPVM"))
		Expect(event.DerivedID(at, "a", "bc")).NotTo(Equal(event.DerivedID(at, "ab", "c")))
	})
})

// readSome reads a few entries as a runner of a group, finishes with some of
// them, dies with some, and takes over what an earlier one died with.
func (b *bench) readSome(dice *rand.Rand, stream, group string, got map[string]bool) {
	GinkgoHelper()
	finish := func(messages []redis.XMessage) {
		for _, m := range messages {
			Expect(m.Values).NotTo(BeEmpty(), "entry %s was removed before %s had finished with it", m.ID, group)
			got[m.ID] = true
			Expect(b.rdb.XAck(ctx, stream, group, m.ID).Err()).To(Succeed())
		}
	}
	if dice.IntN(3) == 0 {
		claimed, _, err := b.rdb.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: stream, Group: group, Consumer: "claims", Start: "0", Count: 50}).Result()
		Expect(err).NotTo(HaveOccurred())
		finish(claimed)
		return
	}
	answer, err := b.rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "reads", Streams: []string{stream, ">"}, Count: int64(1 + dice.IntN(20)), Block: -1}).Result()
	if errors.Is(err, redis.Nil) {
		return
	}
	Expect(err).NotTo(HaveOccurred())
	messages := answer[0].Messages
	done := len(messages)
	if dice.IntN(10) == 0 { // it dies, and the rest stays pending
		done = dice.IntN(len(messages))
	}
	finish(messages[:done])
}

// drained reports whether a group has read and finished with everything.
func (b *bench) drained(stream, group string) bool {
	GinkgoHelper()
	groups, err := b.rdb.XInfoGroups(ctx, stream).Result()
	Expect(err).NotTo(HaveOccurred())
	last, err := b.rdb.XInfoStream(ctx, stream).Result()
	Expect(err).NotTo(HaveOccurred())
	for _, g := range groups {
		if g.Name == group { // the lag is not known once something unread was removed
			return g.Pending == 0 && g.LastDeliveredID == last.LastGeneratedID
		}
	}
	return false
}
