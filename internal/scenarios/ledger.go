package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
)

// Each method of this file causes something and adds to want what must come
// of it.

func named(kind string, n int) string { return fmt.Sprintf("%s-%d", kind, n) }

// inBursts causes n things, in bursts over 3 s: runners that are killed
// meanwhile have work. Where kills are slower it is as many more, over as much
// more time.
func (s *site) inBursts(n int, cause func(i int)) {
	const bursts = 6
	for i := range int(float64(n) * s.pace.Kills) {
		cause(i)
		if i%(n/bursts) == 0 {
			time.Sleep(3 * time.Second / bursts)
		}
	}
}

// ended counts the ended runs by function.
func (s *site) ended() counts {
	GinkgoHelper()
	all := counts{}
	for function, eventType := range Triggers {
		st, err := s.inspect.Stats(context.Background(), function, []string{eventType})
		Expect(err).NotTo(HaveOccurred())
		all[function] = int(st.Succeeded + st.Failed + st.Duplicate)
	}
	return all
}

const (
	welcomeSubject  = "Welcome to " + SiteName
	followUpSubject = "Have you found something yet?"
)

func address(user string) string { return user + "@people.example" }

// register registers a user who will not be active.
func (s *site) register(user string) *event.Event {
	GinkgoHelper()
	s.want.Runs["send-welcome-email"] += 2 // by the event, and invoked by the workflow
	s.want.Runs["user-registration-workflow"]++
	s.want.Audit["REGISTER_SUCCESS"]++
	s.want.Audit["WELCOME_EMAIL_SENT"]++
	s.want.Profiles["welcomed"]++
	s.want.Mails[address(user)+": "+welcomeSubject]++
	s.want.Mails[address(user)+": "+followUpSubject]++
	return s.publish("user/registered", "registered-"+user, map[string]any{"userId": user, "email": address(user), "timestamp": time.Now().UnixMilli()})
}

// listing is a row of events.
type listing struct {
	id    string
	date  time.Time
	venue any
}

func (s *site) insert(l listing) {
	GinkgoHelper()
	s.exec(`INSERT INTO events (id, title, date, venue_id, created_by) VALUES ($1, $2, $3, $4, 'dora')`, l.id, "Party "+l.id, l.date, l.venue)
	s.exec(`INSERT INTO event_team_members (event_id, team_member_id) VALUES ($1, 'emre')`, l.id)
}

// furnish adds the rows that listings refer to.
func (s *site) furnish() {
	GinkgoHelper()
	s.exec(`INSERT INTO users (id, email, created_at) VALUES ('dora', $1, now())`, address("dora"))
	s.exec(`INSERT INTO venues (id, name, location) VALUES ('harbour', 'Harbour Hall', 'Pier 4')`)
	s.exec(`INSERT INTO team_members (id, name, email) VALUES ('emre', 'Emre', 'emre@wildout.example')`)
}

// announce sends the event of a listing.
func (s *site) announce(id string) *event.Event {
	GinkgoHelper()
	s.want.Runs["process-new-event"]++
	s.want.Runs["event-creation-workflow"]++
	return s.publish("event/created", "", map[string]any{"eventId": id, "title": "Party " + id, "createdBy": "dora"})
}

// list adds a listing that is to be published.
func (s *site) list(id string) *event.Event {
	GinkgoHelper()
	s.insert(listing{id, time.Now().AddDate(0, 1, 0), "harbour"})
	s.want.Audit["EVENT_CREATED"]++
	s.want.Mails[Admin+": New event: Party "+id]++
	s.want.Mails[address("dora")+": Party "+id+" is published"]++
	s.want.Notifications["dashboard unread"]++
	s.want.Notifications["email sent"] += 2
	s.want.Notifications["webhook sent"]++
	s.want.Webhooks["events"]++
	s.want.Listings["published"]++
	s.want.Listings["processed"]++
	return s.announce(id)
}

// listBadly adds a listing that must not be published.
func (s *site) listBadly(l listing) *event.Event {
	GinkgoHelper()
	s.insert(l)
	s.want.Audit["EVENT_FAILED"]++
	s.want.Listings["draft"]++
	return s.announce(l.id)
}

// act sends an audit event.
func (s *site) act(user, action string) *event.Event {
	GinkgoHelper()
	return s.actWith(user, action, map[string]any{"source": "scenario"})
}

func (s *site) actWith(user, action string, details map[string]any) *event.Event {
	GinkgoHelper()
	s.want.Runs["process-audit-log"]++
	s.want.Runs["enhanced-audit-logger"]++
	s.want.Audit[action]++
	s.want.Activity[user]++
	switch action {
	case "DATA_EXPORT", "USER_DELETE", "ROLE_CHANGE", "SETTINGS_CHANGE":
		s.want.Compliance[action]++
	}
	return s.publish("audit/log", "", map[string]any{"userId": user, "action": action, "details": details, "ip": "192.0.2.7"})
}

// alarm says that what was done must raise an alert.
func (s *site) alarm(kind, severity, user string) {
	s.want.Runs["notify-security-alert"]++
	s.want.Alerts[kind+" "+severity+" "+user]++
	s.want.Mails[fmt.Sprintf("%s: [%s] %s: user %s", Guard, severity, kind, user)]++
	s.want.Webhooks["security"]++
}

// write sends a mail to one address.
func (s *site) write(to, subject string) *event.Event {
	GinkgoHelper()
	s.expectMail(to, subject)
	return s.publish("email/send", "", map[string]any{"to": to, "subject": subject, "body": "Hello, this is " + subject})
}

// writeAll sends a mail to several addresses.
func (s *site) writeAll(to []string, subject string) *event.Event {
	GinkgoHelper()
	s.want.Runs["batch-email-processor"]++
	for _, recipient := range to {
		s.expectMail(recipient, subject)
	}
	return s.publish("email/send", "", map[string]any{"recipients": to, "subject": subject, "body": "Hello all, this is " + subject})
}

func (s *site) expectMail(to, subject string) {
	s.want.Runs["enhanced-email-processor"]++
	s.want.Audit["EMAIL_SENT"]++
	s.want.Mails[to+": "+subject]++
	s.want.Metrics["sent"]++
	s.want.Metrics["logged"]++
}
