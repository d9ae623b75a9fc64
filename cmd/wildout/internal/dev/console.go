package dev

import (
	"context"
	"errors"

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

// sendFromConsole publishes events that somebody sends in the console, by the
// way that all others take.
func (s *Server) sendFromConsole(ctx context.Context, events []*event.Event) error {
	err := s.events.Accept(ctx, &gateway.Sender{Name: "console", Types: []string{"*"}}, events)
	var refusal *gateway.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	problem := &console.Problem{Status: refusal.Status, Text: refusal.Message}
	for _, f := range refusal.Faults {
		problem.Faults = append(problem.Faults, console.Fault(f))
	}
	return problem
}

// declare notes the event types for those who want to send one.
func (s *Server) declare(types []manifest.EventType) {
	all := make([]console.EventType, len(types))
	for i, t := range types {
		all[i] = console.EventType{Type: t.Name, Description: t.Description, Schema: t.Schema}
	}
	s.declared.Store(&all)
}

// declaredTypes returns the event types of the manifests.
func (s *Server) declaredTypes() []console.EventType {
	if all := s.declared.Load(); all != nil {
		return *all
	}
	return nil
}
