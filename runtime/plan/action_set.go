package plan

import (
	"encoding/json"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Set computes a value.
type Set struct{ Value *Value }

// Kind implements Action.
func (*Set) Kind() Kind { return KindSet }

// Does implements Action: the verb says it all.
func (*Set) Does() string { return "" }

// Input implements Action.
func (a *Set) Input() *Value { return a.Value }

// Compute implements Pure.
func (a *Set) Compute(s *Scope) (json.RawMessage, error) { return a.Value.JSON(s) }

func hasSet(s *v1alpha1.Step) bool { return s.Set != nil }

func (c *compiler) set(at site, s *v1alpha1.Step) Action {
	return &Set{Value: c.json(at.at(at.path+".set"), s.Set, wantAny)}
}
