package run

import "strings"

// Wait is a registered interest of a step in an event.
type Wait struct {
	// Path is that of the step.
	Path      string
	EventType string
	// Match is the path in the event whose value must be Value; "": any event of
	// the type.
	Match, Value string
	// HasIf says that only the run itself can tell whether an event fits.
	HasIf bool
}

// Member is the wait as a member of the set of those that wait for a value.
func (w *Wait) Member(runID string) string {
	if w.HasIf {
		return runID + " " + w.Path + " if"
	}
	return runID + " " + w.Path
}

// WaitPath is an event type and a match path that some run waits on.
type WaitPath struct{ EventType, Match string }

// Waiter is a run and the path of the step in it that waits.
type Waiter struct {
	RunID, Path string
	HasIf       bool
}

// ParseMember reads what Wait.Member made.
func ParseMember(member string) Waiter {
	id, path, _ := strings.Cut(member, " ")
	path, hasIf := strings.CutSuffix(path, " if")
	return Waiter{RunID: id, Path: path, HasIf: hasIf}
}

// Parent is the step that waits for a run that it has invoked.
type Parent struct {
	Function string `json:"f"`
	RunID    string `json:"r"`
	Path     string `json:"p"`
}

// Child is a run that the step at Path has invoked.
type Child struct{ Function, RunID, Path string }
