package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Refusal is why a request was not taken: nothing of it was published, unless
// the message says otherwise. It knows its place in HTTP.
type Refusal struct {
	// Status is the HTTP status.
	Status int
	// Message is for whoever sent the request: what is wrong, and what to do.
	Message string
	// Faults are the places in the events that are wrong, with status 400.
	Faults Faults
	// RetryAfter is when another try makes sense; 0: not said.
	RetryAfter time.Duration
	// Err is the cause on our side, for the log. Senders do not see it.
	Err error
}

func (r *Refusal) Error() string { return r.Message }
func (r *Refusal) Unwrap() error { return r.Err }

// AsRefusal returns the refusal that an error is, or stands for: the limits of
// net/http on a body, and else a fault on our side.
func AsRefusal(err error) *Refusal {
	var refusal *Refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &large):
		return &Refusal{Status: http.StatusRequestEntityTooLarge, Err: err,
			Message: fmt.Sprintf("the body is larger than %d bytes: send fewer events at a time", large.Limit)}
	default:
		return &Refusal{Status: http.StatusInternalServerError, Message: "the gateway has a fault; its log says more", Err: err}
	}
}

// refusalBody is the body of an answer that refuses.
type refusalBody struct {
	Error  string `json:"error"`
	Faults Faults `json:"faults,omitempty"`
	Status int    `json:"status"`
}

// Refuse answers with the refusal that err is or stands for: its status,
// Retry-After, and {"error": …, "faults": […], "status": …}.
func Refuse(w http.ResponseWriter, err error) {
	r := AsRefusal(err)
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds()))))
	}
	if r.Status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	reply(w, r.Status, refusalBody{r.Message, r.Faults, r.Status})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// Fault is what is wrong with one event of a request.
type Fault struct {
	// Event counts the events of the request from 0.
	Event int `json:"event"`
	// Path is the field, such as data.email; empty: the event as a whole.
	Path string `json:"path"`
	// Message says what was expected there.
	Message string `json:"message"`
}

// Faults are all faults of a request.
type Faults []Fault

// maxFaultsShown bounds the faults in the text of an error.
const maxFaultsShown = 10

func (f Faults) Error() string {
	lines := make([]string, 0, maxFaultsShown+1)
	for i, fault := range f {
		if i == maxFaultsShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(f)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("event %d: %s", fault.Event, strings.TrimSpace(fault.Path+" "+fault.Message)))
	}
	return strings.Join(lines, "; ")
}

// events are the events that have a fault.
func (f Faults) events() map[int]bool {
	faulty := make(map[int]bool, len(f))
	for _, fault := range f {
		faulty[fault.Event] = true
	}
	return faulty
}

// refusal is the answer to a request with faults.
func (f Faults) refusal() *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Message: f.Error() + " (nothing was published)", Faults: f}
}
