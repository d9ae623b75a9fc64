package email

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wildout/wildout/internal/mailsink"
	wildout "github.com/wildout/wildout/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startSink runs a real SMTP server until the test ends.
func startSink(t *testing.T, opts mailsink.Options) *mailsink.Sink {
	t.Helper()
	sink, err := mailsink.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("mail sink: %v", err)
		}
	})
	return sink
}

func newMailer(t *testing.T, opts Options) *Mailer {
	t.Helper()
	if opts.From == "" {
		opts.From = "Wildout <hello@wildout.example>"
	}
	m, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func newSinkMailer(t *testing.T, sink *mailsink.Sink) *Mailer {
	t.Helper()
	return newMailer(t, Options{URL: "smtp://" + sink.Addr(), Templates: os.DirFS("testdata")})
}

// attempt is a context as the engine makes it.
func attempt(key string) context.Context {
	return wildout.WithInfo(context.Background(), wildout.RunInfo{IdempotencyKey: key}, nil)
}

func onlyMessage(t *testing.T, sink *mailsink.Sink) mailsink.Message {
	t.Helper()
	messages := sink.Messages()
	if len(messages) != 1 {
		t.Fatalf("the server has %d messages, want 1", len(messages))
	}
	return messages[0]
}

func TestHandlerSendsFromJSON(t *testing.T) {
	sink := startSink(t, mailsink.Options{})
	reg := &wildout.Registry{}
	Register(reg, newSinkMailer(t, sink))
	handler, ok := reg.Lookup("email.send")
	if !ok {
		t.Fatal("email.send is not registered")
	}
	output, err := handler(attempt("run1/send"), json.RawMessage(`{
		"to": "Ann <ann@example.org>", "cc": ["bob@example.org"], "bcc": ["eve@example.org"],
		"replyTo": "help@wildout.example", "subject": "Grüße", "text": "Größe\n", "html": "<p>Größe</p>"}`))
	if err != nil {
		t.Fatal(err)
	}
	m := onlyMessage(t, sink)
	var result Result
	if err := json.Unmarshal(output, &result); err != nil {
		t.Fatal(err)
	}
	recipients := "ann@example.org bob@example.org eve@example.org"
	for what, pair := range map[string][2]string{
		"accepted":       {strings.Join(result.Accepted, " "), recipients},
		"message id":     {m.MessageID, result.MessageID},
		"envelope from":  {m.From, "hello@wildout.example"},
		"envelope to":    {strings.Join(m.To, " "), recipients},
		"From":           {m.Header.Get("From"), `"Wildout" <hello@wildout.example>`},
		"Reply-To":       {m.Header.Get("Reply-To"), "<help@wildout.example>"},
		"Bcc":            {m.Header.Get("Bcc"), ""},
		"subject":        {m.Subject, "Grüße"},
		"text":           {m.Text, "Größe\n"},
		"html":           {m.HTML, "<p>Größe</p>"},
		"Auto-Submitted": {m.Header.Get("Auto-Submitted"), "auto-generated"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if date, err := m.Header.Date(); err != nil || time.Since(date) > time.Minute {
		t.Errorf("Date is %q", m.Header.Get("Date"))
	}
}

func TestHandlerRefusesUnknownField(t *testing.T) {
	reg := &wildout.Registry{}
	Register(reg, newMailer(t, Options{URL: "smtp://127.0.0.1:1"}))
	handler, _ := reg.Lookup(Name)
	_, err := handler(attempt("k"), json.RawMessage(`{"to": "a@example.org", "subjet": "x", "text": "x"}`))
	if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "subjet") {
		t.Errorf("got %v, want a non-retriable error that names subjet", err)
	}
}

func TestMessageID(t *testing.T) {
	sink := startSink(t, mailsink.Options{})
	m := newSinkMailer(t, sink)
	send := func(key, to string) string {
		t.Helper()
		result, err := m.Send(attempt(key), Message{To: Addresses{to}, Subject: "s", Text: "t"})
		if err != nil {
			t.Fatal(err)
		}
		return result.MessageID
	}
	first := send("run1/send", "a@example.org")
	if !strings.HasSuffix(first, "@wildout.example") {
		t.Errorf("%q does not end with the sender's domain", first)
	}
	if again := send("run1/send", "a@example.org"); again != first {
		t.Errorf("a second attempt has %q, the first %q", again, first)
	}
	for what, other := range map[string]string{
		"step":      send("run1/other", "a@example.org"),
		"recipient": send("run1/send", "b@example.org"),
		"no key":    send("", "a@example.org"),
	} {
		if other == first || other == "" {
			t.Errorf("another %s has the message id %q", what, other)
		}
	}
}

func TestTemplates(t *testing.T) {
	sink := startSink(t, mailsink.Options{})
	m := newSinkMailer(t, sink)
	var msg Message
	input := `{"to": "a@example.org", "template": "welcome", "vars": {"user": {"name": "A <b> & C"}, "number": 1000000}}`
	if err := json.Unmarshal([]byte(input), &msg); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Send(attempt("k"), msg); err != nil {
		t.Fatal(err)
	}
	got := onlyMessage(t, sink)
	if got.Subject != "Welcome, A <b> & C" {
		t.Errorf("subject is %q", got.Subject)
	}
	if want := "Hello A <b> & C,\n\nyou are member number 1000000.\n"; got.Text != want {
		t.Errorf("text is %q, want %q", got.Text, want)
	}
	if want := "<p>Hello <b>A &lt;b&gt; &amp; C</b>, you are member number 1000000.</p>\n"; got.HTML != want {
		t.Errorf("HTML is %q, want %q", got.HTML, want)
	}
}

func TestRefusedMessages(t *testing.T) {
	// Nothing listens: a message that is refused must not reach the network.
	m := newMailer(t, Options{URL: "smtp://127.0.0.1:1", Templates: os.DirFS("testdata")})
	to := Addresses{"a@example.org"}
	tests := map[string]struct {
		msg  Message
		want string
	}{
		"no recipient":      {Message{Subject: "s", Text: "t"}, "no recipient"},
		"no subject":        {Message{To: to, Text: "t"}, "no subject"},
		"no body":           {Message{To: to, Subject: "s"}, "no body"},
		"invalid address":   {Message{To: Addresses{"a@example.org", "b at example"}, Subject: "s", Text: "t"}, `to[1]: "b at example"`},
		"invalid sender":    {Message{To: to, From: "x", Subject: "s", Text: "t"}, `from[0]: "x"`},
		"CR in address":     {Message{To: Addresses{"a@example.org\r\nBcc: b@example.org"}, Subject: "s", Text: "t"}, "control character"},
		"LF in name":        {Message{To: Addresses{"\"a\nb\" <a@example.org>"}, Subject: "s", Text: "t"}, "control character"},
		"encoded LF":        {Message{To: Addresses{"=?utf-8?q?a=0Ab?= <a@example.org>"}, Subject: "s", Text: "t"}, "control character"},
		"CRLF in subject":   {Message{To: to, Subject: "s\r\nBcc: b@example.org", Text: "t"}, "control character"},
		"LF from variable":  {Message{To: to, Template: "welcome", Vars: Vars{"number": 1, "user": map[string]any{"name": "x\nBcc: b@example.org"}}}, "control character"},
		"missing variable":  {Message{To: to, Template: "welcome", Vars: Vars{"user": map[string]any{}}}, "user.name"},
		"no variables":      {Message{To: to, Template: "welcome"}, "user"},
		"unknown template":  {Message{To: to, Template: "welcom"}, "known are: plain, welcome"},
		"template and text": {Message{To: to, Template: "plain", Text: "t"}, "give one of them"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := m.Send(attempt("k"), tt.msg)
			if err == nil || !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a non-retriable error with %q", err, tt.want)
			}
		})
	}
}

func TestNewRefusesTemplates(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"syntax":          {"x.txt": "{{.a"},
		"html alone":      {"x.html": "<p>"},
		"wrong context":   {"x.txt": "t", "x.html": "<a href={{.a}} {{.b}}='{{.c}}'><script>`${ {{.d}}"},
		"html and syntax": {"x.txt": "t", "x.html": "{{end}}"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range files {
				if err := os.WriteFile(dir+"/"+file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := New(Options{URL: "smtp://localhost", Templates: os.DirFS(dir)})
			if err == nil || !strings.Contains(err.Error(), "template x") {
				t.Errorf("got %v, want an error that names the template", err)
			}
		})
	}
}
