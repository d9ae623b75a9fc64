package scenarios_test

import (
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/mailsink"
)

var _ = Describe("6. The SMTP server", func() {
	It("is down: mails are retried with backoff, and go out once when it is back", func() {
		s := newSite(changes{NoRateLimits: true, Faster: 64_800})
		s.closeSMTP()
		s.fleet.start(2)
		letter := s.write(address("ada"), "patience")
		s.register("bela")
		began := time.Now()
		Consistently(func() int { return s.want.Runs["enhanced-email-processor"] - s.ended()["enhanced-email-processor"] }, 4*time.Second, 200*time.Millisecond).
			Should(Equal(1), "the run must wait for the server")
		s.openSMTP()
		s.settle(40 * time.Second)
		Expect(s.resent()).To(BeZero())
		// Attempts at 0 s, 2 s and 2 s + 8 s, all give or take a fifth.
		Expect(step(s.runOf("enhanced-email-processor", letter), "send").Attempts).To(Equal(3))
		arrival := s.mailTo(address("ada"), "patience").Received.Sub(began)
		Expect(arrival).To(BeNumerically("~", 10*time.Second, 3*time.Second))
	})

	It("refuses a recipient: for good without a retry, for now with one", func() {
		refuse := &refusals{offers: counts{}}
		s := newSite(changes{NoRateLimits: true, Faster: 64_800}, withMailFaults(mailsink.Options{OnRcpt: refuse.judge}))
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
		Expect(refuse.offers).To(Equal(counts{address("gone"): 1, address("busy"): 2, address("gone-user"): 1}))
	})
})

// refusals refuse recipients by name, and count how often each was offered.
type refusals struct {
	mu     sync.Mutex
	offers counts
}

func (r *refusals) judge(to string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offers[to]++
	switch {
	case strings.HasPrefix(to, "gone"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	case strings.HasPrefix(to, "busy") && r.offers[to] == 1:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	}
	return nil
}
