package term

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func failedRun() *run.Record {
	at, end, ok := now, now.Add(3200*time.Millisecond), now
	return &run.Record{
		ID: "01RUN", Function: "send-welcome-email", Status: run.Failed, EventType: "user/registered", EventID: "01EV", StartedAt: at, EndedAt: &end,
		Error: "send-email: no route", ErrorStep: "send-email",
		Steps: []run.StepRecord{
			{Name: "validate-input", Status: "ok", Attempts: 1, Start: &ok, Millis: 34},
			{Name: "log", Status: "failed", Attempts: 2, Start: &ok, Millis: 1, Error: "disk\nfull"},
			{Name: "maybe", Status: "skipped"},
			{Name: "send-email", Status: "failed", Attempts: 4, Start: &ok, Millis: 61_000, Error: "send-email: no route"},
			{Name: "update-user-profile", Status: "pending"},
		},
	}
}

func TestRun(t *testing.T) {
	var b bytes.Buffer
	if err := (Style{}).Run(&b, console.Bare(failedRun()), now, Brief); err != nil {
		t.Fatal(err)
	}
	want := `✗ send-welcome-email  failed in 3.2s  01RUN
  event user/registered 01EV
  started ` + now.Local().Format("15:04:05") + ` (just now)
    ✓  validate-input       ok       34ms
    ✗  log                  failed   1ms    2 attempts, disk full
    –  maybe                skipped
    ✗  send-email           failed   1m01s  4 attempts
    –  update-user-profile  pending
    send-email: no route
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &b, want)
	}
}

func TestRunBrief(t *testing.T) {
	var b bytes.Buffer
	(Style{}).RunBrief(&b, failedRun(), now)
	const want = `  ✗ send-welcome-email          failed in 3.2s
      validate-input 34ms · log 1ms · maybe skipped · send-email 1m01s · update-user-profile
      send-email: no route
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &b, want)
	}
}

func TestRuns(t *testing.T) {
	until := now.Add(72 * time.Hour)
	waiting := run.Record{ID: "01OTHER", Function: "nap", Status: run.Waiting, EventType: "nap", StartedAt: now.Add(-90 * time.Second), WaitsFor: &until}
	var b bytes.Buffer
	if err := (Style{}).Runs(&b, []run.Record{*failedRun(), waiting}, now); err != nil {
		t.Fatal(err)
	}
	want := `RUN      FUNCTION            STATUS   EVENT            STARTED    TOOK
01RUN    send-welcome-email  failed   user/registered  just now   3.2s  send-email: no route
01OTHER  nap                 waiting  nap              1m30s ago        until ` + until.Local().Format("Mon 2 Jan 15:04") + " (in 3d)\n"
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &b, want)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "<1ms", 999 * time.Microsecond: "<1ms", 34 * time.Millisecond: "34ms", 1200 * time.Millisecond: "1.2s",
		42 * time.Second: "42s", 200 * time.Second: "3m20s", 90 * time.Minute: "1h30m", 72*time.Hour - time.Second: "3d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns is %s, want %s", d, got, want)
		}
	}
}

func TestColoursTakeNoRoom(t *testing.T) {
	plain, coloured := &bytes.Buffer{}, &bytes.Buffer{}
	for style, b := range map[Style]*bytes.Buffer{{}: plain, {colour: true}: coloured} {
		if err := style.Run(b, console.Bare(failedRun()), now, Full); err != nil {
			t.Fatal(err)
		}
	}
	stripped := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(coloured.String(), "")
	if stripped == coloured.String() {
		t.Error("there is no colour")
	}
	if stripped != plain.String() {
		t.Errorf("without its colours it is\n%s\nwant\n%s", stripped, plain)
	}
}

func TestLog(t *testing.T) {
	for name, c := range map[string]struct {
		write func(*slog.Logger)
		want  string
	}{
		"a run": {func(l *slog.Logger) {
			l.With("function", "greet").With("runner", "dev-1").Info("run succeeded", "run", "01RUN", "event", "01EV", "duration", 34*time.Millisecond)
		}, "✓ greet                        succeeded   34ms  01RUN"},
		"a run that failed": {func(l *slog.Logger) {
			l.With("function", "greet").Error("run failed", "run", "01RUN", "duration", 2*time.Second, "step", "send", "error", "no route\nat all")
		}, "✗ greet                        failed      2.0s  01RUN\n               send: no route\n               at all"},
		"another message": {func(l *slog.Logger) { l.Info("functions new: a, b", "runner", "x") }, "· functions new: a, b"},
		"attributes":      {func(l *slog.Logger) { l.WithGroup("g").Warn("slow", "ms", 7, "why", "a b") }, `! slow g.ms=7 g.why="a b"`},
		"an error":        {func(l *slog.Logger) { l.Error("not ready", "error", errors.New("nobody home")) }, "✗ not ready: nobody home"},
		"ready":           {func(l *slog.Logger) { l.With("function", "greet").Info("ready") }, ""},
		"debug":           {func(l *slog.Logger) { l.Debug("run parked") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			c.write(slog.New(NewLogHandler(&b)))
			line := strings.TrimSuffix(b.String(), "\n")
			if line != "" {
				line = line[len("15:04:05.000 "):]
			}
			if line != c.want {
				t.Errorf("printed %q, want %q", line, c.want)
			}
		})
	}
}
