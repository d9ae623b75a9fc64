package scenarios

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
)

func listings(g Ground) {
	Describe("2. A new listing", func() {
		short := Changes{NoRateLimits: true, History: 10_000}

		It("is checked, announced and published once", func() {
			s := newSite(g, Order{Changes: short})
			s.furnish()
			s.fleet.start(2)
			for i := range 10 {
				s.list(named("party", i))
			}
			s.settle(30 * time.Second)
			Expect(s.resent()).To(BeZero())
			Expect(s.mailTo(Admin, "New event: Party party-0").Text).To(ContainSubstring("Harbour Hall"))
			Expect(s.mailTo(address("dora"), "Party party-0 is published").Text).To(ContainSubstring("Your event is published"))
		})

		It("in the past or without a venue fails without a retry and is audited", func() {
			s := newSite(g, Order{Changes: short})
			s.furnish()
			s.fleet.start(2)
			past := s.listBadly(listing{"past", time.Now().AddDate(0, 0, -1), "harbour"})
			homeless := s.listBadly(listing{"homeless", time.Now().AddDate(0, 1, 0), nil})
			s.settle(30 * time.Second)
			for _, function := range []string{"process-new-event", "event-creation-workflow"} {
				for e, why := range map[*event.Event]string{past: "in the past", homeless: "no venue"} {
					run := s.runOf(function, e)
					Expect(string(run.Status)).To(Equal("failed"))
					Expect(run.ErrorStep).To(Equal("validate-event"))
					Expect(run.Error).To(ContainSubstring(why))
					Expect(step(run, "validate-event").Attempts).To(Equal(1))
					Expect(step(run, "load-event").Attempts).To(Equal(1))
				}
			}
			var why string
			Expect(s.db.QueryRowContext(context.Background(), `SELECT details ->> 'error' FROM audit_log WHERE record_id = 'homeless'`).Scan(&why)).To(Succeed())
			Expect(why).To(ContainSubstring("no venue"))
		})

		It("is published once while runners are killed", func() {
			s := newSite(g, Order{Changes: short})
			s.furnish()
			s.fleet.start(3)
			stop := s.fleet.harass(300 * time.Millisecond)
			s.inBursts(200, func(i int) { s.list(named("party", i)) })
			s.finish(60 * time.Second)
			stop()
			s.settleCrashed()
		})
	})
}
