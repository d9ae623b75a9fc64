package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"

	"github.com/wildout/wildout/runtime/event"
)

// A run that no request caused has the trace id that its own id, a ULID, is in
// binary: 48 bits of time and 80 of a hash. Its span, and those of its steps
// that call no handler, have ids that follow from the run too. So every runner
// that has to do with a run knows them, at any time, and nothing is stored.

// traceOf returns the trace id of a run that is the first in its trace.
func traceOf(runID string) trace.TraceID {
	if id, ok := event.IDBytes(runID); ok {
		return trace.TraceID(id)
	}
	return trace.TraceID(digest(runID)[:16])
}

// spanOf returns the id of the span of a run (path "") or of a step of it.
func spanOf(runID, path string) (id trace.SpanID) {
	if raw, ok := event.IDBytes(runID); ok && path == "" {
		copy(id[:], raw[8:])
	} else {
		copy(id[:], digest(runID+"/"+path))
	}
	if !id.IsValid() {
		id[7] = 1
	}
	return id
}

func digest(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:] }

// chosen are ids for the next span that is started with a context.
type chosen struct {
	trace trace.TraceID
	span  trace.SpanID
}

type chosenKey struct{}

// generator makes the ids of spans: those that the context names, else random
// ones. A context that names ids must not reach a handler.
type generator struct{}

// NewIDs implements sdktrace.IDGenerator.
func (generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if c, ok := ctx.Value(chosenKey{}).(chosen); ok {
		return c.trace, c.span
	}
	var id trace.TraceID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()|1) // never zero
	return id, randomSpan()
}

// NewSpanID implements sdktrace.IDGenerator.
func (generator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if c, ok := ctx.Value(chosenKey{}).(chosen); ok {
		return c.span
	}
	return randomSpan()
}

func randomSpan() (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
