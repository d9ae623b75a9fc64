package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Sender is somebody who may send events.
type Sender struct {
	// Name is what logs, metrics and error messages call it.
	Name string
	// Types are patterns of the event types that it may send: * stands for any
	// characters, / included. None: it may send nothing.
	Types []string
	// Rate bounds its events over all gateways; nil: no limit.
	Rate *Rate
}

// Rate allows Limit events per Period on the average, and Burst at once.
type Rate struct {
	Limit  int
	Period time.Duration
	Burst  int
}

// Interval is the time between two events at the rate.
func (r *Rate) Interval() time.Duration { return r.Period / time.Duration(r.Limit) }

// May reports whether the sender may send events of a type.
func (s *Sender) May(eventType string) bool {
	for _, pattern := range s.Types {
		if match(pattern, eventType) {
			return true
		}
	}
	return false
}

// match reports whether text is of the pattern, in which * stands for any
// characters. It takes time in proportion to the product of the lengths.
func match(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		// The leftmost place leaves the most for what follows.
		_, text, ok = strings.Cut(text, part)
		if !ok {
			return false
		}
	}
	return strings.HasSuffix(text, last)
}

// ErrNotMine says that a credential is none that an Authenticator knows.
var ErrNotMine = errors.New("not one of mine")

// Authenticator knows senders by what they show: a key, or a token.
type Authenticator interface {
	// Authenticate returns the sender whose credential it is. The error is
	// ErrNotMine when the credential is of another kind or unknown, so that
	// another Authenticator is asked, and a *Refusal when it is known to be no
	// good, or cannot be checked now (503). Wrong credentials come in
	// thousands: they must cost little, and take the same time whatever is
	// wrong with them.
	Authenticate(ctx context.Context, credential string) (*Sender, error)
}

// Authenticators asks one after the other.
type Authenticators []Authenticator

// Authenticate implements Authenticator.
func (all Authenticators) Authenticate(ctx context.Context, credential string) (*Sender, error) {
	for _, a := range all {
		sender, err := a.Authenticate(ctx, credential)
		if !errors.Is(err, ErrNotMine) {
			return sender, err
		}
	}
	return nil, ErrNotMine
}

// Anyone lets every request in, with a key or without: for `dev`.
type Anyone struct{}

// Authenticate implements Authenticator.
func (Anyone) Authenticate(context.Context, string) (*Sender, error) {
	return &Sender{Name: "anyone", Types: []string{"*"}}, nil
}

// Authenticate finds the sender of a request by the key in its path and by its
// bearer token (Authorization: Bearer …), whichever is known. The error is a
// *Refusal.
func (g *Gateway) Authenticate(r *http.Request) (*Sender, error) {
	credentials := make([]string, 0, 2)
	if key := r.PathValue("key"); key != "" {
		credentials = append(credentials, key)
	}
	if token := bearer(r.Header.Get("Authorization")); token != "" {
		credentials = append(credentials, token)
	}
	if len(credentials) == 0 {
		credentials = append(credentials, "")
	}
	for _, credential := range credentials {
		sender, err := g.opts.Authenticator.Authenticate(r.Context(), credential)
		if err == nil {
			return sender, nil
		}
		if !errors.Is(err, ErrNotMine) {
			g.opts.Metrics.Refused(RefusedKey, 1)
			if cause := AsRefusal(err).Err; cause != nil {
				g.failures.warn(g.opts.Logger, "a sender could not be authenticated", "error", cause)
			}
			return nil, err
		}
	}
	g.opts.Metrics.Refused(RefusedKey, 1)
	g.unknown.warn(g.opts.Logger, "requests with a key or token that no sender has", "from", r.RemoteAddr)
	return nil, &Refusal{Status: http.StatusUnauthorized, Message: "Event key not found"}
}

func bearer(header string) string {
	const scheme = "bearer "
	if len(header) > len(scheme) && strings.EqualFold(header[:len(scheme)], scheme) {
		return strings.TrimSpace(header[len(scheme):])
	}
	return ""
}
