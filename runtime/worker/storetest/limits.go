package storetest

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

// holdsForLimits makes the specs of slots and starts.
func holdsForLimits(begin func() *site) {
	start := func(c worker.Committer, b runs.Begin) runs.Begun {
		GinkgoHelper()
		b.Lease = lease
		return again(func() (runs.Begun, error) { return c.Begin(ctx, &b) })
	}
	slot := func(limit int) runs.Slots { return runs.Slots{Limit: limit, Value: "v", Want: 1, Max: 1} }
	hourly := func(burst int) *runs.Rate {
		return &runs.Rate{Function: function, Value: "v", Limit: 1, Burst: burst, Period: time.Hour}
	}

	It("never has more slots held than there are", func() {
		s := begin()
		hold := func(runner string, want, share int) int {
			GinkgoHelper()
			slots := runs.Slots{Function: function, Limit: 1, Runner: runner, Want: want, Max: 3, Share: share, Lease: lease}
			return again(func() (int, error) { return s.Store.Hold(ctx, slots) })
		}
		s.alive("r1")
		s.alive("r2")
		for range 2 {
			Expect(hold("r1", 2, 0)).To(Equal(2))
		}
		Expect(hold("r2", 2, 0)).To(Equal(1))
		s.dies("r1")
		Expect(hold("r2", 3, 0)).To(Equal(3), "those of the dead count for nobody")
		Expect(hold("r2", 3, 2)).To(Equal(3), "a share takes nothing away")
		Expect(hold("r2", 0, 0)).To(BeZero())
		Expect(hold("r2", 3, 2)).To(Equal(2), "and nobody gets more than that anew")
	})

	It("begins a run with all that it takes, or takes nothing", func() {
		s := begin()
		c := s.committer()
		holder, ref := s.begin("r2"), s.begin("r1")
		Expect(start(c, runs.Begin{Ref: holder, Slots: []runs.Slots{slot(2)}})).To(Equal(runs.Begun{Decision: run.Begun}))
		both := runs.Begin{Ref: ref, Throttle: hourly(1), Slots: []runs.Slots{slot(1), slot(2)}}
		Expect(start(c, both)).To(Equal(runs.Begun{Full: 2}))
		Expect(s.starts(*hourly(1))).To(Equal(1), "no start was taken")
		Expect(start(c, runs.Begin{Ref: holder, Slots: []runs.Slots{slot(2), slot(1)}})).To(Equal(runs.Begun{Decision: run.Begun}), "nor a slot")
		s.dies("r2")
		for range 2 {
			Expect(start(c, both)).To(Equal(runs.Begun{Decision: run.Begun}))
		}
		Expect(s.starts(*hourly(1))).To(BeZero(), "one start was taken, however often it was asked")
	})

	It("plans a run for which there is no start", func() {
		s := begin()
		c := s.committer()
		first, planned := s.begin("r1"), s.begin("r1")
		Expect(start(c, runs.Begin{Ref: first, Throttle: hourly(1)})).To(Equal(runs.Begun{Decision: run.Begun}))
		for range 2 {
			answer := start(c, runs.Begin{Ref: planned, Throttle: hourly(1)})
			Expect(answer.Decision).To(BeEmpty())
			Expect(answer.Wait).To(BeNumerically("~", time.Hour, 5*time.Minute))
		}
	})

	It("has no more begins in a window than its throttle says", func() {
		s := begin()
		c := s.committer()
		sliding := hourly(0)
		sliding.Limit, sliding.Sliding = 2, true
		for range 2 {
			Expect(start(c, runs.Begin{Ref: s.begin("r1"), Throttle: sliding})).To(Equal(runs.Begun{Decision: run.Begun}))
		}
		Expect(start(c, runs.Begin{Ref: s.begin("r1"), Throttle: sliding}).Wait).To(BeNumerically("~", time.Hour, 5*time.Minute))
		Expect(s.starts(*sliding)).To(BeZero())
	})

	It("drops what is above a rate limit, for good", func() {
		s := begin()
		c := s.committer()
		pass := func(ref *run.Ref) run.Decision {
			GinkgoHelper()
			return again(func() (run.Decision, error) { return c.Pass(ctx, ref, hourly(1)) })
		}
		first, second := s.begin("r1"), s.begin("r1")
		for range 2 {
			Expect(pass(first)).To(Equal(run.Counted))
			Expect(pass(second)).To(Equal(run.Dropped))
		}
		s.dies("r1")
		s.alive("r2")
		s.claim("r2", "r1", first.Stream)
		mine := *first
		mine.Runner = "r2"
		Expect(pass(&mine)).To(Equal(run.Counted), "it was counted before")
		_, err := c.Pass(ctx, first, hourly(1))
		Expect(err).To(MatchError(runs.ErrFenced))
	})

	It("begins no run of a zombie", func() {
		s := begin()
		c := s.committer()
		ref := s.begin("r1")
		s.dies("r1")
		s.alive("r2")
		s.claim("r2", "r1", ref.Stream)
		_, err := c.Begin(ctx, &runs.Begin{Ref: ref, Lease: lease})
		Expect(err).To(MatchError(runs.ErrFenced))
	})

	It("lets nothing new go ahead of a queue", func() {
		s := begin()
		c := s.committer()
		park(c, runs.Park{Ref: s.begin("r1"), Queue: 1, QueueValue: "v"})
		Expect(start(c, runs.Begin{Ref: s.begin("r1"), Slots: []runs.Slots{slot(1)}, New: true})).To(Equal(runs.Begun{Full: 1}))
		Expect(start(c, runs.Begin{Ref: s.begin("r1"), Slots: []runs.Slots{slot(1)}})).To(Equal(runs.Begun{Decision: run.Begun}))
	})
}

func (s *site) starts(r runs.Rate) int {
	GinkgoHelper()
	return again(func() (int, error) {
		n, _, err := s.Store.Starts(ctx, r)
		return n, err
	})
}
