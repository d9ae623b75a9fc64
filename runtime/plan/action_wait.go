package plan

import (
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// WaitForEvent waits for an event. The output is the event, or null when the
// time was up.
type WaitForEvent struct {
	Event string
	Match *Path // nil: any event of the type
	// Value is what the event must have at Match, as Path.Lookup returns it;
	// empty: what the event that started the run has there.
	Value   string
	If      *Expr // nil: any
	Timeout time.Duration
	text    string // Timeout as it was written
}

// Kind implements Action.
func (*WaitForEvent) Kind() Kind { return KindWaitForEvent }

// Does implements Action.
func (a *WaitForEvent) Does() string {
	timeout := a.text
	if timeout == "" {
		timeout = a.Timeout.String()
	}
	return a.Event + ", up to " + timeout
}

// Input implements Action: a wait is given nothing.
func (*WaitForEvent) Input() *Value { return nil }

func hasWait(s *v1alpha1.Step) bool { return s.WaitForEvent != nil }

func (c *compiler) wait(at site, s *v1alpha1.Step) Action {
	w, path := s.WaitForEvent, at.path+".waitForEvent"
	c.eventType(path+".event", w.Event)
	out := &WaitForEvent{Event: string(w.Event), Timeout: c.requiredDuration(path+".timeout", w.Timeout), text: string(w.Timeout)}
	out.Match = c.match(path+".match", w.Match)
	out.If = c.condition(at.at(path+".if").with(varAsync), w.If, wantBool)
	return out
}

// match compiles the path by which an event is found; left out it gives nil.
func (c *compiler) match(path, text string) *Path {
	if text == "" || !c.length(path, text, 256) {
		return nil
	}
	match, err := ParsePath(text)
	if err != nil {
		c.errorf(path, "%v", err)
	}
	return match
}
