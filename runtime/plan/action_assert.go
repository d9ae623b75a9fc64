package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Assert fails the step unless all conditions hold. It has no output.
type Assert struct{ Conditions []Assertion }

// Assertion is a condition that must hold.
type Assertion struct {
	That    *Expr
	Message *Value // nil: the text of That
}

// Kind implements Action.
func (*Assert) Kind() Kind { return KindAssert }

// Does implements Action.
func (a *Assert) Does() string {
	conditions := make([]string, len(a.Conditions))
	for i := range a.Conditions {
		conditions[i] = a.Conditions[i].That.String()
	}
	return strings.Join(conditions, "; ")
}

// Input implements Action: an assert is given nothing.
func (*Assert) Input() *Value { return nil }

// Compute implements Pure.
func (a *Assert) Compute(s *Scope) (json.RawMessage, error) {
	for i, c := range a.Conditions {
		ok, err := c.That.Bool(s)
		if err != nil {
			return nil, fmt.Errorf("assert[%d]: %w", i, err)
		}
		if ok {
			continue
		}
		if c.Message == nil {
			return nil, fmt.Errorf("assertion failed: %s", c.That)
		}
		text, err := c.Message.Text(s)
		if err != nil {
			return nil, fmt.Errorf("assert[%d].message: %w", i, err)
		}
		return nil, fmt.Errorf("assertion failed: %s", text)
	}
	return nil, nil
}

func hasAssertions(s *v1alpha1.Step) bool { return s.Assert != nil }

func (c *compiler) assertions(at site, s *v1alpha1.Step) Action {
	c.count(at.path+".assert", len(s.Assert), 1, maxAssertions)
	out := &Assert{Conditions: make([]Assertion, len(s.Assert))}
	for i, a := range s.Assert {
		path := fmt.Sprintf("%s.assert[%d]", at.path, i)
		if a.That == "" {
			c.errorf(path+".that", "is missing: write the condition that must hold")
		}
		out.Conditions[i] = Assertion{
			That:    c.condition(at.at(path+".that"), a.That, wantBool),
			Message: c.template(at.at(path+".message"), a.Message, maxMessage),
		}
	}
	return out
}
