package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
)

// Attributes that no convention has a name for. They are the words of
// docs/telemetry.md, and those of the log lines.
const (
	keyFunction = attribute.Key("wildout.function")
	keyVersion  = attribute.Key("wildout.version")
	keyRun      = attribute.Key("wildout.run")
	keyStatus   = attribute.Key("wildout.status")
	keyStep     = attribute.Key("wildout.step")
	keyAttempt  = attribute.Key("wildout.attempt")
	keyHandler  = attribute.Key("wildout.handler")
	keyOutcome  = attribute.Key("wildout.outcome")
	keyWait     = attribute.Key("wildout.wait")
	keyReplayOf = attribute.Key("wildout.replay_of")
)

// maxStatus bounds the error text of a span, in bytes.
const maxStatus = 1 << 10

// About says what run a Run is about.
type About struct {
	ID, Function, Version string
	// Event started the run; its trace context is that of the request.
	Event *event.Event
	// StartedAt is when the run began, on whatever runner.
	StartedAt time.Time
	// ReplayOf is the run that this one is a repetition of; may be empty.
	ReplayOf string
}

// Run is the trace of a run, as one runner sees it between taking it up and
// ending or parking it. The nil Run traces nothing and passes nothing on.
//
// The span of a run is sent when the run ends, by the runner that ends it, with
// the time at which it began. Until then nobody holds it: its ids follow from
// the run, and each runner that takes the run up makes it anew. One that parks
// the run drops it, and a span that does not end is not sent.
type Run struct {
	tracing *Tracing
	about   About
	span    trace.Span
	context trace.SpanContext // what the steps are children of; may be invalid
}

// Run begins, or goes on with, the trace of a run.
//
// A run is a child of the span that its event was sent from: the request, or
// the step of another run. So who looks at the trace of a request sees what came
// of it, and the sampling that was decided there holds for all of it. It has a
// link to the same span besides, as the conventions for messaging ask, for who
// looks for the runs of an event and not for a tree.
func (t *Tracing) Run(a About) *Run {
	r := &Run{tracing: t, about: a}
	ctx := context.Background()
	if a.Event.TraceParent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
			"traceparent": a.Event.TraceParent, "tracestate": a.Event.TraceState})
		r.context = trace.SpanContextFromContext(ctx)
	}
	if t == nil {
		return r
	}
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(a.StartedAt), trace.WithAttributes(r.attributes()...)}
	if r.context.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: r.context}))
	}
	ctx = context.WithValue(ctx, chosenKey{}, chosen{traceOf(a.ID), spanOf(a.ID, "")})
	_, r.span = t.tracer.Start(ctx, "run "+a.Function, opts...)
	r.context = r.span.SpanContext()
	return r
}

func (r *Run) attributes() []attribute.KeyValue {
	a := &r.about
	all := []attribute.KeyValue{
		keyFunction.String(a.Function), keyVersion.String(a.Version), keyRun.String(a.ID),
		semconv.MessagingSystemKey.String("wildout"), semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("run"),
		semconv.MessagingDestinationName(a.Event.Type), semconv.MessagingMessageID(a.Event.ID), semconv.MessagingConsumerGroupName(a.Function),
		semconv.MessagingMessageBodySize(len(a.Event.Data)),
	}
	if a.Event.Source != "" {
		all = append(all, semconv.CloudEventsEventSource(a.Event.Source))
	}
	if a.ReplayOf != "" {
		all = append(all, keyReplayOf.String(a.ReplayOf))
	}
	return all
}

// TraceID is the trace that a run belongs to: that of the event that started
// it, where it has one.
func TraceID(runID, traceparent string) string {
	if parent, _ := event.TraceContext(traceparent, ""); parent != "" {
		return parent[3:35]
	}
	return traceOf(runID).String()
}

// Sampled reports whether the spans of the run are sent.
func (r *Run) Sampled() bool { return r != nil && r.span != nil && r.context.IsSampled() }

// TraceID is the trace that the run belongs to, whether it is sent or not.
func (r *Run) TraceID() string { return TraceID(r.about.ID, r.about.Event.TraceParent) }

// End sends the span of the run. status is how it ended; message says what went
// wrong, and is empty when nothing did.
func (r *Run) End(at time.Time, status, step, message string) {
	if !r.Sampled() {
		return
	}
	r.span.SetAttributes(keyStatus.String(status))
	if message != "" {
		r.span.SetAttributes(semconv.ErrorTypeKey.String(status))
		if step != "" {
			r.span.SetAttributes(keyStep.String(step))
		}
		r.span.SetStatus(codes.Error, clip(message))
	}
	r.span.End(trace.WithTimestamp(at))
}

