package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// sendEvent publishes events in the same write as its result, so that they are
// sent exactly once.
type sendEvent plan.SendEvent

func (a *sendEvent) begin(x *execution, u *unit) *run.Failure {
	out := x.outbox(u.path)
	for i, s := range a.Events {
		data, err := jsonOrEmpty(s.Data, &x.scope)
		if err != nil {
			return x.refuse(u, "sendEvent[%d].data: %w", i, err)
		}
		id := ""
		if s.ID != nil {
			if id, err = s.ID.Text(&x.scope); err == nil && id == "" {
				err = errEmptyID
			}
			if err != nil {
				return x.refuse(u, "sendEvent[%d].id: %w", i, err)
			}
		}
		if err := out.add(s.Type, id, data); err != nil {
			return x.refuse(u, "sendEvent[%d]: %w", i, err)
		}
	}
	r := out.result(u.prog.Since)
	leg := x.leg
	x.spawn(u, func() completion { return x.written(leg, u, r, out.send) })
	return nil
}

var errEmptyID = errors.New("it is the empty text: leave id out, or give what is different for different events")

func (a *sendEvent) recall(_ *execution, u *unit) *run.Failure { return u.wait() }

func (*sendEvent) mark() run.Kind { return "" }
func (*sendEvent) told() bool     { return true }

// outbox is what one step sends.
type outbox struct {
	x      *execution
	path   string
	at     time.Time
	events []OutEvent
}

func (x *execution) outbox(path string) *outbox { return &outbox{x: x, path: path, at: x.Now()} }

// add adds an event; without an id it gets one that is made of the run, the step
// and its place in it. The error says why nobody may send such an event.
func (o *outbox) add(eventType, id string, data json.RawMessage) error {
	dedupe := id != ""
	if !dedupe {
		id = event.DerivedID(o.at, eventType, o.x.run.ID, o.path, strconv.Itoa(len(o.events)))
	}
	e := o.x.sent(o.path, id, eventType, o.at, data)
	o.events = append(o.events, OutEvent{Dedupe: dedupe, Event: e})
	return intake.Envelope(&e).Err()
}

// result is that of the step, which began at since, in ms.
func (o *outbox) result(since int64) run.Result {
	output, _ := json.Marshal(o.ids()) // strings cannot fail
	return run.Result{Output: output, Attempts: 1, Start: since}
}

func (o *outbox) ids() []string {
	ids := make([]string, len(o.events))
	for i := range o.events {
		ids[i] = o.events[i].Event.ID
	}
	return ids
}

// send publishes the events, with the result of the step.
func (o *outbox) send(result []byte) ([]byte, error) {
	return o.x.run.Journal.Send(o.x.durable, o.path, result, o.events)
}

// sent is an event that the step at path sends.
func (x *execution) sent(path, id, eventType string, at time.Time, data json.RawMessage) event.Event {
	e := event.Event{ID: id, Type: eventType, Source: "wildout:" + x.run.Function, Subject: x.run.ID, Time: at, Data: data}
	e.TraceParent, e.TraceState = x.sends(path)
	return e
}

// SendEvent implements wildout.SubSteps.
func (s *subSteps) SendEvent(_ context.Context, name string, events []wildout.OutEvent) ([]string, error) {
	path := s.path + "/" + name
	if err := s.a.asked.once(path); err != nil {
		return nil, err
	}
	r, known, err := s.recall(path, doesSend)
	if !known && err == nil {
		r, err = s.send(path, events)
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal(r.Output, &ids); err != nil {
		return nil, wildout.NonRetriable(fmt.Errorf("the result of %s is no list of ids: %w", path, err))
	}
	return ids, nil
}

func (s *subSteps) send(path string, events []wildout.OutEvent) (run.Result, error) {
	x := s.a.x
	out := x.outbox(path)
	for _, e := range events {
		if err := out.add(e.Type, e.ID, e.Data); err != nil {
			return run.Result{}, wildout.NonRetriable(fmt.Errorf("an event of %s: %w", path, err))
		}
	}
	sent := out.result(out.at.UnixMilli())
	sent.Kind = run.KindSend
	r, err := s.fix(path, sent, out.send)
	if err == nil && x.run.Observer != nil {
		x.run.Observer.Passed(path, plan.KindSendEvent, millis(r.Start), millis(r.Start+r.Duration), "")
	}
	return r, err
}
