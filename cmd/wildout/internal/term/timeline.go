package term

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// Detail says how much of a run is shown.
type Detail bool

// Brief shows what became of each step, Full its input, output and attempts too.
const (
	Brief Detail = false
	Full  Detail = true
)

// Run writes a run with its steps.
func (s Style) Run(w io.Writer, r *console.RunDetail, now time.Time, detail Detail) error {
	sign, paint := s.status(r.Status)
	function, id, state := oneLine(r.Function), oneLine(r.ID), oneLine(summary(&r.Record, now))
	head := fmt.Sprintf("%s %s  %s", paint(sign), s.Bold(function), paint(state))
	if s.Width > 0 && width(sign+function+state+id)+6 > s.Width {
		fmt.Fprintf(w, "%s\n  %s\n", head, s.Dim(id))
	} else {
		fmt.Fprintf(w, "%s  %s\n", head, s.Dim(id))
	}
	for _, line := range origins(r, now) {
		s.para(w, 2, s.Dim, line)
	}
	if detail == Full && r.Event != nil {
		s.para(w, 2, s.Dim, "event data "+string(r.Event.Data))
	}
	if err := s.steps(w, r, r.Steps, now, detail); err != nil {
		return err
	}
	if len(r.OnFailure) > 0 {
		fmt.Fprintln(w, "  "+s.Dim("on failure"))
		if err := s.steps(w, r, r.OnFailure, now, detail); err != nil {
			return err
		}
	}
	if r.Error != "" {
		message := r.Error
		if r.ErrorStep != "" && !strings.HasPrefix(message, r.ErrorStep) {
			message = r.ErrorStep + ": " + message
		}
		s.para(w, 4, s.Bad, message)
	}
	if len(r.Output) > 0 && string(r.Output) != "null" {
		output := string(r.Output)
		if detail == Brief {
			output = clip(output, 160)
		}
		s.para(w, 4, nil, "output "+output)
	}
	return nil
}

// origins says where a run comes from.
func origins(r *console.RunDetail, now time.Time) (lines []string) {
	if r.EventType != "" {
		line := "event " + r.EventType + " " + r.EventID
		if r.EventGone {
			line += " (it has left its stream)"
		}
		lines = append(lines, line)
	}
	if !r.StartedAt.IsZero() && r.Status != console.Queued {
		line := "started " + Moment(r.StartedAt, now)
		if r.Version != "" {
			line += ", version " + r.Version
		}
		lines = append(lines, line)
	}
	if p := r.Parent; p != nil {
		lines = append(lines, "invoked by "+p.Function+" "+p.ID)
	}
	if r.ReplayOf != "" {
		lines = append(lines, "replay of "+r.ReplayOf)
	}
	return lines
}

// steps writes a table of steps, with a bar for each where there is room.
func (s Style) steps(w io.Writer, r *console.RunDetail, steps []console.Step, now time.Time, detail Detail) error {
	axis := newAxis(r, s, now)
	t := Table{Indent: "    ", Width: s.Width, Drop: []int{4, 2}, Shrink: 1}
	if axis.width > 0 {
		t.Drop = []int{5, 4, 2}
	}
	for i := range steps {
		step := steps[i]
		if step.Error == r.Error {
			step.Error = "" // it is shown below, in full
		}
		sign, paint := s.stepStatus(step.Status)
		name := step.Name
		if strings.ContainsAny(name, "[/") {
			name = "  " + name
		}
		cells := []Cell{{sign, paint}, {name, nil}, {string(step.Status), paint}, {took(&step.StepRecord), nil}}
		if axis.width > 0 {
			cells = append(cells, Cell{axis.bar(&step), paint})
		}
		t.Row(append(cells, Cell{notes(&step, now), s.Dim})...)
		if detail == Full {
			if err := t.Write(w); err != nil {
				return err
			}
			t.rows = nil
			s.detail(w, &step)
		}
	}
	return t.Write(w)
}

// StepLine writes a step in one line, with the time at which it was looked at.
func (s Style) StepLine(w io.Writer, step *console.Step, now time.Time) error {
	sign, paint := s.stepStatus(step.Status)
	t := Table{Width: s.Width, Shrink: 2}
	t.Row(Cell{now.Local().Format("15:04:05"), s.Dim}, Cell{sign, paint}, Cell{pad(step.Name, 24), nil}, Cell{pad(string(step.Status), 8), paint},
		Cell{pad(took(&step.StepRecord), 5), nil}, Cell{notes(step, now), s.Dim})
	return t.Write(w)
}

