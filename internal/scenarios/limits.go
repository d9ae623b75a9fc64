package scenarios

import (
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func mailLimits(g Ground) {
	Describe("4. A thousand mails to a hundred recipients", func() {
		// An hour is 36 s, and a minute 600 ms.
		faster := 100 / g.Pace().Slower
		hour := time.Duration(float64(time.Hour) / faster)
		minute := hour / 60

		It("keep to 10 an hour for each and 100 a minute in all; none is lost, none comes twice", func() {
			s := newSite(g, Order{Changes: Changes{Faster: faster, History: 10_000}})
			s.fleet.start(3)
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
			Expect(s.want.Metrics["sent"]).To(Equal(1000))

			began := time.Now()
			s.settle(75 * time.Second)
			mails := s.place.Mail.Messages()
			Expect(mails).To(HaveLen(1000))
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

		It("keep to 100 a minute in all when those that waited meet fresh ones; waiting costs no attempt", func() {
			s := newSite(g, Order{Changes: Changes{Faster: faster, History: 10_000}})
			s.fleet.start(3)
			began := time.Now()
			for n := range 15 {
				for i := range 40 {
					s.write(address(named("reader", i)), named("letter", n))
				}
			}
			By("an hour later, 200 of them have room again: exactly then 300 others start")
			time.Sleep(time.Until(began.Add(hour)))
			Expect(len(s.place.Mail.Messages())).To(BeNumerically(">=", 400), "the first mails must be out by now")
			for i := range 300 {
				s.write(address(named("fresh", i)), "good morning")
			}
			s.settle(30 * time.Second)
			Expect(s.resent()).To(BeZero())
			var all []time.Time
			for _, m := range s.place.Mail.Messages() {
				all = append(all, m.Received)
			}
			AddReportEntry("limits", fmt.Sprintf("900 mails in %s; at most %d of 100 in all in %s",
				time.Since(began).Round(time.Millisecond), busiest(all, minute), minute))
			Expect(busiest(all, minute)).To(BeNumerically("<=", 100), "in all in a minute")
			for _, run := range s.history("enhanced-email-processor") {
				Expect(step(run, "send").Attempts).To(Equal(1), "the attempts of run %s", run.ID)
			}
		})
	})
}

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
