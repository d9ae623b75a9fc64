package storetest

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// holdsForParkedRuns makes the specs of runs that wait.
func holdsForParkedRuns(begin func() *site) {
	It("wakes a parked run at its time, for one owner", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		park(c, runs.Park{Ref: ref, Due: time.UnixMilli(1), Active: 5 * time.Millisecond, Progress: map[string][]byte{"open": []byte(`{"t":1}`)}})
		Expect(s.claim("r1", "r1", ref.Stream)).To(BeEmpty(), "the entry that started it is done with")
		Expect(s.woken("r1", ref.RunID)).To(BeEmpty())
		s.fire()
		wakes := s.woken("r1", ref.RunID)
		Expect(wakes).To(HaveLen(1))
		for range 2 { // the owner may ask again
			j := again(func() (*run.Journal, error) { return c.Take(ctx, wakes[0].Stream, ref.RunID, wakes[0].ID, "r1") })
			Expect(j.Active).To(Equal(5 * time.Millisecond))
			Expect(j.Progress).To(HaveKey("open"))
		}
		mine := *ref
		mine.Stream, mine.Entry, mine.Inbox, mine.Parked = s.keys.Inbox(function), wakes[0].ID, true, true
		finish(c, runs.Finish{Ref: ref})
		Expect(s.ended()).To(BeEmpty(), "the entry that started it ends it no more")
		Expect(s.journal(ref.RunID)).NotTo(BeNil())
		finish(c, runs.Finish{Ref: &mine})
		Expect(s.ended()).To(HaveLen(1))
		_, err := c.Take(ctx, wakes[0].Stream, ref.RunID, wakes[0].ID, "r1")
		Expect(err).To(MatchError(runs.ErrFenced))
	})

	It("says when the next run is due", func() {
		s := begin()
		c := s.committer()
		due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		park(c, runs.Park{Ref: s.begin("r1"), Due: due.Add(time.Hour)})
		park(c, runs.Park{Ref: s.begin("r1"), Due: due})
		Expect(s.fire()).To(Equal(due))
		Expect(s.beat("r1", false).NextDue).To(Equal(due))
	})

	It("does not park a run for which something has come", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		commit(c, ref.RunID, "wait", `{}`)
		p := runs.Park{Ref: ref, Meta: []byte(`{}`), Awaits: []string{"other", "wait"}}
		Expect(again(func() (runs.ParkResult, error) { return c.Park(ctx, p) })).To(Equal(runs.ParkAgain))
		Expect(s.claim("r1", "r1", ref.Stream)).To(HaveLen(1), "it is still this runner's")
		p.Awaits = []string{"other"}
		park(c, p)
		Expect(s.claim("r1", "r1", ref.Stream)).To(BeEmpty())
	})

	It("gives an event to a run that waits for it, once", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		w := run.Wait{EventType: "b", Match: "data.id", Value: "1", Path: "wait"}
		await(c, ref, w)
		Expect(s.waiters(w)).To(ConsistOf(HaveField("RunID", ref.RunID)))
		park(c, runs.Park{Ref: ref, Awaits: []string{w.Path, run.CandidateField(w.Path)}})
		for _, result := range []string{`{"o":1}`, `{"o":2}`} {
			done(func() error {
				return c.Deliver(ctx, w, ref.RunID, []byte(result), run.CandidateField(w.Path), "9999999999999-1")
			})
		}
		Expect(s.woken("r1", ref.RunID)).To(HaveLen(1))
		Expect(s.waiters(w)).To(BeEmpty())
		held := again(func() ([]byte, error) { return c.CommitResult(ctx, ref.RunID, w.Path, []byte(`{}`)) })
		Expect(string(held)).To(Equal(`{"o":1}`))
	})

	It("tells a run that begins to wait how far the stream was, so that it can look back", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		w := run.Wait{EventType: eventType, Path: "wait"}
		before := s.publish()
		newest := await(c, ref, w)
		s.publish()
		entries := again(func() ([]store.Entry, error) { return s.Store.Between(ctx, eventType, ref.Entry, newest, 10) })
		Expect(entries).To(HaveLen(1))
		read, err := entries[0].Event()
		Expect(err).NotTo(HaveOccurred())
		Expect(read.ID).To(Equal(before.ID))
	})

	It("takes what waits for a run's slot in its turn", func() {
		s := begin()
		c := s.committer()
		s.alive("r1")
		var ids []string
		for range 3 {
			ref := s.begin("r1")
			ids = append(ids, ref.RunID)
			park(c, runs.Park{Ref: ref, Queue: 1, QueueValue: "v"})
		}
		queued := again(func() ([]runs.Slots, error) { return s.Store.Queued(ctx, function, 10) })
		Expect(queued).To(ConsistOf(And(HaveField("Limit", 1), HaveField("Value", "v"))))
		done(func() error {
			return s.Store.Release(ctx, runs.Slots{Function: function, Limit: 1, Value: "v", Runner: "r1", Max: 1, Lease: lease})
		})
		first := s.read("r1", s.keys.Inbox(function))
		Expect(first).NotTo(BeEmpty())
		Expect(first[0].Field("run")).To(Equal(ids[0]), "first come, first served")
	})
}

// fire puts back the runs that are due, and returns when the next one is.
func (s *site) fire() time.Time {
	GinkgoHelper()
	return again(func() (time.Time, error) {
		_, next, _, err := s.Store.Fire(ctx, function, 100)
		return next, err
	})
}

func (s *site) waiters(w run.Wait) []run.Waiter {
	GinkgoHelper()
	return again(func() ([]run.Waiter, error) { return s.Store.Waiters(ctx, function, w.EventType, w.Match, w.Value) })
}

// await makes a run wait, and returns the newest entry of the stream.
func await(c worker.Committer, ref *run.Ref, w run.Wait) string {
	GinkgoHelper()
	return again(func() (string, error) { return c.Await(ctx, ref, w, []byte(`{}`), run.CandidateField(w.Path)) })
}
