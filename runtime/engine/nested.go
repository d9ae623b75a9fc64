package engine

import (
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// The operations that a handler waits for are units of their own below the unit
// of the handler: the same actions as those of steps begin them, wake the run
// for them and end them. The handler is called again when one of them has ended
// that it waits for. What is kept of an operation says what it does, so that
// nobody has to call the handler to find out.

// newNested makes a unit for an operation of a handler.
func newNested(path string, action plan.Action) *unit {
	n := &node{step: &plan.Step{Name: ownerOf(path), ContinueOnError: true, Action: action}, action: actionOf(action), state: active, next: 1, open: 1}
	n.only = unit{node: n, path: path, nested: true}
	n.list[0] = &n.only
	n.units = n.list[:]
	return &n.only
}

// nestedAt returns the operation at path; nil: there is none.
func (u *unit) nestedAt(path string) *unit {
	for _, sub := range u.subs {
		if sub.path == path {
			return sub
		}
	}
	return nil
}

// park makes a unit wait for what its handler has asked for.
func (u *unit) park(prog run.Progress, wants []want) {
	u.prog = prog
	u.prog.Wants = make([]string, len(wants))
	for i, w := range wants {
		u.prog.Wants[i] = strings.TrimPrefix(w.path, u.path+"/")
		if u.nestedAt(w.path) == nil {
			u.subs = append(u.subs, newNested(w.path, w.action))
		}
	}
	u.state = waiting
}

// each calls f for the units of a node, and for the operations below them.
func (n *node) each(f func(*unit)) {
	for _, u := range n.units {
		f(u)
		for _, sub := range u.subs {
			f(sub)
		}
	}
}

// wanted returns the operation of that name below u.
func (u *unit) wanted(name string) *unit { return u.nestedAt(u.path + "/" + name) }

// feedNested takes what a handler waits for as far as it goes, and reports
// whether the handler has something to go on with.
func (x *execution) feedNested(u *unit) (ready bool, f *run.Failure) {
	for _, name := range u.prog.Wants {
		sub := u.wanted(name)
		if sub == nil { // it was not written down: the handler asks again
			return true, nil
		}
		if sub.state == pending {
			f = x.load(sub)
		}
		if f == nil && (sub.state == pending || sub.state == waiting && sub.isDue(x)) {
			f = x.begin(sub)
		}
		if f != nil {
			return false, f
		}
		ready = ready || sub.state == ended
	}
	return ready, nil
}

// isDue reports whether a waiting unit is to be looked at again.
func (u *unit) isDue(x *execution) bool { return u.prog.Due > 0 && u.prog.Due <= x.clock.UnixMilli() }

// due is when a waiting unit is to be looked at again, in ms; 0: when something
// arrives.
func (u *unit) due() int64 {
	if len(u.prog.Wants) == 0 {
		return u.prog.Due
	}
	var first int64
	for _, name := range u.prog.Wants {
		if sub := u.wanted(name); sub != nil && sub.state == waiting && sub.prog.Due > 0 && (first == 0 || sub.prog.Due < first) {
			first = sub.prog.Due
		}
	}
	return first
}

// restore makes the operations that an earlier execution has left below u.
func (x *execution) restore(u *unit) *run.Failure {
	for _, path := range x.nestedIn(u.path) {
		p, err := run.DecodeProgress(path, x.run.Progress[path])
		if err == nil && p.Operation == nil {
			continue // of an older release, which had no such operations
		}
		var action plan.Action
		if err == nil {
			action, err = actionFrom(&p)
		}
		if err != nil {
			return &run.Failure{Message: err.Error(), Step: u.node.step.Name}
		}
		sub := newNested(path, action)
		u.subs = append(u.subs, sub)
		if f := x.load(sub); f != nil {
			return f
		}
		if sub.state == pending {
			if f := sub.node.action.recall(x, sub); f != nil {
				return f
			}
		}
	}
	return nil
}

// nestedIn returns the paths below a unit of which the journal has a progress.
func (x *execution) nestedIn(path string) []string {
	if x.nested == nil {
		x.nested = map[string][]string{}
		for at := range x.run.Progress {
			if owner, _, below := strings.Cut(at, "/"); below {
				x.nested[owner] = append(x.nested[owner], at)
			}
		}
		for _, paths := range x.nested {
			slices.Sort(paths)
		}
	}
	return x.nested[path]
}
