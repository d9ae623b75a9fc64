package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestBoardWaitsForEveryRunAndCountsRepeats(t *testing.T) {
	b := newBoard(3)
	b.published(1)
	time.Sleep(2 * time.Millisecond)
	for _, id := range []string{runID(0), runID(1), runID(1)} {
		if err := b.finishedID(id); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.repeated.Load(); n != 1 {
		t.Errorf("%d repeats, want 1", n)
	}
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := b.wait(ctx); !errors.Is(err, cause) {
		t.Errorf("wait with an open run: %v, want the cause of the context's end", err)
	}
	b.finished(2)
	if err := b.wait(t.Context()); err != nil {
		t.Errorf("wait with all runs finished: %v", err)
	}
	if d := b.latencies(1); len(d) != 2 || d[0] < 2*time.Millisecond || d[0] > 10*time.Second {
		t.Errorf("latencies %v, want those of runs 1 and 2, the first at least 2ms", d)
	}
}

func TestBoardRefusesUnknownRuns(t *testing.T) {
	b := newBoard(1)
	for name, id := range map[string]string{"empty": "", "not a number": "rx1", "negative": "r-1", "other prefix": "x0000001", "too large": runID(1)} {
		if err := b.finishedID(id); err == nil {
			t.Errorf("%s: run id %q was accepted", name, id)
		}
	}
}
