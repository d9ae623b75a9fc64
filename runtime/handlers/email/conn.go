package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// conn is an authenticated connection to the server. One goroutine uses it at
// a time.
type conn struct {
	raw      net.Conn
	client   *smtp.Client
	timeout  time.Duration
	sent     int
	lastUsed time.Time
}

// dial connects, encrypts and authenticates. The whole takes at most
// Options.DialTimeout and ends when ctx does. Errors are classified.
func (m *Mailer) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, m.opts.DialTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", m.server.addr())
	if err != nil {
		return nil, (&deliveryError{stage: stageConnect, server: m.server, err: err}).classify()
	}
	// SMTP knows no cancelling: closing the connection ends every wait.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	client, at, err := m.greet(ctx, raw)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		return nil, (&deliveryError{stage: at, server: m.server, err: err}).classify()
	}
	return &conn{raw: raw, client: client, timeout: m.opts.CommandTimeout, lastUsed: m.opts.Now()}, nil
}

func (m *Mailer) greet(ctx context.Context, raw net.Conn) (*smtp.Client, stage, error) {
	tlsConfig := &tls.Config{ServerName: m.server.host, RootCAs: m.opts.RootCAs, MinVersion: tls.VersionTLS12}
	link := raw
	if m.server.tls == tlsImplicit {
		encrypted := tls.Client(raw, tlsConfig)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, stageTLS, err
		}
		link = encrypted
	}
	client, err := smtp.NewClient(link, m.server.host)
	if err != nil {
		return nil, stageGreet, err
	}
	if err := client.Hello(m.opts.Hello); err != nil {
		return nil, stageGreet, err
	}
	offered, _ := client.Extension("STARTTLS")
	switch mode := m.server.tls; {
	case mode == tlsRequired && !offered:
		return nil, stageTLS, errors.New("the server does not offer STARTTLS")
	case offered && (mode == tlsRequired || mode == tlsOpportunistic):
		if err := client.StartTLS(tlsConfig); err != nil {
			return nil, stageTLS, err
		}
	}
	if m.server.password != "" {
		if err := m.authenticate(client); err != nil {
			return nil, stageAuth, err
		}
	}
	return client, 0, nil
}

// authenticate takes the first mechanism that both sides know. PLAIN and LOGIN
// refuse to show the password without TLS, except on loopback.
func (m *Mailer) authenticate(client *smtp.Client) error {
	_, offered := client.Extension("AUTH")
	for _, mechanism := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(m.server.user, m.server.password)},
		{"PLAIN", smtp.PlainAuth("", m.server.user, m.server.password, m.server.host, false)},
		{"LOGIN", smtp.LoginAuth(m.server.user, m.server.password, m.server.host, false)},
	} {
		for _, name := range strings.Fields(offered) {
			if strings.EqualFold(name, mechanism.name) {
				err := client.Auth(mechanism.auth)
				if errors.Is(err, smtp.ErrUnencrypted) {
					return errors.New("the password is not sent without TLS: use smtps:// or starttls=required in the SMTP URL")
				}
				return err
			}
		}
	}
	return fmt.Errorf("the server offers the AUTH mechanisms %q, want SCRAM-SHA-256, PLAIN or LOGIN", offered)
}

// do runs fn and closes the connection when ctx ends, for SMTP knows no
// cancelling.
func (c *conn) do(ctx context.Context, fn func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	err := fn()
	if !stop() && err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// command gives fn, one command and its answer, the time for one.
func (c *conn) command(fn func() error) error {
	if err := c.raw.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	return fn()
}

// send hands e over. It returns how far it came, and whom the server refused
// at stageRcpt.
func (c *conn) send(ctx context.Context, e *envelope) (at stage, recipient string, err error) {
	err = c.do(ctx, func() error {
		at, recipient, err = c.transact(e)
		return err
	})
	if err == nil {
		c.sent++
	}
	return at, recipient, err
}

func (c *conn) transact(e *envelope) (at stage, recipient string, err error) {
	if err := c.command(func() error { return c.client.Mail(path(e.from)) }); err != nil {
		return stageMail, "", err
	}
	for _, recipient := range e.recipients {
		if err := c.command(func() error { return c.client.Rcpt(path(recipient)) }); err != nil {
			return stageRcpt, recipient, err
		}
	}
	var w io.WriteCloser
	if err := c.command(func() error { w, err = c.client.Data(); return err }); err != nil {
		return stageData, "", err
	}
	if err := c.command(func() error { _, err := e.msg.WriteTo(w); return err }); err != nil {
		return stageContent, "", err
	}
	return stageContent, "", c.command(w.Close)
}

// path is an address in angle brackets, its local part quoted where needed.
func path(address string) string { return (&mail.Address{Address: address}).String() }

// noop proves that the connection works.
func (c *conn) noop(ctx context.Context) error {
	return c.do(ctx, func() error { return c.command(c.client.Noop) })
}

// reset drops an unfinished mail, after the server refused a part of it.
func (c *conn) reset(ctx context.Context) error {
	return c.do(ctx, func() error { return c.command(c.client.Reset) })
}

// quit says goodbye and closes; a server that does not answer has a second.
func (c *conn) quit() {
	_ = c.raw.SetDeadline(time.Now().Add(time.Second))
	_ = c.client.Quit()
	_ = c.raw.Close()
}
