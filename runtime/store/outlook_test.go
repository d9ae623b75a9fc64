package store_test

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("The outlook of a function", func() {
	var b *bench
	BeforeEach(func() { b = newBench() })
	look := func() inspect.Numbers {
		GinkgoHelper()
		all, err := b.inspect.Survey(ctx, []inspect.Subject{{Namespace: b.namespace, Function: "f", Types: []string{"a"}, Scaled: true}})
		Expect(err).NotTo(HaveOccurred())
		Expect(all[0].Err).NotTo(HaveOccurred())
		return all[0]
	}
	timer := func(at time.Time, run string) {
		GinkgoHelper()
		Expect(b.rdb.ZAdd(ctx, b.keys.Timers("f"), redis.Z{Score: float64(at.UnixMilli()), Member: run}).Err()).To(Succeed())
	}

	It("is empty where nothing comes", func() {
		o := look().Outlook
		Expect(o.At).To(BeTemporally("~", time.Now(), 10*time.Second))
		Expect(o.NextDue).To(BeZero())
		Expect(o.Queued).To(BeZero())
		Expect(o.Ticks).To(BeEmpty())
		Expect(o.Waits).To(BeEmpty())
		Expect(o.Read).To(Equal(map[string]string{b.keys.Stream("a"): "0-0", b.keys.Inbox("f"): "0-0"}))
	})

	It("has the next timer, and no run that waits without one", func() {
		Expect(b.rdb.ZAdd(ctx, b.keys.Timers("f"), redis.Z{Score: 9e15, Member: "r0"}).Err()).To(Succeed())
		Expect(look().Outlook.NextDue).To(BeZero())
		next := time.Now().Add(time.Minute).Truncate(time.Millisecond)
		timer(next, "r1")
		timer(next.Add(time.Minute), "r2")
		Expect(look().Outlook.NextDue).To(BeTemporally("==", next))
		Expect(look().Due).To(BeZero())
		timer(time.Now().Add(-time.Second), "r3")
		Expect(look().Due).To(BeEquivalentTo(1))
	})

	It("has cron ticks, queues, and what runs of any version wait for", func() {
		tick := time.Now().Truncate(time.Minute)
		Expect(b.runs.NoteTick(ctx, "f", "0 3 * * *", tick)).To(Succeed())
		Expect(b.rdb.SAdd(ctx, b.keys.Queued("f"), "1 x").Err()).To(Succeed())
		_, err := b.runs.RegisterWaits(ctx, "f", []runs.WaitPath{{EventType: "c", Match: "data.id"}, {EventType: "c", Match: "data.x"}, {EventType: "b"}})
		Expect(err).NotTo(HaveOccurred())
		o := look().Outlook
		Expect(o.Ticks).To(HaveLen(1))
		Expect(o.Ticks["0 3 * * *"]).To(BeTemporally("==", tick))
		Expect(o.Queued).To(BeEquivalentTo(1))
		Expect(o.Waits).To(Equal([]string{"b", "c"}))
	})
})

var _ = Describe("A function without runners", func() {
	var b *bench
	BeforeEach(func() { b = newBench() })
	sleeper := func(leaving bool) inspect.Sleeper {
		GinkgoHelper()
		all, err := b.inspect.Survey(ctx, []inspect.Subject{{Namespace: b.namespace, Function: "f", Types: []string{"a"}, Scaled: true}})
		Expect(err).NotTo(HaveOccurred())
		return inspect.Sleeper{Namespace: b.namespace, Function: "f", Read: all[0].Outlook.Read, Leaving: leaving}
	}
	stirred := func(l inspect.Sleeper) bool {
		GinkgoHelper()
		all, err := b.inspect.HaveNews(ctx, []inspect.Sleeper{l})
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(1))
		return all[0]
	}

	It("is stirred by an event, and not by one that it has read", func() {
		l := sleeper(false)
		Expect(stirred(l)).To(BeFalse())
		b.publish(`{}`)
		Expect(stirred(l)).To(BeTrue())
		b.read("r1", b.keys.Stream("a"), 1)
		Expect(stirred(sleeper(false))).To(BeFalse())
		Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Inbox("f"), Values: []string{"run", "r"}}).Err()).To(Succeed())
		Expect(stirred(l)).To(BeTrue())
	})

	It("is stirred by what there is when its group is made", func() {
		Expect(b.rdb.XGroupDestroy(ctx, b.keys.Stream("a"), "f").Err()).To(Succeed())
		l := sleeper(false)
		Expect(stirred(l)).To(BeFalse())
		b.publish(`{}`)
		Expect(stirred(l)).To(BeTrue())
	})

	It("is stirred by what comes while its streams are shortened", func() {
		b.publish(`{}`)
		b.read("r1", b.keys.Stream("a"), 1)
		l := sleeper(false)
		Expect(b.rdb.XTrimMaxLen(ctx, b.keys.Stream("a"), 0).Err()).To(Succeed())
		Expect(stirred(l)).To(BeFalse())
		b.publish(`{}`)
		Expect(stirred(l)).To(BeTrue())
	})

	It("is stirred by a timer only while a runner leaves: nobody else sets one", func() {
		Expect(b.rdb.ZAdd(ctx, b.keys.Timers("f"), redis.Z{Score: float64(time.Now().UnixMilli()), Member: "r1"}).Err()).To(Succeed())
		Expect(stirred(sleeper(true))).To(BeTrue())
		Expect(stirred(sleeper(false))).To(BeFalse())
	})

	It("is told from others that read the same, in other places, or another namespace", func() {
		other := newBench()
		b.publish(`{}`)
		first := b.read("r1", b.keys.Stream("a"), 1)[0].ID
		behind, read, elsewhere := sleeper(false), sleeper(false), inspect.Sleeper{Namespace: other.namespace, Function: "f",
			Read: map[string]string{other.keys.Stream("a"): "0-0"}}
		behind.Read = map[string]string{b.keys.Stream("a"): "0-0"}
		read.Read = map[string]string{b.keys.Stream("a"): first}
		Expect(b.inspect.HaveNews(ctx, []inspect.Sleeper{read, behind, elsewhere})).To(Equal([]bool{false, true, false}))
		Expect(b.inspect.HaveNews(ctx, nil)).To(BeEmpty())
	})

	It("costs little, a thousand times", func() {
		sleepers := make([]inspect.Sleeper, 1000)
		pipe := b.rdb.Pipeline()
		for i := range sleepers {
			name := fmt.Sprint("f", i)
			own := b.keys.Stream("type-" + strconv.Itoa(i))
			pipe.XGroupCreateMkStream(ctx, b.keys.Inbox(name), name, "0")
			pipe.XGroupCreateMkStream(ctx, own, name, "0")
			sleepers[i] = inspect.Sleeper{Namespace: b.namespace, Function: name, Read: map[string]string{b.keys.Inbox(name): "0-0", own: "0-0", b.keys.Stream("a"): "0-0"}}
		}
		_, err := pipe.Exec(ctx)
		Expect(err).NotTo(HaveOccurred())
		_, err = b.inspect.HaveNews(ctx, sleepers) // makes the connection
		Expect(err).NotTo(HaveOccurred())
		before := b.Traffic()
		began := time.Now()
		_, err = b.inspect.HaveNews(ctx, sleepers)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("1,000 functions, 2,001 streams", time.Since(began))
		after := b.Traffic()
		Expect(after.RoundTrips - before.RoundTrips).To(BeEquivalentTo(1))
		Expect(after.Commands - before.Commands).To(BeNumerically("<=", 5))
	})
})
