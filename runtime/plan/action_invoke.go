package plan

import (
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Invoke runs another function and waits for it. The output is that of the run.
type Invoke struct {
	Function string
	Data     *Value        // nil: {}
	Timeout  time.Duration // 0: no bound
}

// Kind implements Action.
func (*Invoke) Kind() Kind { return KindInvoke }

// Does implements Action.
func (a *Invoke) Does() string { return a.Function }

// Input implements Action.
func (a *Invoke) Input() *Value { return a.Data }

func hasInvoke(s *v1alpha1.Step) bool { return s.Invoke != nil }

func (c *compiler) invoke(at site, s *v1alpha1.Step) Action {
	path := at.path + ".invoke"
	c.functionName(path+".function", s.Invoke.Function)
	return &Invoke{
		Function: s.Invoke.Function,
		Data:     c.json(at.at(path+".data"), s.Invoke.Data, wantObject),
		Timeout:  c.duration(path+".timeout", s.Invoke.Timeout),
	}
}
