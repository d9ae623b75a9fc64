package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/wildout/wildout/runtime/event"
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
	faults, err := g.faults(s)
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
func (g *Gateway) faults(s submission) (Faults, error) {
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
		faults = append(faults, checkEvent(i, e)...)
	}
	if len(faults) > 0 {
		g.opts.Metrics.Refused(RefusedForm, len(s.events))
		if !s.partial {
			return faults, nil
		}
	}
	unfit := g.opts.Types.check(s.events, g.opts.Strict, faults)
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
	faulty := make(map[int]bool, len(faults))
	for _, f := range faults {
		faulty[f.Event] = true
	}
	sound := make([]*event.Event, 0, len(events))
	for i, e := range events {
		if !faulty[i] {
			sound = append(sound, e)
		}
	}
	return sound
}

// eventType is the pattern of WildoutEventType.spec.type; the name becomes
// part of a Redis key.
var eventType = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)

const (
	maxTypeLength = 128
	maxIDLength   = 256
	maxTextLength = 1024 // of source and subject
)

// checkEvent looks at the envelope of an event, and at the form of its data.
func checkEvent(n int, e *event.Event) (found []Fault) {
	fault := func(path, format string, args ...any) { found = append(found, newFault(n, path, format, args...)) }
	switch {
	case e.Type == "":
		fault("type", "is missing: it is the event type, such as user/registered")
	case len(e.Type) > maxTypeLength || !eventType.MatchString(e.Type):
		fault("type", "%q is no event type: up to %d letters, digits and . _ / -, a letter or a digit at both ends", clip(e.Type), maxTypeLength)
	case strings.HasPrefix(e.Type, "inngest/"), strings.HasPrefix(e.Type, "wildout/"):
		fault("type", "%q is reserved for what the system sends itself", clip(e.Type))
	}
	for _, text := range []struct {
		path, value string
		most        int
	}{{"id", e.ID, maxIDLength}, {"source", e.Source, maxTextLength}, {"subject", e.Subject, maxTextLength}} {
		if len(text.value) > text.most || strings.IndexFunc(text.value, unicode.IsControl) >= 0 {
			fault(text.path, "must be at most %d bytes without control characters", text.most)
		}
	}
	if err := event.Check(e.Data); err != nil {
		fault("data", "%s", strings.TrimPrefix(err.Error(), "malformed event: data "))
	}
	return found
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
