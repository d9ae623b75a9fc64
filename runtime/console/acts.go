package console

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store/acts"
)

// Action is what somebody may be allowed to do.
type Action string

// The actions.
const (
	ActionSend   Action = "send"
	ActionCancel Action = "cancel"
	ActionReplay Action = "replay"
)

// AllowAll lets everybody act: for `wildout dev`.
func AllowAll(context.Context, Action) error { return nil }

func readOnly(_ context.Context, a Action) error {
	return failf(http.StatusForbidden, "%s is not allowed: this console is read-only; start it with --allow-actions, or name who may with --action-users or --action-groups", a)
}

// May says whether whoever ctx belongs to may act: nil, or a *Problem with
// status 403 that says what would allow it.
func (s *Service) May(ctx context.Context, a Action) error {
	err := s.opts.Authorize(ctx, a)
	var known *Problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &Problem{Status: http.StatusForbidden, Text: err.Error()}
}

// Send publishes events, which get their ids, and returns those.
func (s *Service) Send(ctx context.Context, events []*event.Event) (ids []string, err error) {
	defer func() {
		var types []string
		for _, e := range events {
			if !slices.Contains(types, e.Type) {
				types = append(types, e.Type)
			}
		}
		s.audit(ctx, ActionSend, err, "types", types, "events", ids)
	}()
	if err := s.May(ctx, ActionSend); err != nil {
		return nil, err
	}
	if s.opts.Send == nil {
		return nil, failf(http.StatusNotImplemented, "events cannot be sent from here: this console knows no gateway; send them to the gateway itself")
	}
	if err := s.opts.Send(ctx, events); err != nil {
		return nil, err
	}
	ids = make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids, nil
}

// Cancel ends a run that has not ended; the reason becomes its error.
func (s *Service) Cancel(ctx context.Context, id, reason string) (err error) {
	defer func() { s.audit(ctx, ActionCancel, err, "run", id, "reason", reason) }()
	if err := s.May(ctx, ActionCancel); err != nil {
		return err
	}
	run, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	return s.outcome(id, s.acts.Cancel(ctx, run.Function, id, reason))
}

// Replay starts a run anew, from its event and with the function as it is now,
// and returns the id of the new run.
func (s *Service) Replay(ctx context.Context, id string) (replay string, err error) {
	defer func() { s.audit(ctx, ActionReplay, err, "run", id, "replay", replay) }()
	if err := s.May(ctx, ActionReplay); err != nil {
		return "", err
	}
	run, err := s.find(ctx, id)
	if err != nil {
		return "", err
	}
	replay, err = s.acts.Replay(ctx, run.Function, id)
	return replay, s.outcome(id, err)
}

// audit leaves a line for whoever asks later who did what, also for what was
// refused. It has no data of events.
func (s *Service) audit(ctx context.Context, a Action, err error, about ...any) {
	line := append([]any{"action", string(a), "who", s.opts.Who(ctx), "ok", err == nil}, about...)
	if err != nil {
		line = append(line, "error", err)
	}
	s.log.Info("audit", line...)
}

// outcome puts what the store says of a run into the words of the API.
func (s *Service) outcome(id string, err error) error {
	switch {
	case errors.Is(err, acts.ErrNoRun):
		return failf(http.StatusNotFound, "%v", err)
	case errors.Is(err, acts.ErrNoEvent):
		return failf(http.StatusGone, "%v", err)
	case errors.Is(err, acts.ErrEnded):
		return failf(http.StatusConflict, "run %s has ended already", id)
	}
	return err
}
