package store_test

import (
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("the end of a run", func() {
	It("is written once, and nothing of the run is left", func() {
		b, c := newBench(), (*runs.Committer)(nil)
		c = b.committer()
		ref := b.begin("r1")
		_, err := c.CommitResult(ctx, ref.RunID, "one", []byte(`{"o":1}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeTrue())
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeFalse())
		Expect(b.rdb.XLen(ctx, b.keys.Done("f")).Val()).To(Equal(int64(1)))
		Expect(b.pending(ref.Stream)).To(BeZero())
		Expect(b.rdb.Exists(ctx, b.keys.Run("f", ref.RunID)).Val()).To(BeZero())
		ended, err := b.inspect.Ended(ctx, "f", ref.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(ended.Status).To(Equal(run.Succeeded))
	})

	It("is refused to a zombie, which leaves no journal", func() {
		b := newBench()
		zombie, other := b.committer(), b.committer()
		ref := b.begin("r1")
		b.dies("r1")
		b.alive("r2")
		entries, err := b.claim("r1", ref.Stream, "", 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		Expect(entries[0].Deliveries).To(Equal(int64(2)))
		mine := *ref
		mine.Runner = "r2"
		Expect(other.Finish(ctx, runs.Finish{Ref: &mine, Record: record(ref.RunID)})).To(BeTrue())
		// The zombie goes on: what it commits now would stay for ever.
		_, err = zombie.CommitResult(ctx, ref.RunID, "two", []byte(`{"o":2}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(zombie.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID), Failed: true})).To(BeFalse())
		Expect(b.rdb.XLen(ctx, b.keys.Done("f")).Val()).To(Equal(int64(1)))
		Expect(b.rdb.XLen(ctx, b.keys.Dead("f")).Val()).To(BeZero())
		Expect(b.rdb.Exists(ctx, b.keys.Run("f", ref.RunID)).Val()).To(BeZero())
		Expect(zombie.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{}`), Due: time.Now()})).To(Equal(runs.ParkLost))
		Expect(b.rdb.Exists(ctx, b.keys.Run("f", ref.RunID), b.keys.Timers("f"), b.keys.Versions("f")).Val()).To(BeZero())
	})

	It("does not drop the journal of a run that somebody else has parked", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{"version":"v1"}`), Due: time.Now().Add(time.Hour)})).To(Equal(runs.ParkOK))
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeFalse())
		Expect(b.rdb.HExists(ctx, b.keys.Run("f", ref.RunID), "@").Val()).To(BeTrue())
		Expect(b.rdb.ZScore(ctx, b.keys.Timers("f"), ref.RunID).Err()).To(Succeed())
	})

	It("tells the parent, once", func() {
		b := newBench()
		c := b.committer()
		parent := b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: parent, Meta: []byte(`{}`)})).To(Equal(runs.ParkOK))
		for range 2 {
			ref := b.begin("r1")
			ref.Parent = &run.Parent{Function: "f", RunID: parent.RunID, Path: "call"}
			Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID), Result: []byte(ref.RunID)})).To(BeTrue())
		}
		Expect(b.rdb.XLen(ctx, b.keys.Inbox("f")).Val()).To(Equal(int64(1)))
		// A parent that has ended is not brought back.
		ref := b.begin("r1")
		ref.Parent = &run.Parent{Function: "f", RunID: "gone", Path: "call"}
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID), Result: []byte(`{}`)})).To(BeTrue())
		Expect(b.rdb.Exists(ctx, b.keys.Run("f", "gone")).Val()).To(BeZero())
	})

	It("is right for many runs of all kinds in one script", func() {
		b := newBench()
		c := b.committer()
		const n = 60
		refs := make([]*runs.Ref, n)
		for i := range refs {
			refs[i] = b.begin("r1")
		}
		var wg sync.WaitGroup
		for i, ref := range refs {
			f := runs.Finish{Ref: ref, Record: record(ref.RunID)}
			switch i % 5 {
			case 1:
				f.Failed = true
			case 2:
				f.Count = "duplicate"
			case 3:
				f.OnceKey, f.Outcome = fmt.Sprint("key", i), []byte(`{"o":1}`)
				_, _, err := c.TakeKey(ctx, f.OnceKey, ref.RunID, time.Hour, false)
				Expect(err).NotTo(HaveOccurred())
			case 4:
				f.Waits = []run.Wait{{EventType: "b", Value: fmt.Sprint(i), Path: "wait"}}
				_, err := c.Await(ctx, ref, f.Waits[0], []byte(`{}`), "?wait")
				Expect(err).NotTo(HaveOccurred())
			}
			wg.Go(func() {
				defer GinkgoRecover()
				Expect(c.Finish(ctx, f)).To(BeTrue())
			})
		}
		wg.Wait()
		st, err := b.inspect.Stats(ctx, "f", []string{"a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(st.Succeeded).To(Equal(int64(n * 3 / 5)))
		Expect(st.Failed).To(Equal(int64(n / 5)))
		Expect(st.Duplicate).To(Equal(int64(n / 5)))
		Expect(st.Pending).To(BeZero())
		holder, outcome, err := c.TakeKey(ctx, "key3", "another", time.Hour, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(holder).To(Equal(refs[3].RunID))
		Expect(string(outcome)).To(Equal(`{"o":1}`))
		left, err := b.rdb.Keys(ctx, "*"+b.keys.Wait("f", "b", "", "")[:12]+"*:wait:*").Result()
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	})
})

var _ = Describe("the result of a step", func() {
	It("is the first one that was committed", func() {
		b := newBench()
		c, other := b.committer(), b.committer()
		ref := b.begin("r1")
		held, err := c.CommitResult(ctx, ref.RunID, "one", []byte(`{"o":1}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(held).To(BeNil(), "it is new")
		held, err = other.CommitResult(ctx, ref.RunID, "one", []byte(`{"o":2}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(held)).To(Equal(`{"o":1}`))
	})

	It("goes with its events, which are sent once", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		out := []event.Event{
			{ID: "e1", Type: "b", Data: []byte(`{}`)}, {ID: "same", Type: "b", Data: []byte(`1`)}, {ID: "same", Type: "b", Data: []byte(`2`)},
		}
		for range 2 {
			_, err := c.Emit(ctx, ref, "tell", []byte(`{"o":["e1"]}`), out, []bool{false, true, true})
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(b.rdb.XLen(ctx, b.keys.Stream("b")).Val()).To(Equal(int64(2)))
		held, err := c.Emit(ctx, ref, "tell", []byte(`{"o":["e9"]}`), out, []bool{false, true, true})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(held)).To(Equal(`{"o":["e1"]}`))
	})

	It("is refused to a zombie where it would send events or start a run", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		Expect(c.Finish(ctx, runs.Finish{Ref: ref, Record: record(ref.RunID)})).To(BeTrue())
		_, err := c.Emit(ctx, ref, "tell", []byte(`{}`), []event.Event{{ID: "e1", Type: "b", Data: []byte(`{}`)}}, []bool{false})
		Expect(err).To(MatchError(runs.ErrFenced))
		_, err = c.Invoke(ctx, ref, "call", []byte(`{}`), "g", "child", []byte(`{}`), []byte(`{}`))
		Expect(err).To(MatchError(runs.ErrFenced))
		_, err = c.Await(ctx, ref, run.Wait{EventType: "b", Path: "wait"}, []byte(`{}`), "?wait")
		Expect(err).To(MatchError(runs.ErrFenced))
		Expect(b.rdb.Exists(ctx, b.keys.Stream("b"), b.keys.Inbox("g"), b.keys.Run("f", ref.RunID), b.keys.Wait("f", "b", "", "")).Val()).To(BeZero())
	})
})

