package scenarios_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/servicetest"
)

var _ = Describe("5. The database", func() {
	It("is down for 30 s: no audit entry is lost, and the alert is raised once", func() {
		postgres := servicetest.StartPostgres(GinkgoTB())
		s := newSite(changes{NoRateLimits: true}, withDatabase(postgres.NewDatabase(GinkgoTB())))
		s.fleet.start(2)
		s.act("mallory", "LOGIN_FAILURE")
		s.finish(20 * time.Second)

		postgres.Stop()
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
		kept := func() (int64, error) { return s.store.Fallback(fallbackName).Len(context.Background()) }
		Eventually(kept, 25*time.Second, 100*time.Millisecond).Should(BeNumerically(">=", len(order)-1))
		time.Sleep(time.Until(down.Add(30 * time.Second)))
		held, err := kept()
		Expect(err).NotTo(HaveOccurred())
		Expect(s.fleet.logs()).To(ContainSubstring(`"auditEntry":{`))
		Expect(s.fleet.logs()).To(ContainSubstring(`"action":"ROLE_CHANGE"`))

		postgres.Start()
		up := time.Now()
		s.settle(60 * time.Second)
		AddReportEntry("outage", fmt.Sprintf("%d entries in the fallback; all settled %s after the database was back",
			held, time.Since(up).Round(100*time.Millisecond)))
		Expect(s.attempts("mallory")).To(Equal([]int{3}))
		Expect(s.actionsInOrder()).To(Equal(order))
	})

	It("hangs: what was begun goes on when it answers again", func() {
		postgres := servicetest.StartPostgres(GinkgoTB())
		s := newSite(changes{NoRateLimits: true}, withDatabase(postgres.NewDatabase(GinkgoTB())))
		s.fleet.start(2)
		s.act("mallory", "LOGIN_FAILURE")
		s.finish(20 * time.Second)
		postgres.Pause()
		for i := range 10 {
			s.act("mallory", fmt.Sprintf("ACTION_%02d", i))
		}
		s.act("mallory", "LOGIN_FAILURE")
		s.act("mallory", "LOGIN_FAILURE")
		s.alarm("multiple_failed_logins", "HIGH", "mallory")
		time.Sleep(5 * time.Second)
		postgres.Resume()
		s.settle(40 * time.Second)
		Expect(s.attempts("mallory")).To(Equal([]int{3}))
	})
})

// actionsInOrder are the actions in the audit log by created_at; those of the
// mails and the like left out.
func (s *site) actionsInOrder() []string {
	GinkgoHelper()
	var all string
	Expect(s.db.QueryRow(`SELECT string_agg(action, ' ' ORDER BY created_at) FROM audit_log WHERE user_id = 'mallory'`).Scan(&all)).To(Succeed())
	return strings.Fields(all)
}
