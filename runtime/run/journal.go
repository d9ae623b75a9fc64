package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fields of a journal that are no step's. Names of steps begin with a letter or
// a digit, so that they never collide. The scripts of the store write them, too.
const (
	// IdentityField is what the run is, once it was parked.
	IdentityField = "@"
	// OwnerField is the inbox entry that owns the run; "" while it is parked.
	OwnerField = "@o"
	// ActiveField is how long the run was active before, in ms.
	ActiveField = "@active"
	// CancelField is the request to cancel the run, where a journal is taken over
	// with it.
	CancelField = "@cancel"
	// DecisionField is what was decided about the beginning of the run.
	DecisionField = "@begin"
	// LacksField is the code that a parked run waits for.
	LacksField = "@lacks"
	// FormatField is the form of the journal, where older releases must not touch
	// it.
	FormatField = "@v"
	// FailureField fixes why a run failed, before its onFailure steps begin.
	FailureField = "@failure"

	progressPrefix  = "~"
	candidatePrefix = "?"
)

// ProgressField is the field of a step that has not ended.
func ProgressField(path string) string { return progressPrefix + path }

// CandidateField is the field that says that an event arrived for the wait at
// path, whose `if` only the run itself can evaluate.
func CandidateField(path string) string { return candidatePrefix + path }

// PositionField is the field with the newest entry of the stream when the wait at
// path was registered: what is not newer is for the look-back, and not delivered.
func PositionField(path string) string { return candidatePrefix + "@" + path }

// CancelRequest is the wish that a run ends. It is kept until the run has.
type CancelRequest struct {
	// At is when it was asked for, by the server's clock.
	At time.Time
	// Reason may be empty.
	Reason string
}

// Error implements error: a run that is to be cancelled ends in no other way.
func (r *CancelRequest) Error() string { return "the run is to be cancelled: " + CancelText(r.Reason) }

// CancelText says in words that a run was cancelled, and why.
func CancelText(reason string) string {
	if reason == "" {
		return string(Cancelled)
	}
	return string(Cancelled) + ": " + reason
}

// ParseCancelRequest reads the form in Redis: ms since 1970, and the reason.
func ParseCancelRequest(text string) *CancelRequest {
	at, reason, _ := strings.Cut(text, " ")
	ms, _ := strconv.ParseInt(at, 10, 64)
	return &CancelRequest{At: time.UnixMilli(ms).UTC(), Reason: reason}
}

// Journal is what a run has so far. Results and progress are decoded where they
// are needed: a run that goes on looks at few of them.
type Journal struct {
	// Identity is the encoded Identity; nil: the run was never parked.
	Identity []byte
	// Parked says that nobody has the run: it waits.
	Parked bool
	// Decision is what was decided about its beginning; "": nothing.
	Decision Decision
	// Active is how long the run was active, waiting excluded.
	Active time.Duration
	// Results and Progress are fields by the path of their step.
	Results  map[string][]byte
	Progress map[string][]byte
	// Lacks is the code that the parked run waits for; nil: none.
	Lacks *Lack
	// Format is the form of the journal, where it says so; else 0.
	Format int
	// Cancel is the request to cancel the run, where the journal was taken over
	// with one.
	Cancel *CancelRequest
}

// DecodeJournal sorts the fields of a journal.
func DecodeJournal(fields map[string]string) *Journal {
	j := &Journal{Results: map[string][]byte{}, Progress: map[string][]byte{}}
	for name, value := range fields {
		switch {
		case name == IdentityField:
			j.Identity = []byte(value)
		case name == ActiveField:
			ms, _ := strconv.ParseInt(value, 10, 64)
			j.Active = time.Duration(ms) * time.Millisecond
		case name == CancelField:
			j.Cancel = ParseCancelRequest(value)
		case name == DecisionField:
			j.Decision = Decision(value)
		case name == LacksField:
			j.Lacks = ParseLack(value)
		case name == FormatField:
			j.Format, _ = strconv.Atoi(value)
		case name == OwnerField:
			j.Parked = value == ""
		case strings.HasPrefix(name, candidatePrefix):
		case strings.HasPrefix(name, progressPrefix):
			j.Progress[name[len(progressPrefix):]] = []byte(value)
		default:
			j.Results[name] = []byte(value)
		}
	}
	return j
}

