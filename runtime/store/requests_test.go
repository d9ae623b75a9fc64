package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

var _ = Describe("a request", func() {
	batch := func(seed string, types ...string) *store.Batch {
		b := &store.Batch{Seed: seed}
		for _, t := range types {
			b.Events = append(b.Events, &event.Event{Type: t, Data: []byte(`{}`)})
		}
		return b
	}
	ids := func(b *store.Batch) (ids []string) {
		for _, e := range b.Events {
			ids = append(ids, e.ID)
		}
		return ids
	}
	length := func(b *bench, eventType string) int64 { return b.rdb.XLen(ctx, b.keys.Stream(eventType)).Val() }

	It("that comes again with its seed publishes nothing, and gets the same ids", func() {
		b := newBench()
		first, again, other := batch("s1", "a", "b"), batch("s1", "a", "b"), batch("s2", "a", "b")
		b.Accept(ctx, first)
		Expect(first.Err).NotTo(HaveOccurred())
		b.Accept(ctx, again, other)
		Expect(again.Err).NotTo(HaveOccurred())
		Expect(other.Err).NotTo(HaveOccurred())
		Expect(ids(again)).To(Equal(ids(first)))
		Expect(again.Events[1].Time).To(Equal(first.Events[1].Time))
		Expect(ids(other)).NotTo(Equal(ids(first)))
		Expect(length(b, "a")).To(Equal(int64(2)))
		Expect(length(b, "b")).To(Equal(int64(2)))
		Expect(b.rdb.PTTL(ctx, b.keys.Seed("s1")).Val()).To(And(BeNumerically(">", 9*time.Minute), BeNumerically("<=", 10*time.Minute)))
	})

	It("of one event with a seed is remembered too", func() {
		b := newBench()
		for range 3 {
			one := batch("s", "a")
			b.Accept(ctx, one)
			Expect(one.Err).NotTo(HaveOccurred())
		}
		Expect(length(b, "a")).To(Equal(int64(1)))
	})

	It("with the seed of another is refused where it has another number of events", func() {
		b := newBench()
		b.Accept(ctx, batch("s", "a"))
		other := batch("s", "a", "a")
		b.Accept(ctx, other)
		Expect(other.Err).To(MatchError(ContainSubstring("another request had the same seed")))
		Expect(length(b, "a")).To(Equal(int64(1)))
	})

	It("keeps one event of those with an id, in a batch and between batches", func() {
		b := newBench()
		one := batch("", "a", "a", "b")
		for _, e := range one.Events {
			e.ID = "same"
		}
		b.Accept(ctx, one)
		Expect(one.Err).NotTo(HaveOccurred())
		Expect(one.Events[0].Time).To(Equal(one.Events[1].Time))
		Expect(length(b, "a")).To(Equal(int64(1)))
		Expect(length(b, "b")).To(Equal(int64(1)), "it is another type")
	})

	It("is published by a server that has lost its scripts", func() {
		b := newBench()
		Expect(b.rdb.ScriptFlush(ctx).Err()).To(Succeed())
		batches := []*store.Batch{batch("s", "a"), batch("", "a"), batch("", "a", "b")}
		b.Accept(ctx, batches...)
		for _, one := range batches {
			Expect(one.Err).NotTo(HaveOccurred())
		}
		Expect(length(b, "a")).To(Equal(int64(3)))
	})

	It("is published whole or not at all when Redis is full", func() {
		full := servicetest.StartRedis(GinkgoTB(), servicetest.MaxMemory("4mb"))
		c, err := store.Open(store.Options{URL: full.URL(), Namespace: "n"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		large := []byte(`"` + strings.Repeat("x", 200_000) + `"`)
		accepted := 0
		for i := range 60 {
			one := batch("", "a", "b")
			one.Events[0].Data = large
			one.Events[1].ID = fmt.Sprint("e", i)
			c.Accept(ctx, one)
			if one.Err == nil {
				accepted++
				continue
			}
			Expect(store.FaultOf(one.Err)).To(Equal(store.Full))
		}
		Expect(accepted).To(And(BeNumerically(">", 0), BeNumerically("<", 60)))
		for _, eventType := range []string{"a", "b"} {
			n, err := c.Redis().XLen(ctx, c.Keys().Stream(eventType)).Result()
			Expect(err).NotTo(HaveOccurred())
			Expect(n).To(BeEquivalentTo(accepted), eventType)
		}
	})

	It("tells which batches Redis did not take while it is away", func() {
		c, err := store.Open(store.Options{URL: "redis://127.0.0.1:1", Namespace: "n"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		batches := []*store.Batch{batch("", "a"), batch("s", "a", "b")}
		c.Accept(ctx, batches...)
		for _, one := range batches {
			Expect(store.FaultOf(one.Err)).To(Equal(store.Away))
		}
	})
})

var _ = Describe("a sender's rate", func() {
	It("gives its burst at once, then one event per interval, and takes back", func() {
		b := newBench()
		rate := store.SenderRate{Sender: "shop", Interval: time.Hour, Burst: 5}
		take := func(n int) (int, time.Duration) {
			GinkgoHelper()
			got, wait, err := b.TakeEvents(ctx, rate, n)
			Expect(err).NotTo(HaveOccurred())
			return got, wait
		}
		got, wait := take(3)
		Expect(got).To(Equal(3))
		Expect(wait).To(BeZero(), "there are more")
		got, wait = take(10)
		Expect(got).To(Equal(2))
		Expect(wait).To(BeNumerically("~", time.Hour, time.Minute))
		got, _ = take(1)
		Expect(got).To(BeZero())
		Expect(b.ReturnEvents(ctx, rate, 2)).To(Succeed())
		got, _ = take(10)
		Expect(got).To(Equal(2))
		Expect(b.ReturnEvents(ctx, rate, 5)).To(Succeed())
		Expect(b.rdb.Exists(ctx, b.keys.SenderRate("shop")).Val()).To(BeZero(), "a rate that is whole takes no memory")
		rate.Sender = "other"
		got, _ = take(10)
		Expect(got).To(Equal(5), "another sender has its own")
	})
})

var _ = Describe("a fallback", func() {
	It("keeps what another database could not take, in its order, until it is taken", func() {
		b := newBench()
		f := b.Fallback("audit")
		Expect(f.Len(ctx)).To(BeZero())
		for i := range 5 {
			Expect(f.Append(ctx, fmt.Sprint("k", i), []byte(fmt.Sprint(i)))).To(Succeed())
		}
		var taken []string
		refuse := errors.New("still away")
		n, err := f.Drain(ctx, 10, func(_ context.Context, entry []byte) error {
			if string(entry) == "2" {
				return refuse
			}
			taken = append(taken, string(entry))
			return nil
		})
		Expect(err).To(MatchError(refuse))
		Expect(n).To(Equal(2))
		Expect(f.Len(ctx)).To(Equal(int64(3)))
		all := func(_ context.Context, entry []byte) error { taken = append(taken, string(entry)); return nil }
		Expect(f.Drain(ctx, 2, all)).To(Equal(2))
		Expect(f.Drain(ctx, 2, all)).To(Equal(1))
		Expect(f.Drain(ctx, 2, all)).To(BeZero())
		Expect(taken).To(Equal([]string{"0", "1", "2", "3", "4"}))
		Expect(b.Fallback("other").Len(ctx)).To(BeZero())
	})
})
