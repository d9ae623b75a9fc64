package timeline

import (
	"slices"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// mostParts bounds the elements that are shown of one list.
const mostParts = 50

// group is a step with its elements and sub-steps.
type group struct {
	rows []Row
	key  time.Time // what the step is sorted by
	last bool      // it comes after all that began
}

// rows are those of the steps that began, by their start, then the others in
// the order of the function.
func rows(record *console.RunDetail, end time.Time, ended bool) (all []Row, more int) {
	var groups []group
	add := func(steps []console.Step, onFailure bool) {
		for _, step := range steps {
			row := Row{Step: step, OnFailure: onFailure}
			n := len(groups)
			part := n > 0 && partOf(step.Name, groups[n-1].rows[0].Name)
			if part && row.Kind == "" {
				row.Kind = groups[n-1].rows[0].Kind // of an element
			}
			row.fill(record, end, ended)
			if part {
				row.Depth = 1
				if len(groups[n-1].rows) > mostParts {
					more++
					continue
				}
				groups[n-1].rows = append(groups[n-1].rows, row)
				continue
			}
			groups = append(groups, group{rows: []Row{row}})
		}
	}
	add(record.Steps, false)
	if record.Status == run.Failed || slices.ContainsFunc(record.OnFailure, func(s console.Step) bool { return s.Start != nil }) {
		add(record.OnFailure, true)
	}
	for i := range groups {
		groups[i].join(record)
	}
	for i := range groups {
		groups[i].rows[0].live(record, groups, end)
	}
	// One that was skipped stays behind the step before it.
	key := record.StartedAt
	for i := range groups {
		r := &groups[i].rows[0]
		if r.Began() {
			key = r.Segments[0].Start
		}
		groups[i].key, groups[i].last = key, r.State == run.StepPending || r.State == Never
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		switch {
		case a.last != b.last && a.last:
			return 1
		case a.last != b.last:
			return -1
		case a.last:
			return 0
		}
		return a.key.Compare(b.key)
	})
	for _, g := range groups {
		all = append(all, g.rows...)
	}
	return all, more
}

// join stretches a step over its elements. The journal knows it when all of
// them have ended.
func (g *group) join(record *console.RunDetail) {
	whole := &g.rows[0]
	var all Segment
	state := run.StepOK
	for _, part := range g.rows[1:] {
		if !part.Began() || strings.Contains(strings.TrimPrefix(part.Name, whole.Name), "/") {
			continue // a sub-step is within its handler's attempt
		}
		first, last := part.Segments[0], part.Segments[len(part.Segments)-1]
		if last.Kind == Ahead {
			last = part.Segments[len(part.Segments)-2]
		}
		if all.Start.IsZero() || first.Start.Before(all.Start) {
			all.Start = first.Start
		}
		all.End = later(all.End, last.End)
		if part.open() && state != run.StepRunning {
			state = part.State
		}
	}
	if all.Start.IsZero() {
		return
	}
	if whole.Began() {
		state = whole.State
		all.End = later(all.End, whole.Segments[len(whole.Segments)-1].End)
	}
	switch {
	case state == run.StepRunning:
		all.Kind = Live
	case state == run.StepFailed:
		all.Kind, all.Error = Fault, whole.Error
	case state != run.StepOK || whole.Kind.Waits():
		all.Kind = Wait
	default:
		all.Kind = Work
	}
	if !whole.Kind.Waits() {
		all.Attempt = 1
	}
	whole.State, whole.Segments = state, []Segment{all}
	whole.Offset, whole.Length = all.Start.Sub(record.StartedAt), all.Duration()
}

// live gives a step its segment that is at work and of which nothing is written
// yet: it began when what it needs had ended.
func (r *Row) live(record *console.RunDetail, groups []group, end time.Time) {
	if r.State != run.StepRunning || r.Began() {
		return
	}
	start := record.StartedAt
	for _, g := range groups {
		if other := &g.rows[0]; slices.Contains(r.Needs, other.Name) && other.Began() {
			start = later(start, other.Segments[len(other.Segments)-1].End)
		}
	}
	r.Segments = []Segment{{Kind: Live, Start: start, End: later(end, start), Attempt: 1}}
	r.Offset, r.Length = start.Sub(record.StartedAt), r.Segments[0].Duration()
}

