package plan

import "github.com/wildout/wildout/api/v1alpha1"

// Handler calls a handler of the runner.
type Handler struct {
	Name string
	With *Value // nil: {}
}

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
	return &Handler{Name: s.Handler, With: c.json(at.at(at.path+".with"), s.With, wantAny)}
}
