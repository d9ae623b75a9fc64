package scenarios

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func mailServer(g Ground) {
	Describe("6. The SMTP server", func() {
		It("is down: mails are retried with backoff, and go out once when it is back", func() {
			s := newSite(g, Order{Changes: Changes{NoRateLimits: true, Faster: 64_800}})
			s.place.Mail.Close()
			s.fleet.start(2)
			letter := s.write(address("ada"), "patience")
			s.register("bela")
			began := time.Now()
			Consistently(func() int { return s.want.Runs["enhanced-email-processor"] - s.ended()["enhanced-email-processor"] }, 4*time.Second, 200*time.Millisecond).
				Should(Equal(1), "the run must wait for the server")
			s.place.Mail.Open()
			s.settle(40 * time.Second)
			Expect(s.resent()).To(BeZero())
			// Attempts at 0 s, 2 s and 2 s + 8 s, all give or take a fifth.
			Expect(step(s.runOf("enhanced-email-processor", letter), "send").Attempts).To(Equal(3))
			arrival := s.mailTo(address("ada"), "patience").Received.Sub(began)
			Expect(arrival).To(BeNumerically("~", 10*time.Second, 3*time.Second))
		})

		It("refuses a recipient: for good without a retry, for now with one", func() {
			s := newSite(g, Order{Changes: Changes{NoRateLimits: true, Faster: 64_800}})
			s.fleet.start(2)
			letter := s.publish("email/send", "", map[string]any{"to": address("gone"), "subject": "to nobody", "body": "Hello?"})
			s.want.Runs["enhanced-email-processor"]++
			s.want.Audit["EMAIL_FAILED"]++
			s.want.Metrics["failed"]++
			slow := s.write(address("busy"), "later")
			user := s.publish("user/registered", "", map[string]any{"userId": "gone-user", "email": address("gone-user")})
			s.want.Runs["send-welcome-email"] += 2
			s.want.Runs["user-registration-workflow"]++
			s.want.Audit["REGISTER_SUCCESS"]++
			s.want.Audit["WELCOME_EMAIL_SENT"]++ // the attempt is on record
			s.want.Audit["WELCOME_EMAIL_FAILED"]++
			s.want.Profiles["not welcomed"]++
			s.settle(30 * time.Second)

			run := s.runOf("enhanced-email-processor", letter)
			Expect(string(run.Status)).To(Equal("failed"))
			Expect(run.ErrorStep).To(Equal("send"))
			Expect(run.Error).To(ContainSubstring("550"))
			Expect(step(run, "send").Attempts).To(Equal(1))
			Expect(step(s.runOf("enhanced-email-processor", slow), "send").Attempts).To(Equal(2))
			Expect(string(s.runOf("user-registration-workflow", user).Status)).To(Equal("failed"))
			Expect(s.place.Mail.Offers()).To(Equal(map[string]int{address("gone"): 1, address("busy"): 2, address("gone-user"): 1}))
		})
	})
}
