package mail_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/input"
	"github.com/wildout/wildout/site/mail"
	"github.com/wildout/wildout/site/mail/smtptest"
	"github.com/wildout/wildout/site/schema/schematest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

const guest = "guest@x.example"

func newService(t testing.TB, site *schematest.Site) (*mail.Service, *smtptest.Server) {
	t.Helper()
	server := smtptest.Start(t)
	s, err := mail.NewService(site.DB, server.Mailer(t))
	if err != nil {
		t.Fatal(err)
	}
	return s, server
}

func hourly(n int) mail.Limit { return mail.Limit{Limit: n, Period: input.Duration(time.Hour)} }

func reserve(t *testing.T, s *mail.Service, key, to string, limit mail.Limit) mail.ReserveOutput {
	t.Helper()
	out, err := s.Reserve(schematest.Step(key, 1), mail.ReserveInput{Recipient: to, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// send has room in all: only the recipient's limit counts.
func send(s *mail.Service, reservation string, limit mail.Limit) (mail.SendOutput, error) {
	return sendPaced(s, reservation, guest, limit, hourly(1000))
}

func sendPaced(s *mail.Service, reservation, to string, limit, total mail.Limit) (mail.SendOutput, error) {
	ctx, cancel := context.WithTimeout(schematest.Step(reservation+"/send", 1), 30*time.Second)
	defer cancel()
	return s.Send(ctx, mail.SendInput{Reservation: reservation, Recipient: to, Subject: "S", Text: "T", Limit: limit, Total: total})
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		to    email.Addresses
		body  string
		want  []string
		fault string
	}{
		"one":         {to: email.Addresses{guest}, body: "B", want: []string{guest}},
		"named":       {to: email.Addresses{"A Guest <guest@x.example>"}, body: "B", want: []string{guest}},
		"twice":       {to: email.Addresses{guest, "GUEST@x.example", "b@x.example"}, body: "B", want: []string{guest, "b@x.example"}},
		"nobody":      {body: "B", fault: "no recipient"},
		"not a mail":  {to: email.Addresses{"x"}, body: "B", fault: `"x", is not a mail address`},
		"empty body":  {to: email.Addresses{guest}, body: " ", fault: "body is empty"},
		"all at once": {to: email.Addresses{"x", "y"}, fault: "recipient 2"},
	} {
		out, err := mail.Validate(context.Background(), mail.ValidateInput{Recipients: c.to, Subject: "S", Body: c.body})
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) || !wildout.IsNonRetriable(err) {
				t.Errorf("%s: %v, want an error without retry about %q", name, err, c.fault)
			}
		} else if err != nil || !slices.Equal(out.Recipients, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, out.Recipients, err, c.want)
		}
	}
}

// TestReservationsSlide: thirty at once, and no window of an hour plans for
// more than ten.
func TestReservationsSlide(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, _ := newService(t, site)
		var group sync.WaitGroup
		planned := make([]time.Time, 30)
		for i := range planned {
			group.Go(func() {
				in := mail.ReserveInput{Recipient: guest, Limit: hourly(10)}
				if i%2 == 0 {
					in.Recipient = strings.ToUpper(guest) // the same mailbox
				}
				out, err := s.Reserve(schematest.Step(fmt.Sprint("run", i), 1), in)
				if err != nil {
					t.Error(err)
				}
				planned[i] = out.SendAt
			})
		}
		group.Wait()
		atMostIn(t, planned, 10, time.Hour)
		slices.SortFunc(planned, time.Time.Compare)
		if wait := planned[9].Sub(planned[0]); wait > time.Minute {
			t.Errorf("the tenth mail waits for %s, though there is room", wait)
		}
		if wait := planned[29].Sub(planned[0]); wait > 2*time.Hour+time.Minute {
			t.Errorf("the thirtieth mail waits for %s, want about two hours", wait)
		}
		if other := reserve(t, s, "other", "other@x.example", hourly(10)); other.SendAt.Sub(planned[0]) > time.Minute {
			t.Error("another recipient has to wait")
		}
		if again := reserve(t, s, "run0", guest, hourly(10)); again.SendAt.Sub(planned[29]) > 0 || again.Reservation != "run0" {
			t.Errorf("a second attempt reserved anew: %+v", again)
		}
		if n := site.Count(t, "SELECT count(*) FROM email_reservations"); n != 31 {
			t.Errorf("%d reservations, want 31", n)
		}
	})
}

// atMostIn fails if any window of that length holds more than most times.
func atMostIn(t *testing.T, times []time.Time, most int, window time.Duration) {
	t.Helper()
	times = slices.Clone(times)
	slices.SortFunc(times, time.Time.Compare)
	for i := most; i < len(times); i++ {
		if gap := times[i].Sub(times[i-most]); gap < window {
			t.Errorf("%d mails within %s, the limit is %d in %s", most+1, gap, most, window)
		}
	}
}

