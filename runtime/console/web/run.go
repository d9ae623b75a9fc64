package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/console/web/timeline"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// runBody is the page of one run.
type runBody struct {
	Run       *console.RunDetail
	Timeline  *timeline.Timeline
	Now       time.Time
	MayReplay bool
	MayCancel bool
	// Ask is the question that is open: replay or cancel.
	Ask  string
	Note *note
}

// note is a box above the facts.
type note struct{ Class, Title, Text, TextClass, Step string }

// Link is the address of the page.
func (b *runBody) Link() string { return runLink(b.Run.Function, b.Run.ID) }

func runLink(function, id string) string {
	return "/runs/" + url.PathEscape(id) + "?function=" + url.QueryEscape(function)
}

// EventLink is the page of the event that started the run, if it was one.
func (b *runBody) EventLink() string {
	if b.Run.EventID == "" || b.Run.EventGone || b.Run.Parent != nil {
		return ""
	}
	return "/events/" + url.PathEscape(b.Run.EventID) + "?type=" + url.QueryEscape(b.Run.EventType)
}

// Elapsed is how long the run took, or has been there.
func (b *runBody) Elapsed() time.Duration {
	if b.Run.EndedAt != nil {
		return b.Run.EndedAt.Sub(b.Run.StartedAt)
	}
	return max(0, b.Now.Sub(b.Run.StartedAt))
}

// Data is that of the event.
func (b *runBody) Data() json.RawMessage {
	if b.Run.Event == nil {
		return nil
	}
	return b.Run.Event.Data
}

// Children are the runs that steps invoked.
func (b *runBody) Children() []console.RunRef {
	var all []console.RunRef
	for _, list := range [][]console.Step{b.Run.Steps, b.Run.OnFailure} {
		for i := range list {
			if child := list[i].Child; child != nil {
				ref := *child
				ref.Step = list[i].Name
				all = append(all, ref)
			}
		}
	}
	const most = 8 // the steps have them all
	return all[:min(most, len(all))]
}

// NoSteps stands in place of the steps.
func (*runBody) NoSteps() emptyState { return noSteps }

func (s *Site) loadRun(ctx context.Context, id string, user *User) (*runBody, error) {
	record, err := s.source.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	b := &runBody{Run: record, Now: time.Now()}
	b.Timeline = timeline.Build(record, b.Now)
	acts := user != nil && user.Acts
	ended := record.EndedAt != nil
	b.MayReplay = acts && (record.Status != run.Rejected || record.Event != nil)
	b.MayCancel = acts && !ended && record.CancelAsked == nil
	b.Note = noteOf(record, b.Now)
	return b, nil
}

func noteOf(record *console.RunDetail, now time.Time) *note {
	switch {
	case record.Status == run.Failed:
		return &note{"bad", "The run failed", record.Error, "error-text mono", record.ErrorStep}
	case record.Status == run.Rejected && record.Event != nil:
		return &note{"bad", "The event was rejected: there was no run. When the manifest is mended, it can be replayed", record.Error, "error-text mono", ""}
	case record.Status == run.Rejected:
		return &note{"bad", "The stream entry was no event: there was no run", record.Error, "error-text mono", ""}
	case record.Status == run.Cancelled:
		return &note{"", "The run was cancelled", record.Error, "", ""}
	case record.CancelAsked != nil:
		return &note{"hold", "The run is being cancelled", "It ends as soon as its runner has noticed.", "", ""}
	case record.Status == run.Waiting && record.Error != "":
		return &note{"hold", "The run waits for code that no runner has", record.Error +
			". Deploy an image that has it, such as the one before, and the run goes on; or cancel it.", "", ""}
	case record.Status == run.Waiting:
		title, text := waitingNote(record, now)
		return &note{"hold", title, text, "dim", ""}
	}
	return nil
}

// waitingNote says what a run waits for, and until when.
func waitingNote(record *console.RunDetail, now time.Time) (title, text string) {
	const kept = "Nothing is at work meanwhile; what the run has so far is kept."
	var step *console.Step
	for i := range record.Steps {
		if s := &record.Steps[i]; s.Status == run.StepWaiting && (step == nil || s.Until != nil && (step.Until == nil || s.Until.Before(*step.Until))) {
			step = s
		}
	}
	if step == nil {
		return "The run waits for its turn", kept
	}
	due := ""
	if step.Until != nil {
		due = ago(*step.Until, now)
	}
	switch {
	case step.Kind == plan.KindSleep && due != "":
		return "Sleeps; goes on " + due, kept
	case step.Kind == plan.KindWaitForEvent:
		if due != "" {
			return "Waits for " + step.Does, "Gives up " + due + ". " + kept
		}
		return "Waits for " + step.Does, kept
	case step.Kind == plan.KindInvoke:
		return "Waits for the run that " + step.Name + " invoked", kept
	case step.Error != "" && due != "":
		return fmt.Sprintf("%s failed %s; the next attempt is %s", step.Name, times(max(1, step.Attempts)), due), step.Error
	case due != "":
		return "Waits in " + step.Name + "; goes on " + due, kept
	}
	return "Waits in " + step.Name, kept
}

// times writes how often something happened.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (s *Site) run(r *request) error {
	body, err := s.loadRun(r.Context(), r.PathValue("id"), r.user)
	if err != nil {
		return err
	}
	body.Ask = r.FormValue("ask")
	return s.show(r, "run", body.Run.Function+" "+string(body.Run.Status), liveAddress("run", url.Values{"id": {body.Run.ID}}), body)
}

func (s *Site) replay(r *request) error {
	if err := r.mayAct(); err != nil {
		return err
	}
	id, err := s.source.Replay(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	http.Redirect(r.w, r.Request, runLink(r.FormValue("function"), id), http.StatusSeeOther)
	return nil
}

func (s *Site) cancel(r *request) error {
	if err := r.mayAct(); err != nil {
		return err
	}
	id, reason := r.PathValue("id"), strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" {
		reason = "cancelled in the console"
	}
	if r.user.Name != "" {
		reason += " (" + r.user.Name + ")"
	}
	if err := s.source.Cancel(r.Context(), id, clip(reason, 500)); err != nil {
		return err
	}
	http.Redirect(r.w, r.Request, runLink(r.FormValue("function"), id), http.StatusSeeOther)
	return nil
}
