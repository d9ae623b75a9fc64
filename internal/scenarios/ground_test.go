package scenarios_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/mailsink"
	"github.com/wildout/wildout/internal/scenarios"
	"github.com/wildout/wildout/internal/scenarios/outside"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// processes is the ground that this machine is: servers of servicetest, runners
// of crashtest, and events straight into Redis.
type processes struct{ sites int }

func (*processes) Pace() scenarios.Pace { return scenarios.Pace{Slower: 1, Kills: 1, Lease: lease} }

func (p *processes) Build(o scenarios.Order) scenarios.Place {
	GinkgoHelper()
	p.sites++
	place := scenarios.Place{Namespace: fmt.Sprintf("scenario%d", p.sites), RedisURL: redis.URL()}
	postgres := servicetest.SharedPostgres
	if o.OwnDatabase {
		postgres = func(t testing.TB) *servicetest.Postgres { return servicetest.StartPostgres(t) }
	}
	server := postgres(GinkgoTB())
	place.Database, place.DatabaseURL = server, server.NewDatabase(GinkgoTB())

	events, err := store.Open(store.Options{URL: place.RedisURL, Namespace: place.Namespace, Logger: slog.New(slog.DiscardHandler)})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(events.Close)
	place.Publish = func(ctx context.Context, e *event.Event) error { return events.Publish(ctx, e) }

	var webhooks outside.Webhooks
	receiver := httptest.NewServer(&webhooks)
	DeferCleanup(receiver.Close)
	place.Webhooks = webhooks.IDs

	smtp := fmt.Sprintf("127.0.0.1:%d", servicetest.FreePort(GinkgoTB()))
	mail := mailServer{outside.NewMailServer(smtp)}
	mail.Open()
	DeferCleanup(mail.Close)
	place.Mail = mail

	config := runnerConfig{
		Redis: place.RedisURL, Namespace: place.Namespace, Database: place.DatabaseURL, SMTP: "smtp://" + smtp + "?starttls=off", Changes: o.Changes,
		Env: map[string]string{
			"SITE_NAME": scenarios.SiteName, "ADMIN_EMAIL": scenarios.Admin, "SECURITY_CONTACTS": scenarios.Guard,
			"SECURITY_WEBHOOK_URL": receiver.URL + "/security", "EVENTS_WEBHOOK_URL": receiver.URL + "/events",
		},
	}
	place.Runners = newFleet(config)
	return place
}

// mailServer fails the spec where the server has an error.
type mailServer struct{ *outside.MailServer }

func (m mailServer) Open()                        { GinkgoHelper(); Expect(m.MailServer.Open()).To(Succeed()) }
func (m mailServer) Close()                       { GinkgoHelper(); Expect(m.MailServer.Close()).To(Succeed()) }
func (m mailServer) Messages() []mailsink.Message { return m.MailServer.Messages(0) }
