package email

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// tlsMode is how a connection comes to be encrypted.
type tlsMode string

const (
	tlsImplicit      tlsMode = "implicit"
	tlsRequired      tlsMode = "required"
	tlsOpportunistic tlsMode = "opportunistic"
	tlsOff           tlsMode = "off"
)

// server is a parsed Options.URL.
type server struct {
	host, port     string
	user, password string
	tls            tlsMode
}

func (s server) addr() string { return net.JoinHostPort(s.host, s.port) }

// parseURL never shows the URL in an error: it may hold a password.
func parseURL(raw string) (server, error) {
	const form = "want smtp://[user:password@]host[:port][?starttls=required|opportunistic|off] or smtps://[user:password@]host[:port]"
	if raw == "" {
		return server{}, errors.New("the SMTP URL is empty, " + form)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return server{}, errors.New("the SMTP URL cannot be read (it is not shown, for it may hold a password; special characters in the password need %-encoding), " + form)
	}
	if u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return server{}, errors.New("the SMTP URL has a path, " + form)
	}
	s := server{host: u.Hostname(), port: u.Port(), user: u.User.Username()}
	s.password, _ = u.User.Password()
	if (s.user == "") != (s.password == "") {
		return server{}, errors.New("the SMTP URL needs both a user and a password, or neither")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return server{}, errors.New("the query of the SMTP URL cannot be read, " + form)
	}
	for key := range query {
		if key != "starttls" {
			return server{}, fmt.Errorf("the SMTP URL has the unknown parameter %q, %s", key, form)
		}
	}
	return s.complete(u.Scheme, query.Get("starttls"), query.Has("starttls"))
}

func (s server) complete(scheme, starttls string, given bool) (server, error) {
	defaultPort := "587"
	switch {
	case scheme == "smtps" && given:
		return server{}, errors.New("the SMTP URL has starttls with smtps, which is encrypted from the start: drop one of them")
	case scheme == "smtps":
		s.tls, defaultPort = tlsImplicit, "465"
	case scheme != "smtp":
		return server{}, fmt.Errorf("the SMTP URL has the scheme %q, want smtp or smtps", scheme)
	case !given && s.password != "":
		s.tls = tlsRequired
	case !given:
		s.tls = tlsOpportunistic
	default:
		s.tls = tlsMode(starttls)
		if s.tls != tlsRequired && s.tls != tlsOpportunistic && s.tls != tlsOff {
			return server{}, fmt.Errorf("the SMTP URL has starttls=%s, want required, opportunistic or off", starttls)
		}
	}
	if s.port == "" {
		s.port = defaultPort
	}
	if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
		return server{}, fmt.Errorf("the SMTP URL has the port %q, want 1 to 65535", s.port)
	}
	return s, nil
}