// notes says in a few words what there is to say of a step.
func notes(step *console.Step, now time.Time) string {
	var parts []string
	if step.Kind != "" && step.Kind != plan.KindHandler && step.Status != run.StepOK {
		parts = append(parts, strings.TrimSpace(string(step.Kind)+" "+step.Does))
	}
	if step.Until != nil && step.Status == run.StepWaiting {
		parts = append(parts, "until "+Until(*step.Until, now))
	}
	if step.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", step.Attempts))
	}
	if step.Error != "" {
		parts = append(parts, clip(step.Error, 100))
	}
	if step.Child != nil {
		parts = append(parts, "run "+step.Child.ID)
	}
	return strings.Join(parts, ", ")
}

// detail writes what a step was given, what it gave, and its failed attempts.
func (s Style) detail(w io.Writer, step *console.Step) {
	const margin = 8
	if step.Kind != "" && step.Does != "" {
		s.para(w, margin, s.Dim, string(step.Kind)+" "+step.Does)
	}
	if len(step.Needs) > 0 {
		s.para(w, margin, s.Dim, "after "+strings.Join(step.Needs, ", "))
	}
	switch {
	case len(step.Input) > 0:
		s.para(w, margin, nil, "input "+string(step.Input))
	case len(step.Template) > 0 && !step.Kind.Pure():
		s.para(w, margin, s.Dim, "input (as in the manifest) "+string(step.Template))
	}
	if len(step.Output) > 0 && string(step.Output) != "null" {
		s.para(w, margin, nil, "output "+string(step.Output))
	}
	for i, try := range step.Tries {
		s.para(w, margin, s.Bad, fmt.Sprintf("attempt %d, %s: %s", step.Attempts-len(step.Tries)+i+1, Duration(time.Duration(try.Millis)*time.Millisecond), try.Error))
	}
	for _, e := range step.Sent {
		s.para(w, margin, s.Dim, "sent "+e.Type+" "+e.ID)
	}
}

// Wrap writes a text, broken where the terminal ends.
func (s Style) Wrap(w io.Writer, text string) { s.para(w, 0, nil, text) }

// para writes a text behind a margin, broken where the terminal ends.
func (s Style) para(w io.Writer, margin int, paint func(string) string, text string) {
	room := 0
	if s.Width > 0 {
		room = max(20, s.Width-margin)
	}
	for line := range strings.Lines(Safe(text)) {
		for _, part := range broken(strings.TrimRight(line, "\n"), room) {
			if paint != nil {
				part = paint(part)
			}
			fmt.Fprintln(w, strings.Repeat(" ", margin)+part)
		}
	}
}

// axis places times on a line of characters.
type axis struct {
	from  time.Time
	span  time.Duration
	width int // 0: there is no room
	now   time.Time
}

const (
	axisWidth   = 32
	axisMinimum = 90 // characters of a line, below which there are no bars
)

func newAxis(r *console.RunDetail, s Style, now time.Time) axis {
	a := axis{from: r.StartedAt, now: now}
	end := now
	if r.EndedAt != nil {
		end = *r.EndedAt
	}
	a.span = max(end.Sub(r.StartedAt), time.Millisecond)
	if s.Width >= axisMinimum {
		a.width = min(axisWidth, s.Width/4)
	}
	return a
}

// bar shows when a step was at work: ━ work, ─ a wait.
func (a axis) bar(step *console.Step) string {
	if a.width == 0 || step.Start == nil || step.Status == run.StepPending || step.Status == run.StepSkipped {
		return ""
	}
	from, length := step.Start.Sub(a.from), time.Duration(step.Millis)*time.Millisecond
	if len(step.Tries) > 0 { // the attempts before count, with the pauses between
		first := step.Tries[0].Start.Sub(a.from)
		length, from = from+length-first, first
	}
	if step.Status == run.StepWaiting || step.Status == run.StepRunning {
		length = a.now.Sub(a.from) - from
	}
	place := func(d time.Duration) int {
		return int(min(max(d, 0), a.span) * time.Duration(a.width) / a.span)
	}
	begin := min(place(from), a.width-1)
	n := max(1, place(from+length)-begin)
	sign := "━"
	if step.Kind.Waits() || step.Status == run.StepWaiting {
		sign = "─"
	}
	return strings.Repeat(" ", begin) + strings.Repeat(sign, n)
}
