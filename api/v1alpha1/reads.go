package v1alpha1

import "slices"

// What a function has to do with which event types, also where its spec does
// not compile. Runner, operator, console and metrics all ask here.

// AwaitedEvent is an event that a step may wait for.
type AwaitedEvent struct {
	// The type of the event.
	// +required
	Event EventTypeName `json:"event"`

	// The path of the value by which the event is found, such as data.userId.
	// Left out: any event of the type.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(id|type|source|subject|data(\.[A-Za-z_][A-Za-z0-9_]*)+)$`
	Match string `json:"match,omitempty"`
}

// Triggered returns the event types that start runs.
func (s *WildoutFunctionSpec) Triggered() []string {
	var types []string
	for _, t := range s.Triggers {
		types = appendNew(types, string(t.Event))
	}
	return types
}

// Awaited returns the events that the step may wait for.
func (s *Step) Awaited() []AwaitedEvent {
	if s.WaitForEvent == nil {
		return s.Waits
	}
	return []AwaitedEvent{{Event: s.WaitForEvent.Event, Match: s.WaitForEvent.Match}}
}

// Awaited returns the events that steps may wait for, those of onFailure too.
func (s *WildoutFunctionSpec) Awaited() []AwaitedEvent {
	var all []AwaitedEvent
	s.each(func(step *Step) {
		for _, a := range step.Awaited() {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	})
	return all
}

// Reads returns the event types that a runner of the function reads: those that
// start runs, and those that steps wait for.
func (s *WildoutFunctionSpec) Reads() []string {
	types := s.Triggered()
	for _, a := range s.Awaited() {
		types = appendNew(types, string(a.Event))
	}
	return types
}

// Sends returns the event types that steps send.
func (s *WildoutFunctionSpec) Sends() []string {
	var types []string
	s.each(func(step *Step) {
		for i := range step.SendEvent {
			types = appendNew(types, string(step.SendEvent[i].Name))
		}
	})
	return types
}

// Invokes returns the functions that steps invoke.
func (s *WildoutFunctionSpec) Invokes() []string {
	var names []string
	s.each(func(step *Step) {
		if step.Invoke != nil {
			names = appendNew(names, step.Invoke.Function)
		}
	})
	return names
}

// each calls f for every step, those of onFailure too.
func (s *WildoutFunctionSpec) each(f func(*Step)) {
	for _, steps := range [][]Step{s.Steps, s.OnFailure} {
		for i := range steps {
			f(&steps[i])
		}
	}
}

// appendNew appends a name, unless it is empty or there already.
func appendNew(list []string, name string) []string {
	if name == "" || slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
