package plan

import (
	"fmt"
	"slices"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Handler calls a handler of the runner.
type Handler struct {
	Name string
	With *Value // nil: {}
	// Waits are what the handler may wait for.
	Waits []Awaited
}

// Awaited are the events of a type, where Match is not empty those that have a
// value there which the handler says.
type Awaited struct{ Event, Match string }

// Kind implements Action.
func (*Handler) Kind() Kind { return KindHandler }

// Does implements Action.
func (a *Handler) Does() string { return a.Name }

// Input implements Action.
func (a *Handler) Input() *Value { return a.With }

func hasHandler(s *v1alpha1.Step) bool { return s.Handler != "" }

func (c *compiler) handlerAction(at site, s *v1alpha1.Step) Action {
	c.handler(at.path+".handler", s.Handler)
	c.literals(at.path+".with", s)
	return &Handler{Name: s.Handler, With: c.json(at.at(at.path+".with"), s.With, wantAny), Waits: c.awaited(at.path+".waits", s.Waits)}
}

func (c *compiler) awaited(path string, waits []v1alpha1.AwaitedEvent) []Awaited {
	c.count(path, len(waits), 0, maxAwaited)
	var all []Awaited
	for i, w := range waits {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.eventType(at+".event", w.Event)
		c.match(at+".match", w.Match)
		if slices.Contains(waits[:i], w) {
			c.errorf(at, "is there twice")
		}
		all = append(all, Awaited{Event: string(w.Event), Match: w.Match})
	}
	return all
}
