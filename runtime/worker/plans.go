package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store/runs"
)

// plans finds the version of the function that a run began with.
type plans struct {
	store   *runs.Store
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
		return nil, fmt.Errorf("version %s of %s, which the run began with, is not stored any more", version, p.current.Function)
	}
	return p.decode(version, text)
}

// decode compiles a version and remembers it. p.mu is held.
func (p *plans) decode(version, text string) (*plan.Plan, error) {
	if known := p.known[version]; known != nil {
		return known, nil
	}
	old, err := plan.CompileStored(p.current.Function, text)
	if err != nil {
		return nil, err
	}
	p.known[version] = old
	return old, nil
}

// starting returns a version that starts a run with an event of a type with which
// the current one starts none; "" when there is none, or the current one decides. A
// version that cannot be read has no word.
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
			continue
		}
		if fits, err := a.Starts(other, e); err == nil && fits {
			return version, nil
		}
	}
	return "", nil
}
