package store_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

var _ = Describe("a function begins to read", func() {
	at := time.Unix(1_700_000_000, 0)
	// published puts entries of event type b at ms around that time.
	published := func(b *bench, ms ...int) {
		GinkgoHelper()
		for _, m := range ms {
			id := fmt.Sprintf("%d-0", at.UnixMilli()+int64(m))
			Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Stream("b"), ID: id, Values: []any{"data", "{}"}}).Err()).To(Succeed())
		}
	}
	// reads is how many entries of event type b a function gets.
	reads := func(b *bench, function string) int {
		GinkgoHelper()
		r := b.runs.NewReader(function, "r1", store.Origin{})
		defer r.Close()
		entries, err := r.Read(ctx, []string{b.keys.Stream("b")}, 1000, 0)
		Expect(err).NotTo(HaveOccurred())
		for _, e := range entries {
			Expect(b.rdb.XAck(ctx, e.Stream, function, e.ID).Err()).To(Succeed())
		}
		return len(entries)
	}

	DescribeTable("where its origin is", func(origin store.Origin, want int) {
		b := newBench()
		published(b, -1000, -1, 0, 500, 999, 1000)
		Expect(b.upkeep.EnsureGroups(ctx, "g", origin, "b")).To(Succeed())
		Expect(reads(b, "g")).To(Equal(want))
	},
		Entry("all that is retained", store.Origin{Beginning: true, Created: at}, 6),
		Entry("the whole second of its creation", store.Origin{Created: at.Add(900 * time.Millisecond)}, 4),
		Entry("a time that the manifest names", store.Origin{At: at.Add(time.Second), Created: at.Add(-time.Hour)}, 1),
		Entry("since it came to read the type", store.Origin{Created: at.Add(-time.Hour), Added: map[string]time.Time{"b": at.Add(time.Second)}}, 1),
		Entry("its creation, whatever was added beside", store.Origin{Created: at, Added: map[string]time.Time{"c": at.Add(time.Hour)}}, 4),
		Entry("now, where nobody knows", store.Origin{}, 0),
		Entry("before there were computers", store.Origin{At: time.Unix(-1000, 0)}, 6),
	)

	It("now, where its time is one of the future: the server's clock decides", func() {
		b := newBench()
		published(b, 0)
		Expect(b.runs.EnsureGroups(ctx, "g", store.Origin{Created: time.Now().Add(time.Hour)}, "b")).To(Succeed())
		Expect(b.Publish(ctx, &event.Event{Type: "b", Data: []byte(`{}`)})).To(Succeed())
		Expect(reads(b, "g")).To(Equal(1))
	})

	It("where a group of it stood, as long as there is the stream", func() {
		b := newBench()
		published(b, 0, 1, 2)
		Expect(b.upkeep.EnsureGroups(ctx, "g", store.FromBeginning, "b")).To(Succeed())
		Expect(reads(b, "g")).To(Equal(3))
		Expect(b.upkeep.DropGroup(ctx, "g", "b")).To(BeTrue())
		published(b, 3, 4)
		Expect(b.runs.EnsureGroups(ctx, "g", store.FromBeginning, "b")).To(Succeed())
		Expect(reads(b, "g")).To(Equal(2), "a trigger that is put back goes on")

		published(b, 5)
		Expect(b.upkeep.Uninstall(ctx, "g")).To(Succeed())
		published(b, 6)
		Expect(b.runs.EnsureGroups(ctx, "g", store.Origin{}, "b")).To(Succeed())
		Expect(reads(b, "g")).To(Equal(2), "a function that is applied again goes on")
		Expect(b.runs.EnsureGroups(ctx, "renamed", store.Origin{}, "b")).To(Succeed())
		Expect(reads(b, "renamed")).To(BeZero(), "another one does not")

		Expect(b.upkeep.Uninstall(ctx, "g")).To(Succeed())
		Expect(b.upkeep.Uninstall(ctx, "renamed")).To(Succeed())
		Expect(b.upkeep.DropStream(ctx, "b")).To(Succeed())
		Expect(b.rdb.Exists(ctx, b.keys.Stood("b")).Val()).To(BeZero(), "what is remembered goes with the stream")
	})

	It("and moves no group that is there", func() {
		b := newBench()
		published(b, 0, 1)
		Expect(b.runs.EnsureGroups(ctx, "g", store.FromBeginning, "b")).To(Succeed())
		Expect(b.runs.EnsureGroups(ctx, "g", store.Origin{}, "b")).To(Succeed())
		Expect(reads(b, "g")).To(Equal(2))
	})

	It("its inbox with the oldest entry: what was invoked before it was there has waited for it", func() {
		b := newBench()
		Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Inbox("g"), Values: []any{"start", "x"}}).Err()).To(Succeed())
		Expect(b.runs.EnsureGroups(ctx, "g", store.Origin{})).To(Succeed())
		r := b.runs.NewReader("g", "r1", store.Origin{})
		defer r.Close()
		Expect(r.Read(ctx, []string{b.keys.Inbox("g")}, 10, 0)).To(HaveLen(1))
	})
})
