package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/config"
	"github.com/wildout/wildout/runtime/gateway/webhook"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// The secrets of the senders. Those of Standard Webhooks are base64.
const (
	githubSecret = "It's a Secret to Everybody"
	stripeSecret = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
	shopSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// now is the time at the site: that of the signatures, and of no store.
var now = time.Date(2026, time.March, 2, 8, 20, 0, 0, time.UTC)

// site is a gateway with webhooks over a real Redis, and a real HTTP server.
type site struct {
	t        *testing.T
	url      string
	store    *store.Conn
	redis    *servicetest.Redis
	secrets  string // the folder
	now      time.Time
	registry *prometheus.Registry
	log      *buffer
}

// in is the same site in a test within the test.
func (s *site) in(t *testing.T) *site {
	inner := *s
	inner.t = t
	return &inner
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newSite serves the webhooks of docs/examples/gateway and those of more.
func newSite(t *testing.T, more ...webhook.Config) *site {
	t.Helper()
	s := &site{t: t, redis: servicetest.StartRedis(t), secrets: t.TempDir(), now: now, registry: prometheus.NewRegistry(), log: &buffer{}}
	for name, secret := range map[string]string{"github": githubSecret, "stripe": stripeSecret, "shop": shopSecret} {
		s.secret(name, secret)
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	if s.store, err = store.Open(store.Options{URL: s.redis.URL(), Namespace: "test", Logger: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	types := &intake.Types{}
	if err := types.Set(map[string]json.RawMessage{"shop/item.sold": json.RawMessage(
		`{"type":"object","properties":{"quantity":{"type":"integer","minimum":1}}}`)}); err != nil {
		t.Fatal(err)
	}
	metrics := gateway.NewMetrics(s.registry)
	g, err := gateway.New(gateway.Options{Backend: s.store, Types: types, Logger: log, Metrics: metrics, MaxBodyBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhook.New(webhook.Options{
		Gateway: g, Webhooks: append(s.sample(), more...), Logger: log, Metrics: webhook.NewMetrics(s.registry, metrics),
		Now: func() time.Time { return s.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// sample returns the webhooks of the example, with their secrets in our folder.
func (s *site) sample() []webhook.Config {
	s.t.Helper()
	file, err := config.Load("../../../docs/examples/gateway/webhooks.yaml")
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range file.Webhooks {
		for j, secret := range file.Webhooks[i].Verify.SecretFiles {
			file.Webhooks[i].Verify.SecretFiles[j] = filepath.Join(s.secrets, filepath.Base(secret))
		}
	}
	return file.Webhooks
}

// secret writes a file with secrets.
func (s *site) secret(name string, lines ...string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.secrets, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// call is a request to a webhook.
type call struct {
	path   string // below /webhooks/
	body   string
	header map[string]string
}

func (c call) with(name, value string) call {
	header := map[string]string{name: value}
	for n, v := range c.header {
		if n != name {
			header[n] = v
		}
	}
	c.header = header
	return c
}

func (c call) without(name string) call {
	c = c.with(name, "")
	delete(c.header, name)
	return c
}

func (c call) of(body string) call { c.body = body; return c }

// answer is what a webhook says.
type answer struct {
	code    int
	header  http.Header
	IDs     []string        `json:"ids"`
	Ignored string          `json:"ignored"`
	Error   string          `json:"error"`
	Faults  []gateway.Fault `json:"faults"`
	Status  int             `json:"status"`
}

func (s *site) send(c call) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/webhooks/"+c.path, strings.NewReader(c.body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{code: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(text, &a); err != nil {
		s.t.Fatalf("%d: the answer %q is not JSON: %v", a.code, text, err)
	}
	if a.Status != a.code {
		s.t.Errorf("the body says %d, the status line %d", a.Status, a.code)
	}
	return a
}

// taken sends what must be taken.
func (s *site) taken(c call) answer {
	s.t.Helper()
	a := s.send(c)
	if a.code != http.StatusOK {
		s.t.Fatalf("%d: %s", a.code, a.Error)
	}
	return a
}

// stream returns the events of a type that Redis has.
func (s *site) stream(eventType string) (events []event.Event) {
	s.t.Helper()
	err := runs.New(s.store).Between(s.t.Context(), eventType, "0", "+", func(entry store.Entry) (bool, error) {
		e, err := entry.Event()
		events = append(events, e)
		return false, err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

func (s *site) counted(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			values := make([]string, 0, len(labels))
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if strings.Join(values, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func mac(secret string, parts ...string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	for _, part := range parts {
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// fromGitHub signs as GitHub documents it: HMAC-SHA-256 of the body, in hex.
func fromGitHub(kind, delivery, body, secret string) call {
	return call{path: "github", body: body, header: map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/044aadd",
		"X-GitHub-Event": kind, "X-GitHub-Delivery": delivery, "X-GitHub-Hook-ID": "292430182",
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac(secret, body)),
	}}
}

// fromStripe signs as Stripe documents it: HMAC-SHA-256 of time, dot and body.
func fromStripe(body string, at time.Time, secrets ...string) call {
	seconds := strconv.FormatInt(at.Unix(), 10)
	value := "t=" + seconds
	for _, secret := range secrets {
		value += ",v1=" + hex.EncodeToString(mac(secret, seconds, ".", body))
	}
	return call{path: "stripe", body: body, header: map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": value + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
	}}
}

// fromShop signs as the specification of Standard Webhooks says, without its
// library: HMAC-SHA-256 of id, dot, time, dot and body, in base64.
func fromShop(id, body string, at time.Time, secrets ...string) call {
	seconds := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			panic(err)
		}
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac(string(key), id, ".", seconds, ".", body)))
	}
	return call{path: "shop", body: body, header: map[string]string{
		"Content-Type": "application/json",
		"Webhook-Id":   id, "Webhook-Timestamp": seconds, "Webhook-Signature": strings.Join(signatures, " "),
	}}
}

func payload(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
