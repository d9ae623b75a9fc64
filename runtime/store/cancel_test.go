package store_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/runs"
)

// asked returns the requests to cancel runs of f.
func (b *bench) asked() map[string]string {
	GinkgoHelper()
	all, err := b.rdb.HGetAll(ctx, b.keys.Cancels("f")).Result()
	Expect(err).NotTo(HaveOccurred())
	return all
}

var _ = Describe("the request to cancel a run", func() {
	It("is kept for a run that nobody has read, that a runner has, or that is parked", func() {
		b := newBench()
		c := b.committer()
		b.publish(`{}`)
		entry := b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Val()[0].ID
		unread := store.RunID("f", "a", entry)
		Expect(b.acts.Cancel(ctx, "f", unread, "one")).To(Succeed())
		Expect(b.acts.Cancel(ctx, "f", unread, "two")).To(Succeed())
		Expect(b.asked()).To(HaveKeyWithValue(unread, HaveSuffix(" one")), "the first reason counts")
		Expect(b.read("r1", b.keys.Stream("a"), 1)[0].Suspect).To(BeTrue())

		running := b.begin("r1")
		Expect(b.acts.Cancel(ctx, "f", running.RunID, "")).To(Succeed())
		Expect(b.asked()).To(HaveKey(running.RunID))

		parked := b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: parked, Meta: []byte(`{}`), Due: time.Now().Add(time.Hour)})).To(Equal(runs.ParkOK))
		Expect(b.rdb.XLen(ctx, b.keys.Inbox("f")).Val()).To(BeZero())
		for range 2 {
			Expect(b.acts.Cancel(ctx, "f", parked.RunID, "three")).To(Succeed())
		}
		Expect(b.rdb.XLen(ctx, b.keys.Inbox("f")).Val()).To(Equal(int64(1)), "it is woken once")
		Expect(b.rdb.ZCard(ctx, b.keys.Timers("f")).Val()).To(BeZero())
		wake := b.read("r1", b.keys.Inbox("f"), 1)[0]
		j, err := c.Take(ctx, wake.Stream, parked.RunID, wake.ID, "r1")
		Expect(err).NotTo(HaveOccurred())
		Expect(j.Cancel.Reason).To(Equal("three"))
		Expect(j.Cancel.At).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(j.Results).To(BeEmpty())

		start := event.DerivedID(time.Now(), "start")
		Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Inbox("f"), Values: []any{"start", start, "event", `{}`}}).Err()).To(Succeed())
		Expect(b.acts.Cancel(ctx, "f", start, "")).To(Succeed())
		requests, err := b.runs.CancelRequests(ctx, "f", start, unread, "other")
		Expect(err).NotTo(HaveOccurred())
		Expect(requests).To(HaveLen(2))
	})

	It("wakes a run that parks while it is on its way", func() {
		b := newBench()
		c := b.committer()
		for name, park := range map[string]runs.Park{"for a time": {Due: time.Now().Add(time.Hour)}, "for a slot": {Queue: 1, QueueValue: "x"}, "for an event": {}} {
			ref := b.begin("r1")
			Expect(b.acts.Cancel(ctx, "f", ref.RunID, "")).To(Succeed())
			park.Ref, park.Meta = ref, []byte(`{}`)
			Expect(c.Park(ctx, park)).To(Equal(runs.ParkOK), name)
			wake := b.read("r1", b.keys.Inbox("f"), 1)
			Expect(wake).To(HaveLen(1), name)
			Expect(wake[0].Field("run")).To(Equal(ref.RunID))
			Expect(b.rdb.Exists(ctx, b.keys.Timers("f"), b.keys.Queue("f", 1, "x"), b.keys.Queued("f")).Val()).To(BeZero(), name)
		}
	})

	It("is refused for a run that has ended, and for none", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeTrue())
		Expect(b.acts.Cancel(ctx, "f", ref.RunID, "")).To(MatchError(acts.ErrEnded))
		// What a zombie writes later is no run.
		_, err := c.CommitResult(ctx, ref.RunID, "late", []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(b.acts.Cancel(ctx, "f", ref.RunID, "")).To(MatchError(acts.ErrEnded))
		passed := b.begin("r1")
		Expect(c.Ack(ctx, passed.Stream, passed.Entry)).To(Succeed())
		Expect(b.acts.Cancel(ctx, "f", passed.RunID, "")).To(MatchError(acts.ErrNoRun))
		Expect(b.acts.Cancel(ctx, "g", passed.RunID, "")).To(MatchError(acts.ErrNoRun))
		Expect(b.asked()).To(BeEmpty())
	})

	It("lets the run end in no other way, and goes with its end", func() {
		b := newBench()
		c := b.committer()
		ref, other := b.begin("r1"), b.begin("r1")
		Expect(b.acts.Cancel(ctx, "f", ref.RunID, "no more")).To(Succeed())
		for _, f := range []runs.Finish{{Ref: ref, Record: record(ref.RunID)}, {Ref: ref, Record: record(ref.RunID), Failed: true}} {
			counted, err := c.Finish(ctx, f)
			Expect(counted).To(BeFalse())
			var request *run.CancelRequest
			Expect(err).To(MatchError(ContainSubstring("cancelled: no more")))
			Expect(err).To(BeAssignableToTypeOf(request))
			Expect(b.pending(ref.Stream)).To(Equal(int64(2)))
		}
		Expect(c.Finish(ctx, runs.Finish{Ref: other, Record: record(other.RunID)})).To(BeTrue(), "others are not concerned")
		end := runs.Finish{Ref: ref, Record: record(ref.RunID), Cancelled: true}
		Expect(c.Finish(ctx, end)).To(BeTrue())
		Expect(c.Finish(ctx, end)).To(BeFalse())
		st, err := b.inspect.Stats(ctx, "f", []string{"a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(st.Cancelled).To(Equal(int64(1)))
		Expect(st.Succeeded).To(Equal(int64(1)))
		Expect(st.Failed).To(BeZero())
		Expect(b.asked()).To(BeEmpty())
		// One that is counted or rejected is no run: the request goes too.
		for _, f := range []runs.Finish{{Count: "duplicate"}, {Failed: true, Rejected: true, Record: record("x")}} {
			f.Ref = b.begin("r1")
			Expect(b.acts.Cancel(ctx, "f", f.Ref.RunID, "")).To(Succeed())
			Expect(c.Finish(ctx, f)).To(BeTrue())
			Expect(b.asked()).To(BeEmpty())
		}
	})

	It("reaches the runs that it has invoked, unless their result is there", func() {
		b := newBench()
		c := b.committer()
		parent, parked := b.begin("r1"), b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: parked, Meta: []byte(`{}`)})).To(Equal(runs.ParkOK))
		_, err := c.CommitResult(ctx, parent.RunID, "ended", []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		end := runs.Finish{Ref: parent, Record: record(parent.RunID), Cancelled: true, Reason: "enough",
			Children: []run.Child{{Function: "f", RunID: parked.RunID, Path: "parked"}, {Function: "f", RunID: "queued", Path: "queued"}, {Function: "f", RunID: "gone", Path: "ended"}}}
		Expect(c.Finish(ctx, end)).To(BeTrue())
		Expect(b.asked()).To(And(HaveLen(2), HaveKeyWithValue(parked.RunID, HaveSuffix(" the run that invoked it was cancelled: enough")), HaveKey("queued")))
		Expect(b.read("r1", b.keys.Inbox("f"), 10)).To(HaveLen(1))
		Expect(c.Finish(ctx, end)).To(BeFalse())
		Expect(b.rdb.XLen(ctx, b.keys.Inbox("f")).Val()).To(Equal(int64(1)))
	})

	It("gives the idempotency key back, and wakes who waits for its outcome", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		_, _, err := c.TakeKey(ctx, "k", ref.RunID, time.Hour, false)
		Expect(err).NotTo(HaveOccurred())
		holder, _, err := c.TakeKey(ctx, "k", "follower", time.Hour, true)
		Expect(err).NotTo(HaveOccurred())
		Expect(holder).To(Equal(ref.RunID))
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID), Cancelled: true, OnceKey: "k"})).To(BeTrue())
		Expect(b.read("r1", b.keys.Inbox("f"), 1)[0].Field("run")).To(Equal("follower"))
		holder, _, err = c.TakeKey(ctx, "k", "follower", time.Hour, true)
		Expect(err).NotTo(HaveOccurred())
		Expect(holder).To(BeEmpty())
	})

	It("that came too late is dropped in time, and no other", func() {
		b := newBench()
		ref := b.begin("r1")
		old := fmt.Sprint(time.Now().Add(-2*time.Minute).UnixMilli(), " why")
		young := fmt.Sprint(time.Now().UnixMilli(), " why")
		gone := event.DerivedID(time.Now(), "gone")
		Expect(b.rdb.HSet(ctx, b.keys.Cancels("f"), ref.RunID, old, gone, old, "young", young).Err()).To(Succeed())
		Expect(b.acts.TidyCancels(ctx, "f")).To(Succeed())
		Expect(b.asked()).To(And(HaveLen(2), HaveKey(ref.RunID), HaveKey("young")))
	})

	It("has a bounded reason of valid text", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{}`)})).To(Equal(runs.ParkOK))
		Expect(b.acts.Cancel(ctx, "f", ref.RunID, "a b\xff"+strings.Repeat("é", 5000))).To(Succeed())
		request, err := b.runs.CancelRequests(ctx, "f", ref.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(request[ref.RunID].Reason).To(And(HavePrefix("a b�é"), HaveSuffix("é…")))
		Expect(len(request[ref.RunID].Reason)).To(BeNumerically("<", 1100))
	})
})

var _ = Describe("a replay", func() {
	It("is there once, though the answer was lost and asked for again", func() {
		b := newBench()
		Expect(b.runs.SavePlan(ctx, "f", "v1", []byte(`{}`))).To(Succeed())
		b.publish(`{"n":1}`)
		record := store.RunID("f", "a", b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Val()[0].ID)
		scripts, err := crashtest.ReadScripts(os.DirFS("."))
		Expect(err).NotTo(HaveOccurred())
		proxy, err := crashtest.NewProxy(shared.Addr, scripts)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		s, err := store.Open(store.Options{URL: "redis://" + proxy.Addr(), Namespace: b.namespace})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
		_, err = b.acts.Replay(ctx, "f", record) // the server has the script now
		Expect(err).NotTo(HaveOccurred())
		Expect(b.rdb.XTrimMaxLen(ctx, b.keys.Inbox("f"), 0).Err()).To(Succeed())
		proxy.Arm(crashtest.Point{Command: "replay", Fault: crashtest.Cut}, nil)
		id, err := acts.New(s).Replay(ctx, "f", record)
		Expect(err).NotTo(HaveOccurred())
		Expect(proxy.Reached()).To(BeClosed(), "the answer was not lost")
		starts := b.rdb.XRange(ctx, b.keys.Inbox("f"), "-", "+").Val()
		Expect(starts).To(HaveLen(1))
		Expect(starts[0].Values).To(HaveKeyWithValue("start", id))
		Expect(starts[0].Values).To(HaveKeyWithValue("replay", record))
		Expect(starts[0].Values["event"]).To(ContainSubstring(`"data":{"n":1}`))
		at, ok := event.IDTime(id)
		Expect(ok).To(BeTrue())
		Expect(at).To(BeTemporally("~", time.Now(), time.Minute))
	})
})
