package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

// Meta is what a parked run is: stored once, with its first park.
type Meta struct {
	Event     event.Event
	StartedAt time.Time
	Version   string
	Parent    *Parent
	// Once is the idempotency key that the run holds.
	Once string
	// Follows is the run whose outcome this one takes over, since it met its
	// idempotency key.
	Follows string
	// Admitted says that the rate limit was passed.
	Admitted bool
}

// wireMeta is a Meta in the journal: short names and times in ms, since there
// may be millions of runs that sleep.
type wireMeta struct {
	ID       string          `json:"i"`
	Type     string          `json:"y"`
	Source   string          `json:"s,omitempty"`
	Subject  string          `json:"u,omitempty"`
	Time     int64           `json:"t"`
	Trace    string          `json:"p,omitempty"`
	Data     json.RawMessage `json:"d"`
	Started  int64           `json:"b"`
	Version  string          `json:"v,omitempty"`
	Parent   *Parent         `json:"c,omitempty"`
	Once     string          `json:"o,omitempty"`
	Follows  string          `json:"f,omitempty"`
	Admitted bool            `json:"a,omitempty"`
}

// MarshalJSON returns the form in the journal.
func (m Meta) MarshalJSON() ([]byte, error) {
	e := &m.Event
	return json.Marshal(wireMeta{e.ID, e.Type, e.Source, e.Subject, e.Time.UnixMilli(), e.TraceParent, e.Data,
		m.StartedAt.UnixMilli(), m.Version, m.Parent, m.Once, m.Follows, m.Admitted})
}

// UnmarshalJSON reads the form in the journal.
func (m *Meta) UnmarshalJSON(b []byte) error {
	var w wireMeta
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*m = Meta{StartedAt: time.UnixMilli(w.Started).UTC(), Version: w.Version, Parent: w.Parent, Once: w.Once, Follows: w.Follows, Admitted: w.Admitted,
		Event: event.Event{ID: w.ID, Type: w.Type, Source: w.Source, Subject: w.Subject, Time: time.UnixMilli(w.Time).UTC(), TraceParent: w.Trace, Data: w.Data}}
	return nil
}

// Status of a run.
type Status string

// The states of a run.
const (
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Running   Status = "running"
	Waiting   Status = "waiting"
	// Rejected: the stream entry was no event; there was no run.
	Rejected Status = "rejected"
)

// Record is a run as people look at it: an entry of the history, or the state
// of one that has not ended.
type Record struct {
	ID        string          `json:"id"`
	Function  string          `json:"function"`
	Status    Status          `json:"status"`
	EventID   string          `json:"eventID,omitempty"`
	EventType string          `json:"eventType,omitempty"`
	Version   string          `json:"version,omitempty"`
	StartedAt time.Time       `json:"startedAt"`
	EndedAt   *time.Time      `json:"endedAt,omitempty"`
	WaitsFor  *time.Time      `json:"waitsUntil,omitempty"`
	Steps     []RecordStep    `json:"steps,omitempty"`
	Output    json.RawMessage `json:"output,omitempty"`
	Error     string          `json:"error,omitempty"`
	ErrorStep string          `json:"errorStep,omitempty"`
	Follows   string          `json:"follows,omitempty"`
	// Event is the event of a run that failed or has not ended.
	Event *event.Event `json:"event,omitempty"`
}

// RecordStep is a step of a Record.
type RecordStep struct {
	Name     string     `json:"name"`
	Status   string     `json:"status"`
	Attempts int        `json:"attempts,omitempty"`
	Start    *time.Time `json:"start,omitempty"`
	Millis   int64      `json:"ms"`
	Error    string     `json:"error,omitempty"`
}

// maxRecordOutput bounds what the history keeps of an output, in bytes.
const maxRecordOutput = 2 << 10

// wireRecord is a Record in the stream: short names, steps as arrays, since a
// history holds thousands.
type wireRecord struct {
	ID      string          `json:"i"`
	EventID string          `json:"e,omitempty"`
	Type    string          `json:"y,omitempty"`
	Version string          `json:"v,omitempty"`
	Start   int64           `json:"t"`
	Millis  int64           `json:"d"`
	Status  string          `json:"x,omitempty"` // empty: succeeded
	Output  json.RawMessage `json:"o,omitempty"`
	Error   string          `json:"m,omitempty"`
	ErrStep string          `json:"n,omitempty"`
	Follows string          `json:"f,omitempty"`
	Event   *event.Event    `json:"E,omitempty"`
	Steps   []wireStep      `json:"s,omitempty"`
}

type wireStep []any

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
	if len(r.Output) > maxRecordOutput {
		b = appendText(b, `,"o":`, fmt.Sprintf("(%d bytes, not kept)", len(r.Output)))
	} else if len(r.Output) > 0 && string(r.Output) != "null" {
		b = append(b, `,"o":`...)
		b = append(b, r.Output...)
	}
	b = appendText(b, `,"m":`, r.Error)
	b = appendText(b, `,"n":`, r.ErrorStep)
	b = appendText(b, `,"f":`, r.Follows)
	if r.Event != nil {
		if text, err := json.Marshal(r.Event); err == nil {
			b = append(b, `,"E":`...)
			b = append(b, text...)
		}
	}
	return append(appendSteps(b, r), '}')
}

func appendSteps(b []byte, r *Record) []byte {
	if len(r.Steps) == 0 {
		return b
	}
	b = append(b, `,"s":[`...)
	for i, s := range r.Steps {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, "[", s.Name)
		code := s.Status
		if code == "ok" {
			code = ""
		}
		b = append(b, ',', '"')
		b = append(b, code...)
		b = append(b, '"', ',')
		b = strconv.AppendInt(b, int64(s.Attempts), 10)
		b = append(b, ',')
		offset := int64(-1)
		if s.Start != nil {
			offset = s.Start.Sub(r.StartedAt).Milliseconds()
		}
		b = strconv.AppendInt(b, offset, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, s.Millis, 10)
		b = appendText(b, ",", s.Error)
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendText appends name and the JSON string of text, unless it is empty.
func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(b, name...)
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

// decodeRecord reads the wire form.
func decodeRecord(function, entry, text string) (Record, error) {
	var w wireRecord
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return Record{}, fmt.Errorf("history entry %s of %s is damaged: %w", entry, function, err)
	}
	start := time.UnixMilli(w.Start)
	end := start.Add(time.Duration(w.Millis) * time.Millisecond)
	r := Record{ID: w.ID, Function: function, Status: Succeeded, EventID: w.EventID, EventType: w.Type, Version: w.Version,
		StartedAt: start, EndedAt: &end, Output: w.Output, Error: w.Error, ErrorStep: w.ErrStep, Follows: w.Follows, Event: w.Event}
	if w.Status != "" {
		r.Status = Status(w.Status)
	}
	for _, s := range w.Steps {
		r.Steps = append(r.Steps, s.step(start))
	}
	return r, nil
}

func (w wireStep) step(start time.Time) RecordStep {
	text := func(i int) string {
		if i >= len(w) {
			return ""
		}
		s, _ := w[i].(string)
		return s
	}
	number := func(i int) int64 {
		if i >= len(w) {
			return 0
		}
		f, _ := w[i].(float64)
		return int64(f)
	}
	s := RecordStep{Name: text(0), Status: text(1), Attempts: int(number(2)), Millis: number(4), Error: text(5)}
	if s.Status == "" {
		s.Status = "ok"
	}
	if offset := number(3); offset >= 0 {
		at := start.Add(time.Duration(offset) * time.Millisecond)
		s.Start = &at
	}
	return s
}
