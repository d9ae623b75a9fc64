package cloudevents_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/cloudevents"
	"github.com/wildout/wildout/runtime/gateway/config"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// The keys of the site.
const (
	key       = "a-key-of-the-broker-1"
	narrowKey = "a-key-of-the-shop-01"
	slowKey   = "a-key-of-the-lodge-1"
)

const senders = `
senders:
- {name: broker, keys: broker, eventTypes: ["*"]}
- {name: shop, keys: shop, eventTypes: ["com.shop.*"]}
- {name: lodge, keys: lodge, eventTypes: ["*"], rate: {limit: 1, period: 1h}}
`

// site is a gateway that takes CloudEvents, over a real Redis, behind a real
// HTTP server, with real keys.
type site struct {
	t     testing.TB
	url   string
	store *store.Conn
	redis *servicetest.Redis
}

// in is the same site in a test within the test.
func (s *site) in(t *testing.T) *site {
	inner := *s
	inner.t = t
	return &inner
}

func newSite(t testing.TB, change ...func(*cloudevents.Options)) *site {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"gateway.yaml": senders, "broker/key": key, "shop/key": narrowKey, "lodge/key": slowKey} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := config.Load(filepath.Join(dir, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, redis: servicetest.StartRedis(t)}
	if s.store, err = store.Open(store.Options{URL: s.redis.URL(), Namespace: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	types := &intake.Types{}
	if err := types.Set(map[string]json.RawMessage{"com.shop.paid": json.RawMessage(`{"type":"object","properties":{"amount":{"type":"integer"}}}`)}); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	g, err := gateway.New(gateway.Options{Backend: s.store, Types: types, Authenticator: keys, Logger: quiet, MaxBodyBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	o := cloudevents.Options{Gateway: g, Logger: quiet}
	for _, c := range change {
		c(&o)
	}
	h, err := cloudevents.New(o)
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

// request is a request as it is on the wire: its headers keep their form.
type request struct {
	method, path string
	header       map[string]string
	body         string
}

type answer struct {
	code   int
	header http.Header
	body   string
	Error  string
	Faults []gateway.Fault
	Status int
}

func (s *site) send(r request) answer { s.t.Helper(); return s.sendTwice(r, "", "") }

// sendTwice sends a header with several values.
func (s *site) sendTwice(r request, name string, values ...string) answer {
	s.t.Helper()
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.path == "" {
		r.path = "/cloudevents"
	}
	req, err := http.NewRequestWithContext(s.t.Context(), r.method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	for name, value := range r.header {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	for _, value := range values {
		if name != "" {
			req.Header.Add(name, value)
		}
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
	a := answer{code: resp.StatusCode, header: resp.Header, body: string(text)}
	if a.code >= 400 {
		if err := json.Unmarshal(text, &a); err != nil || a.Status != a.code {
			s.t.Errorf("%d: the answer %q is not JSON with the status: %v", a.code, text, err)
		}
	}
	return a
}

// taken sends what must be taken: 202, and no body, which Knative would take
// for an event.
func (s *site) taken(r request) answer {
	s.t.Helper()
	a := s.send(r)
	if a.code != http.StatusAccepted || a.body != "" {
		s.t.Fatalf("%d %q, want 202 and nothing", a.code, a.body)
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

// last returns the newest event of a type.
func (s *site) last(eventType string) event.Event {
	s.t.Helper()
	events := s.stream(eventType)
	if len(events) == 0 {
		s.t.Fatalf("there is no event of type %s", eventType)
	}
	return events[len(events)-1]
}

// binary is an event in the headers, with others on top.
func binary(body string, more ...string) request {
	r := request{body: body, header: map[string]string{
		"ce-specversion": "1.0", "ce-type": "com.example.someevent", "ce-time": "2018-04-05T03:56:24Z",
		"ce-id": "1234-1234-1234", "ce-source": "/mycontext/subcontext", "Content-Type": "application/json",
	}}
	for i := 0; i < len(more); i += 2 {
		r.header[more[i]] = more[i+1]
	}
	return r
}

// structured is an event in the body, with members on top: "name", `value`. An
// empty value takes the member away.
func structured(more ...string) request {
	return request{body: document(more...), header: map[string]string{"Content-Type": "application/cloudevents+json"}}
}

func batched(events ...string) request {
	return request{body: "[" + strings.Join(events, ",") + "]", header: map[string]string{"Content-Type": "application/cloudevents-batch+json"}}
}

func document(more ...string) string {
	members := []string{"specversion", `"1.0"`, "type", `"io.cloudevents.test"`, "id", `"minimal"`, "source", `"https://cloudevents.io"`}
	for i := 0; i < len(more); i += 2 {
		for j := 0; j < len(members); j += 2 {
			if members[j] == more[i] {
				members = append(members[:j:j], members[j+2:]...)
				break
			}
		}
		if more[i+1] != "" {
			members = append(members, more[i], more[i+1])
		}
	}
	var b strings.Builder
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", members[i], members[i+1])
	}
	return "{" + b.String() + "}"
}