// DecodeIdentity reads what the run is.
func (j *Journal) DecodeIdentity(runID string) (Identity, error) {
	var i Identity
	if err := json.Unmarshal(j.Identity, &i); err != nil {
		return i, fmt.Errorf("the journal of run %s has no readable description of the run: %w", runID, err)
	}
	return i, nil
}

// VersionOf returns the version of the function that a run with these fields
// began with, or "" when none of them says.
func VersionOf(fields ...map[string][]byte) string {
	for _, some := range fields {
		for _, b := range some {
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

// Reason says why the run does not move, as far as its journal tells: that of
// the step that is looked at again first; sleeps that are over leave no result,
// and do not count. i is its identity. "" when nothing of it waits.
func (j *Journal) Reason(i *Identity, now time.Time) Reason {
	if j.Lacks != nil {
		return j.Lacks.Reason()
	}
	if !i.Queued.IsZero() {
		return WaitingForSlot
	}
	var first *Progress
	for path, b := range j.Progress {
		p, err := DecodeProgress(path, b)
		if _, ended := j.Results[path]; ended || err != nil || len(p.Wants) > 0 { // what it wants is there, too
			continue
		}
		if p.Does() == KindSleep && p.Due <= now.UnixMilli() {
			continue
		}
		if first == nil || p.Due > 0 && (first.Due == 0 || p.Due < first.Due) {
			first = &p
		}
	}
	switch {
	case first != nil:
		return first.Reason()
	case i.Follows != "":
		return WaitingForRun
	case j.Decision != Begun && !i.Throttled.IsZero(), i.Admitted && len(j.Results) == 0:
		return Throttled
	}
	return ""
}

// Steps returns what people want to see of the journal: the steps in the order
// in which they began; a forEach is there as its elements. What is damaged is
// left out.
func (j *Journal) Steps(now time.Time) []StepRecord {
	var steps []StepRecord
	for path, b := range j.Results {
		r, err := DecodeResult(path, b)
		if err != nil || path == FailureField {
			continue
		}
		before, _ := DecodeProgress(path, j.Progress[path]) // there may be none
		steps = append(steps, r.endedStep(path, &before))
	}
	for path, b := range j.Progress {
		p, err := DecodeProgress(path, b)
		if _, ended := j.Results[path]; err == nil && !ended {
			steps = append(steps, p.openStep(path, now))
		}
	}
	slices.SortFunc(steps, func(a, b StepRecord) int {
		if c := a.Start.Compare(*b.Start); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	room := maxStepOutputs
	for i := range steps {
		steps[i].Output, steps[i].OutputBytes = keep(steps[i].Output, &room)
	}
	return steps
}

// openStep tells a step that has not ended. A sleep leaves no result: it has
// ended when its time is over.
func (p *Progress) openStep(path string, now time.Time) StepRecord {
	at := time.UnixMilli(p.Since)
	s := StepRecord{Name: path, Status: StepWaiting, Attempts: p.Attempts, Start: &at, Error: p.Error, Tries: p.Tries}
	p.Operation.tell(&s, p.Does())
	if p.Does() == KindSleep && p.Due <= now.UnixMilli() {
		s.Status = StepOK
		s.Attempts = 1
		s.Millis = max(0, p.Due-p.Since)
		return s
	}
	if p.Due > 0 {
		until := time.UnixMilli(p.Due)
		s.Until = &until
	}
	return s
}

// endedStep tells a step that has a result. One that waited began with the wait.
func (r *Result) endedStep(path string, before *Progress) StepRecord {
	start := r.Start
	took := r.Duration
	kind := before.Does()
	if waited := kind == KindWait || kind == KindInvoke; waited && before.Since > 0 && before.Since < start {
		took += start - before.Since
		start = before.Since
	}
	at := time.UnixMilli(start)
	s := StepRecord{Name: path, Status: StepOK, Attempts: r.Attempts, Start: &at, Millis: took, Error: r.Error, Tries: r.Tries}
	before.Operation.tell(&s, kind)
	if r.Kind != "" {
		s.Kind = r.Kind
	}
	if r.Error != "" {
		s.Status = StepFailed
	}
	if !isNull(r.Output) {
		s.Output = r.Output
	}
	return s
}
