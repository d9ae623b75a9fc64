package telemetry_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	httphandler "github.com/wildout/wildout/runtime/handlers/http"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/telemetry"
)

const (
	requestTrace = "0af7651916cd43dd8448eb211c80319c"
	requestSpan  = "b7ad6b7169203331"
)

func TestOneTraceAcrossAParkAndAnotherRunner(t *testing.T) {
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	spec := `
    triggers: [{event: a}]
    steps:
    - {name: first, handler: ok}
    - {name: nap, sleep: 1s}
    - {name: second, handler: ok}`
	one := r.start("one", "sleeper", spec)
	r.send(event.Event{Type: "a"})
	c.await("step first", 1)
	one.stop()
	r.start("two", "sleeper", spec)
	rec := r.ended("sleeper", 1)[0]

	run := c.await("run sleeper", 1)[0]
	if want := telemetry.TraceID(rec.ID, ""); run.trace() != want || run.parent() != "" || len(run.Links) != 0 {
		t.Errorf("the run is in trace %s below %q with %d links, want the root of %s", run.trace(), run.parent(), len(run.Links), want)
	}
	if began := time.Unix(0, int64(run.StartTimeUnixNano)); began.Sub(rec.StartedAt).Abs() > time.Millisecond {
		t.Errorf("the span of the run begins at %s, the run at %s", began, rec.StartedAt)
	}
	if took := time.Duration(run.EndTimeUnixNano - run.StartTimeUnixNano); took < time.Second {
		t.Errorf("the span of the run is %s long, and the run slept for 1s", took)
	}
	for name, by := range map[string]string{"step first": "one", "step nap": "two", "step second": "two", "run sleeper": "two"} {
		s := c.await(name, 1)[0]
		if s.trace() != run.trace() || name != "run sleeper" && s.parent() != run.id() {
			t.Errorf("%s is in trace %s below %s, want %s below %s", name, s.trace(), s.parent(), run.trace(), run.id())
		}
		if got := s.resource["service.instance.id"]; got != by {
			t.Errorf("%s was sent by %s, want %s", name, got, by)
		}
	}
	if nap := c.await("step nap", 1)[0]; nap.EndTimeUnixNano-nap.StartTimeUnixNano != uint64(time.Second) || nap.attribute("wildout.wait") != "sleep" {
		t.Errorf("the nap took %s", time.Duration(nap.EndTimeUnixNano-nap.StartTimeUnixNano))
	}
}

