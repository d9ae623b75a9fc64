package run

import (
	"encoding/json"
	"strconv"
	"time"
)

const (
	// MaxTries bounds the failed attempts that are kept of a step: the last ones.
	MaxTries = 20
	// maxTryError bounds what is kept of the error of each, in bytes. The step's
	// own error, that of the last one, has more room.
	maxTryError = 256
)

// Try is a failed attempt of a step.
type Try struct {
	Start  time.Time `json:"start"`
	Millis int64     `json:"ms"`
	Error  string    `json:"error"`
}

// Tries are the last failed attempts of a step, the oldest first.
type Tries []Try

// Add returns the tries with one more; the list that it was given is left as
// it is, since an attempt that was given up may still hold it.
func (t Tries) Add(start time.Time, took time.Duration, err error) Tries {
	if n := len(t) - MaxTries + 1; n > 0 {
		t = t[n:]
	}
	all := make(Tries, len(t), len(t)+1)
	copy(all, t)
	return append(all, Try{Start: start, Millis: took.Milliseconds(), Error: Cut(err.Error(), maxTryError)})
}

// wireTry is a Try in the journal.
type wireTry struct {
	Start  int64  `json:"t,omitempty"` // ms since 1970
	Millis int64  `json:"d,omitempty"`
	Error  string `json:"e"`
}

// appendJournal appends the form in the journal.
func (t Tries) appendJournal(b []byte) []byte {
	b = append(b, '[')
	for i := range t {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"t":`...)
		b = strconv.AppendInt(b, t[i].Start.UnixMilli(), 10)
		b = append(b, `,"d":`...)
		b = strconv.AppendInt(b, t[i].Millis, 10)
		b = appendQuoted(append(b, `,"e":`...), t[i].Error)
		b = append(b, '}')
	}
	return append(b, ']')
}

// MarshalJSON returns the form in the journal.
func (t Tries) MarshalJSON() ([]byte, error) { return t.appendJournal(nil), nil }

// UnmarshalJSON reads the form in the journal.
func (t *Tries) UnmarshalJSON(b []byte) error {
	var wire []wireTry
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	*t = make(Tries, len(wire))
	for i, w := range wire {
		(*t)[i] = Try{Start: millisTime(w.Start), Millis: w.Millis, Error: w.Error}
	}
	return nil
}

// appendRecord appends the form in a record, whose times count from its start.
func (t Tries) appendRecord(b []byte, began time.Time) []byte {
	b = append(b, '[')
	for i := range t {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), t[i].Start.Sub(began).Milliseconds(), 10)
		b = strconv.AppendInt(append(b, ','), t[i].Millis, 10)
		b = append(appendQuoted(append(b, ','), t[i].Error), ']')
	}
	return append(b, ']')
}
