package engine

import (
	"encoding/json"
	"strconv"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// sendEvent publishes events in the same write as its result, so that they are
// sent exactly once.
type sendEvent plan.SendEvent

func (a *sendEvent) begin(x *execution, u *unit) *run.Failure {
	now := x.Now()
	events := make([]OutEvent, len(a.Events))
	ids := make([]string, len(events))
	for i, s := range a.Events {
		data, err := jsonOrEmpty(s.Data, &x.scope)
		if err == nil {
			err = event.Check(data)
		}
		if err != nil {
			return x.refuse(u, "sendEvent[%d].data: %w", i, err)
		}
		id := event.DerivedID(now, s.Type, x.run.ID, u.path, strconv.Itoa(i))
		if s.ID != nil {
			if id, err = s.ID.Text(&x.scope); err != nil || id == "" {
				return x.refuse(u, "sendEvent[%d].id: empty or wrong: %w", i, err)
			}
		}
		ids[i] = id
		events[i] = OutEvent{Dedupe: s.ID != nil, Event: x.sent(u, id, s.Type, data)}
		events[i].Event.Time = now
	}
	output, _ := json.Marshal(ids) // strings cannot fail
	r := run.Result{Output: output, Attempts: 1, Start: u.prog.Since}
	leg := x.leg
	x.spawn(u, func() completion {
		return x.written(leg, u, r, func(b []byte) ([]byte, error) { return x.run.Journal.Send(x.durable, u.path, b, events) })
	})
	return nil
}

func (a *sendEvent) recall(_ *execution, u *unit) *run.Failure { return u.wait() }

func (*sendEvent) mark() run.Kind { return "" }
func (*sendEvent) told() bool     { return true }

// sent is an event that a step sends, but for its time.
func (x *execution) sent(u *unit, id, eventType string, data json.RawMessage) event.Event {
	e := event.Event{ID: id, Type: eventType, Source: "wildout:" + x.run.Plan.Function, Subject: x.run.ID, Data: data}
	e.TraceParent, e.TraceState = x.sends(u)
	return e
}
