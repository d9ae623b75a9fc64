package term

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/strictjson"
)

// status returns the sign and the colour of a state of a run.
func (s Style) status(state run.Status) (sign string, paint func(string) string) {
	switch state {
	case run.Succeeded:
		return "✓", s.Good
	case run.Failed, run.Rejected:
		return "✗", s.Bad
	case run.Queued, run.Running, run.Waiting:
		return "…", s.Busy
	case run.Cancelled:
		return "⊘", s.Dim
	}
	return "–", s.Dim
}

// stepStatus returns the sign and the colour of a state of a step.
func (s Style) stepStatus(state run.StepStatus) (sign string, paint func(string) string) {
	switch state {
	case run.StepOK:
		return "✓", s.Good
	case run.StepFailed:
		return "✗", s.Bad
	case run.StepRunning, run.StepWaiting:
		return "…", s.Busy
	case run.StepCancelled:
		return "⊘", s.Dim
	}
	return "–", s.Dim
}

// took is how long the last attempt of a step took, "" when it had none.
func took(step *run.StepRecord) string {
	if step.Status != run.StepOK && step.Status != run.StepFailed {
		return ""
	}
	return Duration(time.Duration(step.Millis) * time.Millisecond)
}

// lineWidth is where lists of steps are broken.
const lineWidth = 100

