package engine

import (
	"encoding/json"
	"strconv"
	"time"
)

const (
	// maxTries bounds the failed attempts that are kept of a step: the last ones.
	maxTries = 20
	// maxTryError bounds what is kept of the error of each, in bytes. The step's
	// own error, that of the last one, has more room.
	maxTryError = 256
)

// Try is a failed attempt of a step.
type Try struct {
	Start    time.Time
	Duration time.Duration
	Error    string
}

// try is a Try in the journal.
type try struct {
	Start    int64  `json:"t,omitempty"` // ms since 1970
	Duration int64  `json:"d,omitempty"` // ms
	Error    string `json:"e"`
}

// addTry returns the tries with one more; the list that it was given is left
// as it is, since an attempt that was given up may still hold it.
func addTry(tries []try, start, took int64, err error) []try {
	if n := len(tries) - maxTries + 1; n > 0 {
		tries = tries[n:]
	}
	all := make([]try, len(tries), len(tries)+1)
	copy(all, tries)
	return append(all, try{Start: start, Duration: took, Error: cut(err.Error(), maxTryError)})
}

func appendTries(b []byte, tries []try) []byte {
	if len(tries) == 0 {
		return b
	}
	b = append(b, `"r":[`...)
	for i, t := range tries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"t":`...)
		b = strconv.AppendInt(b, t.Start, 10)
		b = append(b, `,"d":`...)
		b = strconv.AppendInt(b, t.Duration, 10)
		b = appendString(b, `,"e":`, t.Error)
		b = append(b, '}')
	}
	return append(b, `],`...)
}

// appendString appends name and text as a JSON string.
func appendString(b []byte, name, text string) []byte {
	quoted, _ := json.Marshal(text) // a string cannot fail
	return append(append(b, name...), quoted...)
}

func triesOf(all []try) []Try {
	if len(all) == 0 {
		return nil
	}
	tries := make([]Try, len(all))
	for i, t := range all {
		tries[i] = Try{millis(t.Start), time.Duration(t.Duration) * time.Millisecond, t.Error}
	}
	return tries
}
