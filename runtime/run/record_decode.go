package run

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// DecodeRecord reads what AppendRecord made; function and entry are where it was
// found.
func DecodeRecord(function, entry, text string) (Record, error) {
	var w wireRecord
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return Record{}, fmt.Errorf("history entry %s of %s is damaged: %w", entry, function, err)
	}
	start := time.UnixMilli(w.Start)
	end := start.Add(time.Duration(w.Millis) * time.Millisecond)
	r := Record{ID: w.ID, Function: function, Status: Succeeded, EventID: w.EventID, EventType: w.Type, Version: w.Version,
		StartedAt: start, EndedAt: &end, Output: w.Output, Error: w.Error, ErrorStep: w.ErrStep, Follows: w.Follows, ReplayOf: w.ReplayOf, Event: w.Event}
	if w.Status != "" {
		r.Status = Status(w.Status)
	}
	for _, s := range w.Steps {
		r.Steps = append(r.Steps, s.step(start))
	}
	if of := w.OutputOf; of != nil && *of >= 0 && *of < len(r.Steps) {
		r.Output = r.Steps[*of].Output
	}
	return r, nil
}

func (w wireStep) step(start time.Time) StepRecord {
	at := func(ms int64) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	s := StepRecord{Name: w.text(0), Status: StepStatus(w.text(1)), Attempts: int(w.number(2)), Millis: w.number(4),
		Error: w.text(fieldError), OutputBytes: int(w.number(fieldBytes)), Elements: int(w.number(fieldElements))}
	if s.Status == "" {
		s.Status = StepOK
	}
	if offset := w.number(3); offset >= 0 {
		began := at(offset)
		s.Start = &began
	}
	if operation := w.text(fieldOperation); operation != "" {
		s.Kind = Kind(operation[:1])
		s.Of = operation[1:]
	}
	if output := w.field(fieldOutput); !isNull(output) {
		s.Output = output
	}
	var tries []wireStep
	if text := w.field(fieldTries); len(text) > 0 && json.Unmarshal(text, &tries) == nil {
		for _, t := range tries {
			s.Tries = append(s.Tries, Try{Start: at(t.number(0)), Millis: t.number(1), Error: t.text(2)})
		}
	}
	return s
}

// field is empty when it is not there.
func (w wireStep) field(i int) json.RawMessage {
	if i >= len(w) {
		return nil
	}
	return w[i]
}

func (w wireStep) text(i int) (s string) {
	_ = json.Unmarshal(w.field(i), &s) // not there, a 0, or damaged: empty
	return s
}

func (w wireStep) number(i int) int64 {
	n, _ := strconv.ParseInt(string(w.field(i)), 10, 64) // not there, or damaged: 0
	return n
}
