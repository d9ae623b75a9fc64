package engine_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// memory is a journal in memory.
type memory struct {
	absent   map[string]bool // functions that are not there
	mu       sync.Mutex
	results  map[string][]byte
	progress map[string][]byte
	commits  []string // paths, in order
	sent     []engine.OutEvent
	children []engine.Child
	waits    []engine.Wait
	// found answers a look-back; nil: there is nothing.
	found func(engine.Wait) *event.Event
	// takes is how long a write takes.
	takes time.Duration
	err   error
	// bad is a path whose commits fail.
	bad string
}

func newMemory() *memory {
	return &memory{results: map[string][]byte{}, progress: map[string][]byte{}}
}

func (m *memory) Commit(_ context.Context, path string, value []byte) ([]byte, error) {
	time.Sleep(m.takes)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if path == m.bad {
		return nil, errors.New("no journal for " + path)
	}
	if held, taken := m.results[path]; taken {
		return held, nil
	}
	m.results[path] = value
	m.commits = append(m.commits, path)
	return nil, nil
}

func (m *memory) Send(ctx context.Context, path string, value []byte, events []engine.OutEvent) ([]byte, error) {
	held, err := m.Commit(ctx, path, value)
	if held == nil && err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sent = append(m.sent, events...)
	}
	return held, err
}

func (m *memory) Await(_ context.Context, w engine.Wait) (*event.Event, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waits = append(m.waits, w)
	m.progress[w.Path] = w.Progress
	if m.found != nil {
		if e := m.found(w); e != nil {
			return e, "", m.err
		}
	}
	return nil, "7-0", m.err
}

func (m *memory) Invoke(_ context.Context, path string, progress []byte, child engine.Child) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.absent[child.Function] {
		return false, m.err
	}
	if before, err := run.DecodeProgress(path, []byte(cmp.Or(string(m.progress[path]), "{}"))); err != nil || before.Child == "" {
		m.progress[path] = progress
		m.children = append(m.children, child)
	}
	return true, m.err
}

func (m *memory) committed() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.commits)
}

// bed is one run of a function, with its journal and its handlers.
type bed struct {
	t       *testing.T
	plan    *plan.Plan
	journal *memory
	engine  *engine.Engine
	run     engine.Run
	began   time.Time
	// beside keeps handlers out of the goroutine of Execute.
	beside bool

	mu    sync.Mutex
	calls []string // step#attempt, in order
}

