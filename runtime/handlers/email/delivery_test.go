package email

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/wildout/wildout/internal/mailsink"
	wildout "github.com/wildout/wildout/runtime"
)

var hello = Message{To: Addresses{"a@example.org"}, Subject: "s", Text: "t"}

func TestReplies(t *testing.T) {
	const (
		retriable = iota
		nonRetriable
		waits
	)
	reply := func(code int) error { return &smtp.SMTPError{Code: code, Message: "as the test asked"} }
	tests := map[string]struct {
		opts mailsink.Options
		want int
		text string
	}{
		"greeting 4xx":  {mailsink.Options{OnConnect: func() error { return reply(421) }}, retriable, "does not greet"},
		"greeting 5xx":  {mailsink.Options{OnConnect: func() error { return reply(554) }}, retriable, "does not greet"},
		"sender 4xx":    {mailsink.Options{OnMail: func(string) error { return reply(451) }}, retriable, "sender hello@wildout.example"},
		"sender 5xx":    {mailsink.Options{OnMail: func(string) error { return reply(553) }}, nonRetriable, "sender hello@wildout.example"},
		"login wanted":  {mailsink.Options{OnMail: func(string) error { return reply(530) }}, waits, "put user and password into the SMTP URL"},
		"recipient 4xx": {mailsink.Options{OnRcpt: func(string) error { return reply(450) }}, retriable, "recipient a@example.org"},
		"recipient 5xx": {mailsink.Options{OnRcpt: func(string) error { return reply(550) }}, nonRetriable, "recipient a@example.org"},
		"content 4xx":   {mailsink.Options{OnData: func(mailsink.Message) error { return reply(452) }}, retriable, "refuses the content"},
		"content 5xx":   {mailsink.Options{OnData: func(mailsink.Message) error { return reply(554) }}, nonRetriable, "refuses the content"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sink := startSink(t, tt.opts)
			_, err := newSinkMailer(t, sink).Send(attempt("k"), hello)
			if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), sink.Addr()) {
				t.Fatalf("got %v, want an error with %q and the server", err, tt.text)
			}
			got := retriable
			if wildout.IsNonRetriable(err) {
				got = nonRetriable
			} else if _, ok := wildout.RetryDelay(err); ok {
				got = waits
			}
			if got != tt.want {
				t.Errorf("%v: got class %d, want %d", err, got, tt.want)
			}
		})
	}
}

func TestOneRefusedRecipientStopsTheMailAndKeepsTheConnection(t *testing.T) {
	sink := startSink(t, mailsink.Options{OnRcpt: func(to string) error {
		if strings.HasPrefix(to, "gone@") {
			return &smtp.SMTPError{Code: 550, Message: "no such user"}
		}
		return nil
	}})
	m := newSinkMailer(t, sink)
	_, err := m.Send(attempt("k"), Message{To: Addresses{"a@example.org", "gone@example.org"}, Subject: "s", Text: "t"})
	if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "gone@example.org") {
		t.Fatalf("got %v, want a non-retriable error that names the recipient", err)
	}
	if _, err := m.Send(attempt("k"), hello); err != nil {
		t.Fatal(err)
	}
	if got := onlyMessage(t, sink).To; len(got) != 1 || got[0] != "a@example.org" {
		t.Errorf("the second mail went to %v", got)
	}
	if n := sink.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	m := newMailer(t, Options{URL: "smtp://user:s3cret@" + addr})
	for name, err := range map[string]error{
		"send":  func() error { _, err := m.Send(attempt("k"), hello); return err }(),
		"check": m.Check(context.Background()),
	} {
		if err == nil || wildout.IsNonRetriable(err) {
			t.Fatalf("%s: got %v, want a retriable error", name, err)
		}
		if text := err.Error(); !strings.Contains(text, addr) || !strings.Contains(text, "check host and port") || strings.Contains(text, "s3cret") {
			t.Errorf("%s: the message is %q", name, text)
		}
	}
}

