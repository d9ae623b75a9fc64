package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/telemetry"
)

// observer tells metrics and traces what happens in one run.
type observer struct {
	metrics *functionMetrics
	trace   *telemetry.Run // nil: there is nothing to pass on
	// passed are the steps that this runner has told of: a run that could not be
	// parked, since what it waits for has come, is walked over again.
	passed map[string]bool
}

// observe begins, or goes on with, the trace of a run.
func (s *session) observe(l *load) {
	l.seen = observer{metrics: s.metrics}
	if s.Tracing != nil || l.meta.Event.TraceParent != "" {
		l.seen.trace = s.Tracing.Run(telemetry.About{ID: l.ref.RunID, Function: s.Plan.Function,
			Version: l.ref.Version, Event: &l.meta.Event, StartedAt: l.meta.StartedAt, ReplayOf: l.meta.ReplayOf})
	}
	l.run.Observer = &l.seen
}

// sampled is the trace id of a run whose trace can be looked at, else empty.
func (o *observer) sampled() string {
	if !o.trace.Sampled() {
		return ""
	}
	return o.trace.TraceID()
}

// Begin implements engine.Observer.
func (o *observer) Begin(ctx context.Context, a *engine.Attempt) context.Context {
	ctx, span := o.trace.Attempt(ctx, a.Path, a.Handler, a.Number, a.Start)
	if span.IsNone() {
		return ctx
	}
	a.TraceParent, a.TraceState = span.Context()
	a.Mark = span
	return ctx
}

// End implements engine.Observer.
func (o *observer) End(a *engine.Attempt) {
	if span, ok := a.Mark.(telemetry.Span); ok {
		span.End(a.Ended, string(a.Result), a.Err)
	}
	if a.Handler != "" { // names of sub-steps are the handler's own: no label
		o.metrics.attempt(a, o.sampled())
	}
}

// Passed implements engine.Observer.
func (o *observer) Passed(path string, kind plan.Kind, start, end time.Time, failure string) {
	if o.passed[path] {
		return
	}
	if o.passed == nil {
		o.passed = map[string]bool{}
	}
	o.passed[path] = true
	o.metrics.waited(string(kind), end.Sub(start))
	o.trace.Step(path, string(kind), kind.Reaches(), start, end, failure)
}

// Sends implements engine.Observer.
func (o *observer) Sends(path string) (traceparent, tracestate string) {
	return o.trace.StepContext(path)
}

// noteStart counts a run that begins, and the wait of one that was queued.
func (s *session) noteStart(l *load) {
	if !l.stepped() {
		begins := l.meta.StartedAt
		if l.resumed { // it was parked by a limit before it could begin
			begins = s.now()
		}
		s.metrics.started.Inc()
		observe(s.metrics.startDelay, begins.Sub(l.meta.Event.Time), l.seen.sampled())
	}
	if !l.meta.Queued.IsZero() {
		s.metrics.waited(waitConcurrency, s.now().Sub(l.meta.Queued))
		l.meta.Queued, l.restate = time.Time{}, true
	}
}

// about are the attributes of a line about a run.
func (l *load) about() []any {
	const room = 14 // for what the line says besides
	return append(make([]any, 0, room), telemetry.LogRun, l.ref.RunID, telemetry.LogTrace, telemetry.TraceID(l.ref.RunID, l.meta.Event.TraceParent))
}

// report tells metrics, trace and log of a run that has ended. A run that was
// never admitted has no trace yet.
func (s *session) report(l *load, r *run.Record, latency time.Duration) {
	if l.run.Observer == nil {
		s.observe(l)
	}
	if ended := s.metrics.ended[r.Status]; ended != nil {
		ended.Inc()
	}
	observe(s.metrics.latency, latency, l.seen.sampled())
	l.seen.trace.End(*r.EndedAt, string(r.Status), r.ErrorStep, r.Error)
	level := slog.LevelInfo
	if r.Status == run.Failed {
		level = slog.LevelError
	}
	if !s.log.Enabled(background, level) {
		return
	}
	attrs := append(l.about(), "event", r.EventID, "type", r.EventType, "duration", r.EndedAt.Sub(r.StartedAt).Round(time.Millisecond))
	if r.Error != "" {
		attrs = append(attrs, telemetry.LogStep, r.ErrorStep, "error", r.Error)
	}
	s.log.Log(background, level, "run "+string(r.Status), attrs...)
}
