package term

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/store"
)

// status returns the sign and the colour of a state of a run or of a step.
func (s Style) status(state string) (sign string, paint func(string) string) {
	switch state {
	case string(store.Succeeded), "ok":
		return "✓", s.Good
	case string(store.Failed), string(store.Rejected):
		return "✗", s.Bad
	case string(store.Running), string(store.Waiting), string(console.Queued):
		return "…", s.Busy
	}
	return "–", s.Dim
}

// Run writes a run with its steps.
func (s Style) Run(w io.Writer, r *store.Record, now time.Time) error {
	sign, paint := s.status(string(r.Status))
	fmt.Fprintf(w, "%s %s  %s  %s\n", paint(sign), s.Bold(r.Function), paint(summary(r, now)), s.Dim(r.ID))
	steps := Table{Indent: "    "}
	for i := range r.Steps {
		step := r.Steps[i]
		if step.Error == r.Error {
			step.Error = "" // it is shown below, in full
		}
		steps.Row(s.step(&step)...)
	}
	if err := steps.Write(w); err != nil {
		return err
	}
	if r.Error != "" {
		message := r.Error
		if r.ErrorStep != "" && !strings.HasPrefix(message, r.ErrorStep) {
			message = r.ErrorStep + ": " + message
		}
		fmt.Fprintln(w, "    "+s.Bad(indent(4, message)))
	}
	if len(r.Output) > 0 && string(r.Output) != "null" {
		fmt.Fprintln(w, "    "+s.Dim("output ")+clip(string(r.Output), 160))
	}
	return nil
}

func (s Style) step(step *store.RecordStep) []Cell {
	sign, paint := s.status(step.Status)
	took, notes := took(step), ""
	if step.Attempts > 1 {
		notes = fmt.Sprintf("%d attempts", step.Attempts)
	}
	if step.Error != "" {
		notes = strings.TrimPrefix(notes+", "+clip(step.Error, 100), ", ")
	}
	return []Cell{{sign, paint}, {step.Name, nil}, {step.Status, paint}, {took, nil}, {notes, s.Dim}}
}

// took is how long the last attempt of a step took, "" when it had none.
func took(step *store.RecordStep) string {
	if step.Status != "ok" && step.Status != string(store.Failed) {
		return ""
	}
	return Duration(time.Duration(step.Millis) * time.Millisecond)
}

// lineWidth is where lists of steps are broken.
const lineWidth = 100

// RunBrief writes a run in two or three lines: its outcome, and its steps with
// how long each took.
func (s Style) RunBrief(w io.Writer, r *store.Record, now time.Time) {
	sign, paint := s.status(string(r.Status))
	fmt.Fprintf(w, "  %s %-26s  %s\n", paint(sign), r.Function, paint(summary(r, now)))
	const margin = "      "
	line, width := margin, len(margin)
	for i := range r.Steps {
		step := &r.Steps[i]
		text := strings.TrimSpace(step.Name + " " + took(step))
		if step.Status == string(store.Waiting) || step.Status == "skipped" {
			text += " " + step.Status
		}
		if i > 0 {
			line += " · "
			width += 3
		}
		if n := utf8.RuneCountInString(text); width+n > lineWidth {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line, width = margin, len(margin)+n
		} else {
			width += n
		}
		switch step.Status {
		case "ok":
			line += text
		case string(store.Failed):
			line += s.Bad(text)
		case string(store.Waiting):
			line += s.Busy(text)
		default:
			line += s.Dim(text)
		}
	}
	if len(r.Steps) > 0 {
		fmt.Fprintln(w, line)
	}
	if r.Error != "" {
		fmt.Fprintln(w, margin+s.Bad(clip(r.Error, 200)))
	}
}

// summary says in a few words where a run is.
func summary(r *store.Record, now time.Time) string {
	switch r.Status {
	case store.Succeeded, store.Failed, store.Rejected:
		if r.Follows != "" {
			return fmt.Sprintf("%s: the outcome of %s, which has the same idempotency key", r.Status, r.Follows)
		}
		return fmt.Sprintf("%s in %s", r.Status, Duration(r.EndedAt.Sub(r.StartedAt)))
	case store.Waiting:
		if r.WaitsFor != nil {
			return "waiting until " + Until(*r.WaitsFor, now)
		}
	case console.Queued:
		return "queued: no runner has read the event yet"
	case console.Filtered:
		return "not started (trigger's `if`, idempotency key or rate limit)"
	}
	return string(r.Status)
}

// Runs writes a table of runs.
func (s Style) Runs(w io.Writer, runs []store.Record, now time.Time) error {
	var t Table
	t.Row(Cell{"RUN", s.Dim}, Cell{"FUNCTION", s.Dim}, Cell{"STATUS", s.Dim}, Cell{"EVENT", s.Dim}, Cell{"STARTED", s.Dim}, Cell{"TOOK", s.Dim}, Cell{"", nil})
	for i := range runs {
		r := &runs[i]
		_, paint := s.status(string(r.Status))
		took, note := "", r.Error
		if r.EndedAt != nil {
			took = Duration(r.EndedAt.Sub(r.StartedAt))
		}
		if r.WaitsFor != nil {
			note = "until " + Until(*r.WaitsFor, now)
		}
		t.Row(Cell{r.ID, nil}, Cell{r.Function, nil}, Cell{string(r.Status), paint}, Cell{r.EventType, nil},
			Cell{Ago(r.StartedAt, now), nil}, Cell{took, nil}, Cell{clip(note, 80), s.Dim})
	}
	return t.Write(w)
}

// Duration writes a length of time with two or three digits: <1ms, 34ms, 1.2s, 3m20s.
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int((d+time.Hour)/(24*time.Hour)))
}

// Ago says how long ago something was.
func Ago(t, now time.Time) string {
	if d := now.Sub(t).Truncate(time.Second); d > 0 {
		return Duration(d) + " ago"
	}
	return "just now"
}

// Until says when something will be: the time of day, the date if it is not
// today, and how far off that is.
func Until(t, now time.Time) string {
	layout := "15:04:05"
	if t.Sub(now) > 20*time.Hour {
		layout = "Mon 2 Jan 15:04"
	}
	return fmt.Sprintf("%s (in %s)", t.Local().Format(layout), Duration(max(0, t.Sub(now))))
}

// clip makes a text one line of at most n characters.
func clip(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

// indent keeps the lines of a text under its first, which is behind a margin.
func indent(margin int, text string) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", margin))
}