func TestEncryptionAndLogin(t *testing.T) {
	serverTLS, pool, err := mailsink.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	plain := mailsink.Options{}
	login := mailsink.Options{Username: "u@x", Password: "p:/w", TLS: serverTLS}
	loginOnly := mailsink.Options{Username: "u@x", Password: "p:/w", TLS: serverTLS, Mechanisms: []string{"LOGIN"}}
	implicit := mailsink.Options{Username: "u@x", Password: "p:/w", TLS: serverTLS, ImplicitTLS: true}
	const good, bad = "u%40x:p%3A%2Fw@", "u%40x:wrong@"
	tests := map[string]struct {
		sink      mailsink.Options
		url       string
		untrusted bool
		want      string // "" = the mail arrives
		waits     bool
	}{
		"smtps":                     {sink: implicit, url: "smtps://" + good + "ADDR"},
		"smtps, unknown CA":         {sink: implicit, url: "smtps://" + good + "ADDR", untrusted: true, want: "certificate"},
		"STARTTLS by default":       {sink: login, url: "smtp://" + good + "ADDR"},
		"STARTTLS required":         {sink: login, url: "smtp://" + good + "ADDR?starttls=required"},
		"STARTTLS opportunistic":    {sink: login, url: "smtp://" + good + "ADDR?starttls=opportunistic"},
		"STARTTLS, unknown CA":      {sink: login, url: "smtp://" + good + "ADDR", untrusted: true, want: "certificate"},
		"STARTTLS not offered":      {sink: plain, url: "smtp://ADDR?starttls=required", want: "does not offer STARTTLS"},
		"opportunistic, no TLS":     {sink: plain, url: "smtp://ADDR"},
		"login on loopback, no TLS": {sink: login, url: "smtp://" + good + "ADDR?starttls=off"},
		"LOGIN only":                {sink: loginOnly, url: "smtp://" + good + "ADDR"},
		"wrong password":            {sink: login, url: "smtp://" + bad + "ADDR", want: `user "u@x"`, waits: true},
		"login not offered":         {sink: plain, url: "smtp://" + good + "ADDR?starttls=off", want: "AUTH mechanisms", waits: true},
		"login missing":             {sink: login, url: "smtp://ADDR", want: "it wants a login", waits: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sink := startSink(t, tt.sink)
			opts := Options{URL: strings.Replace(tt.url, "ADDR", sink.Addr(), 1), RootCAs: pool}
			if tt.untrusted {
				opts.RootCAs = nil
			}
			_, err := newMailer(t, opts).Send(attempt("k"), hello)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				onlyMessage(t, sink)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || wildout.IsNonRetriable(err) {
				t.Fatalf("got %v, want a retriable error with %q", err, tt.want)
			}
			if _, waits := wildout.RetryDelay(err); waits != tt.waits {
				t.Errorf("%v: has a wait of its own: %t, want %t", err, waits, tt.waits)
			}
			if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "p:/w") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestPasswordIsNotSentInTheClear(t *testing.T) {
	sink := startSink(t, mailsink.Options{Username: "u", Password: "p"})
	_, port, _ := net.SplitHostPort(sink.Addr())
	m := newMailer(t, Options{URL: "smtp://u:p@127.0.0.1:" + port + "?starttls=off"})
	m.server.host = "mail.example.org" // what AUTH compares with loopback
	client, err := net.Dial("tcp", sink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, at, err := m.greet(context.Background(), client); at != stageAuth || !strings.Contains(fmt.Sprint(err), "not sent without TLS") {
		t.Errorf("got %v at stage %d", err, at)
	}
}

func TestReusesConnections(t *testing.T) {
	sink := startSink(t, mailsink.Options{})
	m := newMailer(t, Options{URL: "smtp://" + sink.Addr(), MaxMessagesPerConn: 10})
	for range 25 {
		if _, err := m.Send(attempt("k"), hello); err != nil {
			t.Fatal(err)
		}
	}
	if got, conns := len(sink.Messages()), sink.Connections(); got != 25 || conns != 3 {
		t.Errorf("%d mails over %d connections, want 25 over 3", got, conns)
	}
}

func TestBoundsConnections(t *testing.T) {
	var open, most atomic.Int32
	sink := startSink(t, mailsink.Options{OnData: func(mailsink.Message) error {
		if n := open.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		open.Add(-1)
		return nil
	}})
	m := newMailer(t, Options{URL: "smtp://" + sink.Addr(), MaxConns: 3})
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			if _, err := m.Send(attempt("k"), hello); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := len(sink.Messages()); got != 30 {
		t.Errorf("%d mails arrived, want 30", got)
	}
	if sink.Connections() > 3 || most.Load() != 3 {
		t.Errorf("%d connections, %d at once; want 3", sink.Connections(), most.Load())
	}
}

func TestReplacesAStaleConnection(t *testing.T) {
	first, err := mailsink.New(mailsink.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	m := newMailer(t, Options{URL: "smtp://" + first.Addr()})
	if _, err := m.Send(attempt("k"), hello); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	second := startSink(t, mailsink.Options{Addr: first.Addr()})
	if _, err := m.Send(attempt("k"), hello); err != nil {
		t.Fatal(err)
	}
	onlyMessage(t, second)
}

func TestClosesIdleConnections(t *testing.T) {
	sink := startSink(t, mailsink.Options{})
	m := newMailer(t, Options{URL: "smtp://" + sink.Addr(), MaxIdle: 20 * time.Millisecond})
	if err := m.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		m.pool.mu.Lock()
		idle := len(m.pool.idle)
		m.pool.mu.Unlock()
		if idle == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the idle connection is still open")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := m.Check(context.Background()); err != nil || sink.Connections() != 2 {
		t.Errorf("check after idling: %v, %d connections", err, sink.Connections())
	}
	m.Close()
	if _, err := m.Send(attempt("k"), hello); !errors.Is(err, errClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

// TestCancel: a server that accepts and says nothing must not hold a step.
func TestCancel(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	release := make(chan struct{})
	defer close(release)
	stuck := startSink(t, mailsink.Options{OnData: func(mailsink.Message) error {
		<-release
		return nil
	}})
	for name, addr := range map[string]string{"while greeting": silent.Addr().String(), "while sending": stuck.Addr()} {
		t.Run(name, func(t *testing.T) {
			m := newMailer(t, Options{URL: "smtp://" + addr})
			ctx, cancel := context.WithTimeout(attempt("k"), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			_, err := m.Send(ctx, hello)
			if !errors.Is(err, context.DeadlineExceeded) || wildout.IsNonRetriable(err) {
				t.Errorf("got %v, want a retriable time-out", err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
