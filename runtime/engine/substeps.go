package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// subSteps makes the durable operations of one attempt. The identity of each is
// its path of names. What each kind does is in the file of its action.
type subSteps struct {
	a    *attempt
	path string
}

// fixedResults are the results of what handlers have done in this execution, by
// path: a later attempt of the same execution finds them here.
type fixedResults struct {
	mu   sync.Mutex
	done map[string]run.Result
}

func (o *fixedResults) get(path string) (run.Result, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, known := o.done[path]
	return r, known
}

func (o *fixedResults) put(path string, r run.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done == nil {
		o.done = map[string]run.Result{}
	}
	o.done[path] = r
}

// all returns a copy; nil when there are none, as a rule.
func (o *fixedResults) all() map[string]run.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.done)
}

// asked is what a handler has asked for in one attempt.
type asked struct {
	mu    sync.Mutex
	over  bool            // the attempt was judged: it asks too late
	names map[string]bool // paths of what may be asked for once
	wants []want
}

// want is an operation that has to wait.
type want struct {
	path   string
	action plan.Action
}

// once notes that an operation was asked for.
func (o *asked) once(path string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.over:
		return &journalError{fmt.Errorf("operation %s came too late: its attempt was given up", path)}
	case o.names[path]:
		return wildout.NonRetriable(fmt.Errorf("two durable operations are called %s: their name is what tells them apart; in a loop write the number into it, as in fmt.Sprintf(\"pause-%%d\", i)", path))
	case o.names == nil:
		o.names = map[string]bool{}
	}
	o.names[path] = true
	return nil
}

// again forgets what was asked for below a sub-step that is called once more.
func (o *asked) again(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.names, func(name string, _ bool) bool { return strings.HasPrefix(name, path+"/") })
}

func (o *asked) want(path string, action plan.Action) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wants = append(o.wants, want{path, action})
}

// end returns what the handler has to wait for; nothing is asked for any more.
func (o *asked) end() []want {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	return o.wants
}

// known returns the result of an operation that is over.
func (s *subSteps) known(path string) (run.Result, bool, error) {
	if r, known := s.a.x.subs.get(path); known {
		return r, true, nil
	}
	b, known := s.a.x.run.Results[path]
	if !known {
		return run.Result{}, false, nil
	}
	r, err := run.DecodeResult(path, b)
	return r, true, err
}

// await returns what the operation of that name has come to. Until then the
// handler waits for the action that is made.
func (s *subSteps) await(name string, made func() (plan.Action, error)) (run.Result, error) {
	path := s.path + "/" + name
	if err := s.a.asked.once(path); err != nil {
		return run.Result{}, err
	}
	action, err := made()
	if err != nil {
		return run.Result{}, err
	}
	r, known, err := s.recall(path, actionOf(action).(operation).does())
	if known || err != nil {
		return r, err
	}
	s.a.asked.want(path, action)
	return r, wildout.ErrParked
}

// fix writes the result of an operation that is over.
func (s *subSteps) fix(path string, r run.Result, write func([]byte) ([]byte, error)) (run.Result, error) {
	if s.a.leg.left.Load() {
		return r, &journalError{fmt.Errorf("sub-step %s came too late: its attempt was given up", path)}
	}
	r, err := s.a.x.write(path, r, write)
	if err != nil {
		return r, &journalError{fmt.Errorf("commit sub-step %s: %w", path, err)}
	}
	s.a.x.subs.put(path, r)
	return r, nil
}

// Do implements wildout.SubSteps.
func (s *subSteps) Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	if name == "" {
		return nil, wildout.NonRetriable(fmt.Errorf("a durable sub-step of %s has no name", s.path))
	}
	path := s.path + "/" + name
	if r, known, err := s.recall(path, doesStep); known || err != nil {
		return r.Output, err
	}
	s.a.asked.again(path)
	x := s.a.x
	info := wildout.Info(ctx)
	info.Step, info.IdempotencyKey = path, info.RunID+"/"+path
	start := x.Now()
	seen := Attempt{Step: ownerOf(path), Path: path, Number: info.Attempt, Start: start}
	parent := x.begins(ctx, &seen)
	info.TraceParent, info.TraceState = seen.TraceParent, seen.TraceState
	inner, cancel := wildout.NewStepContext(parent, info, &subSteps{a: s.a, path: path})
	defer cancel()
	output, err := fn(inner)
	switch {
	case errors.Is(err, wildout.ErrParked):
		x.ends(&seen, AttemptParked, x.Now(), nil)
		return nil, err
	case err != nil:
		x.ends(&seen, AttemptFailed, x.Now(), err)
		return nil, err
	}
	x.ends(&seen, AttemptOK, x.Now(), nil)
	r := run.Result{Output: output, Attempts: info.Attempt, Start: start.UnixMilli(), Duration: x.Now().Sub(start).Milliseconds()}
	r, err = s.fix(path, r, func(b []byte) ([]byte, error) { return x.run.Journal.Commit(x.durable, path, b) })
	return r.Output, err
}