// partOf reports whether name is an element or a sub-step of a step: pack[2]
// or pack/weigh of pack.
func partOf(name, step string) bool {
	rest, ok := strings.CutPrefix(name, step)
	return ok && rest != "" && (rest[0] == '[' || rest[0] == '/')
}

func (r *Row) fill(record *console.RunDetail, end time.Time, ended bool) {
	r.State = r.Status
	switch {
	case r.State == run.StepPending && ended:
		r.State = Never
	case r.State == run.StepWaiting && ended:
		r.State = run.StepCancelled
	}
	if r.Start == nil || r.State == run.StepSkipped || r.State == run.StepPending || r.State == Never {
		return
	}
	if r.Kind.Waits() {
		r.waits(end)
	} else {
		r.attempts(end)
	}
	if due := r.goesOn(record); r.State == run.StepWaiting && due != nil && due.After(end) {
		r.Segments = append(r.Segments, Segment{Kind: Ahead, Start: end, End: *due})
	}
	if len(r.Segments) == 0 {
		return
	}
	first, last := r.Segments[0], r.Segments[len(r.Segments)-1]
	r.Offset = first.Start.Sub(record.StartedAt)
	r.Length = last.End.Sub(first.Start)
	if last.Kind == Ahead {
		r.Length = last.Start.Sub(first.Start)
	}
}

// goesOn is when a step that waits goes on.
func (r *Row) goesOn(record *console.RunDetail) *time.Time {
	switch {
	case r.Until != nil:
		return r.Until
	case r.Kind == plan.KindInvoke:
		return nil
	}
	return record.WaitsFor
}

// open reports whether the step has begun and not ended.
func (r *Row) open() bool {
	return r.State == run.StepWaiting || r.State == run.StepRunning || r.State == run.StepCancelled && r.Millis == 0
}

// waits gives a step that only waits its segment.
func (r *Row) waits(end time.Time) {
	until := r.Start.Add(time.Duration(r.Millis) * time.Millisecond)
	if r.open() {
		until = later(end, *r.Start)
	}
	segment := Segment{Kind: Wait, Start: *r.Start, End: until}
	if r.State == run.StepFailed {
		segment.Kind, segment.Error = Fault, r.Error
	}
	r.Segments = []Segment{segment}
}

// attempts gives a step that works its segments.
func (r *Row) attempts(end time.Time) {
	for _, try := range r.Tries {
		r.attempt(Segment{Kind: Fault, Start: try.Start, Error: try.Error, End: try.Start.Add(time.Duration(try.Millis) * time.Millisecond)})
	}
	n := len(r.Segments)
	last := Segment{Kind: Work, Start: *r.Start, End: r.Start.Add(time.Duration(r.Millis) * time.Millisecond)}
	switch {
	case r.State == run.StepRunning:
		last.Kind, last.End = Live, later(end, last.Start)
		if n > 0 { // it began at the latest when the pause was over
			last.Start = later(last.Start, r.Segments[n-1].End)
		}
		r.attempt(last)
	case r.open() && n > 0:
		r.pause(end)
	case r.open():
		r.Segments = append(r.Segments, Segment{Kind: Retry, Start: *r.Start, End: later(end, *r.Start)})
	case n > 0 && !last.Start.After(r.Segments[n-1].Start):
		// The last attempt is among the tries.
	default:
		if r.State == run.StepFailed {
			last.Kind, last.Error = Fault, r.Error
		}
		r.attempt(last)
	}
	r.number()
}

// attempt adds an attempt, and the pause before it.
func (r *Row) attempt(s Segment) {
	if len(r.Segments) > 0 {
		r.pause(s.Start)
	}
	s.Attempt = 1
	r.Segments = append(r.Segments, s)
}

// pause adds the wait from the last attempt until the next.
func (r *Row) pause(until time.Time) {
	last := r.Segments[len(r.Segments)-1]
	if until.After(last.End) {
		r.Segments = append(r.Segments, Segment{Kind: Retry, Start: last.End, End: until})
	}
}

// number counts the attempts. Only the last ones of many are kept.
func (r *Row) number() {
	n := max(r.Attempts, 0)
	if r.State == run.StepRunning {
		n++
	}
	for i := len(r.Segments) - 1; i >= 0; i-- {
		if s := &r.Segments[i]; s.Attempt > 0 {
			s.Attempt = max(n, 1)
			n--
		}
	}
}
