package mailsink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	smtpserver "github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a sink until the test ends.
func start(t *testing.T, opts Options) *Sink {
	t.Helper()
	sink, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return sink
}

func send(sink *Sink, auth smtp.Auth, mail string, to ...string) error {
	raw := strings.ReplaceAll(mail, "\n", "\r\n")
	return smtp.SendMail(sink.Addr(), auth, "from@example.org", to, []byte(raw))
}

const multipartMail = `From: from@example.org
To: to@example.org
Subject: =?UTF-8?q?Gr=C3=BC=C3=9Fe?=
Message-ID: <m1@example.org>
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9F Gott, =
all
--inner
Content-Type: text/html
Content-Transfer-Encoding: base64

PGI+
aGk8L2I+
--inner--
--outer
Content-Type: text/plain

an attachment
--outer--
`

func TestKeepsWhatWasSent(t *testing.T) {
	sink := start(t, Options{})
	if err := send(sink, nil, multipartMail, "to@example.org", "hidden@example.org"); err != nil {
		t.Fatal(err)
	}
	messages := sink.Messages()
	if len(messages) != 1 {
		t.Fatalf("got %d messages, want 1", len(messages))
	}
	m := messages[0]
	for what, pair := range map[string][2]string{
		"from":       {m.From, "from@example.org"},
		"to":         {strings.Join(m.To, " "), "to@example.org hidden@example.org"},
		"subject":    {m.Subject, "Grüße"},
		"message id": {m.MessageID, "m1@example.org"},
		"text":       {m.Text, "Grüß Gott, all"},
		"html":       {m.HTML, "<b>hi</b>"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if len(m.Raw) == 0 || time.Since(m.Received) > time.Minute {
		t.Errorf("raw has %d bytes, received is %s", len(m.Raw), m.Received)
	}
}

func TestDropsTheOldest(t *testing.T) {
	sink := start(t, Options{MaxMessages: 2})
	for i := range 3 {
		if err := send(sink, nil, fmt.Sprintf("Subject: %d\n\nx\n", i), "to@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	messages := sink.Messages()
	if len(messages) != 2 || messages[0].Subject != "1" || messages[1].Subject != "2" {
		t.Errorf("got %+v, want the messages 1 and 2", messages)
	}
	sink.Reset()
	if n := len(sink.Messages()); n != 0 {
		t.Errorf("%d messages after Reset", n)
	}
}

func TestRefusals(t *testing.T) {
	refuse := func(code int) error {
		return &smtpserver.SMTPError{Code: code, Message: "as the test asked"}
	}
	tests := map[string]struct {
		opts Options
		mail string
		code int
	}{
		"connect":   {Options{OnConnect: func() error { return refuse(421) }}, "\nx\n", 421},
		"mail":      {Options{OnMail: func(string) error { return refuse(451) }}, "\nx\n", 451},
		"rcpt":      {Options{OnRcpt: func(string) error { return refuse(550) }}, "\nx\n", 550},
		"data":      {Options{OnData: func(Message) error { return refuse(554) }}, "\nx\n", 554},
		"too large": {Options{MaxBytes: 10}, "\n" + strings.Repeat("x", 100) + "\n", 552},
		"no auth":   {Options{Username: "u", Password: "p"}, "\nx\n", 530},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sink := start(t, tt.opts)
			err := send(sink, nil, tt.mail, "to@example.org")
			var reply *textproto.Error
			if !errors.As(err, &reply) || reply.Code != tt.code {
				t.Errorf("got %v, want code %d", err, tt.code)
			}
			if n := len(sink.Messages()); n != 0 {
				t.Errorf("%d messages were kept", n)
			}
		})
	}
}

func TestAuthOverTLS(t *testing.T) {
	serverTLS, pool, err := SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, implicit := range map[string]bool{"STARTTLS": false, "implicit TLS": true} {
		t.Run(name, func(t *testing.T) {
			sink := start(t, Options{Username: "u", Password: "p", TLS: serverTLS, ImplicitTLS: implicit})
			clientTLS := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
			for password, want := range map[string]int{"p": 0, "wrong": 535} {
				err := authenticate(sink.Addr(), clientTLS, implicit, password)
				var reply *textproto.Error
				errors.As(err, &reply)
				if want == 0 && err != nil || want != 0 && (reply == nil || reply.Code != want) {
					t.Errorf("password %q: got %v, want code %d", password, err, want)
				}
			}
		})
	}
}

func authenticate(addr string, clientTLS *tls.Config, implicit bool, password string) error {
	var client *smtp.Client
	if implicit {
		conn, err := tls.Dial("tcp", addr, clientTLS)
		if err != nil {
			return err
		}
		if client, err = smtp.NewClient(conn, "127.0.0.1"); err != nil {
			return err
		}
	} else {
		var err error
		if client, err = smtp.Dial(addr); err != nil {
			return err
		}
		if err := client.StartTLS(clientTLS); err != nil {
			return err
		}
	}
	defer client.Close()
	return client.Auth(smtp.PlainAuth("", "u", password, "127.0.0.1"))
}

func TestValidate(t *testing.T) {
	for name, opts := range map[string]Options{
		"address":  {Addr: "nowhere"},
		"messages": {MaxMessages: -1},
		"bytes":    {MaxBytes: -1},
		"tls":      {ImplicitTLS: true},
		"password": {Username: "u"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(opts); err == nil {
				t.Error("New took it")
			}
		})
	}
}

func TestCloseWithoutRun(t *testing.T) {
	sink, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr := sink.Addr()
	for range 2 {
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := New(Options{Addr: addr})
	if err != nil {
		t.Fatalf("the address was not freed: %v", err)
	}
	_ = again.Close()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(multipartMail))
	f.Add([]byte("Content-Type: multipart/mixed\n\n--\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m := parse(raw); len(m.Raw) != len(raw) {
			t.Error("the raw bytes are not kept")
		}
	})
}
