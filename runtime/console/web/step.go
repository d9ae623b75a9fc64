package web

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/wildout/wildout/runtime/console/web/timeline"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// stepView is a step on the page of its run.
type stepView struct {
	Row   timeline.Row
	Gaps  []timeline.Gap
	Rules []float64 // of the axis
	Now   float64
	Open  bool
	run   *runBody
}

// newStepView makes the view of a row. The step that made the run fail is open.
func newStepView(row timeline.Row, run *runBody) *stepView {
	v := &stepView{Row: row, Gaps: run.Timeline.Gaps, Now: run.Timeline.Now, run: run}
	v.Open = run.Run.ErrorStep != "" && run.Run.ErrorStep == row.Name
	for _, t := range run.Timeline.Ticks {
		if t.X > 0 && t.X < 100 {
			v.Rules = append(v.Rules, t.X)
		}
	}
	return v
}

// Does says what the step does in a few words.
func (v *stepView) Does() string {
	verb := v.Row.Kind.Verb()
	if v.Row.OnFailure {
		verb = "on failure: " + verb
	}
	switch {
	case verb == "":
		return v.Row.Does
	case v.Row.Does == "":
		return verb
	}
	return verb + " " + v.Row.Does
}

// Took is how long the step took, beside its bar.
func (v *stepView) Took() string {
	switch {
	case v.Row.Began():
		return duration(v.Row.Length)
	case v.Row.State == run.StepSkipped:
		return "skipped"
	}
	return ""
}

// Spoken is what the bar shows, in words.
func (v *stepView) Spoken() string {
	text := stepStatus(v.Row.State).Text
	if !v.Row.Began() {
		return text
	}
	text += ", after " + duration(v.Row.Offset) + ", took "
	if v.Row.Retried() {
		text = fmt.Sprintf("%s, %d attempts, after %s, took ", stepStatus(v.Row.State).Text, v.Row.Attempts, duration(v.Row.Offset))
	}
	return text + duration(v.Row.Length)
}

// Idle says why a step has nothing to show.
func (v *stepView) Idle() string {
	switch v.Row.State {
	case run.StepSkipped:
		return "Skipped: its condition was false."
	case timeline.Never:
		return "The run ended before this step."
	}
	return "The step has not begun."
}

// fact is a line about a step.
type fact struct {
	Name, Text, Link string
	Time             *time.Time
	Code             bool
}

// Facts are what else is known of the step.
func (v *stepView) Facts() []fact {
	s := &v.Row.Step
	var all []fact
	if v.Row.Began() {
		all = append(all, fact{Name: "Started after", Text: duration(v.Row.Offset)}, fact{Name: "Took", Text: duration(v.Row.Length)})
	}
	if s.Until != nil && v.Row.State == run.StepWaiting {
		all = append(all, fact{Name: "Goes on", Time: s.Until})
	}
	if s.MaxAttempts > 1 && s.Kind == plan.KindHandler && s.Attempts > 0 {
		all = append(all, fact{Name: "Attempts", Text: fmt.Sprintf("%d of %d", s.Attempts, s.MaxAttempts)})
	}
	if s.If != "" {
		all = append(all, fact{Name: "If", Text: s.If, Code: true})
	}
	if s.Child != nil {
		all = append(all, fact{Name: "Invoked run", Text: s.Child.Function, Link: runLink(s.Child.Function, s.Child.ID)})
	}
	for _, e := range s.Sent {
		all = append(all, fact{Name: "Sent", Text: e.Type, Link: "/events/" + url.PathEscape(e.ID) + "?type=" + url.QueryEscape(e.Type)})
	}
	return all
}

// attemptView is a row of the table of attempts.
type attemptView struct {
	Number      int
	After, Took time.Duration
	Error, Text string
}

// Attempts are those of the step.
func (v *stepView) Attempts() []attemptView {
	var all []attemptView
	for _, s := range v.Row.Segments {
		if s.Attempt == 0 {
			continue
		}
		a := attemptView{Number: s.Attempt, After: s.Start.Sub(v.run.Run.StartedAt), Took: s.Duration(), Error: s.Error, Text: "Succeeded"}
		if s.Kind == timeline.Live {
			a.Text = "Running"
		}
		all = append(all, a)
	}
	return all
}

// Input is what the step was given, or what its manifest says it is given.
func (v *stepView) Input() json.RawMessage {
	if v.Row.Input != nil {
		return v.Row.Input
	}
	return v.Row.Template
}

// InputName is the heading of Input.
func (v *stepView) InputName() string {
	if v.Row.Input != nil {
		return "Input"
	}
	return "Input, as in the manifest"
}

// Output is what the step returned.
func (v *stepView) Output() json.RawMessage {
	if v.Row.State != run.StepOK && string(v.Row.Output) == "null" {
		return nil
	}
	return v.Row.Output
}
