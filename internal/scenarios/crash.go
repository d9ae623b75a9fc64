package scenarios

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func crashes(g Ground) {
	Describe("7. Killing runners", func() {
		// The limits of starts are lifted: 10,000 events would take them hours. The
		// three days of sleep are 20 s. All else is as it is shipped.
		calm := Changes{NoRateLimits: true, Sleep: "20s", History: 100_000}

		It("during 10,000 mixed events leaves every run ended, and every effect there once", func() {
			s := newSite(g, Order{Changes: calm})
			s.furnish()
			s.fleet.start(3)
			began := time.Now()
			stop := s.fleet.harass(time.Second)
			events := s.mixedEvents()
			Expect(events).To(HaveLen(10_000))
			publishing := s.pace.slow(40 * time.Second)
			for i, cause := range events {
				cause()
				time.Sleep(time.Until(began.Add(time.Duration(i) * publishing / 10_000)))
			}
			s.finish(4 * time.Minute)
			took := time.Since(began)
			stop()
			AddReportEntry("table", s.table(took))
			s.settleCrashed()
		})
	})
}

// mixedEvents are 10,000 events of the six types in any order.
func (s *site) mixedEvents() []func() {
	var all []func()
	add := func(n int, cause func(i int)) {
		for i := range n {
			all = append(all, func() { cause(i) })
		}
	}
	add(4300, func(i int) { s.act(named("visitor", i%700), "PAGE_VIEW") })
	add(200, func(i int) { s.act(named("auditor", i%50), []string{"DATA_EXPORT", "ROLE_CHANGE"}[i%2]) })
	add(300, func(i int) { // three of each of a hundred
		user := named("mallory", i%100)
		if i < 100 {
			s.alarm("multiple_failed_logins", "HIGH", user)
		}
		s.act(user, "LOGIN_FAILURE")
	})
	add(1950, func(i int) { s.write(address(named("reader", i%650)), named("letter", i)) })
	add(50, s.writeToNobody)
	add(60, func(i int) {
		var to []string
		for n := range 10 {
			to = append(to, address(named("subscriber", (10*i+n)%200)))
		}
		s.writeAll(to, named("circular", i))
	})
	add(1400, func(i int) { s.register(named("user", i)) })
	add(1100, func(i int) { s.list(named("party", i)) })
	add(100, func(i int) { s.listBadly(listing{named("past", i), time.Now().AddDate(0, 0, -1), "harbour"}) })
	add(440, s.warn)
	add(100, s.maintain)
	rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// writeToNobody sends a mail that the server refuses for good.
func (s *site) writeToNobody(i int) {
	s.want.Runs["enhanced-email-processor"]++
	s.want.Audit["EMAIL_FAILED"]++
	s.want.Metrics["failed"]++
	s.publish("email/send", "", map[string]any{"to": address(named("gone", i)), "subject": "to nobody", "body": "Hello?"})
}

// warn sends an alert that another system found.
func (s *site) warn(i int) {
	user := named("intruder", i)
	s.alarm("intrusion", "HIGH", user)
	s.publish("security/alert", "", map[string]any{"type": "intrusion", "userId": user, "severity": "HIGH", "attempts": 1, "action": "PORT_SCAN"})
}

func (s *site) maintain(i int) {
	task := []string{"generate-stats", "health-check", "cleanup-audit-logs"}[i%3]
	if task == "generate-stats" {
		s.want.Stats["taken"]++
	}
	s.want.Runs["maintenance-workflow"]++
	s.publish("system/maintenance", "", map[string]any{"task": task})
}

// table is what a person wants to see of what happened.
func (s *site) table(took time.Duration) string {
	GinkgoHelper()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "10000 events in %s, %d kills\n", took.Round(time.Second), len(s.fleet.kills))
	fmt.Fprintln(w, "function\truns caused\tsucceeded\tfailed\tmet a key\t")
	for _, function := range slices.Sorted(maps.Keys(Triggers)) {
		st, err := s.inspect.Stats(GinkgoT().Context(), function, []string{Triggers[function]})
		Expect(err).NotTo(HaveOccurred())
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", function, s.want.Runs[function], st.Succeeded, st.Failed, st.Duplicate)
	}
	fmt.Fprintln(w, "\neffect\tcaused\tthere\t")
	want, got := s.want.parts(), s.actual().parts()
	for _, part := range slices.Sorted(maps.Keys(want)) {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", part, sum(want[part]), sum(got[part]))
	}
	_ = w.Flush() // into memory
	return "\n" + text.String()
}

func sum(all counts) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}
