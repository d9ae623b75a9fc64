package console

import (
	"errors"
	"fmt"
	"net/http"
)

// Problem is why a request cannot be answered as it is. Other errors mean that
// Redis did not do what it was asked.
type Problem struct {
	// Status is the HTTP status: 400 a wrong parameter, 403 not allowed, 404
	// not there, 409 the run is not in a state for it.
	Status int
	// Text says what is wrong and what to do.
	Text string
	// Faults are the places in sent events that are wrong.
	Faults []Fault
}

// Fault is what is wrong with one event that was to be sent.
type Fault struct {
	// Event counts the events from 0.
	Event int `json:"event"`
	// Path is the field, such as data.email.
	Path string `json:"path"`
	// Message says what was expected there.
	Message string `json:"message"`
}

func (p *Problem) Error() string { return p.Text }

func failf(status int, format string, args ...any) error {
	return &Problem{Status: status, Text: fmt.Sprintf(format, args...)}
}

// StatusOf returns the HTTP status of an error: that of a *Problem, or of any
// error in the chain that has a method HTTPStatus; 503 for others.
func StatusOf(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status
	}
	var known interface{ HTTPStatus() int }
	if errors.As(err, &known) {
		return known.HTTPStatus()
	}
	return http.StatusServiceUnavailable
}
