package telemetry_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is a receiver of OTLP over HTTP.
type collector struct {
	t   *testing.T
	url string

	mu    sync.Mutex
	spans []span
}

// span is a received span with the resource that sent it.
type span struct {
	*tracepb.Span
	resource map[string]string
}

func startCollector(t *testing.T) *collector {
	c := &collector{t: t}
	server := httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request coltracepb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("the collector was sent %s with %d bytes: %v", r.URL, len(body), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, span{s, texts(rs.Resource.Attributes)})
			}
		}
	}
	answer, _ := proto.Marshal(&coltracepb.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func texts(attributes []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[a.Key] = strings.Repeat("I", int(v.IntValue)) // the tests have small numbers only
		}
	}
	return all
}

func (s span) attribute(name string) string { return texts(s.Attributes)[name] }
func (s span) trace() string                { return hex.EncodeToString(s.TraceId) }
func (s span) id() string                   { return hex.EncodeToString(s.SpanId) }
func (s span) parent() string               { return hex.EncodeToString(s.ParentSpanId) }
func (s span) failed() bool                 { return s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR }

// all returns what was received so far.
func (c *collector) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]span(nil), c.spans...)
}

// await waits for n spans of that name and returns them in the order in which
// they began.
func (c *collector) await(name string, n int) []span {
	c.t.Helper()
	var found []span
	eventually(c.t, 10*time.Second, "spans "+name, func() bool {
		found = nil
		for _, s := range c.all() {
			if s.Name == name {
				found = append(found, s)
			}
		}
		return len(found) >= n
	})
	if len(found) != n {
		c.t.Fatalf("%d spans %q, want %d", len(found), name, n)
	}
	for i := range found {
		for j := i; j > 0 && found[j].StartTimeUnixNano < found[j-1].StartTimeUnixNano; j-- {
			found[j], found[j-1] = found[j-1], found[j]
		}
	}
	return found
}

func eventually(t *testing.T, within time.Duration, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s still no %s", within, what)
		}
	}
}
