package plan

import (
	"encoding/json"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/wildout/wildout/runtime/event"
)

// Scope is what expressions see. It is for one goroutine at a time; a copy of
// it is a Scope of its own. What was decoded is kept for as long as the same
// bytes are in place: put other bytes there, do not write into them.
type Scope struct {
	// Event started the run: `event`.
	Event *event.Event
	// Async is the awaited event in waitForEvent.if: `async`. May be nil.
	Async *event.Event
	// Run is `run`.
	Run RunVar
	// Step looks up `steps.<name>`; false means that it has not ended. It is
	// called only for a step that an expression reads.
	Step func(name string) (StepVar, bool)
	// Item is `item` in forEach, nil outside, and Index its place, from 0.
	Item  json.RawMessage
	Index int
	// Error is `error` in onFailure; nil outside.
	Error *ErrorVar
	// Env is `env`: allow-listed settings of the runner.
	Env map[string]string
	// Request is `body`, `headers`, `query` and `name` in the mapping of a
	// webhook; nil elsewhere.
	Request *Request

	// cache is what was decoded so far.
	cache *scopeCache
}

// RunVar is the variable `run`.
type RunVar struct {
	ID        string
	Function  string
	Attempt   int
	StartedAt time.Time
}

// StepVar is `steps.<name>`.
type StepVar struct {
	Output   json.RawMessage // null when skipped or failed
	Error    string          // empty unless the step failed and onError is Continue
	Attempts int
	// TimedOut says that it waited for what did not come.
	TimedOut bool
	// Elements gives the elements of its forEach; nil: it has none.
	Elements func() []Element
}

// Element is what an expression sees of an element of a forEach.
type Element struct {
	Index  int
	Item   json.RawMessage
	Output json.RawMessage // null when it failed
	Error  string          // empty unless it failed
}

// appendElements writes elements as a list.
func appendElements(all []Element) json.RawMessage {
	out := []byte{'['}
	for i, e := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(strconv.AppendInt(append(out, `{"index":`...), int64(e.Index), 10), `,"item":`...)
		out = append(orNull(out, e.Item), `,"output":`...)
		out = append(orNull(out, e.Output), `,"error":`...)
		out = append(appendString(out, e.Error), '}')
	}
	return append(out, ']')
}

func orNull(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, raw...)
}

// ErrorVar is the variable `error`.
type ErrorVar struct {
	Message  string
	Step     string // empty when the run as a whole failed
	Attempts int
}

// scopeCache holds the decoded forms of what a scope holds, each with the
// bytes that it was decoded from.
type scopeCache struct {
	owner        *Scope // tells the cache of a copied scope from its own
	event, async eventRecord
	itemRaw      json.RawMessage
	item         node
	steps        []*stepRecord
}

func (s *Scope) cached() *scopeCache {
	if s.cache == nil || s.cache.owner != s {
		s.cache = &scopeCache{owner: s}
	}
	return s.cache
}

// noEvent stands for an event that the caller left out.
var noEvent = &event.Event{Data: json.RawMessage("null")}

func (s *Scope) eventRecord() *eventRecord { return current(&s.cached().event, s.Event) }
func (s *Scope) asyncRecord() *eventRecord { return current(&s.cached().async, s.Async) }

func current(rec *eventRecord, e *event.Event) *eventRecord {
	if e == nil {
		e = noEvent
	}
	if rec.event != e {
		*rec = eventRecord{event: e}
	}
	return rec
}

func (s *Scope) errorRecord() *ErrorVar {
	if s.Error == nil {
		return &ErrorVar{}
	}
	return s.Error
}

// document is a variable that is a JSON value of its own.
func (s *Scope) document(name string) (*node, error) {
	if name == varItem {
		return s.itemNode()
	}
	return s.Request.document(name)
}

// itemNode is the parsed item; null where there is none.
func (s *Scope) itemNode() (*node, error) {
	c := s.cached()
	if len(s.Item) == 0 {
		return &node{raw: []byte("null")}, nil
	}
	if !sameBytes(c.itemRaw, s.Item) {
		item, err := newDocument(s.Item)
		if err != nil {
			return nil, err
		}
		c.itemRaw, c.item = s.Item, item
	}
	return &c.item, nil
}

// stepRecord is what the step left behind: null when it has not ended.
func (s *Scope) stepRecord(name string) *stepRecord {
	var found StepVar
	if s.Step != nil {
		found, _ = s.Step(name)
	}
	c := s.cached()
	for _, rec := range c.steps {
		if rec.name == name {
			if !sameBytes(rec.Output, found.Output) {
				rec.output, rec.elements = node{}, node{}
			}
			rec.StepVar = found
			return rec
		}
	}
	rec := &stepRecord{StepVar: found, name: name}
	c.steps = append(c.steps, rec)
	return rec
}

// sameBytes reports whether a and b are the same place in memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// The names of the variables.
const (
	varEvent = "event"
	varAsync = "async"
	varRun   = "run"
	varSteps = "steps"
	varItem  = "item"
	varIndex = "index"
	varError = "error"
	varEnv   = "env"

	// In the mapping of a webhook.
	varBody    = "body"
	varHeaders = "headers"
	varQuery   = "query"
	varName    = "name"
)

// activation gives CEL the variables of a scope, each when it is asked for.
type activation Scope

// ResolveName returns the variable of that name.
func (a *activation) ResolveName(name string) (any, bool) {
	s := (*Scope)(a)
	switch name {
	case varEvent:
		return &record{eventType, s.eventRecord()}, true
	case varAsync:
		return &record{eventType, s.asyncRecord()}, true
	case varRun:
		return &record{runType, &s.Run}, true
	case varError:
		return &record{errorType, s.errorRecord()}, true
	case varSteps:
		return &stepsMap{noSteps, s}, true
	case varItem, varBody, varHeaders, varQuery, varName:
		doc, err := s.document(name)
		if err != nil {
			return types.WrapErr(err), true
		}
		return doc.value(), true
	case varIndex:
		return types.Int(s.Index), true
	case varEnv:
		return types.NewStringStringMap(types.DefaultTypeAdapter, s.Env), true
	}
	return nil, false
}

// Parent is nil: a scope has no outer scope.
func (a *activation) Parent() cel.Activation { return nil }

// stepsMap is `steps`. An expression can only name one step of it, so that it
// is never counted or walked: the embedded empty map stands in for that.
type stepsMap struct {
	traits.Mapper
	scope *Scope
}

var noSteps = types.NewStringInterfaceMap(types.DefaultTypeAdapter, nil)

// FindStringKey is the short way that cel-go takes to a step.
func (m *stepsMap) FindStringKey(name string) (any, bool) {
	return &record{stepType, m.scope.stepRecord(name)}, true
}

// Find returns the step of that name.
func (m *stepsMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	return &record{stepType, m.scope.stepRecord(string(name))}, true
}

// Get returns the step of that name.
func (m *stepsMap) Get(key ref.Val) ref.Val {
	value, ok := m.Find(key)
	if !ok {
		return types.NewErr("no such step: %v", key)
	}
	return value
}
