package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/wildout/wildout/runtime/event"
)

// What the history keeps of outputs, in bytes.
const (
	maxRunOutput  = 2 << 10
	maxStepOutput = 1 << 10
	// maxStepOutputs bounds those of all steps of a run.
	maxStepOutputs = 8 << 10
	// outputHead is what is kept of a step's output that is too large.
	outputHead = 512
)

// wireRecord is a Record in the stream: short names, steps as arrays, since a
// history holds thousands. What was written once is readable for ever.
type wireRecord struct {
	ID       string          `json:"i"`
	EventID  string          `json:"e,omitempty"`
	Type     string          `json:"y,omitempty"`
	Version  string          `json:"v,omitempty"`
	Start    int64           `json:"t"`
	Millis   int64           `json:"d"`
	Status   string          `json:"x,omitempty"` // empty: succeeded
	Output   json.RawMessage `json:"o,omitempty"`
	OutputOf *int            `json:"O,omitempty"` // or this is the step whose output is the run's
	Error    string          `json:"m,omitempty"`
	ErrStep  string          `json:"n,omitempty"`
	Follows  string          `json:"f,omitempty"`
	ReplayOf string          `json:"R,omitempty"`
	Event    *event.Event    `json:"E,omitempty"`
	Steps    []wireStep      `json:"s,omitempty"`
}

// wireStep is a StepRecord: name, status (0, once "": ok), attempts, ms since
// the start of the run (-1: it has not begun), ms, and as far as there is any of
// them error (0: none), output, bytes of an output that was cut, tries, elements,
// and of an operation of a handler the letter of its kind with what it is of.
type wireStep []json.RawMessage

// AppendRecord appends the wire form of r to b. The id of an event without an
// explicit one is the run's to derive, and is left out by the caller.
func AppendRecord(b []byte, r *Record) []byte {
	b = append(b, `{"i":"`...)
	b = append(b, r.ID...)
	b = append(b, '"')
	b = appendText(b, `,"e":`, r.EventID)
	b = appendText(b, `,"y":`, r.EventType)
	b = appendText(b, `,"v":`, r.Version)
	b = append(b, `,"t":`...)
	b = strconv.AppendInt(b, r.StartedAt.UnixMilli(), 10)
	if r.EndedAt != nil {
		b = append(b, `,"d":`...)
		b = strconv.AppendInt(b, r.EndedAt.Sub(r.StartedAt).Milliseconds(), 10)
	}
	if r.Status != Succeeded {
		b = appendText(b, `,"x":`, string(r.Status))
	}
	b = appendText(b, `,"m":`, r.Error)
	b = appendText(b, `,"n":`, r.ErrorStep)
	b = appendText(b, `,"f":`, r.Follows)
	b = appendText(b, `,"R":`, r.ReplayOf)
	if r.Event != nil {
		if text, err := json.Marshal(r.Event); err == nil {
			b = append(b, `,"E":`...)
			b = append(b, text...)
		}
	}
	b, same := appendSteps(b, r)
	return append(appendOutput(b, r.Output, same), '}')
}

// appendOutput appends the output of a run. As a rule it is that of the last
// step: same, unless that is below 0.
func appendOutput(b []byte, output json.RawMessage, same int) []byte {
	switch {
	case isNull(output):
		return b
	case same >= 0:
		return strconv.AppendInt(append(b, `,"O":`...), int64(same), 10)
	case len(output) > maxRunOutput:
		return appendText(b, `,"o":`, fmt.Sprintf("(%d bytes, not kept)", len(output)))
	}
	return append(append(b, `,"o":`...), output...)
}

func isNull(b json.RawMessage) bool { return len(b) == 0 || string(b) == "null" }

// appendSteps appends the steps and returns the last one whose output is that of
// the run, -1: none is.
func appendSteps(b []byte, r *Record) (_ []byte, same int) {
	same = -1
	if len(r.Steps) == 0 {
		return b, same
	}
	b = append(b, `,"s":[`...)
	room := maxStepOutputs
	for i := range r.Steps {
		if i > 0 {
			b = append(b, ',')
		}
		var whole int
		if b, whole = appendStep(b, &r.Steps[i], r.StartedAt, &room); whole == 0 && bytes.Equal(r.Steps[i].Output, r.Output) {
			same = i
		}
	}
	return append(b, ']'), same
}

// appendStep appends a step and returns the size of an output that it cut. room
// is what is left for outputs, in bytes.
func appendStep(b []byte, s *StepRecord, began time.Time, room *int) (_ []byte, whole int) {
	b = appendQuoted(append(b, '['), s.Name)
	b = append(b, ',')
	if s.Status == StepOK {
		b = append(b, '0')
	} else {
		b = appendQuoted(b, string(s.Status))
	}
	b = strconv.AppendInt(append(b, ','), int64(s.Attempts), 10)
	offset := int64(-1)
	if s.Start != nil {
		offset = s.Start.Sub(began).Milliseconds()
	}
	b = strconv.AppendInt(append(b, ','), offset, 10)
	b = strconv.AppendInt(append(b, ','), s.Millis, 10)
	output, whole := keep(s.Output, room)
	last := s.lastField(whole)
	if last >= fieldError {
		b = append(b, ',')
		if s.Error == "" {
			b = append(b, '0')
		} else {
			b = appendQuoted(b, s.Error)
		}
	}
	if last >= fieldOutput {
		if isNull(output) {
			output = json.RawMessage("null")
		}
		b = append(append(b, ','), output...)
	}
	if last >= fieldBytes {
		b = strconv.AppendInt(append(b, ','), int64(whole), 10)
	}
	if last >= fieldTries {
		b = Tries(s.Tries).appendRecord(append(b, ','), began)
	}
	if last >= fieldElements {
		b = strconv.AppendInt(append(b, ','), int64(s.Elements), 10)
	}
	if last >= fieldOperation {
		b = appendQuoted(append(b, ','), string(s.Kind)+s.Of)
	}
	return append(b, ']'), whole
}

// The places of a wireStep that may be missing.
const (
	fieldError = 5 + iota
	fieldOutput
	fieldBytes
	fieldTries
	fieldElements
	fieldOperation
)

// lastField is the last place of a wireStep that is needed.
func (s *StepRecord) lastField(whole int) int {
	switch {
	case s.Kind != "":
		return fieldOperation
	case s.Elements > 0:
		return fieldElements
	case len(s.Tries) > 0:
		return fieldTries
	case whole > 0:
		return fieldBytes
	case !isNull(s.Output):
		return fieldOutput
	case s.Error != "":
		return fieldError
	}
	return fieldError - 1
}

// keep returns what is kept of the output of a step, and if that is not all of
// it, the size of the whole. It takes its bytes from room.
func keep(output json.RawMessage, room *int) (kept json.RawMessage, whole int) {
	if len(output) > min(maxStepOutput, *room) {
		whole = len(output)
		output = appendQuoted(nil, head(output, min(outputHead, *room)))
	}
	*room = max(0, *room-len(output))
	return output, whole
}

// head is the beginning of an output that is too large to be kept, for people.
func head(output []byte, most int) string {
	most = min(most, len(output))
	for most > 0 && most < len(output) && !utf8.RuneStart(output[most]) {
		most--
	}
	return string(output[:most]) + "…"
}

// appendText appends name and the JSON string of text, unless it is empty.
func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendQuoted(append(b, name...), text)
}

// appendQuoted appends the JSON string of text.
func appendQuoted(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			quoted, _ := json.Marshal(text) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}
