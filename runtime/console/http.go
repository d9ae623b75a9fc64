package console

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/strictjson"
)

// Register adds the routes of the HTTP API to mux.
func (s *Service) Register(mux *http.ServeMux) {
	s.handle(mux, "GET /v1/functions", func(r *http.Request) (any, error) { return s.Functions(r.Context()) })
	s.handle(mux, "GET /v1/functions/{name}", func(r *http.Request) (any, error) { return s.Function(r.Context(), r.PathValue("name")) })
	s.handle(mux, "GET /v1/runs", s.getRuns)
	s.handle(mux, "GET /v1/runs/{id}", func(r *http.Request) (any, error) {
		return s.run(r.Context(), r.FormValue("function"), r.PathValue("id"))
	})
	s.handle(mux, "POST /v1/runs/{id}/cancel", s.postCancel)
	s.handle(mux, "POST /v1/runs/{id}/replay", s.postReplay)
	s.handle(mux, "GET /v1/events", s.getEvents)
	s.handle(mux, "GET /v1/events/{id}", func(r *http.Request) (any, error) {
		return s.Event(r.Context(), r.FormValue("type"), r.PathValue("id"))
	})
	s.handle(mux, "GET /v1/events/{id}/runs", func(r *http.Request) (any, error) {
		return s.EventRuns(r.Context(), r.FormValue("type"), r.PathValue("id"))
	})
	s.handle(mux, "GET /v1/event-types", func(r *http.Request) (any, error) { return s.EventTypes(r.Context()) })
	s.handle(mux, "GET /v1/samples", func(r *http.Request) (any, error) { return s.Samples(r.Context(), r.FormValue("function")) })
	mux.HandleFunc("GET /v1/stream", s.getStream)
}

// problemBody is the body of an answer that is an error.
type problemBody struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
}

// handle adds a route that answers with JSON. What changes something is not
// for other sites to ask of a browser.
func (s *Service) handle(mux *http.ServeMux, pattern string, fn func(*http.Request) (any, error)) {
	var guard http.CrossOriginProtection
	mux.Handle(pattern, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := fn(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		reply(w, http.StatusOK, body)
	})))
}

// reply writes a body in which characters stand for themselves: events have them
// escaped in as many ways as there are senders.
func reply(w http.ResponseWriter, status int, body any) {
	text, err := strictjson.Show(body, "")
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON","status":500}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}

// refuse answers with an error.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := StatusOf(err)
	if status == http.StatusServiceUnavailable && r.Context().Err() == nil {
		s.log.Error("request not answered", "path", r.URL.Path, "error", err)
		w.Header().Set("Retry-After", "1")
	}
	reply(w, status, problemBody{err.Error(), status})
}

func (s *Service) getRuns(r *http.Request) (any, error) {
	q, err := ParseRunQuery(r.URL.Query(), time.Now())
	if err != nil {
		return nil, err
	}
	return s.Runs(r.Context(), q)
}

// ParseRunQuery reads the parameters function, status (several with commas),
// eventType, event, text, since and until (RFC 3339, or a duration before now
// such as 15m), cursor and limit. The error is a *Problem. Unknown parameters
// are an error too: a misspelt filter would show everything.
func ParseRunQuery(v url.Values, now time.Time) (q RunQuery, err error) {
	if err := known(v, "function", "status", "eventType", "event", "text", "since", "until", "cursor", "limit"); err != nil {
		return q, err
	}
	q = RunQuery{Function: v.Get("function"), EventType: v.Get("eventType"), EventID: v.Get("event"), Text: v.Get("text"), Cursor: v.Get("cursor")}
	for _, list := range v["status"] {
		for status := range strings.SplitSeq(list, ",") {
			if status != "" && !slices.Contains(q.Statuses, run.Status(status)) {
				q.Statuses = append(q.Statuses, run.Status(status))
			}
		}
	}
	if q.Since, q.Until, q.Limit, err = bounds(v, now); err != nil {
		return q, err
	}
	if _, err := parseCursor(q.Cursor); err != nil {
		return q, err
	}
	err = q.validate()
	return q, err
}

func (s *Service) getEvents(r *http.Request) (any, error) {
	q, err := ParseEventQuery(r.URL.Query(), time.Now())
	if err != nil {
		return nil, err
	}
	return s.Events(r.Context(), q)
}

// ParseEventQuery reads the parameters type, since, until, cursor and limit, as
// ParseRunQuery does.
func ParseEventQuery(v url.Values, now time.Time) (q EventQuery, err error) {
	if err := known(v, "type", "since", "until", "cursor", "limit"); err != nil {
		return q, err
	}
	q = EventQuery{Type: v.Get("type"), Cursor: v.Get("cursor")}
	if q.Since, q.Until, q.Limit, err = bounds(v, now); err != nil {
		return q, err
	}
	if _, err := parseCursor(q.Cursor); err != nil {
		return q, err
	}
	err = limitIn(&q.Limit)
	return q, err
}

func known(v url.Values, names ...string) error {
	for name := range v {
		if !slices.Contains(names, name) {
			return failf(http.StatusBadRequest, "there is no parameter %q, want one of %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

func bounds(v url.Values, now time.Time) (since, until time.Time, limit int, err error) {
	if since, err = ParseTime(v.Get("since"), now); err != nil {
		return since, until, 0, failf(http.StatusBadRequest, "since %v", err)
	}
	if until, err = ParseTime(v.Get("until"), now); err != nil {
		return since, until, 0, failf(http.StatusBadRequest, "until %v", err)
	}
	if text := v.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > MaxLimit {
			return since, until, 0, failf(http.StatusBadRequest, "limit is %q, want 1 to %d", text, MaxLimit)
		}
	}
	return since, until, limit, nil
}

// ParseTime reads an RFC 3339 time, or a duration before now such as 15m or 2d.
// Nothing is the zero time.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36_500 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 {
		return time.Time{}, errors.New("is " + strconv.Quote(text) + ", want a time such as 2030-01-31T09:00:00Z, or how long ago, such as 15m or 2d")
	}
	return t, nil
}

// maxActBody bounds the body of a request that acts, in bytes, and maxReason
// the reason in it.
const (
	maxActBody = 16 << 10
	maxReason  = 1000
)

func (s *Service) postCancel(r *http.Request) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if len(body.Reason) > maxReason {
		return nil, failf(http.StatusBadRequest, "the reason has %d bytes, the limit is %d", len(body.Reason), maxReason)
	}
	id := r.PathValue("id")
	if err := s.Cancel(r.Context(), id, body.Reason); err != nil {
		return nil, err
	}
	return started{id}, nil
}

// started is the answer to a request that acts: the run that it concerns.
type started struct {
	ID string `json:"id"`
}

func (s *Service) postReplay(r *http.Request) (any, error) {
	if err := readBody(r, &struct{}{}); err != nil {
		return nil, err
	}
	id, err := s.Replay(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return started{id}, nil
}

// readBody reads a JSON object; no body is an empty one.
func readBody(r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxActBody))
	if err == nil && len(bytes.TrimSpace(text)) > 0 {
		err = strictjson.UnmarshalKnown(text, into)
	}
	if err != nil {
		return failf(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	return nil
}
