package otlp

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// answer is what the collector says to one request.
type answer struct {
	status     int
	retryAfter string
	message    proto.Message // nil: no body
}

// collector gives one answer after the other, the last one again and again.
type collector struct {
	mu       sync.Mutex
	answers  []answer
	requests []*http.Request
	spans    []string
	faults   []error
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans, err := spansOf(r)
	if err != nil {
		c.faults = append(c.faults, err)
	}
	c.spans = append(c.spans, spans...)
	c.requests = append(c.requests, r)
	a := c.answers[0]
	c.answers = c.answers[min(1, len(c.answers)-1):]
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	body, err := proto.Marshal(a.message)
	if err != nil {
		c.faults = append(c.faults, err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// spansOf reads a request as a collector does, and returns the spans' names.
func spansOf(r *http.Request) (names []string, err error) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var request coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &request); err != nil {
		return nil, err
	}
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				names = append(names, span.Name)
			}
		}
	}
	return names, nil
}

// spans are two spans of one resource.
var spans = []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "run"}, {Name: "step"}}}}}}

// rig is a client with its collector. Pauses take no time and are kept.
type rig struct {
	*collector
	client *Client
	pauses []time.Duration
}

func newRig(t *testing.T, env map[string]string, answers ...answer) *rig {
	t.Helper()
	r := &rig{collector: &collector{answers: answers}}
	server := httptest.NewServer(r.collector)
	t.Cleanup(server.Close)
	if env == nil {
		env = map[string]string{}
	}
	env["ENDPOINT"] = server.URL
	settings, err := fromEnvironment(env)
	if err != nil {
		t.Fatal(err)
	}
	r.client = NewClient(settings)
	t.Cleanup(func() { _ = r.client.Stop(context.Background()) })
	r.client.pause = func(ctx context.Context, d time.Duration) error {
		r.pauses = append(r.pauses, d)
		return ctx.Err()
	}
	return r
}

func TestUpload(t *testing.T) {
	for name, compression := range map[string]string{"plain": "", "compressed": "gzip"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]string{"COMPRESSION": compression, "HEADERS": "api-key=secret"}, answer{status: 200, message: &coltracepb.ExportTraceServiceResponse{}})
			if err := r.client.UploadTraces(t.Context(), spans); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.spans, []string{"run", "step"}) || len(r.faults) > 0 {
				t.Errorf("the collector got the spans %q; faults: %v", r.spans, errors.Join(r.faults...))
			}
			request := r.requests[0]
			if request.Method != http.MethodPost || request.URL.Path != "/v1/traces" || request.Header.Get("Api-Key") != "secret" ||
				request.Header.Get("Content-Type") != "application/x-protobuf" || request.Header.Get("Content-Encoding") != compression {
				t.Errorf("%s %s with %v", request.Method, request.URL, request.Header)
			}
		})
	}
}

func TestUploadsAreRepeatedWhereTheyMayBeTakenLater(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		r := newRig(t, nil, answer{status: code}, answer{status: code}, answer{status: 200})
		if err := r.client.UploadTraces(t.Context(), spans); err != nil || len(r.requests) != 3 {
			t.Errorf("%d: error %v after %d requests, want 3", code, err, len(r.requests))
		}
		if len(r.pauses) != 2 || r.pauses[0] < firstPause/2 || r.pauses[0] > firstPause || r.pauses[1] < firstPause {
			t.Errorf("%d: pauses %v, want up to %s and up to twice that", code, r.pauses, firstPause)
		}
	}
	for _, code := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusInternalServerError} {
		r := newRig(t, nil, answer{status: code, message: &status.Status{Message: "no such tenant"}})
		err := r.client.UploadTraces(t.Context(), spans)
		if err == nil || !strings.Contains(err.Error(), "no such tenant") || !strings.Contains(err.Error(), r.client.settings.URL) {
			t.Errorf("%d: error %v does not say who answered what", code, err)
		}
		if len(r.requests) != 1 {
			t.Errorf("%d: %d requests, want 1", code, len(r.requests))
		}
	}
}

func TestTheCollectorSaysWhenToComeBack(t *testing.T) {
	r := newRig(t, nil, answer{status: 503, retryAfter: "17"}, answer{status: 429, retryAfter: "Fri, 01 Jan 2100 00:00:00 GMT"}, answer{status: 200})
	if err := r.client.UploadTraces(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	if len(r.pauses) != 2 || r.pauses[0] != 17*time.Second || r.pauses[1] > maxPause {
		t.Errorf("pauses %v, want 17s and one of our own", r.pauses)
	}
}

// A collector that is away may be back soon.
func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client := NewClient(Settings{URL: server.URL, Timeout: time.Second})
	attempts := 0
	client.pause = func(context.Context, time.Duration) error {
		if attempts++; attempts == 3 {
			return context.Canceled
		}
		return nil
	}
	err := client.UploadTraces(t.Context(), spans)
	if err == nil || attempts != 3 || !strings.Contains(err.Error(), server.URL) {
		t.Errorf("error %v after %d attempts, want 3", err, attempts)
	}
}

func TestStopEndsAnUpload(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees a client go only then
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client := NewClient(Settings{URL: server.URL, Timeout: time.Hour})
	ended := make(chan error)
	go func() { ended <- client.UploadTraces(context.Background(), spans) }()
	<-asked
	if err := client.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that it was cancelled", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the upload goes on")
	}
}

func TestRejectedSpansAreAnError(t *testing.T) {
	r := newRig(t, nil, answer{status: 200, message: &coltracepb.ExportTraceServiceResponse{
		PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "too old"},
	}})
	err := r.client.UploadTraces(t.Context(), spans)
	if err == nil || !strings.Contains(err.Error(), "rejects 2 spans") || !strings.Contains(err.Error(), "too old") {
		t.Errorf("error %v", err)
	}
	if len(r.requests) != 1 {
		t.Errorf("%d requests; what was rejected is not sent again", len(r.requests))
	}
}

func TestTrustedCertificate(t *testing.T) {
	c := &collector{answers: []answer{{status: 200}}}
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	env := map[string]string{"ENDPOINT": server.URL}
	upload := func() error {
		settings, err := fromEnvironment(env)
		if err != nil {
			t.Fatal(err)
		}
		client := NewClient(settings)
		client.pause = func(context.Context, time.Duration) error { return context.Canceled }
		return client.UploadTraces(t.Context(), spans)
	}
	if upload() == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
	env["CERTIFICATE"] = certificateOf(t, server)
	if err := upload(); err != nil {
		t.Error(err)
	}
}

// An answer comes from outside: whatever it is, it is read without harm.
func FuzzAnswers(f *testing.F) {
	for _, m := range []proto.Message{
		&coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "no"}},
		&status.Status{Code: 3, Message: "no"},
	} {
		seed, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		_ = refusal(answer)
		var known status.Status
		if got := statusMessage(answer); proto.Unmarshal(answer, &known) == nil && got != known.Message {
			t.Errorf("message %q, want %q", got, known.Message)
		}
	})
}
