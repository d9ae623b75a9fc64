// Package gateway is HTTP in: it takes events in the wire form of the Inngest
// event API, checks who sends them and whether their data fits the schema of
// their type, and publishes them. An answer of 200 means that Redis has them.
// The package must not know who reads the events.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/wildout/wildout/runtime/event"
)

// Publisher stores events; *store.Store does.
type Publisher interface {
	// Publish returns when all events are stored. It sets the ids that are empty.
	Publish(ctx context.Context, events ...*event.Event) error
}

// Options are what a Gateway needs.
type Options struct {
	Publisher Publisher
	// Types are the event types that are known. Events of others are accepted
	// without a check. Nil: none is known.
	Types *Types
	// Authenticate returns an error for a key that may not send, the last part
	// of /e/{key}. Nil lets every key in.
	Authenticate func(key string) error
	// MaxBodyBytes bounds the body of a request: 16 MiB by default.
	MaxBodyBytes int64
	// Logger gets what goes wrong on our side. Nil: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Publisher == nil {
		return errors.New("gateway: no publisher")
	}
	if o.MaxBodyBytes < 0 {
		return fmt.Errorf("gateway: the largest body is %d bytes, want more than 0", o.MaxBodyBytes)
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = 16 << 20
	}
	if o.Types == nil {
		o.Types = &Types{}
	}
	if o.Authenticate == nil {
		o.Authenticate = func(string) error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Gateway is the handler of POST /e/{key}.
type Gateway struct{ opts Options }

// New returns a Gateway.
func New(o Options) (*Gateway, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Gateway{opts: o}, nil
}

// Register adds the gateway's route to mux.
func (g *Gateway) Register(mux *http.ServeMux) { mux.HandleFunc("POST /e/{key}", g.send) }

// answer is the body of every answer.
type answer struct {
	IDs    []string `json:"ids,omitempty"`
	Error  string   `json:"error,omitempty"`
	Faults []Fault  `json:"faults,omitempty"`
	Status int      `json:"status"`
}

func (g *Gateway) send(w http.ResponseWriter, r *http.Request) {
	if err := g.opts.Authenticate(r.PathValue("key")); err != nil {
		reply(w, answer{Error: err.Error(), Status: http.StatusUnauthorized})
		return
	}
	events, err := readEvents(http.MaxBytesReader(w, r.Body, g.opts.MaxBodyBytes))
	if err == nil {
		err = g.opts.Types.check(events)
	}
	if err != nil {
		reply(w, refusal(err, g.opts.MaxBodyBytes))
		return
	}
	if err := g.opts.Publisher.Publish(r.Context(), events...); err != nil {
		g.opts.Logger.Error("events not published", "events", len(events), "error", err)
		reply(w, answer{Error: "the events could not be stored, send them again: " + err.Error(), Status: http.StatusServiceUnavailable})
		return
	}
	a := answer{Status: http.StatusOK}
	for _, e := range events {
		a.IDs = append(a.IDs, e.ID)
	}
	reply(w, a)
}

// refusal is the answer to a request that is at fault.
func refusal(err error, maxBody int64) answer {
	a := answer{Error: err.Error(), Status: http.StatusBadRequest}
	var faults Faults
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		a.Status = http.StatusRequestEntityTooLarge
		a.Error = fmt.Sprintf("the body is larger than %d bytes: send fewer events at a time", maxBody)
	case errors.As(err, &faults):
		a.Faults = faults
	}
	return a
}

func reply(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_ = json.NewEncoder(w).Encode(a) // the client may be gone
}
