package run

import (
	"encoding/json"
	"fmt"
)

// Kind says in one letter what a step that has not ended does, for those who
// read a journal without the plan. Journals of v1 and v2 do not say it.
type Kind string

// The kinds of steps that leave a progress in the journal, and KindSend.
const (
	KindHandler Kind = "h"
	KindSleep   Kind = "s"
	KindWait    Kind = "w"
	KindInvoke  Kind = "i"
	KindSend    Kind = "e" // in a result
)

// Progress is the state of a step that has not ended: one field of the journal.
type Progress struct {
	Kind     Kind   `json:"y,omitempty"`
	Attempts int    `json:"n,omitempty"` // failed attempts
	Error    string `json:"e,omitempty"` // of the last one
	Since    int64  `json:"t,omitempty"` // ms, the beginning of the step
	Due      int64  `json:"u,omitempty"` // ms, the end of the sleep, the wait or the retry interval
	Seen     string `json:"s,omitempty"` // the wait is registered, and the stream was looked through up to here
	Child    string `json:"c,omitempty"` // id of the child run
	Version  string `json:"v,omitempty"` // as in Result, where the first write of a run is no result
	Tries    Tries  `json:"r,omitempty"` // failed attempts
	Parks    int    `json:"k,omitempty"` // which time that the run came to wait this is from
	// Wants are the operations that the handler of the step waits for: what their
	// paths have behind that of the step.
	Wants []string `json:"w,omitempty"`
	// Operation is set for an operation of a handler.
	Operation *Operation `json:"o,omitempty"`
}

// Operation says what is not in a Progress besides of an operation that a
// handler waits for. The plan does not know it, and nobody is to call the
// handler for it.
type Operation struct {
	// Function was invoked.
	Function string `json:"f,omitempty"`
	// Data and Timeout, in ms, are those of a run that could not be invoked yet.
	Data    json.RawMessage `json:"d,omitempty"`
	Timeout int64           `json:"l,omitempty"`
	// Event is awaited that has Value at Match, as in Wait.
	Event string `json:"e,omitempty"`
	Match string `json:"m,omitempty"`
	Value string `json:"v,omitempty"`
}

// Empty reports whether nothing is to be kept.
func (p *Progress) Empty() bool {
	return p.Attempts == 0 && p.Error == "" && p.Since == 0 && p.Due == 0 && p.Seen == "" && p.Child == "" && p.Version == ""
}

// Encode returns the form in the journal.
func (p *Progress) Encode() []byte {
	b, _ := json.Marshal(p) // plain strings and numbers cannot fail
	return b
}

// DecodeProgress reads the field of the step at path.
func DecodeProgress(path string, b []byte) (Progress, error) {
	var p Progress
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("journal field %s is damaged: %w", ProgressField(path), err)
	}
	return p, nil
}

// Does is the kind of the step. What v1 and v2 wrote does not say it, but each
// kind of those left another mark.
func (p *Progress) Does() Kind {
	switch {
	case p.Kind != "":
		return p.Kind
	case p.Child != "":
		return KindInvoke
	case p.Seen != "":
		return KindWait
	case p.Due > 0 && p.Attempts == 0 && p.Error == "":
		return KindSleep
	}
	return KindHandler
}

// Reason is why a step in this state does not move.
func (p *Progress) Reason() Reason {
	switch p.Does() {
	case KindInvoke:
		if p.Child == "" && p.Error != "" {
			return NoSuchFunction
		}
		return WaitingForRun
	case KindWait:
		return WaitingForEvent
	case KindSleep:
		return Sleeping
	}
	return RetryBackoff
}
