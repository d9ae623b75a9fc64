package console

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// compile makes a plan of a stored version.
func compile(function, text string) (*plan.Plan, error) {
	return plan.CompileStored(function, text)
}

// maxCompiled bounds the compiled versions that are kept.
const maxCompiled = 64

// compiledCache keeps compiled versions, which never change.
type compiledCache struct {
	mu    sync.Mutex
	known map[string]*plan.Plan
}

func (c *compiledCache) get(function, version string) *plan.Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[function+" "+version]
}

func (c *compiledCache) put(function, version string, p *plan.Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCompiled {
		c.known = map[string]*plan.Plan{}
	}
	c.known[function+" "+version] = p
}

// view joins what a run did with what its plan says.
type view struct {
	run   *RunDetail
	scope plan.Scope
	// ran has the steps of the record by name, parts those of their parts.
	ran     map[string]run.StepRecord
	parts   map[string][]run.StepRecord
	planned map[string]*plan.Step
	// gap is set when an expression reads something that is not kept.
	gap bool
	now time.Time
}

func newView(d *RunDetail, p *plan.Plan) *view {
	v := &view{run: d, ran: map[string]run.StepRecord{}, parts: map[string][]run.StepRecord{}, planned: map[string]*plan.Step{}, now: time.Now()}
	for _, step := range slices.Concat(p.Steps, p.OnFailure) {
		v.planned[step.Name] = step
	}
	for _, step := range d.Record.Steps {
		if name := stepOf(step.Name); name != step.Name {
			v.parts[name] = append(v.parts[name], step)
		} else {
			v.ran[name] = step
		}
	}
	v.scope = plan.Scope{Event: d.Event, Run: plan.RunVar{ID: d.ID, Function: p.Function, Attempt: 1, StartedAt: d.StartedAt}, Step: v.stepVar}
	if d.ErrorStep != "" || d.Error != "" {
		v.scope.Error = &plan.ErrorVar{Message: d.Error, Step: d.ErrorStep, Attempts: v.ran[d.ErrorStep].Attempts}
	}
	return v
}

// stepVar is what expressions see of a step.
func (v *view) stepVar(name string) (plan.StepVar, bool) {
	step, there := v.ran[name]
	if !there || !step.Status.Ended() || step.OutputBytes > 0 {
		v.gap = true
		return plan.StepVar{}, false
	}
	output := step.Output
	if len(output) == 0 {
		output = json.RawMessage("null")
	}
	found := plan.StepVar{Output: output, Error: step.Error, Attempts: step.Attempts}
	switch p := v.planned[name]; {
	case p == nil:
	case p.ForEach != nil:
		found.Error = run.ParseFailedElements(step.Error).Error
		found.Elements = func() []plan.Element { return v.elements(p) }
	default:
		found.TimedOut = step.Status == run.StepOK && p.Action.Kind().TimedOut(step.Error, output)
	}
	return found, true
}

// elements are those of a forEach, where all of them are told.
func (v *view) elements(p *plan.Step) []plan.Element {
	scope := v.scope
	items, err := p.ForEach.List(&scope)
	if err != nil {
		v.gap = true
		return nil
	}
	all := make([]plan.Element, len(items))
	told := 0
	for _, part := range v.parts[p.Name] {
		i, isElement := elementOf(p.Name, part.Name)
		if !isElement || i >= len(all) || !part.Status.Ended() || part.OutputBytes > 0 {
			continue
		}
		all[i] = plan.Element{Index: i, Item: slices.Clone(items[i]), Output: part.Output, Error: part.Error}
		told++
	}
	v.gap = v.gap || told < len(all)
	return all
}

// failed says whether the onFailure steps are of interest.
func (v *view) failed() bool { return v.run.Status == run.Failed || v.scope.Error != nil }

// evaluate returns a value of the plan; nil when it cannot be told any more:
// the event or an output is not kept, or it reads the settings of the runner.
func (v *view) evaluate(value *plan.Value) json.RawMessage {
	if value == nil || v.run.Event == nil {
		return nil
	}
	v.gap = false
	out, err := value.JSON(&v.scope)
	if err != nil || v.gap {
		return nil
	}
	return slices.Clone(out)
}

// input returns what a step is given. That of a pure one is its output.
func (v *view) input(p *plan.Step) json.RawMessage {
	if p.Action.Kind().Pure() {
		return nil
	}
	return v.evaluate(p.Action.Input())
}

// steps returns a list of steps with what came of them, in the order of the
// manifest, each followed by its parts.
func (v *view) steps(planned []*plan.Step, specs []v1alpha1.Step) []Step {
	all := make([]Step, 0, len(planned))
	for i, p := range planned {
		step := v.step(planned, p, &specs[i])
		all = append(all, step)
		var items []json.RawMessage
		if p.ForEach != nil && v.run.Event != nil {
			v.gap = false
			if items, _ = p.ForEach.List(&v.scope); v.gap {
				items = nil
			}
		}
		for _, part := range v.parts[p.Name] {
			all = append(all, v.part(p, part, items))
		}
	}
	return all
}

