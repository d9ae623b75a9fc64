package plan

import (
	"encoding/json"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Action is what a step does: one of the types of this package, each in a file
// of its own. It never changes and may be shared.
type Action interface {
	// Kind says which of the actions it is.
	Kind() Kind
	// Does says in a few words what it does, to stand behind Kind.Verb: the
	// handler, the duration, the event type; empty when the verb says it all.
	Does() string
	// Input is what the handler, the invoked run, the event is given; of a pure
	// action, what it computes. Nil: nothing that could be shown.
	Input() *Value
}

// Pure is an Action that only computes. It is not in the journal: every
// execution of a run computes it anew and finds the same.
type Pure interface {
	Action
	// Compute returns the output of the step. An error fails it without a retry.
	Compute(s *Scope) (json.RawMessage, error)
}

// Kind is the kind of an action: its name in manifests, and so in the API, in
// metrics and in traces.
type Kind string

// The kinds of actions.
const (
	KindHandler      Kind = "handler"
	KindSleep        Kind = "sleep"
	KindWaitForEvent Kind = "waitForEvent"
	KindSendEvent    Kind = "sendEvent"
	KindInvoke       Kind = "invoke"
	KindAssert       Kind = "assert"
	KindSet          Kind = "set"
)

// kindRow is a line of the table of actions.
type kindRow struct {
	kind Kind
	// verb is what a step of the kind does; Action.Does says the rest.
	verb string
	// pure: the type is Pure.
	pure bool
	// waits: nothing is at work while the step lasts.
	waits bool
	// reaches: something outside of the run learns of the step.
	reaches bool
	// fields of the manifest make a step one of the kind.
	fields []actionField
}

// actionField is a field of a step that says what the step does.
type actionField struct {
	name    string
	written func(*v1alpha1.Step) bool
	compile func(*compiler, site, *v1alpha1.Step) Action
}

// kinds is the table of actions, in the order in which errors list them. A new
// kind is a line here, a type in a file of its own, and its fields in the
// custom resource; one that is not Pure has a file in the engine besides.
var kinds = []kindRow{
	{kind: KindHandler, reaches: true, fields: []actionField{{"handler", hasHandler, (*compiler).handlerAction}}},
	{kind: KindSleep, verb: "sleeps", waits: true, fields: []actionField{{"sleep", hasSleep, (*compiler).sleep}, {"sleepUntil", hasSleepUntil, (*compiler).sleepUntil}}},
	{kind: KindWaitForEvent, verb: "waits for", waits: true, fields: []actionField{{"waitForEvent", hasWait, (*compiler).wait}}},
	{kind: KindSendEvent, verb: "sends", reaches: true, fields: []actionField{{"sendEvent", hasSends, (*compiler).sends}}},
	{kind: KindInvoke, verb: "invokes", waits: true, reaches: true, fields: []actionField{{"invoke", hasInvoke, (*compiler).invoke}}},
	{kind: KindAssert, verb: "checks", pure: true, fields: []actionField{{"assert", hasAssertions, (*compiler).assertions}}},
	{kind: KindSet, verb: "computes", pure: true, fields: []actionField{{"set", hasSet, (*compiler).set}}},
}

// Kinds returns all kinds of actions.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i := range kinds {
		all[i] = kinds[i].kind
	}
	return all
}

func (k Kind) row() kindRow {
	for i := range kinds {
		if kinds[i].kind == k {
			return kinds[i]
		}
	}
	return kindRow{}
}

// Verb is what a step of the kind does, such as "waits for". It is empty for a
// handler, whose name says what it does, and for what is no kind.
func (k Kind) Verb() string { return k.row().verb }

// Pure reports whether actions of the kind only compute.
func (k Kind) Pure() bool { return k.row().pure }

// Waits reports whether nothing is at work while a step of the kind lasts.
func (k Kind) Waits() bool { return k.row().waits }

// Reaches reports whether something outside of the run, a handler, a reader of
// events or another run, learns of a step of the kind.
func (k Kind) Reaches() bool { return k.row().reaches }

// TimedOut reports whether a step of the kind that ended so waited for what did not
// come.
func (k Kind) TimedOut(failure string, output json.RawMessage) bool {
	return k == KindWaitForEvent && failure == "" && (len(output) == 0 || string(output) == "null")
}

// action compiles what a step does. A step that does not do exactly one thing
// has been reported by oneAction.
func (c *compiler) action(at site, s *v1alpha1.Step) (action Action) {
	for i := range kinds {
		for _, f := range kinds[i].fields {
			if f.written(s) {
				action = f.compile(c, at, s)
			}
		}
	}
	return action
}

// oneAction checks that a step does one thing.
func (c *compiler) oneAction(path string, s *v1alpha1.Step) {
	var known, found []string
	for i := range kinds {
		for _, f := range kinds[i].fields {
			known = append(known, f.name)
			if f.written(s) {
				found = append(found, f.name)
			}
		}
	}
	switch {
	case len(found) == 0:
		c.errorf(path, "does nothing: write one of %s", strings.Join(known, ", "))
	case len(found) > 1:
		c.errorf(path, "has more than one action (%s): make a step of each", strings.Join(found, ", "))
	}
	if hasHandler(s) {
		return
	}
	if s.With != nil {
		c.errorf(path+".with", "belongs to handler, and this step has none")
	}
	if s.Waits != nil {
		c.errorf(path+".waits", "belongs to handler, and this step has none")
	}
}
