package scenarios

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/mailsink"
	"github.com/wildout/wildout/internal/standard"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// What a ground sets the functions up with: who mails are from, who hears of
// listings and of alerts, and what the site is called.
const (
	Sender   = "Wildout <site@wildout.example>"
	Admin    = "admin@wildout.example"
	Guard    = "security@wildout.example"
	SiteName = "Wildout Test"
	// FallbackName is that of the audit entries in Redis while the database
	// does not answer.
	FallbackName = "audit"
)

// site is the site of one scenario.
type site struct {
	place   Place
	pace    Pace
	store   *store.Conn
	inspect *inspect.Inspector
	db      *sql.DB
	fleet   *fleet
	// want is what there must be in the end: whoever causes something adds it.
	want effects
}

func newSite(g Ground, o Order) *site {
	GinkgoHelper()
	s := &site{place: g.Build(o), pace: g.Pace(), want: newEffects()}
	var err error
	s.store, err = store.Open(store.Options{URL: s.place.RedisURL, Namespace: s.place.Namespace, Logger: slog.New(slog.DiscardHandler)})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.store.Close)
	s.inspect = inspect.New(s.store)
	s.db, err = sql.Open("pgx", s.place.DatabaseURL)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.db.Close)
	Expect(standard.Migrate(context.Background(), s.place.DatabaseURL)).To(Succeed())
	s.fleet = &fleet{site: s}
	return s
}

// mailTo returns the one mail with that subject to that address.
func (s *site) mailTo(to, subject string) mailsink.Message {
	GinkgoHelper()
	for _, m := range s.place.Mail.Messages() {
		if m.To[0] == to && m.Subject == subject {
			return m
		}
	}
	Fail(fmt.Sprintf("there is no mail %q to %s", subject, to))
	return mailsink.Message{}
}

// publish sends an event. An id "" is left to the site.
func (s *site) publish(eventType, id string, data any) *event.Event {
	GinkgoHelper()
	text, err := json.Marshal(data)
	Expect(err).NotTo(HaveOccurred())
	e := &event.Event{ID: id, Type: eventType, Data: text}
	Expect(s.place.Publish(context.Background(), e)).To(Succeed())
	return e
}

func (s *site) exec(statement string, args ...any) {
	GinkgoHelper()
	_, err := s.db.ExecContext(context.Background(), statement, args...)
	Expect(err).NotTo(HaveOccurred(), statement)
}

// settle waits until nothing is left to do, and as much was done as was
// caused; then all effects must be those that were caused.
func (s *site) settle(within time.Duration) {
	GinkgoHelper()
	s.finish(within)
	Expect(s.differences()).To(BeEmpty())
	s.expectEachRunOnce()
}

func (s *site) finish(within time.Duration) {
	GinkgoHelper()
	within = s.pace.slow(within)
	var last []string
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		if last = s.unfinished(); len(last) == 0 {
			return
		}
		if time.Now().After(end) {
			Fail(fmt.Sprintf("after %s there is work left: %s\n%s", within, strings.Join(last, "; "), s.logs()))
		}
	}
}

// unfinished says what is left to do.
func (s *site) unfinished() []string {
	GinkgoHelper()
	var left []string
	for function, eventType := range Triggers {
		st, err := s.inspect.Stats(context.Background(), function, []string{eventType})
		Expect(err).NotTo(HaveOccurred())
		ended := int(st.Succeeded + st.Failed + st.Duplicate)
		if st.Unread+st.Pending+st.Waiting > 0 || ended < s.want.Runs[function] {
			left = append(left, fmt.Sprintf("%s: %d unread, %d in flight, %d waiting, %d of %d ended",
				function, st.Unread, st.Pending, st.Waiting, ended, s.want.Runs[function]))
		}
	}
	if n, err := s.store.Fallback(FallbackName).Len(context.Background()); err != nil || n > 0 {
		left = append(left, fmt.Sprintf("%d audit entries in the fallback (%v)", n, err))
	}
	return left
}

// logs are the ends of the logs of the living, for a person to see what is
// wrong.
func (s *site) logs() string {
	GinkgoHelper()
	logs := s.place.Runners.Logs()
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		fmt.Fprintf(&all, "--- log of %s:\n%s\n", name, logs[name])
	}
	return all.String()
}

// history returns the ended runs of a function.
func (s *site) history(function string) []run.Record {
	GinkgoHelper()
	all, err := s.inspect.History(context.Background(), function, 1_000_000)
	Expect(err).NotTo(HaveOccurred())
	return all
}

// expectEachRunOnce: the history has each ended run, once; no event started
// two of a function; and no journal is left behind.
func (s *site) expectEachRunOnce() {
	GinkgoHelper()
	for function, eventType := range Triggers {
		runs, events := counts{}, counts{}
		for _, r := range s.history(function) {
			runs[r.ID]++
			if r.EventType == eventType {
				events[r.EventID]++
			}
		}
		for what, all := range map[string]counts{"run": runs, "event": events} {
			for id, n := range all {
				Expect(n).To(Equal(1), "%s %s has as many entries in the history of %s", what, id, function)
			}
		}
		st, err := s.inspect.Stats(context.Background(), function, []string{eventType})
		Expect(err).NotTo(HaveOccurred())
		Expect(runs).To(HaveLen(int(st.Succeeded+st.Failed)), "the history of %s", function)
	}
	Expect(s.journals()).To(BeEmpty(), "journals of runs that have ended")
}

// runOf returns the ended run that an event started.
func (s *site) runOf(function string, e *event.Event) run.Record {
	GinkgoHelper()
	for _, r := range s.history(function) {
		if r.EventID == e.ID {
			return r
		}
	}
	Fail(fmt.Sprintf("no run of %s has ended for event %s", function, e.ID))
	return run.Record{}
}

// step returns a step of a run.
func step(r run.Record, name string) run.StepRecord {
	GinkgoHelper()
	for _, st := range r.Steps {
		if st.Name == name {
			return st
		}
	}
	Fail(fmt.Sprintf("run %s of %s has no step %s: %+v", r.ID, r.Function, name, r.Steps))
	return run.StepRecord{}
}
