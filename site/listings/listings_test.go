package listings_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/listings"
	"github.com/wildout/wildout/site/mail/smtptest"
	"github.com/wildout/wildout/site/schema/schematest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

func each(t *testing.T, test func(t *testing.T, site *schematest.Site, s *listings.Service, server *smtptest.Server)) {
	t.Helper()
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		if err := site.Seed(context.Background()); err != nil {
			t.Fatal(err)
		}
		server := smtptest.Start(t)
		s, err := listings.NewService(site.DB, server.Mailer(t))
		if err != nil {
			t.Fatal(err)
		}
		test(t, site, s, server)
	})
}

func TestLoad(t *testing.T) {
	each(t, func(t *testing.T, _ *schematest.Site, s *listings.Service, _ *smtptest.Server) {
		for id, want := range map[string]struct {
			future, venue bool
			team          int
		}{
			"event-brass":    {future: true, venue: true, team: 2},
			"event-past":     {future: false, venue: true, team: 1},
			"event-homeless": {future: true, venue: false, team: 1},
		} {
			got, err := s.Load(context.Background(), listings.LoadInput{ID: id})
			if err != nil || got.InFuture != want.future || (got.Venue != nil) != want.venue || len(got.Team) != want.team ||
				got.Status != "draft" || got.Title == "" || got.DateText == "" || !strings.HasSuffix(got.CreatorEmail, "@wildout.example") {
				t.Errorf("%s: %+v, %v, want %+v", id, got, err, want)
			}
		}
		if _, err := s.Load(context.Background(), listings.LoadInput{ID: "nothing"}); err == nil || wildout.IsNonRetriable(err) {
			t.Errorf("a listing that is not there yet: %v, want an error to be retried", err)
		}
	})
}

func TestPublishedOnce(t *testing.T) {
	each(t, func(t *testing.T, site *schematest.Site, s *listings.Service, _ *smtptest.Server) {
		for _, by := range []string{"first", "second", "first"} {
			out, err := s.Publish(context.Background(), listings.PublishInput{ID: "event-brass", By: by})
			if err != nil || out.Status != "published" || out.ProcessedBy != "first" {
				t.Errorf("published by %s: %+v, %v", by, out, err)
			}
		}
		site.Exec(t, "UPDATE events SET status = 'cancelled' WHERE id = 'event-lanterns'")
		for _, id := range []string{"event-lanterns", "nothing"} {
			if _, err := s.Publish(context.Background(), listings.PublishInput{ID: id, By: "f"}); !wildout.IsNonRetriable(err) {
				t.Errorf("%s: %v, want an error without retry", id, err)
			}
		}
	})
}

func adminMail() listings.MailInput {
	return listings.MailInput{ListingID: "event-brass", Purpose: "admin", To: "admin@x.example", Template: "event-creator", Vars: email.Vars{
		"siteName": "Wildout", "title": "Brass", "date": "soon", "venue": "Pier",
	}}
}

func TestTwoFunctionsNotifyOnce(t *testing.T) {
	each(t, func(t *testing.T, site *schematest.Site, s *listings.Service, server *smtptest.Server) {
		var group sync.WaitGroup
		var owners atomic.Int32
		for _, run := range []string{"run-a", "run-b"} {
			group.Go(func() {
				for attempt := range 2 { // each step runs twice
					ctx := schematest.Step(run, attempt+1)
					out, err := s.SendMail(ctx, adminMail())
					if err != nil {
						t.Error(err)
					}
					if _, err := s.NotifyDashboard(ctx, listings.DashboardInput{ListingID: "event-brass", Subject: "S", Body: "B"}); err != nil {
						t.Error(err)
					}
					if attempt == 0 && out.Mine {
						owners.Add(1)
					}
				}
			})
		}
		group.Wait()
		if n := len(server.Mails()); n != 1 || owners.Load() != 1 {
			t.Errorf("%d mails were sent by %d runs, want 1 by 1", n, owners.Load())
		}
		for status, want := range map[string]int{"sent": 1, "unread": 1} {
			if n := site.Count(t, "SELECT count(*) FROM notifications WHERE status = $1", status); n != want {
				t.Errorf("%d notifications are %s, want %d", n, status, want)
			}
		}
	})
}

// TestOwnerGoesOn: a run whose mail failed tries again; another run leaves it
// to that, until the first has given up.
func TestOwnerGoesOn(t *testing.T) {
	each(t, func(t *testing.T, _ *schematest.Site, s *listings.Service, server *smtptest.Server) {
		server.Refuse(451)
		if _, err := s.SendMail(schematest.Step("owner", 1), adminMail()); err == nil {
			t.Fatal("a refused mail was a success")
		}
		server.Refuse(0)
		if out, err := s.SendMail(schematest.Step("other", 1), adminMail()); err != nil || out.Mine {
			t.Errorf("another run took over: %+v, %v", out, err)
		}
		if out, err := s.GiveUp(schematest.Step("owner", 1), struct{}{}); err != nil || out.GivenUp != 1 {
			t.Errorf("GiveUp = %+v, %v", out, err)
		}
		if out, err := s.SendMail(schematest.Step("other", 1), adminMail()); err != nil || !out.Mine {
			t.Errorf("nobody sends what was given up: %+v, %v", out, err)
		}
		if out, err := s.SendMail(schematest.Step("owner", 2), adminMail()); err != nil || out.Mine || len(server.Mails()) != 1 {
			t.Errorf("the first run sent it as well: %+v, %v, %d mails", out, err, len(server.Mails()))
		}
	})
}

func TestClaimForAnotherStep(t *testing.T) {
	each(t, func(t *testing.T, site *schematest.Site, s *listings.Service, _ *smtptest.Server) {
		in := listings.ClaimInput{ListingID: "event-brass", Purpose: "webhook", Channel: "webhook", Recipient: "https://x.example"}
		for i, c := range []struct {
			run  string
			mine bool
		}{{"a", true}, {"b", false}, {"a", true}} {
			if out, err := s.Claim(schematest.Step(c.run, 1), in); err != nil || out.Mine != c.mine {
				t.Errorf("claim %d: %+v, %v, want %v", i, out, err, c.mine)
			}
		}
		if _, err := s.Confirm(schematest.Step("a", 1), listings.ConfirmInput{ListingID: "event-brass", Purpose: "webhook"}); err != nil {
			t.Error(err)
		}
		if status := site.Text(t, "SELECT status FROM notifications"); status != "sent" {
			t.Errorf("the status is %s", status)
		}
		if _, err := s.Claim(context.Background(), in); !wildout.IsNonRetriable(err) {
			t.Errorf("a claim without a run: %v", err)
		}
	})
}
