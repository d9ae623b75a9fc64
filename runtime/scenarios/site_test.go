package scenarios_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/mailsink"
	"github.com/wildout/wildout/runtime/servicetest"
	"github.com/wildout/wildout/runtime/standard"
	"github.com/wildout/wildout/runtime/store"
)

const (
	sender       = "Wildout <site@wildout.example>"
	admin        = "admin@wildout.example"
	guard        = "security@wildout.example"
	siteName     = "Wildout Test"
	fallbackName = "audit"
)

var namespaces atomic.Int64

// site is the site of one scenario: a namespace of Redis, a database, an SMTP
// server, a receiver of webhooks, and the runners.
type site struct {
	namespace string
	store     *store.Store
	dsn       string
	db        *sql.DB
	changes   changes
	hooks     *httptest.Server
	fleet     *fleet
	// want is what there must be in the end: whoever causes something adds it.
	want effects

	smtp       string // host:port
	mailFaults mailsink.Options
	mu         sync.Mutex
	sinks      []*mailsink.Sink // the last one is open
	webhooks   map[string]int   // deliveries by id
}

type siteOption func(*site)

// withDatabase takes a database of a server of the scenario's own.
func withDatabase(dsn string) siteOption { return func(s *site) { s.dsn = dsn } }

// withMailFaults sets the hooks of the SMTP server.
func withMailFaults(o mailsink.Options) siteOption { return func(s *site) { s.mailFaults = o } }

func newSite(c changes, options ...siteOption) *site {
	GinkgoHelper()
	s := &site{namespace: fmt.Sprintf("scenario%d", namespaces.Add(1)), changes: c, want: newEffects(), webhooks: map[string]int{}}
	for _, o := range options {
		o(s)
	}
	if s.dsn == "" {
		s.dsn = servicetest.SharedPostgres(GinkgoTB()).NewDatabase(GinkgoTB())
	}
	var err error
	s.store, err = store.Open(store.Options{URL: redis.URL(), Namespace: s.namespace, Logger: slog.New(slog.DiscardHandler)})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.store.Close)
	s.db, err = sql.Open("pgx", s.dsn)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.db.Close)
	Expect(standard.Migrate(context.Background(), s.dsn)).To(Succeed())
	s.hooks = httptest.NewServer(http.HandlerFunc(s.receive))
	DeferCleanup(s.hooks.Close)
	s.smtp = fmt.Sprintf("127.0.0.1:%d", servicetest.FreePort(GinkgoTB()))
	s.openSMTP()
	DeferCleanup(s.closeSMTP)
	s.fleet = newFleet(s)
	return s
}

