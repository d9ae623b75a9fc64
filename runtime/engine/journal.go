package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// result is the fixed outcome of a step: one field of the journal. Its form is
// kept for ever (testdata/journals): a run may outlive the release that began it.
type result struct {
	Output   json.RawMessage `json:"o,omitempty"`
	Error    string          `json:"e,omitempty"` // set: the step failed
	Attempts int             `json:"n,omitempty"`
	Start    int64           `json:"t,omitempty"` // ms since 1970
	Duration int64           `json:"d,omitempty"` // ms
	Tries    []try           `json:"r,omitempty"` // failed attempts, where there were several attempts
	// Version is the version of the function; only the first result of a run
	// carries it.
	Version string `json:"v,omitempty"`
	skipped bool
}

// progress is the state of a step that has not ended: one field of the journal.
type progress struct {
	Attempts int    `json:"n,omitempty"` // failed attempts
	Error    string `json:"e,omitempty"` // of the last one
	Since    int64  `json:"t,omitempty"` // ms, the beginning of the step
	Due      int64  `json:"u,omitempty"` // ms, the end of the sleep, the wait or the retry interval
	Seen     string `json:"s,omitempty"` // the wait is registered, and the stream was looked through up to here
	Child    string `json:"c,omitempty"` // id of the child run
	Version  string `json:"v,omitempty"` // as in result, where the first write of a run is no result
	Tries    []try  `json:"r,omitempty"` // failed attempts
	Parks    int    `json:"k,omitempty"` // which time that the run came to wait this is from
}

// empty reports whether nothing is to be kept.
func (p *progress) empty() bool {
	return p.Attempts == 0 && p.Error == "" && p.Since == 0 && p.Due == 0 && p.Seen == "" && p.Child == "" && p.Version == ""
}

// encode writes the journal form by hand: encoding/json costs more than all
// else on the path of a small step.
func (r *result) encode() []byte {
	b := make([]byte, 0, 64+len(r.Output)+len(r.Error))
	b = append(b, '{')
	if r.Version != "" {
		b = append(b, `"v":"`...)
		b = append(b, r.Version...)
		b = append(b, `",`...)
	}
	if r.Error != "" {
		b = appendString(b, `"e":`, r.Error)
		b = append(b, ',')
	}
	b = appendInt(b, `"n":`, int64(r.Attempts))
	b = appendInt(b, `"t":`, r.Start)
	b = appendInt(b, `"d":`, r.Duration)
	b = appendTries(b, r.Tries)
	if len(r.Output) > 0 {
		b = append(b, `"o":`...)
		b = append(b, r.Output...)
	} else {
		b = append(b, `"o":null`...)
	}
	return append(b, '}')
}

func appendInt(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, name...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, ',')
}

func decodeResult(path string, b []byte) (result, error) {
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("journal field %s is damaged: %w", path, err)
	}
	return r, nil
}

func (p *progress) encode() []byte {
	b, _ := json.Marshal(p) // plain strings and numbers cannot fail
	return b
}

// VersionOf returns the version of the function that a run with these journal
// fields began with, or "" when none of them says.
func VersionOf(journal ...map[string][]byte) string {
	for _, fields := range journal {
		for _, b := range fields {
			var f struct {
				Version string `json:"v"`
			}
			if err := json.Unmarshal(b, &f); err == nil && f.Version != "" {
				return f.Version
			}
		}
	}
	return ""
}

// ChildResult returns the journal form of what a child run gives its parent's
// step: the output, or the failure as the step's error.
func ChildResult(startedAt, now time.Time, out *Outcome) []byte {
	r := result{Output: out.Output, Attempts: 1, Start: startedAt.UnixMilli(), Duration: now.Sub(startedAt).Milliseconds()}
	switch {
	case out.Kind == Cancelled && out.Failure.Message == "":
		r.Output, r.Error = nil, "the invoked run was cancelled"
	case out.Kind == Cancelled:
		r.Output, r.Error = nil, "the invoked run was cancelled: "+out.Failure.Message
	case out.Failure != nil:
		r.Output, r.Error = nil, "the invoked run failed: "+out.Failure.Message
	}
	return r.encode()
}

// EventResult returns the journal form of an event for a waitForEvent step.
func EventResult(eventJSON []byte, now time.Time) []byte {
	r := result{Output: eventJSON, Attempts: 1, Start: now.UnixMilli()}
	return r.encode()
}

// CandidateField is the journal field that says that an event arrived for the
// wait at path, whose `if` only the run itself can evaluate.
func CandidateField(path string) string { return "?" + path }

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
