package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/wildout/wildout/runtime/admission"
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
func (p *processor) observe(o *ownedRun) {
	o.seen = observer{metrics: p.metrics}
	if p.Tracing != nil || o.Identity.Event.TraceParent != "" {
		o.seen.trace = p.Tracing.Run(telemetry.About{ID: o.Ref.RunID, Function: p.Plan.Function,
			Version: o.Ref.Version, Event: &o.Identity.Event, StartedAt: o.Identity.StartedAt, ReplayOf: o.Identity.ReplayOf})
	}
	o.exec.Observer = &o.seen
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
func (p *processor) noteStart(o *ownedRun) {
	if !o.Stepped {
		begins := o.Identity.StartedAt
		if o.resumed { // it was parked by a limit before it could begin
			begins = p.clock.now()
		}
		p.metrics.started.Inc()
		observe(p.metrics.startDelay, begins.Sub(o.Identity.Event.Time), o.seen.sampled())
	}
	if !o.Identity.Queued.IsZero() {
		p.metrics.waited(waitConcurrency, p.clock.now().Sub(o.Identity.Queued))
		o.Identity.Queued = time.Time{}
		o.Restate = true
	}
	if !o.Identity.Throttled.IsZero() {
		p.metrics.waited(waitRate, p.clock.now().Sub(o.Identity.Throttled))
		o.Identity.Throttled = time.Time{}
		o.Restate = true
	}
}

// about are the attributes of a line about a run.
func (o *ownedRun) about() []any {
	const room = 14 // for what the line says besides
	return append(make([]any, 0, room), telemetry.LogRun, o.Ref.RunID, telemetry.LogTrace, telemetry.TraceID(o.Ref.RunID, o.Identity.Event.TraceParent))
}

// Ended implements admission.Listener: it tells metrics, trace and log. A run
// that was never admitted has no trace yet.
func (o *ownedRun) Ended(e admission.Ending) {
	p := o.processor
	status := e.Status()
	counter := p.metrics.ended[status]
	if status == run.Skipped {
		counter = p.metrics.ended[run.Status(e.Skip())]
	}
	if counter != nil {
		counter.Inc()
	}
	r := e.Record()
	switch status {
	case run.Skipped:
		p.log.Info("run not started", append(o.about(), "reason", string(e.Skip()))...)
		return
	case run.Rejected:
		p.log.Error("entry rejected", append(o.about(), "stream", o.Ref.Stream, "entry", o.Ref.Entry, "reason", r.Error)...)
		return
	}
	if o.exec.Observer == nil {
		p.observe(o)
	}
	observe(p.metrics.latency, r.EndedAt.Sub(o.Identity.Event.Time), o.seen.sampled())
	o.seen.trace.End(*r.EndedAt, string(status), r.ErrorStep, r.Error)
	level := slog.LevelInfo
	if status == run.Failed {
		level = slog.LevelError
	}
	if !p.log.Enabled(background, level) {
		return
	}
	attrs := append(o.about(), "event", r.EventID, "type", r.EventType, "duration", r.EndedAt.Sub(r.StartedAt).Round(time.Millisecond))
	if r.Error != "" {
		attrs = append(attrs, telemetry.LogStep, r.ErrorStep, "error", r.Error)
	}
	p.log.Log(background, level, "run "+string(status), attrs...)
}
