package front

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/config"
	"github.com/wildout/wildout/runtime/gateway/tokenreview"
	"github.com/wildout/wildout/runtime/gateway/webhook"
)

// Authenticate implements gateway.Authenticator with the configuration that
// counts now.
func (f *front) Authenticate(ctx context.Context, credential string) (*gateway.Sender, error) {
	current := f.live.Current()
	if len(current.Senders) == 0 {
		return nil, &gateway.Refusal{Status: http.StatusServiceUnavailable, Message: "nobody may send: the configuration of the gateway has no senders"}
	}
	sender, err := current.Authenticate(ctx, credential)
	if errors.Is(err, gateway.ErrNotMine) && current.HasAccounts() {
		return f.reviewer.Authenticate(ctx, credential)
	}
	return sender, err
}

// apply prepares what a new configuration needs.
func (f *front) apply(next *config.Config) error {
	if next.HasAccounts() && f.reviewer == nil {
		reviewer, err := tokenreview.New(tokenreview.Options{
			Audience: f.opts.TokenAudience,
			Sender:   func(a tokenreview.Account) *gateway.Sender { return f.live.Current().Account(a.Namespace, a.Name) },
		})
		if err != nil {
			return err
		}
		f.reviewer = reviewer
	}
	hooks, err := webhook.New(webhook.Options{Gateway: f.gateway, Webhooks: next.Webhooks, Metrics: f.hookMetrics, Logger: f.log})
	if err != nil {
		return fmt.Errorf("%s: %w", f.opts.Config, err)
	}
	f.webhooks.Store(hooks)
	return nil
}

// files are what to watch.
func (f *front) files() []string {
	all := append([]string{}, f.opts.EventTypes...)
	if f.live != nil {
		all = append(all, f.live.Files()...)
	}
	if f.certificate != nil {
		all = append(all, f.certificate.Files()...)
	}
	return all
}

// reload reads everything again; what cannot be used stays as it was.
func (f *front) reload() {
	if f.live != nil {
		f.live.Reload()
	}
	if err := f.loadTypes(); err != nil && err.Error() != f.typesFault {
		f.typesFault = err.Error()
		f.log.Error("the event types cannot be used; the last good ones stay", "error", err)
	} else if err == nil {
		f.typesFault = ""
	}
	if f.certificate == nil {
		return
	}
	before := f.certificate.Expires()
	if err := f.certificate.Reload(); err != nil {
		f.log.Error("the last good certificate stays", "error", err, "until", f.certificate.Expires())
	} else if !f.certificate.Expires().Equal(before) {
		f.log.Info("the certificate was replaced", "until", f.certificate.Expires())
	}
}

func (f *front) loadTypes() error {
	if len(f.opts.EventTypes) == 0 {
		return nil
	}
	set, err := manifest.Load(f.opts.EventTypes, nil)
	if err == nil {
		err = set.Err()
	}
	if err != nil {
		return err
	}
	schemas := make(map[string]json.RawMessage, len(set.EventTypes))
	for _, t := range set.EventTypes {
		schemas[t.Name] = t.Schema
	}
	return f.types.Set(schemas)
}

// stale is the value of a metric.
func (f *front) stale() float64 {
	if f.live != nil && f.live.Trouble() != nil {
		return 1
	}
	return 0
}
