package scenarios_test

import (
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("4. A thousand mails to a hundred recipients", func() {
	// An hour is 36 s, and a minute 600 ms.
	const faster = 100
	const (
		hour   = time.Hour / faster
		minute = time.Minute / faster
		warmUp = 12
	)

	It("keep to 10 an hour for each and 100 a minute in all; none is lost, none comes twice", func() {
		s := newSite(changes{Faster: faster, History: 10_000})
		s.fleet.start(3)
		By("first mails open the connections: a slow first one would push those behind it together")
		for i := range warmUp {
			s.write(address(named("early", i)), "good morning")
		}
		s.settle(20 * time.Second)
		time.Sleep(minute)
		for _, r := range recipients() {
			for n := range r.single {
				s.write(r.address, named("letter", n))
			}
		}
		for batch := range 4 {
			for group := range slices.Chunk(recipients(), 25) {
				var to []string
				for _, r := range group {
					if batch < r.batch {
						to = append(to, r.address)
					}
				}
				if len(to) > 0 {
					s.writeAll(to, named("circular", batch)+" of "+group[0].address)
				}
			}
		}
		Expect(s.want.Metrics["sent"]).To(Equal(1000 + warmUp))

		began := time.Now()
		s.settle(75 * time.Second)
		mails := s.mails()
		Expect(mails).To(HaveLen(1000 + warmUp))
		Expect(s.resent()).To(BeZero())

		var all []time.Time
		each := map[string][]time.Time{}
		for _, m := range mails {
			all = append(all, m.Received)
			each[m.To[0]] = append(each[m.To[0]], m.Received)
		}
		most := 0
		for _, times := range each {
			most = max(most, busiest(times, hour))
		}
		AddReportEntry("limits", fmt.Sprintf("1000 mails in %s; at most %d of 10 to one recipient in %s, %d of 100 in all in %s",
			time.Since(began).Round(time.Millisecond), most, hour, busiest(all, minute), minute))
		Expect(most).To(BeNumerically("<=", 10), "to one recipient in an hour")
		Expect(busiest(all, minute)).To(BeNumerically("<=", 100), "in all in a minute")
	})
})

type recipient struct {
	address       string
	single, batch int
}

// recipients are a hundred: half of them get more mails than an hour allows.
func recipients() []recipient {
	all := make([]recipient, 100)
	for i := range all {
		all[i] = recipient{address(named("reader", i)), 2, 3}
		if i%2 == 0 {
			all[i] = recipient{address(named("reader", i)), 11, 4}
		}
	}
	return all
}

// busiest returns the most times that a window of that length has, wherever it
// begins.
func busiest(times []time.Time, window time.Duration) (most int) {
	slices.SortFunc(times, time.Time.Compare)
	first := 0
	for last, end := range times {
		for end.Sub(times[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}