var _ = Describe("a parked run", func() {
	It("does not park while something that it waits for is there", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		_, err := c.CommitResult(ctx, ref.RunID, "wait", []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		p := runs.Park{Ref: ref, Meta: []byte(`{}`), Awaits: []string{"other", "wait"}}
		Expect(c.Park(ctx, p)).To(Equal(runs.ParkAgain))
		Expect(b.pending(ref.Stream)).To(Equal(int64(1)), "it is still ours")
		p.Awaits = []string{"other"}
		Expect(c.Park(ctx, p)).To(Equal(runs.ParkOK))
		Expect(b.pending(ref.Stream)).To(BeZero())
	})

	It("keeps thousands of open steps", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		p := runs.Park{Ref: ref, Meta: []byte(`{}`), Due: time.Now(), Progress: map[string][]byte{}}
		for i := range 20_000 {
			p.Progress[fmt.Sprintf("list[%d]", i)] = []byte(`{"t":1}`)
		}
		Expect(c.Park(ctx, p)).To(Equal(runs.ParkOK))
		j, err := b.runs.Load(ctx, "f", ref.RunID)
		Expect(err).NotTo(HaveOccurred())
		Expect(j.Progress).To(HaveLen(20_000))
	})

	It("has one owner", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		Expect(c.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{"version":"v1"}`), Due: time.Now().Add(-time.Second), Active: 5 * time.Millisecond})).To(Equal(runs.ParkOK))
		Expect(b.rdb.HGet(ctx, b.keys.Versions("f"), "v1").Val()).To(Equal("1"))
		fired, _, _, err := b.runs.Fire(ctx, "f", 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(fired).To(Equal(1))
		Expect(b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Inbox("f"), Values: []any{"run", ref.RunID}}).Err()).To(Succeed())
		entries := b.read("r1", b.keys.Inbox("f"), 10)
		Expect(entries).To(HaveLen(2))
		j, err := c.Take(ctx, entries[0].Stream, ref.RunID, entries[0].ID, "r1")
		Expect(err).NotTo(HaveOccurred())
		Expect(j.Active).To(Equal(5 * time.Millisecond))
		Expect(c.Take(ctx, entries[0].Stream, ref.RunID, entries[0].ID, "r1")).NotTo(BeNil(), "the owner may ask again")
		Expect(c.Take(ctx, entries[1].Stream, ref.RunID, entries[1].ID, "r1")).To(BeNil(), "the second wake-up is dropped")
		Expect(b.pending(b.keys.Inbox("f"))).To(Equal(int64(1)))
		again := *ref
		again.Stream, again.Entry, again.Inbox, again.Parked = b.keys.Inbox("f"), entries[0].ID, true, true
		Expect(c.Finish(ctx, runs.Finish{Ref: &again, Record: record(ref.RunID)})).To(BeTrue())
		Expect(b.rdb.Exists(ctx, b.keys.Versions("f"), b.keys.Timers("f")).Val()).To(BeZero())
		Expect(b.rdb.XLen(ctx, b.keys.Inbox("f")).Val()).To(BeZero())
	})

	It("is woken by an event only while it waits for it", func() {
		b := newBench()
		c := b.committer()
		ref := b.begin("r1")
		w := run.Wait{EventType: "b", Path: "wait"}
		cond := run.Wait{EventType: "b", Path: "cond", HasIf: true}
		for _, w := range []run.Wait{w, cond} {
			_, err := c.Await(ctx, ref, w, []byte(`{}`), "?"+w.Path)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(c.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{}`), Awaits: []string{"wait", "?wait", "cond", "?cond"}})).To(Equal(runs.ParkOK))
		inbox := func() int64 { return b.rdb.XLen(ctx, b.keys.Inbox("f")).Val() }
		Expect(c.Deliver(ctx, w, ref.RunID, []byte(`{"o":1}`), "?wait", "1-1")).To(Succeed())
		Expect(inbox()).To(Equal(int64(1)))
		Expect(c.Deliver(ctx, w, ref.RunID, []byte(`{"o":2}`), "?wait", "1-2")).To(Succeed())
		Expect(inbox()).To(Equal(int64(1)))
		Expect(b.rdb.HGet(ctx, b.keys.Run("f", ref.RunID), "wait").Val()).To(Equal(`{"o":1}`))
		Expect(c.Deliver(ctx, cond, ref.RunID, nil, "?cond", "1-1")).To(Succeed())
		Expect(inbox()).To(Equal(int64(2)))
		// Once the step has ended, nothing wakes the run for it.
		_, err := c.CommitResult(ctx, ref.RunID, "cond", []byte(`{}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Deliver(ctx, cond, ref.RunID, nil, "?cond", "1-3")).To(Succeed())
		Expect(inbox()).To(Equal(int64(2)))
		Expect(b.rdb.Exists(ctx, b.keys.Wait("f", "b", "", "")).Val()).To(BeZero())
	})
})

var _ = Describe("a group commit that is closed", func() {
	It("answers all writes that wait, however many", func() {
		b := newBench()
		entered, leave := make(chan struct{}, 2), make(chan struct{})
		c := b.runs.NewCommitter("f", runs.HistoryLimits{}, func() error {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-leave
			return nil
		})
		const writes = 3000 // more than some batches
		var wg sync.WaitGroup
		errs := make(chan error, writes)
		for i := range writes {
			wg.Go(func() {
				_, err := c.CommitResult(ctx, "r", fmt.Sprint("step", i), []byte(`{}`))
				errs <- err
			})
		}
		<-entered
		time.Sleep(100 * time.Millisecond) // the others queue up; fewer would only make it easier
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			c.Close()
		}()
		close(leave)
		Eventually(closed, "30s").Should(BeClosed())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			wg.Wait()
		}()
		Eventually(answered, "30s").Should(BeClosed())
		Expect(errs).To(HaveLen(writes))
	})
})
