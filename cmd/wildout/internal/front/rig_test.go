package front_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/cmd/wildout/internal/front"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

const (
	shopKey = "key-of-the-shop-1"
	siteKey = "key-of-the-site-1"
)

// senders is a configuration; the keys are those above.
const senders = `
senders:
- {name: shop, keys: keys/shop, eventTypes: ["shop/*", "user/registered", "inngest/*"]}
- {name: site, keys: keys/site, eventTypes: ["site/*"], rate: {limit: 2, period: 1h, burst: 5}}
webhooks:
- name: open
  verify: {scheme: none}
  events: [{type: open/hook}]
`

const registered = `
apiVersion: wildout.dev/v1alpha1
kind: WildoutEventType
metadata: {name: user-registered}
spec:
  type: user/registered
  schema: {type: object, required: [userId, email], properties: {email: {type: string, format: email}}}
`

// rig is a gateway as the command runs it.
type rig struct {
	t              *testing.T
	dir            string
	store          *store.Conn
	events, probes string // URLs
	log            *logBuffer
	stop           func() error
}

// write writes files below a folder.
func write(t *testing.T, folder string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a gateway until the test ends.
func start(t *testing.T, redis *servicetest.Redis, change ...func(*front.Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), log: &logBuffer{}}
	write(t, r.dir, map[string]string{"gateway.yaml": senders, "keys/shop/1": shopKey, "keys/site/1": siteKey, "types/registered.yaml": registered})
	var err error
	if r.store, err = store.Open(store.Options{URL: redis.URL(), Namespace: "front"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.store.Close() })
	listening := make(chan [2]string, 1)
	o := front.Options{
		RedisURL: redis.URL(), Namespace: "front", Config: filepath.Join(r.dir, "gateway.yaml"), EventTypes: []string{filepath.Join(r.dir, "types")},
		Listen: "127.0.0.1:0", Probes: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Listening: func(events, probes string) { listening <- [2]string{events, probes} },
	}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx, o) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case addrs := <-listening:
		r.events, r.probes = "http://"+addrs[0], "http://"+addrs[1]
	case err := <-ended:
		ended <- nil
		t.Fatalf("the gateway did not start: %v", err)
	}
	return r
}

// post sends a request and returns the status, the body and the header.
func (r *rig) post(path, body string, header ...string) (int, string, http.Header) {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, r.events+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// expect sends an event of a type with a key and wants a status.
func (r *rig) expect(status int, key, eventType string) {
	r.t.Helper()
	if got, text, _ := r.post("/e/"+key, fmt.Sprintf(`{"name":%q,"data":{}}`, eventType)); got != status {
		r.t.Errorf("%s with %s: status %d, %s, want %d", eventType, key, got, text, status)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stream returns the events of a type, as Redis has them.
func (r *rig) stream(eventType string) (events []event.Event) {
	r.t.Helper()
	entries, err := runs.New(r.store).Between(context.Background(), eventType, "0", "+", 100_000)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range entries {
		ev, err := entries[i].Event()
		if err != nil {
			r.t.Fatal(err)
		}
		events = append(events, ev)
	}
	return events
}

// get returns the status and the body of a probe.
func (r *rig) get(path string) (int, string) {
	response, err := http.Get(r.probes + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
