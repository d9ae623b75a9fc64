package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanCounts counts spans: what ended and was neither exported nor failed was
// dropped, or is on its way. As a span processor it sees every span that ends.
type spanCounts struct{ ended, exported, failed prometheus.Counter }

func newSpanCounts(r prometheus.Registerer) *spanCounts {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wildout_trace_spans_total",
		Help: "Spans of sampled runs: ended, and what became of them: exported, failed."}, []string{"result"})
	if r != nil {
		r.MustRegister(all)
	}
	return &spanCounts{all.WithLabelValues("ended"), all.WithLabelValues("exported"), all.WithLabelValues("failed")}
}

// OnStart implements sdktrace.SpanProcessor.
func (*spanCounts) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (c *spanCounts) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.ended.Inc()
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (*spanCounts) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*spanCounts) ForceFlush(context.Context) error { return nil }

// complainEvery is the least time between two lines about a collector that
// does not answer.
const complainEvery = time.Minute

// watched is an exporter whose failures go to the log of the process, seldom,
// and not to the global handler of OpenTelemetry, which writes to stderr.
type watched struct {
	sdktrace.SpanExporter
	log    *slog.Logger
	counts *spanCounts
	said   atomic.Int64 // when it last complained, in ns since 1970
}

// ExportSpans implements sdktrace.SpanExporter.
func (w *watched) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := w.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		w.counts.exported.Add(float64(len(spans)))
		return nil
	}
	w.counts.failed.Add(float64(len(spans)))
	now := time.Now().UnixNano()
	if last := w.said.Load(); now-last > int64(complainEvery) && w.said.CompareAndSwap(last, now) {
		w.log.Warn("the collector does not take spans; they are lost, and the runs go on", "spans", len(spans), "error", err)
	}
	return nil
}
