package plan

import (
	"fmt"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
)

// SendEvent sends events, exactly once. The output is the list of their ids.
type SendEvent struct{ Events []Send }

// Send is an event to send.
type Send struct {
	Type string
	Data *Value // nil: {}
	ID   *Value // nil: derived from run and step
}

// Kind implements Action.
func (*SendEvent) Kind() Kind { return KindSendEvent }

// Does implements Action.
func (a *SendEvent) Does() string {
	types := make([]string, len(a.Events))
	for i := range a.Events {
		types[i] = a.Events[i].Type
	}
	return strings.Join(types, ", ")
}

// Input implements Action: the data, where there is one event.
func (a *SendEvent) Input() *Value {
	if len(a.Events) != 1 {
		return nil
	}
	return a.Events[0].Data
}

func hasSends(s *v1alpha1.Step) bool { return s.SendEvent != nil }

func (c *compiler) sends(at site, s *v1alpha1.Step) Action {
	c.count(at.path+".sendEvent", len(s.SendEvent), 1, maxSends)
	out := &SendEvent{Events: make([]Send, len(s.SendEvent))}
	for i, e := range s.SendEvent {
		path := fmt.Sprintf("%s.sendEvent[%d]", at.path, i)
		c.eventType(path+".name", e.Name)
		out.Events[i] = Send{
			Type: string(e.Name),
			Data: c.json(at.at(path+".data"), e.Data, wantObject),
			ID:   c.template(at.at(path+".id"), string(e.ID), maxTemplate),
		}
	}
	return out
}
