package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// StepRecord is a step in the history of a run.
type StepRecord struct {
	Name     string
	Status   Status
	Attempts int
	// Start and Duration are those of the last attempt; of a wait, of the whole.
	Start    time.Time
	Duration time.Duration
	Error    string
	Due      time.Time // waiting
	Output   json.RawMessage
	// Tries are the last failed attempts of a step that had, or will have, more
	// than one.
	Tries []Try
	// Elements is how many a forEach has.
	Elements int
	// Parts are elements of a forEach and sub-steps of a handler, by their
	// paths: all, or if there are many those that tell something.
	Parts []StepRecord
}

// Status of a step in the history.
type Status string

// The states that a step can be in when an execution ends.
const (
	StatusOK      Status = "ok"
	StatusFailed  Status = "failed"
	StatusSkipped Status = "skipped"
	StatusWaiting Status = "waiting"
	StatusPending Status = "pending"
	// StatusCancelled: it was under way, or waited, when the run was cancelled.
	StatusCancelled Status = "cancelled"
)

// maxParts bounds the parts that are told of a step.
const maxParts = 50

// records tells the steps of a machine for the history.
func (x *execution) records(m *machine) []StepRecord {
	subs, cancelled := x.subRecords(), m == x.machine && x.cancelled()
	all := make([]StepRecord, len(m.nodes))
	for i, n := range m.nodes {
		r := &all[i]
		n.record(r)
		if n.step.ForEach != nil {
			r.Elements, r.Parts = len(n.units), elements(n)
		}
		for _, sub := range subs {
			if len(r.Parts) < maxParts && ownerOf(sub.Name) == n.step.Name {
				r.Parts = append(r.Parts, sub)
			}
		}
		if cancelled {
			x.close(r)
		}
	}
	return all
}

// record tells a step as a whole.
func (n *node) record(r *StepRecord) {
	if n.state == ended {
		n.result.record(r, n.step.Name)
		return
	}
	r.Name, r.Status = n.step.Name, StatusPending
	if n.state == pending {
		return
	}
	r.Status, r.Start = StatusWaiting, n.since
	for _, u := range n.units {
		if due := millis(u.prog.Due); u.state == waiting && (r.Due.IsZero() || due.Before(r.Due)) {
			r.Due = due
		}
		r.Attempts = max(r.Attempts, u.prog.Attempts)
		if u.prog.Error != "" {
			r.Error = u.prog.Error
		}
		if n.step.ForEach == nil {
			r.Tries = triesOf(u.prog.Tries)
		}
	}
}

func (r *result) record(s *StepRecord, name string) {
	s.Name, s.Status, s.Attempts = name, StatusOK, r.Attempts
	s.Start, s.Duration = millis(r.Start), time.Duration(r.Duration)*time.Millisecond
	s.Error, s.Output, s.Tries = r.Error, r.Output, triesOf(r.Tries)
	switch {
	case r.skipped:
		s.Status = StatusSkipped
	case r.Error != "":
		s.Status = StatusFailed
	}
}

// elements tells the elements of a forEach that have begun.
func elements(n *node) []StepRecord {
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
	parts := make([]StepRecord, 0, maxParts-left)
	for i, u := range begun {
		if show[i] {
			parts = append(parts, u.record())
		}
	}
	return parts
}

func (u *unit) record() (r StepRecord) {
	if u.state == ended {
		u.res.record(&r, u.path)
		return r
	}
	return StepRecord{Name: u.path, Status: StatusWaiting, Attempts: u.prog.Attempts, Start: millis(u.prog.Since), Error: u.prog.Error,
		Due: millis(u.prog.Due), Tries: triesOf(u.prog.Tries)}
}

// subRecords tells the sub-steps that handlers have committed, by time.
func (x *execution) subRecords() []StepRecord {
	var all []StepRecord
	add := func(path string, r *result) {
		all = append(all, StepRecord{})
		r.record(&all[len(all)-1], path)
	}
	for path, r := range x.subs.all() {
		add(path, &r)
	}
	for path, b := range x.run.Results {
		if !strings.Contains(path, "/") {
			continue
		}
		if r, err := decodeResult(path, b); err == nil { // a damaged one has failed its handler
			add(path, &r)
		}
	}
	slices.SortFunc(all, func(a, b StepRecord) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
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

// close ends what was open when the run was cancelled.
func (x *execution) close(r *StepRecord) {
	if r.Status == StatusWaiting {
		r.Status, r.Due, r.Duration = StatusCancelled, time.Time{}, max(0, x.Now().Sub(r.Start))
	}
	for i := range r.Parts {
		x.close(&r.Parts[i])
	}
}
