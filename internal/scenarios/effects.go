package scenarios

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// counts are numbers of things by what they are.
type counts map[string]int

// effects are what runs leave behind: rows in tables, mails, webhooks. One
// value is what there must be, another what there is.
type effects struct {
	// Runs that ended, by function, those included that met the idempotency
	// key of another.
	Runs counts
	// Audit has the rows of audit_log by action, Compliance those for review.
	Audit, Compliance counts
	// Mails are distinct Message-IDs at the SMTP server, by "address: subject".
	Mails counts
	// Profiles by "welcomed" or "not welcomed".
	Profiles counts
	// Listings by status, and "processed" with processed_at and processed_by.
	Listings counts
	// Notifications by "channel status".
	Notifications counts
	// Alerts by "type severity user".
	Alerts counts
	// Activity is action_count by user.
	Activity counts
	// Metrics are the sums of email_metrics, and the rows of email_log.
	Metrics counts
	// Stats are the rows of usage_stats.
	Stats counts
	// Webhooks are distinct ids, by receiver.
	Webhooks counts
}

func newEffects() effects {
	return effects{counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}}
}

func (e effects) parts() map[string]counts {
	return map[string]counts{"runs": e.Runs, "audit": e.Audit, "compliance": e.Compliance, "mails": e.Mails, "profiles": e.Profiles,
		"listings": e.Listings, "notifications": e.Notifications, "alerts": e.Alerts, "activity": e.Activity, "metrics": e.Metrics,
		"stats": e.Stats, "webhooks": e.Webhooks}
}

// queries count what is in the tables: a name and a number per row.
var queries = map[string]string{
	"audit":      `SELECT action, count(*) FROM audit_log GROUP BY 1`,
	"compliance": `SELECT action, count(*) FROM audit_log WHERE compliance GROUP BY 1`,
	"profiles":   `SELECT CASE WHEN welcome_email_sent AND welcome_email_sent_at IS NOT NULL THEN 'welcomed' ELSE 'not welcomed' END, count(*) FROM user_profiles GROUP BY 1`,
	"listings": `SELECT status, count(*) FROM events GROUP BY 1
		UNION ALL SELECT 'processed', count(*) FROM events WHERE processed_at IS NOT NULL AND processed_by IS NOT NULL`,
	"notifications": `SELECT channel || ' ' || status, count(*) FROM notifications GROUP BY 1`,
	"alerts":        `SELECT type || ' ' || severity || ' ' || user_id, count(*) FROM security_alerts GROUP BY 1`,
	"activity":      `SELECT user_id, action_count FROM user_activity_metrics`,
	"metrics": `SELECT 'sent', coalesce(sum(sent_count), 0)::bigint FROM email_metrics
		UNION ALL SELECT 'failed', coalesce(sum(failed_count), 0)::bigint FROM email_metrics
		UNION ALL SELECT 'logged', count(*) FROM email_log`,
	"stats": `SELECT 'taken', count(*) FROM usage_stats`,
}

// actual counts what there is.
func (s *site) actual() effects {
	GinkgoHelper()
	e := newEffects()
	for name, into := range e.parts() {
		if query := queries[name]; query != "" {
			s.count(into, query)
		}
	}
	seen := map[string]bool{}
	for _, m := range s.place.Mail.Messages() {
		if seen[m.MessageID] {
			continue
		}
		seen[m.MessageID] = true
		e.Mails[m.To[0]+": "+m.Subject]++
	}
	for _, id := range s.place.Webhooks() {
		receiver, _, _ := strings.Cut(id, " ")
		e.Webhooks[receiver]++
	}
	for function, n := range s.ended() {
		e.Runs[function] = n
	}
	return e
}

func (s *site) count(into counts, query string) {
	GinkgoHelper()
	rows, err := s.db.QueryContext(context.Background(), query)
	Expect(err).NotTo(HaveOccurred(), query)
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		Expect(rows.Scan(&name, &n)).To(Succeed())
		into[name] = n
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
}

// differences says where what there is is not what was caused; at most 20.
func (s *site) differences() []string {
	GinkgoHelper()
	var all []string
	want := s.want.parts()
	for part, got := range s.actual().parts() {
		names := maps.Clone(got)
		maps.Copy(names, want[part])
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if got[name] != want[part][name] {
				all = append(all, fmt.Sprintf("%s %q: %d, want %d", part, name, got[name], want[part][name]))
			}
		}
	}
	slices.Sort(all)
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("and %d more", len(all)-20))
	}
	return all
}

// resent is how many mails the SMTP server took more than once.
func (s *site) resent() int {
	all, distinct := s.place.Mail.Messages(), map[string]bool{}
	for _, m := range all {
		distinct[m.MessageID] = true
	}
	return len(all) - len(distinct)
}
