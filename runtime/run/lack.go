package run

import (
	"encoding/json"
	"slices"
	"strings"
)

// Format is the form of journals that this release reads and writes. A later
// release whose journals this one must not touch says so in FormatField; without
// that field a journal has a form that all releases read.
const Format = 3

// Lack is the code that a parked run waits for: no runner that looked at it has
// it. Any runner that has takes the run up.
type Lack struct {
	// Handlers are those of the steps that it is at; one of them takes it further.
	Handlers []string `json:"h,omitempty"`
	// Version is the version of the function that the run began with. Without
	// Handlers, it could not be read: another release wrote it, or it is not stored.
	Version string `json:"v,omitempty"`
	// Format is the form of the journal, where a later release wrote it; else 0.
	Format int `json:"f,omitempty"`
}

// Encode returns the form in the journal.
func (l *Lack) Encode() string {
	b, _ := json.Marshal(l) // strings and a number cannot fail
	return string(b)
}

// ParseLack reads what Encode made. What is damaged lacks nothing that is known.
func ParseLack(text string) *Lack {
	l := &Lack{}
	_ = json.Unmarshal([]byte(text), l)
	return l
}

// Reason is the lack for a machine.
func (l *Lack) Reason() Reason {
	if len(l.Handlers) > 0 {
		return RunnerLacksHandler
	}
	return RunnerLacksVersion
}

// String says what is missing.
func (l *Lack) String() string {
	switch {
	case l.Format > 0:
		return "a runner of a later release, which wrote the journal of the run"
	case len(l.Handlers) == 0:
		return "a runner that can read version " + l.Version + " of the function"
	}
	names := slices.Sorted(slices.Values(l.Handlers))
	return "a runner with the handler " + strings.Join(names, ", ")
}
