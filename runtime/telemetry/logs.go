package telemetry

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"

	wildout "github.com/wildout/wildout/runtime"
)

// Names of the attributes that say which run a line is about.
const (
	LogFunction = "function"
	LogRun      = "run"
	LogStep     = "step"
	LogAttempt  = "attempt"
	LogTrace    = "trace_id"
	LogSpan     = "span_id"
)

// logHandler adds to every line what its context knows of the run.
type logHandler struct {
	next slog.Handler
	// has are names at the top level that a With has given already.
	has []string
	// late are the WithGroup and WithAttrs since the first group: what is added
	// here belongs outside of it.
	late []func(slog.Handler) slog.Handler
}

// NewLogHandler returns a handler that writes to next and adds function, run,
// step, attempt, trace_id and span_id to lines that were written with the
// context of a handler of ours, such as
//
//	slog.InfoContext(ctx, "charged", "amount", 5)
//
// Lines that have an attribute of that name keep their own.
func NewLogHandler(next slog.Handler) slog.Handler { return &logHandler{next: next} }

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	add := h.about(ctx, &r)
	if len(h.late) == 0 {
		if len(add) > 0 {
			r = r.Clone()
			r.AddAttrs(add...)
		}
		return h.next.Handle(ctx, r)
	}
	next := h.next
	if len(add) > 0 {
		next = next.WithAttrs(add)
	}
	for _, apply := range h.late {
		next = apply(next)
	}
	return next.Handle(ctx, r)
}

// about returns what the context knows and the line does not say.
func (h *logHandler) about(ctx context.Context, r *slog.Record) []slog.Attr {
	info := wildout.Info(ctx)
	if info.RunID == "" {
		return nil
	}
	said := h.has
	if len(h.late) == 0 {
		r.Attrs(func(a slog.Attr) bool { said = append(said[:len(said):len(said)], a.Key); return true })
	}
	var add []slog.Attr
	put := func(a slog.Attr) {
		if !slices.Contains(said, a.Key) {
			add = append(add, a)
		}
	}
	put(slog.String(LogFunction, info.Function))
	put(slog.String(LogRun, info.RunID))
	put(slog.String(LogStep, info.Step))
	put(slog.Int(LogAttempt, info.Attempt))
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		put(slog.String(LogTrace, sc.TraceID().String()))
		if !sc.IsRemote() {
			put(slog.String(LogSpan, sc.SpanID().String()))
		}
	} else {
		put(slog.String(LogTrace, traceOf(info.RunID).String()))
	}
	return add
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	if len(h.late) > 0 {
		with.late = append(slices.Clone(h.late), func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
		return &with
	}
	with.next, with.has = h.next.WithAttrs(attrs), slices.Clone(h.has)
	for _, a := range attrs {
		with.has = append(with.has, a.Key)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.late = append(slices.Clone(h.late), func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
	return &with
}