func TestRunContinuesTheTraceOfItsRequest(t *testing.T) {
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	r.start("one", "f", `
    triggers: [{event: a}]
    steps: [{name: only, handler: ok}]`)
	r.send(event.Event{Type: "a", Source: "shop", TraceParent: "00-" + requestTrace + "-" + requestSpan + "-01", TraceState: "vendor=x"})
	run := c.await("run f", 1)[0]
	if run.trace() != requestTrace || run.parent() != requestSpan || run.TraceState != "vendor=x" {
		t.Errorf("the run is in %s below %s with state %q", run.trace(), run.parent(), run.TraceState)
	}
	if len(run.Links) != 1 || hex.EncodeToString(run.Links[0].SpanId) != requestSpan || hex.EncodeToString(run.Links[0].TraceId) != requestTrace {
		t.Errorf("links %v, want one to %s", run.Links, requestSpan)
	}
	for name, want := range map[string]string{
		"messaging.destination.name": "a", "messaging.operation.type": "process", "messaging.consumer.group.name": "f",
		"cloudevents.event_source": "shop", "wildout.function": "f", "wildout.status": "succeeded",
	} {
		if got := run.attribute(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if run.resource["service.name"] != "f" {
		t.Errorf("resource %v", run.resource)
	}
	if step := c.await("step only", 1)[0]; step.trace() != requestTrace || step.TraceState != "vendor=x" {
		t.Errorf("the step is in %s with state %q", step.trace(), step.TraceState)
	}
}

func TestSpanPerAttempt(t *testing.T) {
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	var calls atomic.Int64
	wildout.Add(r.handlers, "third-time", func(ctx context.Context, _ any) (string, error) {
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("mine", "yes"))
		if n := calls.Add(1); n < 3 {
			return "", errors.New("not yet")
		}
		return wildout.Step(ctx, "inner", func(context.Context) (string, error) { return "done", nil })
	})
	wildout.Add(r.handlers, "never", func(context.Context, any) (string, error) {
		return "", wildout.NonRetriable(errors.New("it is no use"))
	})
	r.start("one", "f", `
    triggers: [{event: a}]
    retryPolicy: {maxAttempts: 3, initialInterval: 20ms}
    steps:
    - {name: flaky, handler: third-time}
    - {name: hopeless, handler: never}`)
	r.send(event.Event{Type: "a"})
	run := c.await("run f", 1)[0]
	if !run.failed() || !strings.Contains(run.Status.Message, "it is no use") || run.attribute("wildout.status") != "failed" || run.attribute("wildout.step") != "hopeless" {
		t.Errorf("the run ended with %v, %v", run.Status, run.Attributes)
	}
	attempts := c.await("step flaky", 3)
	for i, a := range attempts {
		last := i == 2
		outcome, errorType := "retry", "_OTHER"
		if last {
			outcome, errorType = "ok", ""
		}
		if a.parent() != run.id() || a.attribute("wildout.attempt") != strings.Repeat("I", i+1) || a.failed() == last ||
			a.attribute("wildout.outcome") != outcome || a.attribute("error.type") != errorType || a.attribute("mine") != "yes" {
			t.Errorf("attempt %d: parent %s, status %v, %v", i+1, a.parent(), a.Status, texts(a.Attributes))
		}
	}
	if inner := c.await("step flaky/inner", 1)[0]; inner.parent() != attempts[2].id() {
		t.Errorf("the sub-step is below %s, want the third attempt", inner.parent())
	}
	if s := c.await("step hopeless", 1)[0]; s.attribute("error.type") != "non_retriable" || s.attribute("wildout.outcome") != "failed" {
		t.Errorf("hopeless: %v", texts(s.Attributes))
	}
}

// target notes the trace headers of the requests that http.request makes.
func target(t *testing.T, r *rig) (url string, header chan http.Header) {
	header = make(chan http.Header, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { header <- q.Header }))
	t.Cleanup(server.Close)
	client, err := httphandler.New(httphandler.Options{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	httphandler.Register(r.handlers, client)
	return server.URL, header
}

func TestTraceGoesOn(t *testing.T) {
	caller := func(url string) string {
		return `
    triggers: [{event: a}]
    steps: [{name: call, handler: http.request, with: {url: "` + url + `"}}]`
	}
	sampled, out := "00-"+requestTrace+"-"+requestSpan+"-01", "00-"+requestTrace+"-"+requestSpan+"-00"
	t.Run("sampled", func(t *testing.T) {
		r, c := newRig(t), startCollector(t)
		url, headers := target(t, r)
		r.traceTo(c.url)
		r.start("one", "f", caller(url))
		r.send(event.Event{Type: "a", TraceParent: sampled, TraceState: "vendor=x"})
		header, step := <-headers, c.await("step call", 1)[0]
		if got, want := header.Get("Traceparent"), "00-"+requestTrace+"-"+step.id()+"-01"; got != want || header.Get("Tracestate") != "vendor=x" {
			t.Errorf("the call carries %q, %q, want %q", got, header.Get("Tracestate"), want)
		}
	})
	t.Run("sampled out by the request", func(t *testing.T) {
		r, c := newRig(t), startCollector(t)
		url, headers := target(t, r)
		r.traceTo(c.url)
		one := r.start("one", "f", caller(url))
		r.send(event.Event{Type: "a", TraceParent: out})
		if got := (<-headers).Get("Traceparent"); !strings.HasPrefix(got, "00-"+requestTrace) || !strings.HasSuffix(got, "-00") {
			t.Errorf("the call carries %q", got)
		}
		r.ended("f", 1)
		one.stop() // sends what is left
		if got := c.all(); len(got) != 0 {
			t.Errorf("%d spans were sent", len(got))
		}
	})
	t.Run("sampled out here", func(t *testing.T) {
		r, c := newRig(t), startCollector(t)
		url, headers := target(t, r)
		r.traceTo(c.url)
		t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
		one := r.start("one", "f", caller(url))
		r.send(event.Event{Type: "a"})
		if got := (<-headers).Get("Traceparent"); !strings.HasSuffix(got, "-00") {
			t.Errorf("the call carries %q", got)
		}
		one.stop()
		if got := c.all(); len(got) != 0 {
			t.Errorf("%d spans were sent", len(got))
		}
	})
	t.Run("without a collector", func(t *testing.T) {
		r := newRig(t)
		url, headers := target(t, r)
		r.start("one", "f", caller(url))
		r.send(event.Event{Type: "a", TraceParent: sampled, TraceState: "vendor=x"})
		if header := <-headers; header.Get("Traceparent") != sampled || header.Get("Tracestate") != "vendor=x" {
			t.Errorf("the call carries %q, %q", header.Get("Traceparent"), header.Get("Tracestate"))
		}
		r.send(event.Event{Type: "a"})
		if got := (<-headers).Get("Traceparent"); got != "" {
			t.Errorf("without a request's trace the call carries %q, which would say: do not sample", got)
		}
	})
}

func TestTraceGoesOnToOtherRuns(t *testing.T) {
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	r.start("one", "parent", `
    triggers: [{event: a}]
    steps:
    - {name: tell, sendEvent: [{name: b}]}
    - {name: ask, invoke: {function: child}}
    - {name: hear, waitForEvent: {event: c, timeout: 1m}}`)
	r.start("one", "child", `
    triggers: [{event: never}]
    steps: [{name: only, handler: ok}]`)
	r.start("one", "listener", `
    triggers: [{event: b}]
    steps: [{name: only, handler: ok}]`)
	r.send(event.Event{Type: "a"})
	r.ended("child", 1)
	time.Sleep(50 * time.Millisecond) // the parent is parked, and its wait is one
	r.send(event.Event{Type: "c"})
	run := c.await("run parent", 1)[0]
	for name, step := range map[string]string{"run listener": "step tell", "run child": "step ask"} {
		above, below := c.await(step, 1)[0], c.await(name, 1)[0]
		if above.parent() != run.id() || below.parent() != above.id() || below.trace() != run.trace() || len(below.Links) != 1 {
			t.Errorf("%s is below %s, want %s (%s)", name, below.parent(), step, above.id())
		}
	}
	if hear := c.await("step hear", 1)[0]; hear.parent() != run.id() || hear.attribute("wildout.wait") != "waitForEvent" || hear.EndTimeUnixNano-hear.StartTimeUnixNano < uint64(20*time.Millisecond) {
		t.Errorf("hear: %v", hear)
	}
}

// A collector that takes connections and never answers must cost nothing.
func TestCollectorThatHangs(t *testing.T) {
	r := newRig(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r.traceTo("http://" + listener.Addr().String())
	one := r.start("one", "f", `
    triggers: [{event: a}]
    steps: [{name: s1, handler: ok}, {name: s2, handler: ok}]
    history: {limit: 10000}`)
	const n = 3000 // more spans than the queue has room for
	began := time.Now()
	for range n / 100 {
		batch := make([]*event.Event, 100)
		for i := range batch {
			batch[i] = &event.Event{Type: "a", Data: []byte(`{}`)}
		}
		if err := r.store.Publish(context.Background(), batch...); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*time.Minute, "end of all runs", func() bool {
		st, err := inspect.New(r.store).Stats(context.Background(), "f", []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		return st.Succeeded == n
	})
	t.Logf("%d runs in %s", n, time.Since(began))
	began = time.Now()
	one.stop()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the runner took %s to leave", took)
	}
}