// TestWhatTheRecipientGets: more runs than the window has room for, all
// sending when told, some of them late. Times are those of the SMTP server.
func TestWhatTheRecipientGets(t *testing.T) {
	limit := mail.Limit{Limit: 4, Period: input.Duration(time.Second)}
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		var group sync.WaitGroup
		for i := range 12 {
			group.Go(func() {
				key := fmt.Sprint("run", i)
				out, err := s.Reserve(schematest.Step(key, 1), mail.ReserveInput{Recipient: guest, Limit: limit})
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Until(out.SendAt) + time.Duration(i%3)*300*time.Millisecond)
				if _, err := persist(func() (mail.SendOutput, error) { return send(s, key, limit) }); err != nil {
					t.Errorf("run %d: %v", i, err)
				}
			})
		}
		group.Wait()
		var got []time.Time
		for _, m := range server.Mails() {
			got = append(got, m.At)
		}
		if len(got) != 12 {
			t.Errorf("%d mails arrived, want 12", len(got))
		}
		atMostIn(t, got, 4, time.Second)
	})
}

func TestFullWindowAsksForLater(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		for _, key := range []string{"a", "b", "c"} {
			reserve(t, s, key, guest, hourly(2))
		}
		for _, key := range []string{"a", "b"} {
			if _, err := send(s, key, hourly(2)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := send(s, "c", hourly(2))
		if wait, asked := wildout.SnoozeDelay(err); !asked || wait < 59*time.Minute || wait > 61*time.Minute {
			t.Errorf("the third mail: %v, wait %s, want to be asked back in an hour", err, wait)
		}
		if n := len(server.Mails()); n != 2 {
			t.Errorf("%d mails arrived, want 2", n)
		}
	})
}

func TestSentMailIsNotSentAgain(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, server := newService(t, site)
		reserve(t, s, "a", guest, hourly(10))
		first, err := send(s, "a", hourly(10))
		if err != nil {
			t.Fatal(err)
		}
		again, err := send(s, "a", hourly(10)) // the runner died before it knew
		if err != nil || again.MessageID != first.MessageID || len(server.Mails()) != 1 {
			t.Errorf("the second attempt: %+v, %v; %d mails arrived, want 1", again, err, len(server.Mails()))
		}
		for range 2 {
			_, err := s.Record(schematest.Step("a/record", 1), mail.RecordInput{
				Reservation: "a", Recipient: guest, Subject: "S", MessageID: first.MessageID, SentAt: first.SentAt,
			})
			if err != nil {
				t.Error(err)
			}
		}
		for _, table := range []string{"email_log", "audit_log"} {
			if n := site.Count(t, "SELECT count(*) FROM "+table); n != 1 {
				t.Errorf("%s has %d rows, want 1", table, n)
			}
		}
	})
}

func TestRefusedMails(t *testing.T) {
	for name, c := range map[string]struct {
		code  int
		final bool
		kept  int
	}{
		"for now":  {code: 451, kept: 1},
		"for good": {code: 550, final: true, kept: 0},
	} {
		t.Run(name, func(t *testing.T) {
			schematest.Each(t, func(t *testing.T, site *schematest.Site) {
				s, server := newService(t, site)
				reserve(t, s, "a", guest, hourly(1))
				server.Refuse(c.code)
				if _, err := send(s, "a", hourly(1)); err == nil || wildout.IsNonRetriable(err) != c.final {
					t.Fatalf("Send = %v, want final = %v", err, c.final)
				}
				server.Refuse(0)
				if n := site.Count(t, "SELECT count(*) FROM email_reservations"); n != c.kept {
					t.Errorf("%d reservations are left, want %d", n, c.kept)
				}
				next := reserve(t, s, "b", guest, hourly(1))
				if free := time.Until(next.SendAt) < time.Minute; free != c.final {
					t.Errorf("the next mail may go at %s; only what was refused for good leaves room", next.SendAt)
				}
				if c.final {
					return
				}
				// Its own place is no obstacle to a mail that is tried again.
				if _, err := send(s, "a", hourly(1)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSendWithoutReservation(t *testing.T) {
	site := schematest.Postgres(t)
	s, _ := newService(t, site)
	if _, err := send(s, "unknown", hourly(1)); !wildout.IsNonRetriable(err) {
		t.Errorf("Send = %v, want an error without retry", err)
	}
	if _, err := send(s, "unknown", mail.Limit{}); !wildout.IsNonRetriable(err) {
		t.Errorf("Send without a limit = %v, want an error without retry", err)
	}
	if _, err := sendPaced(s, "unknown", guest, hourly(1), mail.Limit{}); !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "total") {
		t.Errorf("Send without a total = %v, want an error without retry", err)
	}
}

func TestMetricsCountEachStepOnce(t *testing.T) {
	day := time.Date(2026, 5, 1, 23, 0, 0, 0, time.UTC)
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, _ := newService(t, site)
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				in := mail.MetricsInput{Sent: 1, Time: day.Add(time.Duration(i) * time.Minute)}
				for range 2 {
					if _, err := s.CollectMetrics(schematest.Step(fmt.Sprint("s", i), 1), in); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if _, err := s.CollectMetrics(schematest.Step("f", 1), mail.MetricsInput{Failed: 2, Time: day}); err != nil {
			t.Error(err)
		}
		if got := site.Count(t, "SELECT sent_count * 100 + failed_count FROM email_metrics"); got != 802 {
			t.Errorf("sent and failed are %d, want 802", got)
		}
		if _, err := s.CollectMetrics(schematest.Step("z", 1), mail.MetricsInput{}); !wildout.IsNonRetriable(err) {
			t.Errorf("nothing to count: %v", err)
		}
	})
}
