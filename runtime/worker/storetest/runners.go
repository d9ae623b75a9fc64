package storetest

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// holdsForRunners makes the specs of leases, and of what the dead leave behind.
func holdsForRunners(begin func() *site) {
	It("keeps the lease of a runner that beats, and fences one that was silent", func() {
		s := begin()
		s.alive("r1")
		s.alive("r2")
		s.dies("r3")
		beat := s.beat("r2", false)
		Expect(beat.Fenced).To(BeFalse())
		Expect(beat.Alive).To(Equal(2))
		Expect(beat.Rank).To(Equal(1))
		Expect(beat.Dead).To(Equal([]string{"r3"}))
		s.dies("r1")
		Expect(s.beat("r1", false).Fenced).To(BeTrue())
		Expect(s.beat("r2", false).Dead).To(ConsistOf("r1", "r3"), "one that is fenced stays dead")
		Expect(s.forget("r1")).To(BeTrue())
		Expect(s.beat("r1", false).Fenced).To(BeTrue())
	})

	It("judges a runner by the lease that it has stated", func() {
		s := begin()
		s.publish()
		stream := s.keys.Stream(eventType)
		s.read("r1", stream)
		s.alive("r2")
		again(func() (runs.Beat, error) { return s.Store.Beat(ctx, function, "r1", time.Hour, true) })
		again(func() (runs.Beat, error) { return s.Store.Beat(ctx, function, "r2", time.Millisecond, true) })
		for range 3 {
			beat := again(func() (runs.Beat, error) { return s.Store.Beat(ctx, function, "r2", time.Millisecond, true) })
			Expect(beat.Dead).To(BeEmpty())
		}
		Expect(s.claim("r2", "r1", stream)).To(BeEmpty())
		again(func() (runs.Beat, error) { return s.Store.Beat(ctx, function, "r2", time.Nanosecond, true) })
		Eventually(func() []string { return s.beat("r1", true).Dead }, patience).Should(Equal([]string{"r2"}))
	})

	It("gives what a dead runner has to one that lives, and forgets it then", func() {
		s := begin()
		stream := s.keys.Stream(eventType)
		const n = 20
		for range n {
			s.publish()
		}
		Expect(s.read("r1", stream)).To(HaveLen(n))
		s.alive("r2")
		Expect(s.claim("r2", "r1", stream)).To(BeEmpty(), "it lives")
		s.dies("r1")
		Expect(s.forget("r1")).To(BeFalse(), "something is left")
		s.dies("r2")
		Expect(s.claim("r2", "r1", stream)).To(BeEmpty(), "the dead take nothing")
		s.alive("r2")
		taken := s.claim("r2", "r1", stream)
		Expect(taken).To(HaveLen(n))
		for _, e := range taken {
			Expect(e.Deliveries).To(Equal(int64(2)))
			Expect(e.Fields).To(HaveKey("data"))
		}
		Expect(s.claim("r1", "r2", stream)).To(BeEmpty())
		Expect(s.forget("r1")).To(BeTrue())
		Expect(s.beat("r2", false).Dead).To(BeEmpty())
		Expect(s.claim("r2", "r2", stream)).To(HaveLen(n), "nothing was lost with it")
	})

	It("takes over a suspect alone", func() {
		s := begin()
		stream := s.keys.Stream(eventType)
		for range 3 {
			s.publish()
		}
		s.read("r1", stream)
		s.dies("r1")
		s.alive("r2")
		c := runs.Claim{Function: function, Runner: "r2", Dead: "r1", Stream: stream, Lease: lease, Most: 10, Often: 1}
		Expect(again(func() ([]store.Entry, error) { return s.Store.Claim(ctx, c) })).To(BeEmpty())
		c.Suspects = 1
		again(func() ([]store.Entry, error) { return s.Store.Claim(ctx, c) })
		Expect(len(s.claim("r2", "r2", stream))).To(BeNumerically(">=", 1))
		Expect(s.forget("r1")).To(BeFalse())
	})

	It("finds a runner that never had a heartbeat", func() {
		s := begin()
		stream := s.keys.Stream(eventType)
		s.publish()
		reader := s.Store.NewReader(function, "stray", store.FromBeginning)
		DeferCleanup(reader.Close)
		again(func() ([]store.Entry, error) {
			entries, err := reader.Read(ctx, []string{stream}, 1, 0)
			return entries, store.Explain(err)
		})
		s.alive("r2")
		Expect(s.beat("r2", false).Dead).To(BeEmpty())
		done(func() error { return s.Store.AdoptStrays(ctx, function, []string{stream, s.keys.Stream("not there")}) })
		Expect(s.beat("r2", false).Dead).To(Equal([]string{"stray"}))
		Expect(s.claim("r2", "stray", stream)).To(HaveLen(1))
	})

	It("starts one run at a time of a schedule, in order", func() {
		s := begin()
		at := time.UnixMilli(1_700_000_000_000)
		tick := func(schedule string, at time.Time) {
			GinkgoHelper()
			again(func() (bool, error) { return s.Store.Tick(ctx, function, schedule, at, schedule, []byte(`{}`)) })
		}
		last := func(schedule string) time.Time {
			GinkgoHelper()
			return again(func() (time.Time, error) { return s.Store.LastTick(ctx, function, schedule) })
		}
		Expect(last("* * * * *").IsZero()).To(BeTrue())
		done(func() error { return s.Store.NoteTick(ctx, function, "* * * * *", at.Add(-time.Hour)) })
		Expect(last("* * * * *")).To(Equal(at.Add(-time.Hour)))
		for range 2 {
			tick("* * * * *", at)
		}
		tick("* * * * *", at.Add(-time.Minute))
		tick("5 * * * *", at)
		Expect(s.read("r1", s.keys.Inbox(function))).To(HaveLen(2))
		done(func() error { return s.Store.NoteTick(ctx, function, "* * * * *", at.Add(time.Hour)) })
		Expect(last("* * * * *")).To(Equal(at), "a note changes nothing that is known")
	})
}

func (s *site) forget(runner string) bool {
	GinkgoHelper()
	return again(func() (bool, error) {
		return s.Store.Forget(ctx, function, runner, []string{s.keys.Stream(eventType), s.keys.Inbox(function)})
	})
}
