// Package console is the API that people look through: functions, runs, and
// what an event started. `wildout runs` and `wildout send --wait` read it. It
// shows what Redis has and must not know how a run is carried out.
package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/wildout/wildout/runtime/store"
)

// States of a run that no journal and no history knows; see store.Status for
// the others.
const (
	// Queued: no runner has read the event yet.
	Queued store.Status = "queued"
	// Filtered: the function took note of the event and started no run, because
	// of its trigger's `if`, its idempotency key or its rate limit (Drop). A
	// run that has left the history looks the same.
	Filtered store.Status = "filtered"
)

// Function is an installed function.
type Function struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Triggers are event types and schedules ("cron 0 3 * * *").
	Triggers []string `json:"triggers"`
	store.Stats
}

// EventRuns are the runs that an event started.
type EventRuns struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	// Runs has one entry for each function that the event triggers.
	Runs []store.Record `json:"runs"`
}

// Console answers the API.
type Console struct {
	store *store.Store
	log   *slog.Logger
}

// New returns a Console on s. log gets what goes wrong; nil: slog.Default().
func New(s *store.Store, log *slog.Logger) (*Console, error) {
	if s == nil {
		return nil, errors.New("console: no store")
	}
	if log == nil {
		log = slog.Default()
	}
	return &Console{s, log}, nil
}

// Register adds the routes to mux.
func (c *Console) Register(mux *http.ServeMux) {
	c.handle(mux, "GET /v1/functions", c.getFunctions)
	c.handle(mux, "GET /v1/runs", c.getRuns)
	c.handle(mux, "GET /v1/runs/{id}", c.getRun)
	c.handle(mux, "GET /v1/events/{id}/runs", c.getEventRuns)
}

// statusError is an error with its HTTP status; others are 503, for only Redis
// can fail here.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func failf(status int, format string, args ...any) error {
	return &statusError{status, fmt.Sprintf(format, args...)}
}

func (c *Console) handle(mux *http.ServeMux, pattern string, fn func(*http.Request) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := fn(r)
		status := http.StatusOK
		if err != nil {
			status = http.StatusServiceUnavailable
			var known *statusError
			if errors.As(err, &known) {
				status = known.status
			} else {
				c.log.Error("request not answered", "path", r.URL.Path, "error", err)
			}
			body = problem{err.Error(), status}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client may be gone
	})
}

// problem is the body of an answer that is an error.
type problem struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
}

const (
	defaultLimit = 50
	maxLimit     = 1000
)

func limitOf(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, failf(http.StatusBadRequest, "limit is %q, want 1 to %d", text, maxLimit)
	}
	return n, nil
}
