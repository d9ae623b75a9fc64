package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// The schemas of the event types that the gateways of these tests know.
var schemas = map[string]json.RawMessage{
	"user/registered": json.RawMessage(`{"type":"object","required":["userId","email"],"properties":{
		"userId":{"type":"string","minLength":1},"email":{"type":"string","format":"email"},
		"tags":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"}}}}}}`),
	"email/send": json.RawMessage(`{"type":"object","oneOf":[{"required":["to"]},{"required":["recipients"]}]}`),
	"any/thing":  nil,
}

// rig is a gateway over a real Redis, behind a real HTTP server.
type rig struct {
	*gateway.Gateway
	t     *testing.T
	store *store.Conn
	url   string
	log   *logBuffer
}

var namespaces atomic.Int64

func newRig(t *testing.T, redis *servicetest.Redis, change ...func(*gateway.Options)) *rig {
	t.Helper()
	return newRigIn(t, redis, fmt.Sprint("g", namespaces.Add(1)), change...)
}

// newRigIn shares a namespace with other rigs: another replica.
func newRigIn(t *testing.T, redis *servicetest.Redis, namespace string, change ...func(*gateway.Options)) *rig {
	t.Helper()
	s, err := store.Open(store.Options{URL: redis.URL(), Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	types := &intake.Types{}
	if err := types.Set(schemas); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: s, log: &logBuffer{}}
	o := gateway.Options{Backend: s, Types: types, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	for _, c := range change {
		c(&o)
	}
	if r.Gateway, err = gateway.New(o); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	r.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// watch runs the gateway's watch over Redis until the test ends.
func (r *rig) watch() {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.Run(ctx) })
	r.t.Cleanup(func() { stop(); wg.Wait() })
}

// answer is what a request got.
type answer struct {
	IDs    []*string
	Error  string
	Faults []gateway.Fault
	Status int
	header http.Header
}

func (a answer) ids() string {
	all := make([]string, len(a.IDs))
	for i, id := range a.IDs {
		all[i] = "-"
		if id != nil {
			all[i] = *id
		}
	}
	return strings.Join(all, " ")
}

// do sends a request; header is "Name: value" lines.
func (r *rig) do(method, path, body string, header ...string) answer {
	r.t.Helper()
	a, err := r.try(method, path, body, header...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) try(method, path, body string, header ...string) (answer, error) {
	request, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{header: response.Header}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a); err != nil {
			return a, fmt.Errorf("the answer %q is no JSON: %w", text, err)
		}
		if a.Status != response.StatusCode {
			return a, fmt.Errorf("the body says %d, the status line %d", a.Status, response.StatusCode)
		}
	}
	a.Status = response.StatusCode
	return a, nil
}

func (r *rig) post(body string, header ...string) answer {
	r.t.Helper()
	return r.do(http.MethodPost, "/e/some-key", body, header...)
}

// stream returns the events of a type, as Redis has them.
func (r *rig) stream(eventType string) (events []event.Event) {
	r.t.Helper()
	err := runs.New(r.store).Between(context.Background(), eventType, "0", "+", func(e store.Entry) (bool, error) {
		ev, err := e.Event()
		events = append(events, ev)
		return false, err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return events
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