// config is what the runners of the site are told.
func (s *site) config(name string) string {
	text, err := json.Marshal(runnerConfig{
		Name: name, Redis: redis.URL(), Namespace: s.namespace, Database: s.dsn, SMTP: "smtp://" + s.smtp + "?starttls=off", Changes: s.changes,
		Env: map[string]string{
			"SITE_NAME": siteName, "ADMIN_EMAIL": admin, "SECURITY_CONTACTS": guard,
			"SECURITY_WEBHOOK_URL": s.hooks.URL + "/security", "EVENTS_WEBHOOK_URL": s.hooks.URL + "/events",
		},
	})
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// receive takes a webhook. The id in its body makes it one.
func (s *site) receive(w http.ResponseWriter, r *http.Request) {
	var body struct{ ID string }
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, &body) != nil || body.ID == "" {
		http.Error(w, "want JSON with an id", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks[strings.TrimPrefix(r.URL.Path, "/")+" "+body.ID]++
}

func (s *site) openSMTP() {
	GinkgoHelper()
	options := s.mailFaults
	options.Addr, options.MaxMessages = s.smtp, 1_000_000
	sink, err := mailsink.New(options)
	Expect(err).NotTo(HaveOccurred())
	s.mu.Lock()
	s.sinks = append(s.sinks, sink)
	s.mu.Unlock()
	go func() { _ = sink.Run(context.Background()) }() // until closeSMTP
}

func (s *site) closeSMTP() {
	s.mu.Lock()
	defer s.mu.Unlock()
	Expect(s.sinks[len(s.sinks)-1].Close()).To(Succeed())
}

// mails returns what the SMTP server took.
func (s *site) mails() []mailsink.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []mailsink.Message
	for _, sink := range s.sinks {
		all = append(all, sink.Messages()...)
	}
	return all
}

// mailTo returns the one mail with that subject to that address.
func (s *site) mailTo(to, subject string) mailsink.Message {
	GinkgoHelper()
	for _, m := range s.mails() {
		if m.To[0] == to && m.Subject == subject {
			return m
		}
	}
	Fail(fmt.Sprintf("there is no mail %q to %s", subject, to))
	return mailsink.Message{}
}

// publish sends events. An id "" is left to Redis.
func (s *site) publish(eventType, id string, data any) *event.Event {
	GinkgoHelper()
	text, err := json.Marshal(data)
	Expect(err).NotTo(HaveOccurred())
	e := &event.Event{ID: id, Type: eventType, Data: text}
	Expect(s.store.Publish(context.Background(), e)).To(Succeed())
	return e
}

func (s *site) exec(statement string, args ...any) {
	GinkgoHelper()
	_, err := s.db.Exec(statement, args...)
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
	var last []string
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		if last = s.unfinished(); len(last) == 0 {
			return
		}
		if time.Now().After(end) {
			Fail(fmt.Sprintf("after %s there is work left: %s\n%s", within, strings.Join(last, "; "), s.fleet.logs()))
		}
	}
}

// unfinished says what is left to do.
func (s *site) unfinished() []string {
	GinkgoHelper()
	var left []string
	for function, eventType := range triggers {
		st, err := s.store.Stats(context.Background(), function, []string{eventType})
		Expect(err).NotTo(HaveOccurred())
		ended := int(st.Succeeded + st.Failed + st.Duplicate)
		if st.Unread+st.Pending+st.Waiting > 0 || ended < s.want.Runs[function] {
			left = append(left, fmt.Sprintf("%s: %d unread, %d in flight, %d waiting, %d of %d ended",
				function, st.Unread, st.Pending, st.Waiting, ended, s.want.Runs[function]))
		}
	}
	if n, err := s.store.Fallback(fallbackName).Len(context.Background()); err != nil || n > 0 {
		left = append(left, fmt.Sprintf("%d audit entries in the fallback (%v)", n, err))
	}
	return left
}

// history returns the ended runs of a function.
func (s *site) history(function string) []store.Record {
	GinkgoHelper()
	all, err := s.store.History(context.Background(), function, 1_000_000)
	Expect(err).NotTo(HaveOccurred())
	return all
}

// expectEachRunOnce: the history has each ended run, once; no event started
// two of a function; and no journal is left behind.
func (s *site) expectEachRunOnce() {
	GinkgoHelper()
	for function, eventType := range triggers {
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
		st, err := s.store.Stats(context.Background(), function, []string{eventType})
		Expect(err).NotTo(HaveOccurred())
		Expect(runs).To(HaveLen(int(st.Succeeded+st.Failed)), "the history of %s", function)
	}
	Expect(s.journals()).To(BeEmpty(), "journals of runs that have ended")
}

// runOf returns the ended run that an event started.
func (s *site) runOf(function string, e *event.Event) store.Record {
	GinkgoHelper()
	for _, r := range s.history(function) {
		if r.EventID == e.ID {
			return r
		}
	}
	Fail(fmt.Sprintf("no run of %s has ended for event %s", function, e.ID))
	return store.Record{}
}

// step returns a step of a run.
func step(r store.Record, name string) store.RecordStep {
	GinkgoHelper()
	for _, st := range r.Steps {
		if st.Name == name {
			return st
		}
	}
	Fail(fmt.Sprintf("run %s of %s has no step %s: %+v", r.ID, r.Function, name, r.Steps))
	return store.RecordStep{}
}
