package storetest

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// holdsForRuns makes the specs of results and ends.
func holdsForRuns(begin func() *site) {
	It("ends a run once, and keeps nothing of it", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		commit(c, ref.RunID, "one", `{"o":1}`)
		for range 2 {
			finish(c, runs.Finish{Ref: ref})
		}
		Expect(s.ended()).To(HaveLen(1))
		Expect(s.ended()[0].ID).To(Equal(ref.RunID))
		Expect(s.journal(ref.RunID)).To(BeNil())
		Expect(s.claim("r1", "r1", ref.Stream)).To(BeEmpty())
	})

	It("lets nobody end a run but its owner", func() {
		s := begin()
		zombie, other := s.committer(), s.committer()
		ref := s.begin("r1")
		s.dies("r1")
		s.alive("r2")
		entries := s.claim("r2", "r1", ref.Stream)
		Expect(entries).To(HaveLen(1))
		Expect(entries[0].Deliveries).To(Equal(int64(2)))
		mine := *ref
		mine.Runner = "r2"
		finish(other, runs.Finish{Ref: &mine})
		commit(zombie, ref.RunID, "late", `{"o":2}`)
		finish(zombie, runs.Finish{Ref: ref, Failed: true})
		Expect(s.ended()).To(HaveLen(1))
		Expect(s.ended()[0].Status).To(Equal(run.Succeeded))
		Expect(again(func() (runs.ParkResult, error) {
			return zombie.Park(ctx, runs.Park{Ref: ref, Meta: []byte(`{}`), Due: time.UnixMilli(1)})
		})).To(Equal(runs.ParkLost))
		Expect(s.journal(ref.RunID)).To(BeNil(), "what a zombie writes does not stay")
	})

	It("fixes the result of a step with its first commit", func() {
		s := begin()
		ref := s.begin("r1")
		commit(s.committer(), ref.RunID, "one", `{"o":1}`)
		held := again(func() ([]byte, error) { return s.committer().CommitResult(ctx, ref.RunID, "one", []byte(`{"o":2}`)) })
		Expect(string(held)).To(Equal(`{"o":1}`))
		Expect(s.journal(ref.RunID).Results).To(HaveKey("one"))
	})

	It("sends the events of a step once, with its result", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		out := []event.Event{{ID: "e1", Type: "b", Data: []byte(`{}`)}, {ID: "same", Type: "b", Data: []byte(`1`)}, {ID: "same", Type: "b", Data: []byte(`2`)}}
		for _, result := range []string{`{"o":["e1"]}`, `{"o":["e9"]}`} {
			again(func() ([]byte, error) {
				return c.Emit(ctx, ref, "tell", []byte(result), out, []bool{false, true, true})
			})
		}
		Expect(s.entries(s.keys.Stream("b"))).To(HaveLen(2))
		held := again(func() ([]byte, error) { return c.CommitResult(ctx, ref.RunID, "tell", []byte(`{}`)) })
		Expect(string(held)).To(Equal(`{"o":["e1"]}`))
	})

	It("starts an invoked run once", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		invoke := func() (started bool) {
			done(func() (err error) {
				started, err = c.Invoke(ctx, ref, "call", []byte(`{"c":"child"}`), "g", "child", []byte(`{"id":"x"}`), []byte(`{}`))
				return err
			})
			return started
		}
		Expect(invoke()).To(BeFalse(), "there is no such function")
		done(func() error { // what a handler wants to send may look like a child, and is none
			_, err := c.CommitResult(ctx, ref.RunID, "~call", []byte(`{"d":{"data":{"c":"EUR"}}}`))
			return err
		})
		Expect(s.entries(s.keys.Inbox("g"))).To(BeEmpty())
		done(func() error { return s.Store.EnsureGroups(ctx, "g", store.FromBeginning) })
		for range 2 {
			Expect(invoke()).To(BeTrue())
		}
		started := s.entries(s.keys.Inbox("g"))
		Expect(started).To(HaveLen(1))
		Expect(started[0].Field("start")).To(Equal("child"))
		Expect(s.journal(ref.RunID).Progress).To(HaveKey("call"))
	})

	It("lets nobody send, invoke or wait for a run that has ended", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		finish(c, runs.Finish{Ref: ref})
		_, err := c.Emit(ctx, ref, "tell", []byte(`{}`), []event.Event{{ID: "e1", Type: "b", Data: []byte(`{}`)}}, []bool{false})
		Expect(err).To(MatchError(runs.ErrFenced))
		_, err = c.Invoke(ctx, ref, "call", []byte(`{}`), "g", "child", []byte(`{}`), []byte(`{}`))
		Expect(err).To(MatchError(runs.ErrFenced))
		w := run.Wait{EventType: "b", Path: "wait"}
		_, err = c.Await(ctx, ref, w, []byte(`{}`), run.CandidateField(w.Path))
		Expect(err).To(MatchError(runs.ErrFenced))
		Expect(s.entries(s.keys.Stream("b"), s.keys.Inbox("g"))).To(BeEmpty())
		Expect(s.waiters(w)).To(BeEmpty())
		Expect(s.journal(ref.RunID)).To(BeNil())
	})

	It("tells the parent of a run that has ended", func() {
		s := begin()
		c := s.committer()
		parent := s.begin("r1")
		park(c, runs.Park{Ref: parent})
		child := s.begin("r1")
		child.Parent = &run.Parent{Function: function, RunID: parent.RunID, Path: "call"}
		for range 2 {
			finish(c, runs.Finish{Ref: child, Result: []byte(`{"o":1}`)})
		}
		Expect(s.woken("r1", parent.RunID)).To(HaveLen(1))
		Expect(s.journal(parent.RunID).Results).To(HaveKey("call"))
	})

	It("writes nothing once the lease is over, and answers all that waits when it is closed", func() {
		s := begin()
		ref := s.begin("r1")
		c := s.Store.NewCommitter(function, runs.HistoryLimits{Done: 100, Dead: 100}, func() error { return runs.ErrFenced })
		DeferCleanup(c.Close)
		_, err := c.CommitResult(ctx, ref.RunID, "one", []byte(`{}`))
		Expect(err).To(MatchError(runs.ErrFenced))
		_, err = c.Finish(ctx, runs.Finish{Ref: ref})
		Expect(err).To(MatchError(runs.ErrFenced))
		Expect(s.journal(ref.RunID)).To(BeNil())
		Expect(s.ended()).To(BeEmpty())
		c.Close()
		_, err = c.CommitResult(ctx, ref.RunID, "one", []byte(`{}`))
		Expect(err).To(MatchError(runs.ErrClosed))
	})

	It("ends a run that is to be cancelled in no other way", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		done(func() error { return s.acts.Cancel(ctx, function, ref.RunID, "no more") })
		Expect(again(func() (int64, error) { return s.Store.CancelCount(ctx, function) })).To(Equal(int64(1)))
		asked := again(func() (map[string]*run.CancelRequest, error) {
			return s.Store.CancelRequests(ctx, function, ref.RunID, "other")
		})
		Expect(asked).To(HaveLen(1))
		Expect(asked[ref.RunID].Reason).To(Equal("no more"))
		_, err := c.Finish(ctx, runs.Finish{Ref: ref, Record: []byte(`{}`)})
		var request *run.CancelRequest
		Expect(err).To(BeAssignableToTypeOf(request))
		finish(c, runs.Finish{Ref: ref, Cancelled: true})
		Expect(again(func() (int64, error) { return s.Store.CancelCount(ctx, function) })).To(BeZero())
		Expect(s.ended()).To(HaveLen(1))
	})

	It("gives an idempotency key to one run, and tells the others what came of it", func() {
		s := begin()
		c := s.committer()
		first, second := s.begin("r1"), s.begin("r1")
		type answer struct {
			holder  string
			outcome string
		}
		take := func(key, runID string, follow bool) answer {
			return again(func() (answer, error) {
				holder, outcome, err := c.TakeKey(ctx, key, runID, time.Hour, follow)
				return answer{holder, string(outcome)}, err
			})
		}
		for range 2 {
			Expect(take("k", first.RunID, false)).To(Equal(answer{}))
		}
		Expect(take("k", second.RunID, true)).To(Equal(answer{holder: first.RunID}))
		finish(c, runs.Finish{Ref: first, OnceKey: "k", Outcome: []byte(`{"o":1}`)})
		Expect(s.woken("r1", second.RunID)).NotTo(BeEmpty())
		Expect(take("k", second.RunID, false)).To(Equal(answer{first.RunID, `{"o":1}`}))
		third := s.begin("r1")
		Expect(take("other", third.RunID, false)).To(Equal(answer{}))
		finish(c, runs.Finish{Ref: third, OnceKey: "other", Cancelled: true})
		Expect(take("other", second.RunID, false)).To(Equal(answer{}), "without an outcome the key is free")
	})

	It("is right for many runs of all kinds at once", func() {
		s := begin()
		c := s.committer()
		const n = 40
		ends := make(chan error, n)
		for i := range n {
			f := runs.Finish{Ref: s.begin("r1")}
			switch i % 4 {
			case 1:
				f.Failed = true
			case 2:
				f.Count = "duplicate"
			case 3:
				f.OnceKey, f.Outcome = fmt.Sprint("key", i), []byte(`{"o":1}`)
			}
			if f.Count == "" {
				f.Record = run.AppendRecord(nil, &run.Record{ID: f.Ref.RunID, Status: run.Succeeded, StartedAt: time.UnixMilli(1)})
			}
			go func() {
				_, err := c.Finish(ctx, f)
				for err != nil && store.Temporary(err) {
					_, err = c.Finish(ctx, f)
				}
				ends <- err
			}()
		}
		for range n {
			Eventually(ends, patience).Should(Receive(Succeed()))
		}
		Expect(s.ended()).To(HaveLen(n * 3 / 4))
		Expect(s.claim("r1", "r1", s.keys.Stream(eventType))).To(BeEmpty())
	})
}

// commit commits the result of a step.
func commit(c worker.Committer, runID, path, result string) {
	GinkgoHelper()
	again(func() ([]byte, error) { return c.CommitResult(ctx, runID, path, []byte(result)) })
}