// compile compiles the spec of a function, written without its frame.
func compile(t *testing.T, spec string) *plan.Plan {
	t.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: f}\nspec:\n  triggers: [{event: a}]\n")
	for line := range strings.Lines(strings.Trim(spec, "\n")) {
		text.WriteString("  " + strings.TrimPrefix(line, "\t"))
	}
	functions, _, err := plan.ReadManifests("f", []byte(strings.ReplaceAll(text.String(), "\t", "  ")))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile("f", &functions[0].Spec, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newBed makes a bed, in a bubble of synctest as a rule. The handler echo
// returns its input.
func newBed(t *testing.T, p *plan.Plan) *bed {
	b := &bed{t: t, plan: p, journal: newMemory(), began: time.Now()}
	b.engine = &engine.Engine{Handlers: &wildout.Registry{}, Now: time.Now}
	t.Cleanup(b.engine.Close)
	b.run = engine.Run{ID: "run1", Event: event.Event{ID: "e1", Type: "a", Data: json.RawMessage(`{"id":7,"list":[1,2,3,4]}`)}, StartedAt: b.began, Attempt: 1}
	b.run.Follow(p)
	b.handle("echo", func(_ context.Context, in map[string]any) (any, error) { return in, nil })
	return b
}

// handle registers a handler whose calls are noted.
func (b *bed) handle(name string, fn func(ctx context.Context, in map[string]any) (any, error)) {
	wildout.Add(b.engine.Handlers, name, func(ctx context.Context, in map[string]any) (any, error) {
		info := wildout.Info(ctx)
		b.mu.Lock()
		b.calls = append(b.calls, fmt.Sprintf("%s#%d", info.Step, info.Attempt))
		b.mu.Unlock()
		return fn(ctx, in)
	})
}

// later registers a handler that puts its step off for a minute, the first time.
func (b *bed) later(name string) {
	first := true
	b.handle(name, func(context.Context, map[string]any) (any, error) {
		if first {
			first = false
			return nil, wildout.Snooze(time.Minute, errors.New("not now"))
		}
		return nil, nil
	})
}

func (b *bed) called() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// execute takes the run as far as it goes, once.
func (b *bed) execute(ctx context.Context) (engine.Outcome, error) {
	b.journal.mu.Lock()
	run := b.run
	run.Journal = b.journal
	run.Results, run.Progress = maps.Clone(b.journal.results), maps.Clone(b.journal.progress)
	b.journal.mu.Unlock()
	type end struct {
		out engine.Outcome
		err error
	}
	elsewhere := make(chan end, 1)
	if !b.beside {
		run.Elsewhere = func(out engine.Outcome, err error) { elsewhere <- end{out, err} }
	}
	direct := make(chan end, 1)
	go func() {
		out, err := b.engine.Execute(ctx, &run)
		if err != engine.ErrElsewhere { //nolint:errorlint // a sentinel
			direct <- end{out, err}
		}
	}()
	var e end
	select {
	case e = <-elsewhere:
	case e = <-direct:
	}
	if e.err == nil {
		b.run.Active = e.out.Active
		b.journal.mu.Lock()
		maps.Copy(b.journal.progress, e.out.Progress)
		b.journal.mu.Unlock()
	}
	return e.out, e.err
}

// must is execute without an error.
func (b *bed) must() engine.Outcome {
	b.t.Helper()
	out, err := b.execute(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// finish executes the run, and again when it is due, until it has ended.
func (b *bed) finish() engine.Outcome {
	b.t.Helper()
	for range 100 {
		out := b.must()
		if out.Kind != engine.Parked {
			return out
		}
		if out.Due.IsZero() {
			b.t.Fatalf("parked without a due time: %+v", out)
		}
		time.Sleep(time.Until(out.Due))
	}
	b.t.Fatal("the run does not end")
	return engine.Outcome{}
}

// age is how long the bed has been there.
func (b *bed) age() time.Duration { return time.Since(b.began) }

// both runs a test with handlers in the goroutine of Execute where it can have
// them, and with handlers beside it.
func both(t *testing.T, spec string, test func(t *testing.T, b *bed)) {
	p := compile(t, spec)
	for name, beside := range map[string]bool{"here": false, "beside": true} {
		t.Run(name, func(t *testing.T) { bubble(t, p, func(t *testing.T, b *bed) { b.beside = beside; test(t, b) }) })
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantAll(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantText(t *testing.T, what, got, part string) {
	t.Helper()
	if !strings.Contains(got, part) {
		t.Errorf("%s: got %q, want something with %q", what, got, part)
	}
}

func succeeded(t *testing.T, out engine.Outcome, output string) {
	t.Helper()
	if out.Kind != engine.Finished {
		t.Fatalf("kind: got %d (%+v), want finished", out.Kind, out.Failure)
	}
	want(t, "output", string(out.Output), output)
}

func failed(t *testing.T, out engine.Outcome, step, message string) {
	t.Helper()
	if out.Kind != engine.Failed {
		t.Fatalf("kind: got %d (%s), want failed", out.Kind, out.Output)
	}
	want(t, "failed step", out.Failure.Step, step)
	wantText(t, "failure", out.Failure.Message, message)
}

// childResult is what an invoked run gives the step that waits for it, as
// admission writes it into the parent's journal.
func childResult(startedAt, now time.Time, out *engine.Outcome) []byte {
	r := run.Result{Output: out.Output, Attempts: 1, Start: startedAt.UnixMilli(), Duration: now.Sub(startedAt).Milliseconds()}
	switch {
	case out.Kind == engine.Cancelled:
		r.Output = nil
		r.Error = "the invoked run was " + run.CancelText(out.Failure.Message)
	case out.Failure != nil:
		r.Output = nil
		r.Error = "the invoked run failed: " + out.Failure.Message
	}
	return r.Encode()
}
