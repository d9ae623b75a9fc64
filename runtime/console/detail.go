package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// invokeType is the type of the event that an invoked run sees.
const invokeType = "wildout/function.invoked"

// order puts the steps of a run that has not ended, of which the journal knows
// only the times, into the order of the function where those are equal.
func (f *installed) order(r *run.Record) {
	place := func(name string) int {
		for i := range f.spec.Steps {
			if f.spec.Steps[i].Name == stepOf(name) {
				return i
			}
		}
		return len(f.spec.Steps)
	}
	slices.SortStableFunc(r.Steps, func(a, b run.StepRecord) int {
		if a.Start == nil || b.Start == nil || a.Start.Equal(*b.Start) {
			return cmp.Compare(place(a.Name), place(b.Name))
		}
		return a.Start.Compare(*b.Start)
	})
}

// stepOf returns the step that a part belongs to: pack of pack[2]/weigh.
func stepOf(path string) string {
	if i := strings.IndexAny(path, "[/"); i >= 0 {
		return path[:i]
	}
	return path
}

// Run returns one run with what its function's version planned.
func (s *Service) Run(ctx context.Context, id string) (*RunDetail, error) {
	return s.run(ctx, "", id)
}

func (s *Service) run(ctx context.Context, function, id string) (*RunDetail, error) {
	record, err := s.findIn(ctx, function, id)
	if err != nil {
		return nil, err
	}
	d := &RunDetail{Record: *record, Steps: []Step{}}
	if err := s.addEvent(ctx, d); err != nil {
		return nil, err
	}
	compiled, err := s.planOf(ctx, record.Function, record.Version)
	if err != nil {
		return nil, err
	}
	if compiled == nil {
		d.Steps = Bare(record).Steps
		return d, nil
	}
	d.Planned = true
	v := newView(d, compiled)
	d.Steps = v.steps(compiled.Steps, compiled.Spec.Steps)
	if v.failed() {
		d.OnFailure = v.steps(compiled.OnFailure, compiled.Spec.OnFailure)
	}
	return d, s.addChildren(ctx, d)
}

// Bare returns a run as it is on record, without what was planned.
func Bare(record *run.Record) *RunDetail {
	d := &RunDetail{Record: *record, Steps: make([]Step, len(record.Steps))}
	for i, step := range record.Steps {
		d.Steps[i].StepRecord = step
	}
	return d
}

// Done returns the steps that have begun.
func (d *RunDetail) Done() []run.StepRecord {
	var done []run.StepRecord
	for i := range d.Steps {
		if d.Steps[i].Status != run.StepPending {
			done = append(done, d.Steps[i].StepRecord)
		}
	}
	return done
}

// addEvent looks up the event of a run, and with it the run that invoked it.
func (s *Service) addEvent(ctx context.Context, d *RunDetail) error {
	if d.Event == nil && d.EventID != "" && d.EventType != "" {
		entry, err := s.inspect.Locate(ctx, d.EventType, d.EventID)
		if err != nil {
			return err
		}
		if entry != nil {
			if e, err := entry.Event(); err == nil {
				d.Event = &e
			}
		}
	}
	d.EventGone = d.Event == nil && d.EventType != ""
	if e := d.Event; e != nil && e.Type == invokeType && e.Subject != "" {
		d.Parent = &RunRef{Function: strings.TrimPrefix(e.Source, "wildout:"), ID: e.Subject}
	}
	return nil
}

// planOf returns a version of a function, compiled; nil when it is not stored
// any more. A run whose version is not known yet has the installed one.
func (s *Service) planOf(ctx context.Context, function, version string) (*plan.Plan, error) {
	if version == "" {
		versions, err := s.inspect.Functions(ctx)
		if err != nil {
			return nil, err
		}
		version = versions[function]
	}
	if p := s.compiled.get(function, version); p != nil {
		return p, nil
	}
	texts, err := s.inspect.PlanTexts(ctx, map[string]string{function: version})
	if err != nil || texts[function] == "" {
		return nil, err
	}
	p, err := compile(function, texts[function])
	if err != nil {
		// A later release may refuse what an earlier one took: show the run
		// without its plan.
		s.log.Warn("a stored version of a function cannot be compiled", "function", function, "version", version, "error", err)
		return nil, nil
	}
	s.compiled.put(function, version, p)
	return p, nil
}

// searchChild is how many runs of a history are looked through for the run
// that a step invoked.
const searchChild = 2000

// addChildren links the invoke steps to the runs that they started.
func (s *Service) addChildren(ctx context.Context, d *RunDetail) error {
	for _, steps := range [][]Step{d.Steps, d.OnFailure} {
		function := ""
		for i := range steps {
			step := &steps[i]
			if step.Kind != "" {
				function = ""
				if step.Kind == plan.KindInvoke {
					function = step.Does
				}
			}
			if function == "" || step.ForEach || step.Start == nil {
				continue
			}
			id, err := s.childOf(ctx, d, step, function)
			if err != nil {
				return err
			}
			if id != "" {
				step.Child = &RunRef{Function: function, ID: id}
			}
		}
	}
	return nil
}

// childOf returns the id of the run that a step invoked. The journal of an open
// run has it; after its end the child is found in the history, where it ended
// when the step did: its id is made of the step and of the time in it.
func (s *Service) childOf(ctx context.Context, d *RunDetail, step *Step, function string) (string, error) {
	if d.EndedAt == nil {
		return s.inspect.Child(ctx, d.Function, d.ID, step.Name)
	}
	end := step.Start.Add(time.Duration(step.Millis)*time.Millisecond - time.Second)
	child, err := s.inspect.SearchEnded(ctx, &inspect.HistorySearch{
		Functions: []string{function}, From: strconv.FormatInt(max(0, end.UnixMilli()), 10), Most: searchChild,
		Fits: func(text string) bool {
			id := idIn(text)
			at, ok := event.IDTime(id)
			return ok && event.DerivedID(at, function, d.ID, step.Name) == id
		},
	})
	if child == nil || err != nil {
		return "", err
	}
	return child.ID, nil
}

// idIn returns the run id at the beginning of a history entry.
func idIn(text string) string {
	rest, ok := strings.CutPrefix(text, `{"i":"`)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}
