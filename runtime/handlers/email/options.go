package email

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"time"
)

// Options configure a Mailer. URL is required; a zero duration or count takes
// its default.
type Options struct {
	// URL is the SMTP server: smtp://user:password@host:587?starttls=required
	// or smtps://user:password@host:465. starttls is required, opportunistic
	// or off; the default is required when the URL has a password, else
	// opportunistic. Ports default to 587 and 465.
	URL string
	// From is the sender of mails that name none: an address, or
	// "Name <address>".
	From string
	// Templates has the pairs <name>.txt and <name>.html, see Message. May be
	// nil.
	Templates fs.FS
	// RootCAs verifies the server's certificate in place of the system's.
	RootCAs *x509.CertPool
	// Hello is the name in EHLO, by default the host's name.
	Hello string

	// DialTimeout bounds connecting, TLS and authentication: 15 s.
	DialTimeout time.Duration
	// CommandTimeout bounds each wait for the server: 60 s. It covers the
	// server's checks of the content, which take their time.
	CommandTimeout time.Duration
	// MaxConns is how many connections are open at once: 4. Who finds none
	// free waits.
	MaxConns int
	// MaxIdle is how long a connection waits for the next mail: 30 s.
	MaxIdle time.Duration
	// MaxMessagesPerConn is when a connection is replaced, for servers that
	// limit it: 100.
	MaxMessagesPerConn int

	// Now is the clock of the Date header and of idle times: time.Now.
	Now func() time.Time
}

// Validate reports what cannot work. No error shows the password.
func (o Options) Validate() error {
	var errs []error
	if _, err := parseURL(o.URL); err != nil {
		errs = append(errs, err)
	}
	if o.From != "" {
		if _, err := mail.ParseAddress(o.From); err != nil {
			errs = append(errs, fmt.Errorf("the default sender %q is not a mail address: %w", o.From, err))
		}
	}
	for name, d := range map[string]time.Duration{"dial timeout": o.DialTimeout, "command timeout": o.CommandTimeout, "max idle": o.MaxIdle} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %s, want more than 0", name, d))
		}
	}
	if o.MaxConns < 0 || o.MaxMessagesPerConn < 0 {
		errs = append(errs, errors.New("max connections and max messages per connection must be 1 or more"))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	setDefault(&o.DialTimeout, 15*time.Second)
	setDefault(&o.CommandTimeout, time.Minute)
	setDefault(&o.MaxIdle, 30*time.Second)
	setDefault(&o.MaxConns, 4)
	setDefault(&o.MaxMessagesPerConn, 100)
	if o.Hello == "" {
		o.Hello = hostname()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
