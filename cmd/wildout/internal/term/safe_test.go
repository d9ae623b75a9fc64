package term

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

func TestSafe(t *testing.T) {
	for name, c := range map[string][2]string{
		"plain":            {"a\nb\tc ü 日本 🎈 👩‍🚀", "a\nb\tc ü 日本 🎈 👩‍🚀"},
		"Arabic":           {"مرحبا", "مرحبا"},
		"colour":           {"\x1b[31mred", `\u001b[31mred`},
		"title":            {"\x1b]0;evil\x07", `\u001b]0;evil\u0007`},
		"clipboard":        {"\x1b]52;c;ZXZpbA==\x1b\\", `\u001b]52;c;ZXZpbA==\u001b\`},
		"carriage return":  {"good\rbad", `good\u000dbad`},
		"as Windows does":  {"a\r\nb", "a\nb"},
		"backspace":        {"rm\b\b  ", `rm\u0008\u0008  `},
		"one byte escapes": {"\u009b31m\u009d0;x\u009c", `\u009b31m\u009d0;x\u009c`},
		"delete":           {"a\x7f", `a\u007f`},
		"direction":        {"a\u202egpj.exe\u2066\u2069\u200f\u061c", `a\u202egpj.exe\u2066\u2069\u200f\u061c`},
		"separators":       {"a\u2028b\u2029c", `a\u2028b\u2029c`},
		"no UTF-8":         {"a\xffb\x9b31m", "a\uFFFDb\uFFFD31m"},
		"twice":            {`\u001b`, `\u001b`},
	} {
		if got := Safe(c[0]); got != c[1] {
			t.Errorf("%s: %q becomes %q, want %q", name, c[0], got, c[1])
		}
	}
}

// hostile is in every text that comes from outside.
const hostile = "x\x1b[2J\x1b]0;title\x07\r\u009b31m\u202ey\xff"

var ours = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33)m")

func mustBeSafe(t *testing.T, what, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing was printed", what)
	}
	text = ours.ReplaceAllString(text, "")
	if at := strings.IndexFunc(text, harmful); at >= 0 || !utf8.ValidString(text) {
		t.Errorf("%s prints %q", what, text)
	}
}

// TestWhatIsShownIsSafe: whatever the fields of what is shown hold.
func TestWhatIsShownIsSafe(t *testing.T) {
	at, until := now, now.Add(time.Hour)
	step := run.StepRecord{Name: hostile, Status: run.StepFailed, Attempts: 2, Start: &at, Error: hostile, Output: json.RawMessage(hostile),
		Tries: []run.Try{{Error: hostile}}}
	record := run.Record{ID: hostile, Function: hostile, Status: run.Failed, EventType: hostile, EventID: hostile, StartedAt: now, EndedAt: &at, Version: hostile,
		Error: hostile, ErrorStep: hostile, ReplayOf: hostile, Output: json.RawMessage(hostile), Steps: []run.StepRecord{step}}
	follows := record
	follows.Follows = hostile
	strange := record
	strange.Status, strange.EndedAt, strange.WaitsFor = run.Status(hostile), nil, &until
	detail := console.Bare(&record)
	detail.Parent = &console.RunRef{Function: hostile, ID: hostile}
	detail.Steps[0].Kind, detail.Steps[0].Does, detail.Steps[0].Needs = hostile, hostile, []string{hostile}
	detail.Steps[0].Input, detail.Steps[0].Until = json.RawMessage(hostile), &until
	event := console.EventDetail{Runs: []run.Record{record, follows, strange}}
	event.Event.ID, event.Event.Type, event.Event.Source, event.Event.Subject = hostile, hostile, hostile, hostile
	event.Event.TraceParent, event.Event.Data = hostile, json.RawMessage(hostile)
	detail.Event = &event.Event
	for _, style := range []Style{{}, {colour: true, Width: 40}, {colour: true, Width: 120}} {
		for what, show := range map[string]func(*bytes.Buffer) error{
			"runs":       func(b *bytes.Buffer) error { return style.Runs(b, []run.Record{record, follows, strange}, now) },
			"run line":   func(b *bytes.Buffer) error { return style.RunLine(b, &follows, now) },
			"run, brief": func(b *bytes.Buffer) error { style.RunBrief(b, &strange, now); return nil },
			"run":        func(b *bytes.Buffer) error { return style.Run(b, detail, now, Brief) },
			"run, full":  func(b *bytes.Buffer) error { return style.Run(b, detail, now, Full) },
			"step line":  func(b *bytes.Buffer) error { return style.StepLine(b, &detail.Steps[0], now) },
			"event":      func(b *bytes.Buffer) error { return style.Event(b, &event, now) },
			"events": func(b *bytes.Buffer) error {
				return style.Events(b, []console.EventSummary{{ID: hostile, Type: hostile, Preview: hostile}}, now, true)
			},
			"functions": func(b *bytes.Buffer) error {
				return style.Functions(b, []console.Function{{Name: hostile, State: hostile, Triggers: []string{hostile}}}, now)
			},
			"tree": func(b *bytes.Buffer) error {
				return style.Tree(b, (&Node{Sign: "x", Title: hostile, Note: hostile, Text: hostile}).Add(&Node{Title: hostile}))
			},
			"text": func(b *bytes.Buffer) error { style.Wrap(b, hostile); return nil },
			"progress": func(b *bytes.Buffer) error {
				p := NewProgress(b, "event")
				p.style = Style{Width: 80}
				p.draw(1, -1, hostile)
				shown := strings.NewReplacer("\r", "", "\x1b[K", "").Replace(b.String())
				b.Reset()
				_, err := b.WriteString(shown)
				return err
			},
			"log": func(b *bytes.Buffer) error {
				h := NewLogHandler(b)
				h.style = style
				l := slog.New(h)
				l.With("function", hostile).Error("run failed", "run", hostile, "duration", time.Second, "step", hostile, "error", hostile)
				l.With(hostile, hostile).WithGroup(hostile).Warn(hostile, "error", errors.New(hostile), "k", hostile, "short", "\x1bc", hostile, 7)
				return nil
			},
		} {
			var b bytes.Buffer
			if err := show(&b); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			mustBeSafe(t, what, b.String())
		}
	}
}

// TestGuard: what goes to a terminal by another way is made safe there, though
// it comes in pieces; our colours pass.
func TestGuard(t *testing.T) {
	var b bytes.Buffer
	g := &guarded{file: &b}
	text := (Style{colour: true}).Bad("bad") + hostile + "\x1b[5m\x1b[31" + "日本\x1b[0m"
	for i := range len(text) {
		if n, err := g.Write([]byte(text[i : i+1])); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	whole := &bytes.Buffer{}
	if _, err := (&guarded{file: whole}).Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	mustBeSafe(t, "the guard", whole.String())
	mustBeSafe(t, "the guard, byte by byte", b.String())
	if !strings.Contains(whole.String(), "\x1b[31mbad\x1b[0m") || !strings.HasSuffix(whole.String(), "日本\x1b[0m") || !strings.Contains(b.String(), "日本") {
		t.Errorf("it wrote %q", whole)
	}
	if w := Guard(os.Stdin); IsTerminal(os.Stdin) != (w != os.Stdin) {
		t.Errorf("a file gets %T", w)
	}
	if behind(g) != g.file {
		t.Error("the terminal is not behind the guard")
	}
}
