package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// timeline tells each step and each part as: path status start+length, and its
// tries as !start+length, in seconds since the run began.
func timeline(b *bed, steps []run.StepRecord) []string {
	seconds := func(at time.Time, ms int64) string {
		return fmt.Sprintf("%v+%v", at.Sub(b.began).Seconds(), (time.Duration(ms) * time.Millisecond).Seconds())
	}
	var all []string
	for _, s := range steps {
		text := s.Name + " " + string(s.Status)
		if s.Start != nil {
			text += " " + seconds(*s.Start, s.Millis)
		}
		for _, try := range s.Tries {
			text += " !" + seconds(try.Start, try.Millis)
		}
		all = append(all, text)
	}
	return all
}

// named returns the record of that name.
func named(t *testing.T, steps []run.StepRecord, name string) run.StepRecord {
	t.Helper()
	for _, s := range steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no record of %s", name)
	return run.StepRecord{}
}

// TestTimeline has the times of everything right, however often the run was
// parked meanwhile.
func TestTimeline(t *testing.T) {
	both(t, `
	steps:
	- {name: pure, set: "${1}"}
	- {name: skipped, if: "false", handler: echo}
	- {name: flaky, handler: flaky, retryPolicy: {initialInterval: 10s, multiplier: "2", jitter: "0"}}
	- {name: nap, sleep: 1m}
	- {name: between, set: "${2}"}
	- {name: call, invoke: {function: g}}
	- {name: paid, waitForEvent: {event: b, timeout: 1h}}
	- {name: list, forEach: "${[1, 2]}", maxParallel: 2, handler: flaky, retryPolicy: {initialInterval: 10s, jitter: "0"}}
	- {name: parts, handler: composed}
	- {name: done, set: "${3}"}`, func(t *testing.T, b *bed) {
		b.handle("flaky", func(ctx context.Context, _ map[string]any) (any, error) {
			time.Sleep(time.Second)
			if info := wildout.Info(ctx); info.Attempt == 1 && info.Step != "list[0]" || info.Attempt == 2 && info.Step == "flaky" {
				return nil, errors.New("not yet")
			}
			return "x", nil
		})
		b.handle("composed", composed(b))
		deliver := func(path string, after time.Duration, result func() []byte) {
			time.Sleep(after)
			b.journal.results[path] = result()
		}
		parked := func() engine.Outcome {
			t.Helper()
			out := b.must()
			want(t, "kind", out.Kind, engine.Parked)
			return out
		}
		time.Sleep(time.Until(parked().Due))
		time.Sleep(time.Until(parked().Due))
		time.Sleep(time.Until(parked().Due) + 30*time.Second) // nobody was there in time
		parked()
		deliver("call", 20*time.Second, func() []byte {
			return childResult(time.Now().Add(-15*time.Second), time.Now(), &engine.Outcome{})
		})
		time.Sleep(5 * time.Second)
		parked()
		deliver("paid", 40*time.Second, func() []byte { return run.EventResult([]byte(`{}`), time.Now()).Encode() })
		out := b.finish()
		wantAll(t, "timeline", timeline(b, out.Steps), []string{
			"pure ok 0+0",
			"skipped skipped 0+0",
			"flaky ok 32+1 !0+1 !11+1", // 1 s, 10 s, 1 s, 20 s, 1 s
			"nap ok 33+60",
			"between ok 93+0",
			"call ok 123+20",
			"paid ok 148+40",
			"list ok 188+12",
			"list[0] ok 188+1",
			"list[1] ok 199+1 !188+1",
			"parts ok 200+0",
			"parts/first ok 200+0",
			"parts/second ok 200+0",
			"done ok 200+0",
		})
		want(t, "output of a step", string(named(t, out.Steps, "flaky").Output), `"x"`)
		want(t, "output of an element", string(named(t, out.Steps, "list[1]").Output), `"x"`)
		want(t, "elements", named(t, out.Steps, "list").Elements, 2)
	})
}

func TestTriesAreBounded(t *testing.T) {
	both(t, `
	steps: [{name: one, handler: broken, retryPolicy: {maxAttempts: 30, initialInterval: 1s, multiplier: "1", jitter: "0"}}]`, func(t *testing.T, b *bed) {
		b.handle("broken", func(ctx context.Context, _ map[string]any) (any, error) {
			return nil, fmt.Errorf("%d%s", wildout.Info(ctx).Attempt, strings.Repeat("é", 1000))
		})
		out := b.finish()
		one := out.Steps[0]
		want(t, "attempts", one.Attempts, 30)
		want(t, "tries", len(one.Tries), 20)
		wantText(t, "first", one.Tries[0].Error, "11é")
		wantText(t, "last", one.Tries[19].Error, "30é")
		if n := len(one.Tries[0].Error); n > 280 {
			t.Errorf("an error of %d bytes is kept", n)
		}
		if n := len(b.journal.progress["one"]); n > 20<<10 {
			t.Errorf("the progress has %d bytes", n)
		}
	})
}

func TestOneAttemptHasNoTries(t *testing.T) {
	both(t, `
	steps: [{name: one, handler: broken, onError: Continue}, {name: two, handler: later}]`, func(t *testing.T, b *bed) {
		b.handle("broken", func(context.Context, map[string]any) (any, error) { return nil, wildout.NonRetriable(errors.New("no")) })
		b.handle("later", func(context.Context, map[string]any) (any, error) {
			if b.age() == 0 {
				return nil, wildout.Snooze(time.Minute, errors.New("not now"))
			}
			return nil, nil
		})
		wantAll(t, "timeline", timeline(b, b.finish().Steps), []string{"one failed 0+0", "two ok 60+0"})
	})
}
