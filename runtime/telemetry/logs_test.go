package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	loghandler "github.com/wildout/wildout/runtime/handlers/log"
	"github.com/wildout/wildout/runtime/telemetry"
)

func TestLogHandler(t *testing.T) {
	const id = "01M84NZ7YNA05NFE927DRRJDRB"
	const about = `"function":"f","run":"` + id + `","step":"say","attempt":2,"trace_id":"01a2095f9fd5500b57b9223b7189370b"`
	inside := wildout.WithInfo(context.Background(), wildout.RunInfo{Function: "f", RunID: id, Step: "say", Attempt: 2}, nil)
	for name, tc := range map[string]struct {
		write func(*slog.Logger)
		want  string
	}{
		"outside a handler": {func(l *slog.Logger) { l.Info("hi", "a", 1) }, `"a":1`},
		"inside":            {func(l *slog.Logger) { l.InfoContext(inside, "hi", "a", 1) }, `"a":1,` + about},
		"what is said is not said again": {func(l *slog.Logger) { l.With("function", "mine").InfoContext(inside, "hi", "run", "x") },
			`"function":"mine","run":"x","step":"say","attempt":2,"trace_id":"01a2095f9fd5500b57b9223b7189370b"`},
		"a group": {func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).InfoContext(inside, "hi", "run", 3) },
			`"a":1,` + about + `,"g":{"b":2,"run":3}`},
		"a group, outside": {func(l *slog.Logger) { l.WithGroup("g").Info("hi", "b", 2) }, `"g":{"b":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			plain := slog.NewJSONHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
					return slog.Attr{}
				}
				return a
			}})
			tc.write(slog.New(telemetry.NewLogHandler(plain)))
			if got := strings.TrimSpace(buf.String()); got != "{"+tc.want+"}" {
				t.Errorf("got  %s\nwant {%s}", got, tc.want)
			}
		})
	}
}

// Every line about a run, whoever wrote it, says which run and which trace.
func TestLinesOfARun(t *testing.T) {
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	logger := r.logger()
	wildout.Add(r.handlers, "talk", func(ctx context.Context, _ any) (string, error) {
		logger.InfoContext(ctx, "from the handler")
		return "", wildout.NonRetriable(errors.New("enough said"))
	})
	lines, err := loghandler.New(loghandler.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	loghandler.Register(r.handlers, lines)
	r.start("one", "f", `
    triggers: [{event: a}]
    steps:
    - {name: say, handler: log.write, with: {message: from the manifest}}
    - {name: nap, sleep: 10ms}
    - {name: talk, handler: talk}`)
	r.send(event.Event{Type: "a", TraceParent: "00-" + requestTrace + "-" + requestSpan + "-01"})
	rec := r.ended("f", 1)[0]
	spans := map[string]string{"from the manifest": c.await("step say", 1)[0].id(), "from the handler": c.await("step talk", 1)[0].id()}
	steps := map[string]string{"from the manifest": "say", "from the handler": "talk", "run failed": "talk"}
	found := map[string]bool{}
	for _, line := range r.log.lines(t) {
		message, _ := line["msg"].(string)
		if line["run"] == nil {
			continue
		}
		found[message] = true
		if line["run"] != rec.ID || line["trace_id"] != requestTrace || line["function"] != "f" {
			t.Errorf("%v does not say which run it is about", line)
		}
		if line["step"] != nil && line["step"] != steps[message] {
			t.Errorf("%s is of step %v", message, line["step"])
		}
		if want := spans[message]; want != "" && (line["span_id"] != want || line["attempt"] != 1.0 || line["step"] == nil) {
			t.Errorf("%v, want span %s", line, want)
		}
	}
	for _, message := range []string{"from the manifest", "from the handler", "run parked", "run failed"} {
		if !found[message] {
			t.Errorf("no line %q about the run", message)
		}
	}
}
