package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	wildout "github.com/wildout/wildout/runtime"
)

// journalError marks a failure of the journal inside a handler: it is not the
// handler's.
type journalError struct{ err error }

func (e *journalError) Error() string { return e.err.Error() }
func (e *journalError) Unwrap() error { return e.err }

// subSteps makes the Step calls of one attempt durable. A sub-step's identity
// is its path of names.
type subSteps struct {
	x    *execution
	leg  *leg
	path string
}

// outputs are those of the sub-steps that this execution has committed, by
// path: a later attempt of the same execution finds them here.
type outputs struct {
	mu   sync.Mutex
	done map[string]json.RawMessage
}

func (o *outputs) get(path string) (json.RawMessage, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	output, known := o.done[path]
	return output, known
}

func (o *outputs) put(path string, output json.RawMessage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done == nil {
		o.done = map[string]json.RawMessage{}
	}
	o.done[path] = output
}

// Do implements wildout.SubSteps.
func (s *subSteps) Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	if name == "" {
		return nil, wildout.NonRetriable(fmt.Errorf("a durable sub-step of %s has no name", s.path))
	}
	path := s.path + "/" + name
	if output, known := s.x.subs.get(path); known {
		return output, nil
	}
	if b, ok := s.x.run.Results[path]; ok {
		r, err := decodeResult(path, b)
		return r.Output, err
	}
	info := wildout.Info(ctx)
	info.Step, info.IdempotencyKey = path, info.RunID+"/"+path
	start := s.x.Now()
	inner, cancel := wildout.NewStepContext(ctx, info, &subSteps{x: s.x, leg: s.leg, path: path})
	defer cancel()
	output, err := fn(inner)
	if err != nil {
		return nil, err
	}
	if s.leg.left.Load() {
		return nil, &journalError{fmt.Errorf("sub-step %s came too late: its attempt was given up", path)}
	}
	r := result{Output: output, Attempts: info.Attempt, Start: start.UnixMilli(), Duration: s.x.Now().Sub(start).Milliseconds()}
	if !s.x.wrote.Load() {
		r.Version = s.x.run.Plan.Hash
	}
	b, err := s.x.run.Journal.Commit(s.x.durable, path, r.encode())
	if err != nil {
		return nil, &journalError{fmt.Errorf("commit sub-step %s: %w", path, err)}
	}
	s.x.wrote.Store(true)
	if r, err = decodeWinner(path, b, r); err != nil {
		return nil, &journalError{err}
	}
	s.x.subs.put(path, r.Output)
	return r.Output, nil
}
