package scenarios

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func registration(g Ground) {
	Describe("1. A registration", func() {
		// Three days are 4 s.
		short := Changes{Faster: 64_800, History: 10_000}

		It("leads to one welcome mail, one audit row each, one profile, and a follow-up for who was not active", func() {
			s := newSite(g, Order{Changes: short})
			s.fleet.start(2)
			quiet := s.register("ada")
			s.register("bela")

			By("the same event again, with its id: it is the same event")
			again := s.publish("user/registered", quiet.ID, map[string]any{"userId": "ada", "email": address("ada")})
			Expect(again.Time).To(Equal(quiet.Time))
			By("the same user again, as another event: it meets the key of the first")
			s.publish("user/registered", "", map[string]any{"userId": "bela", "email": address("bela")})
			s.want.Runs["send-welcome-email"]++
			s.want.Runs["user-registration-workflow"]++

			By("bela does something, and gets no follow-up")
			time.Sleep(10 * time.Millisecond) // times are milliseconds; it must be after the registration
			s.act("bela", "PAGE_VIEW")
			delete(s.want.Mails, address("bela")+": "+followUpSubject)

			s.settle(30 * time.Second)
			Expect(s.resent()).To(BeZero())
			mail := s.mailTo(address("ada"), welcomeSubject)
			Expect(mail.Text).To(ContainSubstring("Your account is ready"))
			Expect(mail.HTML).To(ContainSubstring(address("ada")))
			Expect(mail.Header.Get("From")).To(ContainSubstring("site@wildout.example"))
			Expect(string(s.runOf("user-registration-workflow", quiet).Output)).To(MatchJSON(`{"userId":"ada","active":false,"followedUp":true}`))
		})

		It("does so while runners are killed", func() {
			s := newSite(g, Order{Changes: short})
			s.fleet.start(3)
			stop := s.fleet.harass(300 * time.Millisecond)
			s.inBursts(200, func(i int) { s.register(named("user", i)) })
			s.finish(60 * time.Second)
			stop()
			s.settleCrashed()
		})
	})
}
