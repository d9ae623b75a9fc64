package scenarios

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// orphan is a run whose runner died.
type orphan struct{ function, run string }

// dial connects to Redis past the store.
func (s *site) dial() *crashtest.Conn {
	GinkgoHelper()
	address, err := url.Parse(s.place.RedisURL)
	Expect(err).NotTo(HaveOccurred())
	conn, err := crashtest.Dial(address.Host)
	Expect(err).NotTo(HaveOccurred())
	if password, has := address.User.Password(); has {
		_, err = conn.Do("AUTH", password)
		Expect(err).NotTo(HaveOccurred())
	}
	return conn
}

// orphans lists the runs that the runner of that name has, as Redis says.
func (s *site) orphans(name string) (all []orphan) {
	GinkgoHelper()
	for _, d := range s.delivered() {
		if strings.HasPrefix(d.consumer, name+"-") {
			all = append(all, d.orphan)
		}
	}
	return all
}

// atWork lists the consumers that have runs.
func (s *site) atWork() (consumers []string) {
	GinkgoHelper()
	for _, d := range s.delivered() {
		consumers = append(consumers, d.consumer)
	}
	return consumers
}

// delivery is a run that a consumer has.
type delivery struct {
	orphan
	consumer string
}

// delivered lists what all consumers have, as Redis says.
func (s *site) delivered() (all []delivery) {
	GinkgoHelper()
	conn := s.dial()
	defer conn.Close()
	keys := store.NewKeys(s.place.Namespace)
	for function, eventType := range Triggers {
		for _, stream := range []string{keys.Inbox(function), keys.Stream(eventType)} {
			answer, err := conn.Do("XPENDING", stream, function, "-", "+", 1000)
			if err != nil {
				continue // nobody has made the group yet
			}
			list, _ := answer.([]any)
			for _, row := range list {
				entry, consumer := fmt.Sprint(row.([]any)[0]), fmt.Sprint(row.([]any)[1])
				if stream == keys.Stream(eventType) {
					run := event.DerivedID(event.EntryTime(entry), function, eventType, entry)
					all = append(all, delivery{orphan{function, run}, consumer})
				} else if run := inboxRun(conn, stream, entry); run != "" {
					all = append(all, delivery{orphan{function, run}, consumer})
				}
			}
		}
	}
	return all
}

// inboxRun is the run that an inbox entry is about.
func inboxRun(conn *crashtest.Conn, stream, entry string) string {
	answer, err := conn.Do("XRANGE", stream, entry, entry)
	rows, _ := answer.([]any)
	if err != nil || len(rows) == 0 {
		return ""
	}
	fields, _ := rows[0].([]any)[1].([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		if name := fmt.Sprint(fields[i]); name == "run" || name == "start" {
			return fmt.Sprint(fields[i+1])
		}
	}
	return ""
}

// journals lists the keys of journals; at most some.
func (s *site) journals() (keys []string) {
	GinkgoHelper()
	conn := s.dial()
	defer conn.Close()
	pattern := store.NewKeys(s.place.Namespace).Run("*", "*")
	for cursor := "0"; len(keys) < 10; {
		answer, err := conn.Do("SCAN", cursor, "MATCH", pattern, "COUNT", 10_000)
		Expect(err).NotTo(HaveOccurred())
		page := answer.([]any)
		for _, key := range page[1].([]any) {
			keys = append(keys, fmt.Sprint(key))
		}
		if cursor = fmt.Sprint(page[0]); cursor == "0" {
			break
		}
	}
	return keys
}

// recovery is how long the runs of the dead took, from the kill to their end.
type recovery struct {
	orphaned     int // all of them
	measured     int // those that do not sleep or wait for others by design
	slowest      time.Duration
	slowestRun   string
	withinLeases int // ended within three leases
}

// recovery looks the orphans up in the history.
func (s *site) recovery() (r recovery) {
	GinkgoHelper()
	ended := map[string]time.Time{}
	for function := range Triggers {
		if function == "user-registration-workflow" || function == "batch-email-processor" {
			continue
		}
		for _, run := range s.history(function) {
			ended[run.ID] = *run.EndedAt
		}
	}
	for _, k := range s.fleet.kills {
		r.orphaned += len(k.runs)
		for _, o := range k.runs {
			at, ok := ended[o.run]
			if !ok {
				continue
			}
			r.measured++
			took := at.Sub(k.at)
			if took <= 3*s.pace.Lease {
				r.withinLeases++
			}
			if took > r.slowest {
				r.slowest, r.slowestRun = took, o.function+" "+o.run
			}
		}
	}
	return r
}

// settleCrashed is settle after kills. SMTP has no way to send exactly once: a
// kill between the server's answer and the commit sends the mail again, with
// the same Message-ID. A run has one mail under way at a time.
func (s *site) settleCrashed() {
	GinkgoHelper()
	s.settle(30 * time.Second)
	r := s.recovery()
	AddReportEntry("crashes", fmt.Sprintf("%d kills, %d runs orphaned; of %d that do not wait by design %d ended within %s of the kill, the slowest after %s (%s); %d mails sent again",
		len(s.fleet.kills), r.orphaned, r.measured, r.withinLeases, 3*s.pace.Lease, r.slowest.Round(time.Millisecond), r.slowestRun, s.resent()))
	Expect(len(s.fleet.kills)).To(BeNumerically(">=", 3))
	Expect(r.orphaned).To(BeNumerically(">", 0), "no kill hit a run")
	Expect(s.resent()).To(BeNumerically("<=", r.orphaned))
}
