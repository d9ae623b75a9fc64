package run

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Result is the fixed outcome of a step: one field of the journal. Its form is
// kept for ever: a run may outlive the release that began it.
type Result struct {
	Output   json.RawMessage `json:"o,omitempty"`
	Error    string          `json:"e,omitempty"` // set: the step failed
	Attempts int             `json:"n,omitempty"`
	Start    int64           `json:"t,omitempty"` // ms since 1970
	Duration int64           `json:"d,omitempty"` // ms
	Tries    Tries           `json:"r,omitempty"` // where there were several attempts
	// Version is the version of the function; only the first result of a run
	// carries it.
	Version string `json:"v,omitempty"`
	// Kind is KindSend where a handler sent events.
	Kind Kind `json:"y,omitempty"`
}

// Encode writes the journal form by hand: encoding/json costs more than all
// else on the path of a small step.
func (r *Result) Encode() []byte {
	b := make([]byte, 0, 64+len(r.Output)+len(r.Error))
	b = append(b, '{')
	if r.Version != "" {
		b = append(b, `"v":"`...)
		b = append(b, r.Version...)
		b = append(b, `",`...)
	}
	if r.Kind != "" {
		b = append(b, `"y":"`...)
		b = append(b, r.Kind...)
		b = append(b, `",`...)
	}
	if r.Error != "" {
		b = appendQuoted(append(b, `"e":`...), r.Error)
		b = append(b, ',')
	}
	b = appendNumber(b, `"n":`, int64(r.Attempts))
	b = appendNumber(b, `"t":`, r.Start)
	b = appendNumber(b, `"d":`, r.Duration)
	if len(r.Tries) > 0 {
		b = append(r.Tries.appendJournal(append(b, `"r":`...)), ',')
	}
	if len(r.Output) > 0 {
		b = append(b, `"o":`...)
		b = append(b, r.Output...)
	} else {
		b = append(b, `"o":null`...)
	}
	return append(b, '}')
}

// appendNumber appends name and n, unless that is 0.
func appendNumber(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, name...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, ',')
}

// DecodeResult reads the field of the step at path.
func DecodeResult(path string, b []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("journal field %s is damaged: %w", path, err)
	}
	return r, nil
}

// EventResult is what an event gives a step that waited for it. Start is when
// it came: the step knows since when it waited.
func EventResult(eventJSON []byte, now time.Time) *Result {
	return &Result{Output: eventJSON, Attempts: 1, Start: now.UnixMilli()}
}

// Failure says why a run failed.
type Failure struct {
	Message  string `json:"message"`
	Step     string `json:"step,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	// OnFailure is what went wrong in the onFailure steps themselves.
	OnFailure string `json:"onFailure,omitempty"`
}

// Result is the form in the journal (FailureField): a result whose output is
// the name of the step. at is when the run failed.
func (f *Failure) Result(at time.Time) *Result {
	name, _ := json.Marshal(f.Step) // a string cannot fail
	return &Result{Output: name, Error: f.Message, Attempts: f.Attempts, Start: at.UnixMilli()}
}

// FailureOf reads what Failure.Result made.
func FailureOf(r *Result) *Failure {
	f := &Failure{Message: r.Error, Attempts: r.Attempts}
	_ = json.Unmarshal(r.Output, &f.Step) // an old journal without it names no step
	return f
}
