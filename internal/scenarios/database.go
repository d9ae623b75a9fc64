package scenarios

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func database(g Ground) {
	Describe("5. The database", func() {
		It("is down for 30 s: no audit entry is lost, and the alert is raised once", func() {
			s := newSite(g, Order{Changes: Changes{NoRateLimits: true}, OwnDatabase: true})
			s.fleet.start(2)
			s.act("mallory", "LOGIN_FAILURE")
			s.finish(20 * time.Second)

			s.place.Database.Stop()
			down := time.Now()
			order := []string{"LOGIN_FAILURE"}
			// An event's time is in milliseconds: a pause keeps the order defined.
			act := func(action string) {
				s.act("mallory", action)
				order = append(order, action)
				time.Sleep(100 * time.Millisecond)
			}
			act("LOGIN_FAILURE")
			for i := range 20 {
				act(fmt.Sprintf("ACTION_%02d", i))
			}
			act("LOGIN_FAILURE")
			s.alarm("multiple_failed_logins", "HIGH", "mallory")
			act("ROLE_CHANGE")

			By("the entries are kept in Redis and on stderr meanwhile")
			kept := func() (int64, error) { return s.store.Fallback(FallbackName).Len(context.Background()) }
			Eventually(kept, s.pace.slow(25*time.Second), 100*time.Millisecond).Should(BeNumerically(">=", len(order)-1))
			time.Sleep(time.Until(down.Add(30 * time.Second)))
			held, err := kept()
			Expect(err).NotTo(HaveOccurred())
			logs := s.logs()
			Expect(logs).To(ContainSubstring(`"auditEntry":{`))
			Expect(logs).To(ContainSubstring(`"action":"ROLE_CHANGE"`))

			s.place.Database.Start()
			up := time.Now()
			s.settle(60 * time.Second)
			AddReportEntry("outage", fmt.Sprintf("%d entries in the fallback; all settled %s after the database was back",
				held, time.Since(up).Round(100*time.Millisecond)))
			Expect(s.attempts("mallory")).To(Equal([]int{3}))
			Expect(s.actionsInOrder()).To(Equal(order))
		})

		It("hangs: what was begun goes on when it answers again", func() {
			s := newSite(g, Order{Changes: Changes{NoRateLimits: true}, OwnDatabase: true})
			s.fleet.start(2)
			s.act("mallory", "LOGIN_FAILURE")
			s.finish(20 * time.Second)
			s.place.Database.Pause()
			for i := range 10 {
				s.act("mallory", fmt.Sprintf("ACTION_%02d", i))
			}
			s.act("mallory", "LOGIN_FAILURE")
			s.act("mallory", "LOGIN_FAILURE")
			s.alarm("multiple_failed_logins", "HIGH", "mallory")
			time.Sleep(5 * time.Second)
			s.place.Database.Resume()
			s.settle(40 * time.Second)
			Expect(s.attempts("mallory")).To(Equal([]int{3}))
		})
	})
}

// actionsInOrder are the actions in the audit log by created_at; those of the
// mails and the like left out.
func (s *site) actionsInOrder() []string {
	GinkgoHelper()
	var all string
	Expect(s.db.QueryRowContext(context.Background(), `SELECT string_agg(action, ' ' ORDER BY created_at) FROM audit_log WHERE user_id = 'mallory'`).Scan(&all)).To(Succeed())
	return strings.Fields(all)
}
