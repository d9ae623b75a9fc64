package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
)

// Accept takes the events of one request from a sender: it checks that the
// sender may send their types, that each is a sound event which fits the schema
// of its type, that there is room, and that the sender keeps to its rate, and
// publishes them. When it returns nil, Redis has all of them, and the ids that
// were empty are set. Otherwise it has published none; the error is a *Refusal.
func (g *Gateway) Accept(ctx context.Context, sender *Sender, events []*event.Event) error {
	_, err := g.accept(ctx, submission{sender: sender, events: events})
	return err
}

// submission is what a request asks for.
type submission struct {
	sender *Sender
	events []*event.Event
	// faults are what the reader of the request found.
	faults Faults
	// seed makes the request idempotent; may be empty.
	seed string
	// partial publishes what is sound and leaves out the rest.
	partial bool
}

// accept does what Accept says. With partial it returns the faults of the
// events that were left out.
func (g *Gateway) accept(ctx context.Context, s submission) (Faults, error) {
	NoteSender(ctx, s.sender.Name)
	faults, err := g.faults(ctx, s)
	if err != nil {
		return nil, err
	}
	sound := s.events
	if len(faults) > 0 {
		if sound = without(s.events, faults); !s.partial || len(sound) == 0 {
			return nil, faults.refusal()
		}
	}
	if err := g.limits.take(ctx, s.sender, len(sound)); err != nil {
		return nil, g.refused(err, len(s.events))
	}
	if err := g.publisher.publish(ctx, &store.Batch{Events: sound, Seed: s.seed}); err != nil {
		return nil, g.refused(err, len(s.events))
	}
	g.opts.Metrics.Accepted(s.sender.Name, len(sound))
	return faults, nil
}

// faults returns what is wrong with the events. It is an error to send what
// one may not, unless the rest is wanted all the same.
func (g *Gateway) faults(ctx context.Context, s submission) (Faults, error) {
	may := map[string]bool{} // event type → allowed
	faults := s.faults
	for i, e := range s.events {
		allowed, asked := may[e.Type]
		if !asked {
			allowed = e.Type == "" || s.sender.May(e.Type) // one that is missing is another fault
			may[e.Type] = allowed
		}
		if !allowed && !s.partial {
			g.opts.Metrics.Refused(RefusedType, len(s.events))
			return nil, &Refusal{Status: http.StatusForbidden,
				Message: fmt.Sprintf("event %d: %s may not send events of the type %q (nothing was published)", i, s.sender.Name, clip(e.Type))}
		}
		if !allowed {
			faults = append(faults, newFault(i, "type", "%q may not be sent by %s", clip(e.Type), s.sender.Name))
			continue
		}
		faults = append(faults, envelope(i, e)...)
	}
	if len(faults) > 0 {
		g.opts.Metrics.Refused(RefusedForm, len(s.events))
		if !s.partial {
			return faults, nil
		}
	}
	unfit, err := g.unfit(ctx, s.events, faults)
	if err != nil {
		return nil, g.refused(err, len(s.events))
	}
	if len(unfit) > 0 {
		g.opts.Metrics.Refused(RefusedSchema, len(s.events))
	}
	faults = append(faults, unfit...)
	slices.SortStableFunc(faults, func(a, b Fault) int { return a.Event - b.Event })
	return faults, nil
}

// refused makes a refusal of what went wrong while publishing.
func (g *Gateway) refused(err error, events int) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		g.opts.Metrics.Refused(RefusedRate, events)
		return refusal
	}
	g.opts.Metrics.Refused(RefusedStore, events)
	if !errors.Is(err, context.Canceled) { // the client has gone
		g.failures.warn(g.opts.Logger, "events could not be stored", "error", err)
	}
	return g.pressure.failed(err)
}

// without returns the events that have no fault.
func without(events []*event.Event, faults Faults) []*event.Event {
	faulty := faults.events()
	sound := make([]*event.Event, 0, len(events))
	for i, e := range events {
		if !faulty[i] {
			sound = append(sound, e)
		}
	}
	return sound
}

// envelope looks at everything of an event but its schema.
func envelope(n int, e *event.Event) Faults { return of(n, intake.Envelope(e)) }

// of are the faults of the event n.
func of(n int, found intake.Faults) (faults Faults) {
	for _, f := range found {
		faults = append(faults, Fault{n, f.Path, f.Message})
	}
	return faults
}

// unfit holds the events that have no fault yet against the schemas of their
// types.
func (g *Gateway) unfit(ctx context.Context, events []*event.Event, faulty Faults) (found Faults, err error) {
	at := faulty.events()
	for i, e := range events {
		if at[i] {
			continue
		}
		faults, err := g.opts.Types.Check(ctx, e, g.opts.Strict)
		if err != nil {
			return nil, err
		}
		found = append(found, of(i, faults)...)
	}
	return found, nil
}

func newFault(n int, path, format string, args ...any) Fault {
	return Fault{n, path, fmt.Sprintf(format, args...)}
}

// clip shortens what came from outside for a message.
func clip(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
