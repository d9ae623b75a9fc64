// Package webhook takes what other services send when something happens
// there: POST /webhooks/{name}. It proves by the signature where a request
// comes from, and makes events of it as the configuration says, in CEL. The
// package must not know how events are stored; the gateway checks and
// publishes them.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

// Gateway checks and publishes events; *gateway.Gateway does.
type Gateway interface {
	// Guard bounds the requests that a handler gets, and counts them.
	Guard(route string, next http.Handler) http.Handler
	// Accept returns when all events are stored; the error is a
	// *gateway.Refusal.
	Accept(ctx context.Context, sender *gateway.Sender, events []*event.Event) error
}

// Options are what a Handler needs.
type Options struct {
	Gateway Gateway
	// Webhooks are those of the configuration.
	Webhooks []Config
	// Path is where the configuration has them, for errors. Default: webhooks.
	Path string
	// Metrics may be nil.
	Metrics *Metrics
	// Logger gets what is wrong on our side. Nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock for the time of signatures. Nil: time.Now.
	Now func() time.Time
}

// Validate reports what is missing, and fills in the defaults. Faults of the
// webhooks are for New.
func (o *Options) Validate() error {
	if o.Gateway == nil {
		return errors.New("webhook: no gateway")
	}
	if o.Path == "" {
		o.Path = "webhooks"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// pathPrefix is the path of all webhooks.
const pathPrefix = "/webhooks/"

// Handler serves the webhooks. It never changes; for another configuration
// make another one.
type Handler struct {
	opts      Options
	endpoints map[string]*endpoint
}

// New compiles the webhooks and reads their secrets once. A fault of the
// configuration makes an error of type plan.Errors.
func New(o Options) (*Handler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	endpoints, err := compile(o.Path, o.Webhooks)
	if err != nil {
		return nil, err
	}
	h := &Handler{opts: o, endpoints: make(map[string]*endpoint, len(endpoints))}
	var missing faults
	for _, e := range endpoints {
		h.endpoints[e.name] = e
		if e.secrets == nil {
			continue
		}
		if _, err := e.secrets.current(o.Now()); err != nil {
			missing.add(e.path+".verify", "%v", err)
		}
	}
	if len(missing.errs) > 0 {
		return nil, missing.errs
	}
	return h, nil
}

// Register adds the route of the webhooks to mux.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.Handle("POST "+pathPrefix+"{name}", h.opts.Gateway.Guard("webhook", h))
}

// answer is the answer to a request that was taken.
type answer struct {
	IDs []string `json:"ids"`
	// Ignored says why the request became no event.
	Ignored string `json:"ignored,omitempty"`
	Status  int    `json:"status"`
}

// ServeHTTP serves POST /webhooks/{name}, behind a Guard.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := h.endpoints[r.PathValue("name")]
	if e == nil {
		gateway.Refuse(w, &gateway.Refusal{Status: http.StatusNotFound,
			Message: fmt.Sprintf("there is no webhook %q: see webhooks in the configuration of the gateway", clip(r.PathValue("name")))})
		return
	}
	gateway.NoteSender(r.Context(), e.sender.Name)
	body, err := gateway.ReadBody(r)
	if err != nil {
		h.refuse(w, e, err)
		return
	}
	a, err := h.take(r, e, body)
	if err != nil {
		h.refuse(w, e, err)
		return
	}
	result := "published"
	if a.Ignored != "" {
		result = "ignored"
	}
	h.opts.Metrics.count(e.name, result)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a) // the client may be gone
}

// take verifies a request and publishes what it becomes.
func (h *Handler) take(r *http.Request, e *endpoint, body []byte) (*answer, error) {
	if err := h.verify(r, e, body); err != nil {
		return nil, err
	}
	a := &answer{IDs: []string{}, Status: http.StatusOK}
	if a.Ignored = e.scheme.ignored(r.Header); a.Ignored != "" {
		return a, nil
	}
	req, err := e.newRequest(r, body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), mappingTimeout)
	defer cancel()
	events, err := e.events(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		a.Ignored = "no condition of the webhook holds"
		return a, nil
	}
	if err := h.opts.Gateway.Accept(r.Context(), e.sender, events); err != nil {
		return nil, err
	}
	for _, made := range events {
		a.IDs = append(a.IDs, made.ID)
	}
	return a, nil
}

func (h *Handler) verify(r *http.Request, e *endpoint, body []byte) error {
	if e.secrets == nil {
		return nil
	}
	now := h.opts.Now()
	keys, err := e.secrets.current(now)
	if err != nil {
		if e.mayWarn(now) {
			h.opts.Logger.Error("webhook: requests cannot be verified", "webhook", e.name, "error", err)
		}
		return &gateway.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 10 * time.Second, Err: err,
			Message: "the secret of this webhook cannot be read; the log of the gateway says why"}
	}
	return e.scheme.verify(signed{header: r.Header, body: body, now: now, tolerance: e.tolerance}, keys)
}

// refuse answers a request that was not taken.
func (h *Handler) refuse(w http.ResponseWriter, e *endpoint, err error) {
	var signature *SignatureError
	var mapping *MappingError
	var refusal *gateway.Refusal
	result := "refused"
	switch {
	case errors.As(err, &signature):
		result = "unverified"
		h.opts.Metrics.refused(gateway.RefusedKey)
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Signature header=%q", signature.Header))
		refusal = &gateway.Refusal{Status: http.StatusUnauthorized, Err: err, Message: "webhook " + e.name + ": " + err.Error()}
	case errors.As(err, &mapping):
		result = "unmapped"
		h.opts.Metrics.refused(gateway.RefusedForm)
		refusal = &gateway.Refusal{Status: http.StatusUnprocessableEntity, Err: err, Message: "webhook " + e.name + ": " + err.Error() + " (nothing was published)"}
		// The sender cannot mend it: whoever wrote the mapping has to know.
		if e.mayWarn(h.opts.Now()) {
			h.opts.Logger.Warn("webhook: the mapping does not fit a request", "webhook", e.name, "error", err)
		}
	default:
		refusal = gateway.AsRefusal(err)
		if refusal.Status == http.StatusInternalServerError {
			h.opts.Logger.Error("webhook: a request failed", "webhook", e.name, "error", err)
		}
	}
	h.opts.Metrics.count(e.name, result)
	gateway.Refuse(w, refusal)
}

// warnEvery is how often, in seconds, one webhook may say in the log what its
// requests bring about: they may come in thousands.
const warnEvery = 10

func (e *endpoint) mayWarn(now time.Time) bool {
	last := e.warnedAt.Load()
	return now.Unix()-last >= warnEvery && e.warnedAt.CompareAndSwap(last, now.Unix())
}
