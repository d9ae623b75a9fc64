package scenarios

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func auditLog(g Ground) {
	Describe("3. The audit log", func() {
		// Fifteen minutes are 3 s.
		window := g.Pace().slow(3 * time.Second)
		short := Changes{Faster: float64(15*time.Minute) / float64(window)}

		It("raises one alert for three failed logins and delivers it", func() {
			s := newSite(g, Order{Changes: short})
			s.fleet.start(2)
			for range 3 {
				s.act("mallory", "LOGIN_FAILURE")
			}
			s.alarm("multiple_failed_logins", "HIGH", "mallory")
			By("two failures of others are their own")
			for _, user := range []string{"ada", "bela"} {
				s.act(user, "LOGIN_FAILURE")
				s.act(user, "LOGIN_FAILURE")
			}
			s.settle(20 * time.Second)
			Expect(s.attempts("mallory")).To(Equal([]int{3}))
			mail := s.mailTo(Guard, "[HIGH] multiple_failed_logins: user mallory")
			Expect(mail.Text).To(And(ContainSubstring("LOGIN_FAILURE"), MatchRegexp(`Count\s+3`)))
		})

		It("raises one alert for five failures at once, with a true count", func() {
			s := newSite(g, Order{Changes: short})
			s.fleet.start(3)
			var all sync.WaitGroup
			for range 5 {
				s.want.Runs["process-audit-log"]++
				s.want.Runs["enhanced-audit-logger"]++
				s.want.Audit["LOGIN_FAILURE"]++
				s.want.Activity["mallory"]++
				all.Go(func() {
					defer GinkgoRecover()
					s.publish("audit/log", "", map[string]any{"userId": "mallory", "action": "LOGIN_FAILURE"})
				})
			}
			all.Wait()
			s.alarm("multiple_failed_logins", "HIGH", "mallory")
			s.settle(20 * time.Second)
			Expect(s.attempts("mallory")).To(HaveExactElements(BeNumerically("~", 4, 1)))
		})

		It("forgets failures when their window is over", func() {
			s := newSite(g, Order{Changes: short})
			s.fleet.start(2)
			s.act("ada", "LOGIN_FAILURE")
			s.act("ada", "LOGIN_FAILURE")
			time.Sleep(window + 200*time.Millisecond)
			s.act("ada", "LOGIN_FAILURE")
			s.settle(20 * time.Second)
			By("a second window raises a second alert")
			for range 2 {
				s.act("ada", "LOGIN_FAILURE")
			}
			s.alarm("multiple_failed_logins", "HIGH", "ada")
			s.settle(20 * time.Second)
			time.Sleep(window + 200*time.Millisecond)
			for range 3 {
				s.act("ada", "LOGIN_FAILURE")
			}
			s.alarm("multiple_failed_logins", "HIGH", "ada")
			s.settle(20 * time.Second)
		})

		It("follows the other rules and marks what must be reviewed", func() {
			s := newSite(g, Order{Changes: short})
			s.fleet.start(2)
			s.act("eve", "ADMIN_PERMISSION_DENIED")
			s.alarm("permission_violation", "MEDIUM", "eve")
			s.act("eve", "UNAUTHORIZED_ACCESS")
			s.alarm("permission_violation", "MEDIUM", "eve")
			s.act("carl", "BULK_DELETE")
			s.alarm("bulk_operation", "LOW", "carl")
			s.actWith("dan", "USER_IMPORT", map[string]any{"count": 101})
			s.alarm("bulk_operation", "LOW", "dan")
			s.actWith("dan", "USER_IMPORT", map[string]any{"count": 100})
			for _, action := range []string{"DATA_EXPORT", "USER_DELETE", "ROLE_CHANGE", "SETTINGS_CHANGE", "PAGE_VIEW"} {
				s.act("fay", action)
			}
			s.settle(20 * time.Second)
		})

		It("raises each alert once while runners are killed", func() {
			s := newSite(g, Order{Changes: Changes{NoRateLimits: true, History: 10_000}})
			s.fleet.start(3)
			stop := s.fleet.harass(300 * time.Millisecond)
			s.inBursts(60, func(i int) {
				user := named("mallory", i)
				for range 4 {
					s.act(user, "LOGIN_FAILURE")
				}
				s.alarm("multiple_failed_logins", "HIGH", user)
				s.act(user, "ROLE_CHANGE")
			})
			s.finish(60 * time.Second)
			stop()
			s.settleCrashed()
		})
	})
}

// attempts returns the counts in the alerts about a user, in order.
func (s *site) attempts(user string) []int {
	GinkgoHelper()
	rows, err := s.db.QueryContext(context.Background(), `SELECT details FROM security_alerts WHERE user_id = $1 ORDER BY created_at`, user)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	var all []int
	for rows.Next() {
		var text []byte
		var details struct{ Attempts int }
		Expect(rows.Scan(&text)).To(Succeed())
		Expect(json.Unmarshal(text, &details)).To(Succeed())
		all = append(all, details.Attempts)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return all
}
