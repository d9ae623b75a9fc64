package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// golden is a stored journal and what an execution makes of it.
type golden struct {
	About   string            `json:"about"`
	Spec    string            `json:"spec"`
	Journal map[string]string `json:"journal"` // as in Redis
	Now     int64             `json:"now"`     // ms; 0: does not matter
	Version string            `json:"version"`
	Want    struct {
		Kind   string   `json:"kind"`
		Output string   `json:"output"`
		Step   string   `json:"step"`
		Error  string   `json:"error"`
		Due    int64    `json:"due"`
		Awaits []string `json:"awaits"`
		Waits  []string `json:"waits"`
		Calls  []string `json:"calls"`
		Steps  []string `json:"steps"`
		Tries  []string `json:"tries"`
	} `json:"want"`
}

// TestJournals reads the journals of every version of their form. A run may
// outlive the release that began it: these files are never changed, only added to.
func TestJournals(t *testing.T) {
	files, err := filepath.Glob("testdata/journals/*/*.json")
	if err != nil || len(files) < 18 {
		t.Fatalf("journals: %v, %v", files, err)
	}
	for _, file := range files {
		name, _ := filepath.Rel("testdata/journals", file)
		t.Run(strings.TrimSuffix(name, ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var g golden
			if err := json.Unmarshal(text, &g); err != nil {
				t.Fatal(err)
			}
			both(t, "\t"+strings.ReplaceAll(g.Spec, "\n", "\n\t"), func(t *testing.T, b *bed) { g.check(t, b) })
		})
	}
}

func (g *golden) check(t *testing.T, b *bed) {
	for field, value := range g.Journal {
		if path, open := strings.CutPrefix(field, "~"); open {
			b.journal.progress[path] = []byte(value)
		} else {
			b.journal.results[field] = []byte(value)
		}
	}
	now := g.Now
	if now == 0 {
		now = 1700000010000
	}
	shift := time.Until(time.UnixMilli(now))
	b.engine.Now = func() time.Time { return time.Now().Add(shift) }
	b.handle("composed", composed(b))
	b.handle("waiting", waiting(b))
	want(t, "version", run.VersionOf(b.journal.results, b.journal.progress), g.Version)

	out, err := b.execute(context.Background())
	calls := b.called()
	slices.Sort(calls)
	wantAll(t, "calls", calls, g.Want.Calls)
	if g.Want.Kind == "error" {
		if err == nil {
			t.Fatalf("no error, but %+v", out)
		}
		wantText(t, "error", err.Error(), g.Want.Error)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "steps", statuses(out), g.Want.Steps)
	wantAll(t, "tries", tries(out.Steps), g.Want.Tries)
	switch g.Want.Kind {
	case "finished":
		succeeded(t, out, g.Want.Output)
	case "failed":
		failed(t, out, g.Want.Step, g.Want.Error)
	case "parked":
		want(t, "kind", out.Kind, engine.Parked)
		want(t, "due", out.Due.UnixMilli(), g.Want.Due)
	default:
		t.Fatalf("no such kind: %q", g.Want.Kind)
	}
	wantAll(t, "awaits", out.Awaits, g.Want.Awaits)
	if len(g.Want.Waits) > 0 {
		want(t, "waits to take back", len(out.Waits), len(g.Want.Waits))
	}
}

// tries tells the failed attempts: path, start and length in ms, error.
func tries(steps []run.StepRecord) (all []string) {
	for _, s := range steps {
		for _, try := range s.Tries {
			all = append(all, fmt.Sprint(s.Name, " ", try.Start.UnixMilli(), " ", try.Millis, " ", try.Error))
		}
	}
	return all
}

// composed is a handler with two sub-steps.
func composed(b *bed) func(context.Context, map[string]any) (any, error) {
	sub := func(ctx context.Context, name string, value int) (int, error) {
		return wildout.Step(ctx, name, func(ctx context.Context) (int, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.calls = append(b.calls, wildout.Info(ctx).Step)
			return value, nil
		})
	}
	return func(ctx context.Context, _ map[string]any) (any, error) {
		first, err := sub(ctx, "first", -1)
		second, err2 := sub(ctx, "second", 1)
		return first + second, errors.Join(err, err2)
	}
}

// waiting is a function in one handler: it does, sleeps, sends, waits and invokes.
func waiting(b *bed) func(context.Context, map[string]any) (any, error) {
	return func(ctx context.Context, _ map[string]any) (any, error) {
		_, err := wildout.Step(ctx, "reserve", func(context.Context) (bool, error) {
			b.t.Error("reserve was done again")
			return true, nil
		})
		if err = errors.Join(err, wildout.Sleep(ctx, "nap", 100*time.Millisecond)); err != nil {
			return nil, err
		}
		ids, err := wildout.SendEvent(ctx, "tell", wildout.Event{Type: "told"})
		if err != nil {
			return nil, err
		}
		paid, err := wildout.WaitForEvent[struct{ By string }](ctx, "paid", wildout.WaitOptions{Event: "paid", Match: "data.id", Timeout: time.Hour})
		if err != nil {
			return nil, err
		}
		twice, err := wildout.Invoke[int](ctx, "double", "double", nil)
		if err != nil {
			return nil, err
		}
		return map[string]any{"by": paid.Data.By, "twice": twice, "told": len(ids)}, nil
	}
}
