package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
)

// subSteps makes the Step calls of one attempt durable. A sub-step's identity
// is its path of names.
type subSteps struct {
	x    *execution
	leg  *leg
	path string
}

// subResults are those of the sub-steps that this execution has committed, by
// path: a later attempt of the same execution finds them here.
type subResults struct {
	mu   sync.Mutex
	done map[string]run.Result
}

func (o *subResults) get(path string) (run.Result, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, known := o.done[path]
	return r, known
}

func (o *subResults) put(path string, r run.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done == nil {
		o.done = map[string]run.Result{}
	}
	o.done[path] = r
}

// all returns a copy; nil when there are none, as a rule.
func (o *subResults) all() map[string]run.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.done)
}

// Do implements wildout.SubSteps.
func (s *subSteps) Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	if name == "" {
		return nil, wildout.NonRetriable(fmt.Errorf("a durable sub-step of %s has no name", s.path))
	}
	path := s.path + "/" + name
	if r, known := s.x.subs.get(path); known {
		return r.Output, nil
	}
	if b, ok := s.x.run.Results[path]; ok {
		r, err := run.DecodeResult(path, b)
		return r.Output, err
	}
	info := wildout.Info(ctx)
	info.Step, info.IdempotencyKey = path, info.RunID+"/"+path
	start := s.x.Now()
	step, _, _ := strings.Cut(s.path, "/")
	step, _, _ = strings.Cut(step, "[")
	seen := Attempt{Step: step, Path: path, Number: info.Attempt, Start: start}
	parent := s.x.begins(ctx, &seen)
	info.TraceParent, info.TraceState = seen.TraceParent, seen.TraceState
	inner, cancel := wildout.NewStepContext(parent, info, &subSteps{x: s.x, leg: s.leg, path: path})
	defer cancel()
	output, err := fn(inner)
	if err != nil {
		s.x.ends(&seen, AttemptFailed, s.x.Now(), err)
		return nil, err
	}
	s.x.ends(&seen, AttemptOK, s.x.Now(), nil)
	if s.leg.left.Load() {
		return nil, &journalError{fmt.Errorf("sub-step %s came too late: its attempt was given up", path)}
	}
	r, err := s.x.fix(path, run.Result{Output: output, Attempts: info.Attempt, Start: start.UnixMilli(), Duration: s.x.Now().Sub(start).Milliseconds()})
	if err != nil {
		return nil, &journalError{fmt.Errorf("commit sub-step %s: %w", path, err)}
	}
	s.x.subs.put(path, r)
	return r.Output, nil
}