func (v *view) step(planned []*plan.Step, p *plan.Step, spec *v1alpha1.Step) Step {
	step := Step{MaxAttempts: p.Retry.MaxAttempts, If: string(spec.If), ForEach: p.ForEach != nil}
	step.Kind, step.Does = p.Action.Kind(), p.Action.Does()
	for _, i := range p.Needs {
		step.Needs = append(step.Needs, planned[i].Name)
	}
	ran, there := v.ran[p.Name]
	if !there {
		ran = v.guess(planned, p)
		v.ran[p.Name] = ran // the steps after it may read it
	}
	step.StepRecord = v.settled(p, ran)
	if p.ForEach != nil {
		v.span(&step.StepRecord)
	}
	step.Template = p.Action.Input().Source()
	if p.ForEach == nil && ran.Status != run.StepPending && ran.Status != run.StepSkipped {
		step.Input = v.input(p)
	}
	step.Sent = sent(p, ran.Output)
	if step.Kind != plan.KindHandler {
		step.MaxAttempts = 0
	}
	return step
}

// settled says that a handler is at work again where the journal still shows
// that it waits: an attempt leaves nothing before it ends.
func (v *view) settled(p *plan.Step, ran run.StepRecord) run.StepRecord {
	due := ran.Until == nil || !ran.Until.After(v.now)
	if v.run.EndedAt == nil && v.run.Status == run.Running && ran.Status == run.StepWaiting && due && p.Action.Kind() == plan.KindHandler {
		ran.Status = run.StepRunning
		ran.Until = nil
	}
	return ran
}

// part is an element of a forEach or a sub-step of a handler.
func (v *view) part(p *plan.Step, ran run.StepRecord, items []json.RawMessage) Step {
	step := Step{StepRecord: ran}
	n, isElement := elementOf(p.Name, ran.Name)
	if !isElement || n >= len(items) {
		return step
	}
	v.scope.Item, v.scope.Index = items[n], n
	step.Input = v.input(p)
	v.scope.Item = nil
	step.Sent = sent(p, ran.Output)
	return step
}

// guess says where a step is that the journal of an open run does not have:
// pure steps are not written down, and an attempt leaves nothing before it ends.
func (v *view) guess(planned []*plan.Step, p *plan.Step) run.StepRecord {
	step := run.StepRecord{Name: p.Name, Status: run.StepPending}
	if v.run.EndedAt != nil || v.run.Status == Queued || v.run.Event == nil {
		return step
	}
	for _, i := range p.Needs {
		if !v.ran[planned[i].Name].Status.Ended() {
			return step
		}
	}
	v.gap = false
	if p.If != nil {
		yes, err := p.If.Bool(&v.scope)
		if err != nil || v.gap {
			return step
		}
		if !yes {
			step.Status = run.StepSkipped
			return step
		}
	}
	pure, computed := p.Action.(plan.Pure)
	switch {
	case p.ForEach != nil:
		v.gather(p, &step)
	case computed:
		v.gap = false
		out, err := pure.Compute(&v.scope)
		known := err == nil && !v.gap
		if known {
			step.Output = slices.Clone(out)
		}
		if known || p.Action.Input() == nil { // a check that does not hold ends the run
			step.Status = run.StepOK
		}
		return step
	}
	if v.run.Status == run.Running && step.Status == run.StepPending {
		step.Status = run.StepRunning
	}
	return step
}

// gather says where a forEach is by its elements, of which alone the journal
// knows.
func (v *view) gather(p *plan.Step, step *run.StepRecord) {
	items, err := p.ForEach.List(&v.scope)
	if err != nil || v.gap {
		return
	}
	parts := v.parts[p.Name]
	outputs := make([]json.RawMessage, len(items))
	ended, whole := 0, true
	for _, part := range parts {
		i, isElement := elementOf(p.Name, part.Name)
		if !isElement || i >= len(items) || !part.Status.Ended() {
			continue
		}
		ended++
		outputs[i], whole = part.Output, whole && part.OutputBytes == 0
		step.Attempts = max(step.Attempts, part.Attempts)
		step.Error = cmp.Or(step.Error, part.Error)
	}
	switch {
	case ended < len(items) && len(parts) > 0:
		step.Status = run.StepWaiting
		if v.run.Status == run.Running {
			step.Status = run.StepRunning
		}
		return
	case ended < len(items):
		return
	}
	step.Status = run.StepOK
	step.Output, err = json.Marshal(outputs)
	if !whole || err != nil {
		step.Output, step.OutputBytes = nil, 1 // more than is kept
	}
}

// span makes a forEach begin with its first element and end with its last one:
// its own times are those of the last time that the run went on.
func (v *view) span(step *run.StepRecord) {
	var start, end time.Time
	for _, part := range v.parts[step.Name] {
		if part.Start == nil {
			continue
		}
		if start.IsZero() || part.Start.Before(start) {
			start = *part.Start
		}
		if e := part.Start.Add(time.Duration(part.Millis) * time.Millisecond); e.After(end) {
			end = e
		}
	}
	if !start.IsZero() {
		step.Start, step.Millis = &start, max(0, end.Sub(start).Milliseconds())
	}
}

// elementOf returns which element of a forEach a part is: 2 of pack[2].
func elementOf(name, part string) (int, bool) {
	index, ok := strings.CutPrefix(part, name+"[")
	index, isElement := strings.CutSuffix(index, "]")
	n, err := strconv.Atoi(index)
	return n, ok && isElement && err == nil && n >= 0
}

// sent returns the events that a step sent: its output are their ids.
func sent(p *plan.Step, output json.RawMessage) []EventRef {
	var ids []string
	action, sends := p.Action.(*plan.SendEvent)
	if !sends || json.Unmarshal(output, &ids) != nil || len(ids) != len(action.Events) {
		return nil
	}
	refs := make([]EventRef, len(ids))
	for i, id := range ids {
		refs[i] = EventRef{Type: action.Events[i].Type, ID: id}
	}
	return refs
}
