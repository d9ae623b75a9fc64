package mailsink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/emersion/go-sasl"
)

// Options configure a Sink. The zero value is ready.
type Options struct {
	// Addr is the address to listen on; the default, 127.0.0.1:0, is a free
	// port of loopback.
	Addr string
	// MaxMessages is how many messages are kept, 1000 by default; the oldest
	// go first.
	MaxMessages int
	// MaxBytes is the largest message that is accepted, 10 MiB by default.
	MaxBytes int64

	// Username and Password, when set, must be given with AUTH PLAIN or LOGIN
	// before a mail; without TLS too.
	Username, Password string
	// Mechanisms are the AUTH mechanisms offered, by default PLAIN and LOGIN.
	Mechanisms []string
	// TLS, when set, offers STARTTLS; see SelfSigned.
	TLS *tls.Config
	// ImplicitTLS speaks TLS from the first byte (smtps) instead of STARTTLS.
	ImplicitTLS bool

	// OnConnect, OnMail, OnRcpt and OnData may refuse at their stage. An
	// *smtp.SMTPError is sent as it is, any other error as a temporary one;
	// nil accepts. They are called from several goroutines at once.
	OnConnect func() error
	OnMail    func(from string) error
	OnRcpt    func(to string) error
	OnData    func(Message) error

	// Log gets what goes wrong with connections. Nil drops it.
	Log *slog.Logger
}

// Validate reports the options that cannot work.
func (o Options) Validate() error {
	var errs []error
	if o.Addr != "" {
		if _, _, err := net.SplitHostPort(o.Addr); err != nil {
			errs = append(errs, fmt.Errorf("address %q is not host:port: %w", o.Addr, err))
		}
	}
	if o.MaxMessages < 0 {
		errs = append(errs, fmt.Errorf("max messages is %d, want 1 or more, or 0 for the default", o.MaxMessages))
	}
	if o.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("max bytes is %d, want 1 or more, or 0 for the default", o.MaxBytes))
	}
	if o.ImplicitTLS && o.TLS == nil {
		errs = append(errs, errors.New("implicit TLS needs a TLS configuration"))
	}
	for _, m := range o.Mechanisms {
		if m != sasl.Plain && m != sasl.Login {
			errs = append(errs, fmt.Errorf("the mechanism %q is unknown, want %s or %s", m, sasl.Plain, sasl.Login))
		}
	}
	if (o.Username == "") != (o.Password == "") {
		errs = append(errs, errors.New("a username needs a password, and a password a username"))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.MaxMessages == 0 {
		o.MaxMessages = 1000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 10 << 20
	}
	if len(o.Mechanisms) == 0 {
		o.Mechanisms = []string{sasl.Plain, sasl.Login}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
