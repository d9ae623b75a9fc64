// Package cloudevents takes events in the form of CloudEvents 1.0 over HTTP:
// one in the headers (binary), one in the body (structured), or many (batched).
// That makes the gateway a sink of Knative. The package must not know how
// events are stored; the gateway checks and publishes them.
package cloudevents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

// Gateway checks and publishes events; *gateway.Gateway does. Its errors are
// *gateway.Refusal.
type Gateway interface {
	// Guard bounds the requests that a handler gets, and counts them.
	Guard(route string, next http.Handler) http.Handler
	// Authenticate finds the sender of a request.
	Authenticate(r *http.Request) (*gateway.Sender, error)
	// Accept returns when all events are stored.
	Accept(ctx context.Context, sender *gateway.Sender, events []*event.Event) error
}

// Options are what a Handler needs.
type Options struct {
	Gateway Gateway
	// AllowedOrigins are the sending systems that the handshake of CloudEvents
	// webhooks consents to. Default: all. It keeps nobody out who does not ask;
	// keys do that.
	AllowedOrigins []string
	// AllowedRate is what the handshake grants, in requests per minute. 0: no
	// bound is promised.
	AllowedRate int
	// Metrics may be nil.
	Metrics *gateway.Metrics
	// Logger gets what goes wrong on our side. Nil: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Gateway == nil {
		return errors.New("cloudevents: no gateway")
	}
	if o.AllowedRate < 0 {
		return fmt.Errorf("cloudevents: the rate of the handshake is %d requests per minute, want 0 or more", o.AllowedRate)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Handler takes CloudEvents.
type Handler struct{ opts Options }

// New returns a Handler.
func New(o Options) (*Handler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Handler{opts: o}, nil
}

// Register adds the routes to mux: /cloudevents, and / for senders that know
// only the name of a Service.
func (h *Handler) Register(mux *http.ServeMux) {
	send := h.opts.Gateway.Guard("cloudevents", http.HandlerFunc(h.send))
	for _, path := range [...]string{"/cloudevents", "/{$}"} {
		mux.Handle("POST "+path, send)
		mux.HandleFunc("OPTIONS "+path, h.consent)
	}
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request) {
	if err := h.take(w, r); err != nil {
		if refusal := gateway.AsRefusal(err); refusal.Status == http.StatusInternalServerError {
			h.opts.Logger.Error("cloudevents: a request failed", "error", err)
		}
		gateway.Refuse(w, err)
		return
	}
	// Without a body: Knative takes one for an event in reply.
	w.WriteHeader(http.StatusAccepted)
}

func (h *Handler) take(w http.ResponseWriter, r *http.Request) error {
	sender, err := h.opts.Gateway.Authenticate(withQueryToken(w, r))
	if err != nil {
		return err
	}
	body, err := gateway.ReadBody(r)
	if err != nil {
		h.opts.Metrics.Refused(gateway.RefusedForm, 1)
		return err
	}
	events, err := read(r.Header, body)
	if err != nil {
		h.opts.Metrics.Refused(gateway.RefusedForm, 1)
		return err
	}
	if len(events) == 0 { // an empty batch is one
		return nil
	}
	return h.opts.Gateway.Accept(r.Context(), sender, events)
}

// withQueryToken moves a token from the query to where tokens are looked for:
// a target must take both (HTTP 1.1 Web Hooks for Event Delivery, section 3.2).
func withQueryToken(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.URL.RawQuery == "" || r.Header.Get("Authorization") != "" {
		return r
	}
	token := r.URL.Query().Get("access_token")
	if token == "" {
		return r
	}
	w.Header().Set("Cache-Control", "private")
	moved := *r
	moved.Header = r.Header.Clone()
	moved.Header.Set("Authorization", "Bearer "+token)
	return &moved
}

// consent answers the question of a sender whether events are wanted here
// (HTTP 1.1 Web Hooks for Event Delivery, section 4). It is no authentication.
// WebHook-Request-Callback is not called: the answer is given at once, and a
// stranger must not make us open a URL.
func (h *Handler) consent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "POST, OPTIONS")
	if origin := r.Header.Get("WebHook-Request-Origin"); origin != "" && h.allows(origin) {
		w.Header().Set("WebHook-Allowed-Origin", origin)
		rate := "*"
		if h.opts.AllowedRate > 0 {
			rate = strconv.Itoa(h.opts.AllowedRate)
		}
		w.Header().Set("WebHook-Allowed-Rate", rate)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) allows(origin string) bool {
	return len(h.opts.AllowedOrigins) == 0 || slices.ContainsFunc(h.opts.AllowedOrigins, func(allowed string) bool {
		return strings.EqualFold(allowed, origin)
	})
}