// Attempt begins the span of one attempt of a step, or of a sub-step when ctx is
// that of an attempt. The handler gets the context that it returns.
func (r *Run) Attempt(ctx context.Context, path, handler string, number int, start time.Time) (context.Context, Span) {
	if r == nil || !r.context.IsValid() {
		return ctx, Span{}
	}
	if r.tracing == nil {
		// What was sent to us goes on, though nothing is added to it.
		return trace.ContextWithRemoteSpanContext(ctx, r.context), Span{context: r.context}
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, r.context)
	}
	opts := []trace.SpanStartOption{trace.WithTimestamp(start)}
	if r.Sampled() {
		opts = append(opts, trace.WithAttributes(keyFunction.String(r.about.Function), keyRun.String(r.about.ID), keyStep.String(path), keyAttempt.Int(number)))
		if handler != "" {
			opts = append(opts, trace.WithAttributes(keyHandler.String(handler)))
		}
	}
	ctx, span := r.tracing.tracer.Start(ctx, "step "+stem(path), opts...)
	return ctx, Span{span: span, context: span.SpanContext()}
}

// Span is the span of an attempt. The zero Span is none.
type Span struct {
	span    trace.Span
	context trace.SpanContext
}

// IsNone reports whether there is no span, and no trace that one would be in.
func (s *Span) IsNone() bool { return !s.context.IsValid() }

// Context returns the headers traceparent and tracestate of what is called
// from within the span; empty when there is nothing to tell.
func (s *Span) Context() (traceparent, tracestate string) { return headers(s.context) }

// End ends the span of an attempt. outcome is one word; err is what the handler
// returned. An attempt that failed is an error even where another one follows.
func (s *Span) End(at time.Time, outcome string, err error) {
	if s.span == nil || !s.span.IsRecording() {
		return
	}
	s.span.SetAttributes(keyOutcome.String(outcome))
	if err != nil {
		s.span.SetAttributes(semconv.ErrorTypeKey.String(errorType(err)))
		s.span.SetStatus(codes.Error, clip(err.Error()))
	}
	s.span.End(trace.WithTimestamp(at))
}

// StepContext returns the headers traceparent and tracestate of what the step
// at path sends or invokes.
func (r *Run) StepContext(path string) (traceparent, tracestate string) {
	if r == nil || !r.context.IsValid() {
		return "", ""
	}
	if r.tracing == nil {
		return headers(r.context)
	}
	return headers(r.context.WithSpanID(spanOf(r.about.ID, path)))
}

// Step sends the span of a step that calls no handler, once it has ended: a
// sleep, a wait for an event, an invoke, a sendEvent. kind is the name of its
// action; reaches says that something outside of the run learned of the step.
func (r *Run) Step(path, kind string, reaches bool, start, end time.Time, message string) {
	if !r.Sampled() {
		return
	}
	ctx := trace.ContextWithSpanContext(context.Background(), r.context)
	ctx = context.WithValue(ctx, chosenKey{}, chosen{r.context.TraceID(), spanOf(r.about.ID, path)})
	spanKind := trace.SpanKindInternal
	if reaches {
		spanKind = trace.SpanKindProducer
	}
	_, span := r.tracing.tracer.Start(ctx, "step "+stem(path), trace.WithSpanKind(spanKind), trace.WithTimestamp(start), trace.WithAttributes(
		keyFunction.String(r.about.Function), keyRun.String(r.about.ID), keyStep.String(path), keyAttempt.Int(1), keyWait.String(kind)))
	if message != "" {
		span.SetAttributes(semconv.ErrorTypeOther)
		span.SetStatus(codes.Error, clip(message))
	}
	span.End(trace.WithTimestamp(end))
}

// stem is a path without the indexes of forEach elements, of which there may be
// thousands: the name of a span is one of few.
func stem(path string) string {
	short := make([]byte, 0, len(path))
	inside := false
	for i := range len(path) {
		switch c := path[i]; {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		case !inside:
			short = append(short, c)
		}
	}
	return string(short)
}

func errorType(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case wildout.IsNonRetriable(err):
		return "non_retriable"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}

func headers(c trace.SpanContext) (traceparent, tracestate string) {
	if !c.IsValid() {
		return "", ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String(), c.TraceState().String()
}

func clip(s string) string {
	if len(s) <= maxStatus {
		return s
	}
	return s[:maxStatus] + "… (cut)"
}