// RunBrief writes a run in two or three lines: its outcome, and its steps with
// how long each took.
func (s Style) RunBrief(w io.Writer, r *run.Record, now time.Time) {
	sign, paint := s.status(r.Status)
	fmt.Fprintf(w, "  %s %s  %s\n", paint(sign), pad(oneLine(r.Function), 26), paint(oneLine(summary(r, now))))
	const margin = "      "
	line, used := margin, len(margin)
	for i := range r.Steps {
		step := &r.Steps[i]
		text := strings.TrimSpace(oneLine(step.Name) + " " + took(step))
		if step.Status == run.StepWaiting || step.Status == run.StepSkipped {
			text += " " + string(step.Status)
		}
		if i > 0 {
			line += " · "
			used += 3
		}
		if n := width(text); used+n > lineWidth {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line, used = margin, len(margin)+n
		} else {
			used += n
		}
		switch step.Status {
		case run.StepOK:
			line += text
		case run.StepFailed:
			line += s.Bad(text)
		case run.StepWaiting:
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
func summary(r *run.Record, now time.Time) string {
	switch r.Status {
	case run.Succeeded, run.Failed, run.Rejected, run.Cancelled:
		if r.Follows != "" {
			return fmt.Sprintf("%s: the outcome of %s, which has the same idempotency key", r.Status, r.Follows)
		}
		if r.EndedAt == nil {
			return string(r.Status)
		}
		if r.Status == run.Cancelled {
			return "cancelled after " + Duration(r.EndedAt.Sub(r.StartedAt))
		}
		return fmt.Sprintf("%s in %s", r.Status, Duration(r.EndedAt.Sub(r.StartedAt)))
	case run.Waiting:
		if r.Error != "" {
			return "waiting, " + r.Error
		}
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
func (s Style) Runs(w io.Writer, runs []run.Record, now time.Time) error {
	t := Table{Width: s.Width, Drop: []int{6, 3, 5, 4}, Shrink: 1}
	t.Header(s, "RUN", "FUNCTION", "STATUS", "EVENT", "STARTED", "TOOK", "")
	for i := range runs {
		r := &runs[i]
		_, paint := s.status(r.Status)
		took, note := "", r.Error
		if r.EndedAt != nil {
			took = Duration(r.EndedAt.Sub(r.StartedAt))
		}
		if r.WaitsFor != nil && r.Error == "" {
			note = "until " + Until(*r.WaitsFor, now)
		}
		t.Row(Cell{r.ID, nil}, Cell{r.Function, nil}, Cell{string(r.Status), paint}, Cell{r.EventType, nil},
			Cell{Ago(r.StartedAt, now), nil}, Cell{took, nil}, Cell{clip(note, 80), s.Dim})
	}
	return t.Write(w)
}

// RunLine writes a run in one line, with the time at which it came to its state.
func (s Style) RunLine(w io.Writer, r *run.Record, now time.Time) error {
	sign, paint := s.status(r.Status)
	at := now
	if r.EndedAt != nil {
		at = *r.EndedAt
	}
	t := Table{Width: s.Width, Shrink: 2}
	t.Row(Cell{at.Local().Format("15:04:05"), s.Dim}, Cell{sign, paint}, Cell{pad(r.Function, 26), nil}, Cell{r.ID, s.Dim},
		Cell{summary(r, now), paint})
	return t.Write(w)
}

// Events writes a table of events, the data cut to what there is room for.
func (s Style) Events(w io.Writer, events []console.EventSummary, now time.Time, header bool) error {
	t := Table{Width: s.Width, Drop: []int{4, 3}, Shrink: 1}
	if header {
		t.Header(s, "TIME", "TYPE", "ID", "SIZE", "DATA")
	}
	for i := range events {
		e := &events[i]
		text := pad(e.Type, 18)
		t.Row(Cell{clock(e.Time, now), s.Dim}, Cell{text, nil}, Cell{pad(e.ID, 26), nil}, Cell{pad(Bytes(e.Bytes), 5), nil}, Cell{clip(e.Preview, 100), s.Dim})
	}
	return t.Write(w)
}

// clock is the time of day, with the date if it is not of the last hours.
func clock(t, now time.Time) string {
	if now.Sub(t) > 20*time.Hour {
		return t.Local().Format("2 Jan 15:04")
	}
	return t.Local().Format("15:04:05")
}

// Moment says when something was, and how long ago.
func Moment(t, now time.Time) string {
	return fmt.Sprintf("%s (%s)", clock(t, now), Ago(t, now))
}

// Bytes writes a size with two or three digits: 340B, 1.2K, 5M.
func Bytes(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%dB", n)
	case n < 10<<10:
		return fmt.Sprintf("%.1fK", float64(n)/(1<<10))
	case n < 1<<20:
		return fmt.Sprintf("%dK", n>>10)
	}
	return fmt.Sprintf("%.1fM", float64(n)/(1<<20))
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
	switch d := now.Sub(t).Truncate(time.Second); {
	case d <= 0:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%.0fs ago", d.Seconds())
	default:
		return Duration(d) + " ago"
	}
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

// clip makes a text one line of at most n cells.
func clip(text string, n int) string {
	text = Safe(strings.Join(strings.Fields(text), " "))
	return cut(text, n)
}

// indent keeps the lines of a text under its first, which is behind a margin.
func indent(margin int, text string) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", margin))
}

// Functions writes a table of functions.
func (s Style) Functions(w io.Writer, all []console.Function, now time.Time) error {
	t := Table{Width: s.Width, Drop: []int{10, 2, 5, 6, 9, 4, 8, 3}, Shrink: 0}
	t.Header(s, "FUNCTION", "STATE", "RUNNERS", "BACKLOG", "IN FLIGHT", "WAITING", "SUCCEEDED", "FAILED", "PER MIN", "LAST RUN", "TRIGGERS")
	for i := range all {
		f := &all[i]
		paint := s.Good
		switch f.State {
		case console.Down, console.Failing:
			paint = s.Bad
		case console.Busy, console.Suspended:
			paint = s.Busy
		case console.Idle:
		}
		failed := Cell{Count(int(f.Failed)), nil}
		if f.Recent.Failed > 0 {
			failed.Paint = s.Bad
		}
		last := ""
		if f.LastRun != nil {
			last = Ago(*f.LastRun, now)
		}
		t.Row(Cell{f.Name, nil}, Cell{string(f.State), paint}, Cell{Count(int(f.Runners)), nil}, Cell{Count(int(f.Backlog())), nil}, Cell{Count(int(f.Pending)), nil},
			Cell{Count(int(f.Waiting)), nil}, Cell{Count(int(f.Succeeded)), nil}, failed, Cell{fmt.Sprint(f.Recent.PerMinute), nil}, Cell{last, s.Dim},
			Cell{strings.Join(f.Triggers, ", "), s.Dim})
	}
	return t.Write(w)
}

// Count writes a number with commas: 12,345.
func Count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Event writes an event with its data and the runs that it started.
func (s Style) Event(w io.Writer, e *console.EventDetail, now time.Time) error {
	fmt.Fprintf(w, "%s  %s\n", s.Bold(oneLine(e.Event.Type)), s.Dim(oneLine(e.Event.ID)))
	s.para(w, 2, s.Dim, "published "+Moment(e.Event.Time, now))
	for _, line := range []struct{ name, text string }{{"source ", e.Event.Source}, {"subject ", e.Event.Subject}, {"traceparent ", e.Event.TraceParent}} {
		if line.text != "" {
			s.para(w, 2, s.Dim, line.name+line.text)
		}
	}
	data, err := strictjson.Show(e.Event.Data, "  ")
	if err != nil {
		data = e.Event.Data
	}
	s.para(w, 2, nil, string(data))
	if len(e.Runs) == 0 {
		_, err := fmt.Fprintln(w, "  "+s.Dim("no function listens to this type"))
		return err
	}
	t := Table{Indent: "  ", Width: s.Width, Drop: []int{2}, Shrink: 1}
	for i := range e.Runs {
		r := &e.Runs[i]
		sign, paint := s.status(r.Status)
		t.Row(Cell{sign, paint}, Cell{r.Function, nil}, Cell{r.ID, s.Dim}, Cell{summary(r, now), paint})
	}
	return t.Write(w)
}
