package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

// maxParts bounds the parts that are told of a step.
const maxParts = 50

// historian makes the records of one execution. The times that they point to
// are kept together.
type historian struct {
	all   []run.StepRecord
	times []time.Time
}

// records tells the steps of a machine for the history, each followed by its
// parts.
func (x *execution) records(m *machine) []run.StepRecord {
	below := x.below(m)
	h := &historian{all: make([]run.StepRecord, 0, len(m.nodes)+len(below))}
	for _, n := range m.nodes {
		h.node(n)
		parts := 0
		if n.step.ForEach != nil {
			parts = h.parts(n)
		}
		for i := range below {
			if p := &below[i]; parts < maxParts && ownerOf(p.path) == n.step.Name {
				p.tell(h)
				parts++
			}
		}
	}
	if m == x.machine && x.cancelled() {
		h.close(x.Now())
	}
	return h.all
}

// at is a time that a record points to; nil for none.
func (h *historian) at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	if len(h.times) == cap(h.times) { // never moved: records point into it
		h.times = make([]time.Time, 0, cap(h.all))
	}
	h.times = append(h.times, t)
	return &h.times[len(h.times)-1]
}

// node tells a step as a whole.
func (h *historian) node(n *node) {
	if n.state == ended {
		r := h.ended(n.step.Name, &n.result)
		if n.skipped {
			r.Status = run.StepSkipped
		}
		r.Elements = n.elements()
		if r.Elements > 0 && r.Error != "" {
			r.Error = n.failure()
		}
		return
	}
	r := run.StepRecord{Name: n.step.Name, Status: run.StepPending}
	if n.state == active {
		r.Status = run.StepWaiting
		r.Start = h.at(n.since)
		r.Elements = n.elements()
		due := time.Time{}
		for _, u := range n.units {
			if at := millis(u.prog.Due); u.state == waiting && (due.IsZero() || at.Before(due)) {
				due = at
			}
			r.Attempts = max(r.Attempts, u.prog.Attempts)
			if u.prog.Error != "" {
				r.Error = u.prog.Error
			}
			if n.step.ForEach == nil {
				r.Tries = u.prog.Tries
			}
		}
		r.Until = h.at(due)
	}
	h.all = append(h.all, r)
}

// elements is how many elements a forEach has; 0 without one.
func (n *node) elements() int {
	if n.step.ForEach == nil {
		return 0
	}
	return len(n.units)
}

// ended tells what has a result.
func (h *historian) ended(name string, r *run.Result) *run.StepRecord {
	status := run.StepOK
	if r.Error != "" {
		status = run.StepFailed
	}
	h.all = append(h.all, run.StepRecord{Name: name, Status: status, Attempts: r.Attempts, Start: h.at(millis(r.Start)), Millis: r.Duration,
		Error: r.Error, Output: r.Output, Tries: r.Tries})
	return &h.all[len(h.all)-1]
}

// parts tells the elements of a forEach that have begun, and returns how many it
// told.
func (h *historian) parts(n *node) (told int) {
	begun := n.units[:n.next]
	show := make([]bool, len(begun))
	left := maxParts
	for _, telling := range []bool{true, false} { // first those that did not go well at once
		for i, u := range begun {
			if left > 0 && !show[i] && (!telling || u.state != ended || u.res.Error != "" || u.res.Attempts > 1) {
				show[i] = true
				left--
			}
		}
	}
	for i, u := range begun {
		if show[i] {
			h.unit(u)
		}
	}
	return maxParts - left
}

func (h *historian) unit(u *unit) {
	if u.state == ended {
		h.ended(u.path, &u.res)
		return
	}
	h.all = append(h.all, run.StepRecord{Name: u.path, Status: run.StepWaiting, Attempts: u.prog.Attempts, Start: h.at(millis(u.prog.Since)),
		Error: u.prog.Error, Until: h.at(millis(u.prog.Due)), Tries: u.prog.Tries})
}

// close ends what was open when the run was cancelled.
func (h *historian) close(now time.Time) {
	for i := range h.all {
		r := &h.all[i]
		if r.Status != run.StepWaiting {
			continue
		}
		r.Status = run.StepCancelled
		r.Until = nil
		if r.Start != nil {
			r.Millis = max(0, now.Sub(*r.Start).Milliseconds())
		}
	}
}

// part is a sub-step or an operation of a handler.
type part struct {
	path   string
	start  int64 // ms
	result *run.Result
	open   *unit // nil: it has a result
}

func (p *part) tell(h *historian) {
	if p.open != nil {
		h.unit(p.open)
		return
	}
	h.ended(p.path, p.result)
}

// below returns what handlers have done, and what they wait for, by time.
func (x *execution) below(m *machine) []part {
	var all []part
	fixed := x.subs.all()
	for path, r := range fixed {
		all = append(all, part{path: path, start: r.Start, result: &r})
	}
	for path, b := range x.run.Results {
		if _, known := fixed[path]; known || !strings.Contains(path, "/") {
			continue
		}
		if r, err := run.DecodeResult(path, b); err == nil { // a damaged one has failed its handler
			all = append(all, part{path: path, start: r.Start, result: &r})
		}
	}
	for _, n := range m.nodes {
		n.each(func(u *unit) {
			if u.nested && (u.state == waiting || u.state == running) {
				all = append(all, part{path: u.path, start: u.prog.Since, open: u})
			}
		})
	}
	slices.SortFunc(all, func(a, b part) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return strings.Compare(a.path, b.path)
	})
	return all
}

// ownerOf is the declared step of a path such as pack[2]/weigh.
func ownerOf(path string) string {
	if i := strings.IndexAny(path, "[/"); i >= 0 {
		return path[:i]
	}
	return path
}
