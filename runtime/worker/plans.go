package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
)

// unreadable is a run, or a version of the function, that this runner cannot read:
// the version is not stored (any more), or another release wrote it, or the
// journal. A runner that can may come.
type unreadable struct {
	version string
	format  int // of the journal, where that is it; else 0
	err     error
}

func (e *unreadable) Error() string { return e.err.Error() }
func (e *unreadable) Unwrap() error { return e.err }

// plans finds the version of the function that a run began with.
type plans struct {
	store   versions
	current *plan.Plan
	mu      sync.Mutex
	known   map[string]*plan.Plan
}

// get returns a version; the current one for "" and for functions that want
// it so.
func (p *plans) get(ctx context.Context, version string) (*plan.Plan, error) {
	if version == "" || version == p.current.Hash || p.current.Latest() {
		return p.current, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[version]; known != nil {
		return known, nil
	}
	return p.find(ctx, version)
}

// find loads a version. p.mu is held.
func (p *plans) find(ctx context.Context, version string) (*plan.Plan, error) {
	all, err := p.store.Plans(ctx, p.current.Function)
	if err != nil {
		return nil, err
	}
	text, ok := all[version]
	if !ok {
		return nil, &unreadable{version: version, err: fmt.Errorf("version %s of %s, which the run began with, is not stored any more", version, p.current.Function)}
	}
	return p.decode(version, text)
}

// decode compiles a version and remembers it. p.mu is held.
func (p *plans) decode(version, text string) (*plan.Plan, error) {
	if known := p.known[version]; known != nil {
		return known, nil
	}
	old, err := plan.CompileVersion(p.current.Function, version, text)
	if err != nil {
		return nil, &unreadable{version: version, err: fmt.Errorf("version %s: %w", version, err)}
	}
	// It is its content by which the version was found; read by this release, one
	// of an earlier build may have another hash.
	old.Hash = version
	p.known[version] = old
	return old, nil
}

// starting returns a version that starts a run with an event of a type with which
// the current one starts none; "" when there is none, or the current one decides.
// Where one that cannot be read may start a run with it, the error says so: the
// event is for a runner that can read it.
func (p *plans) starting(ctx context.Context, e *event.Event, a *admission.Admission) (version string, err error) {
	if slices.Contains(p.current.Spec.Triggered(), e.Type) || p.current.Latest() {
		return "", nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all, err := p.store.Plans(ctx, p.current.Function)
	if err != nil {
		return "", err
	}
	for _, version := range slices.Sorted(maps.Keys(all)) {
		other, err := p.decode(version, all[version])
		if err != nil {
			if mayStart(all[version], e.Type) {
				return "", err
			}
			continue
		}
		if fits, err := a.Starts(other, e); err == nil && fits {
			return version, nil
		}
	}
	return "", nil
}

// mayStart reports whether a stored version, which cannot be read as a whole, has a
// trigger for events of a type.
func mayStart(text, eventType string) bool {
	var spec v1alpha1.WildoutFunctionSpec
	return json.Unmarshal([]byte(text), &spec) != nil || slices.Contains(spec.Triggered(), eventType)
}
