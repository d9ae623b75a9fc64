package survey

import (
	"errors"

	"github.com/wildout/wildout/controllers/survey/guard"
)

// How much is asked about in one round trip: an answer stays small enough to be
// read as a rule.
const (
	functionsAtATime = 100
	endsAtATime      = 16
	streamsAtATime   = 100
	sleepersAtATime  = 1000
)

// inParts asks about n things, most at a time. A part with too large an answer is
// asked about in smaller ones; what is too much even alone is left to tooMuch,
// and no trouble of the others.
func inParts(n, most int, ask func(from, to int) error, tooMuch func(i int, err error)) error {
	for from := 0; from < n; from += most {
		if err := inHalves(from, min(from+most, n), ask, tooMuch); err != nil {
			return err
		}
	}
	return nil
}

func inHalves(from, to int, ask func(from, to int) error, tooMuch func(i int, err error)) error {
	err := ask(from, to)
	switch {
	case !errors.Is(err, guard.ErrTooMuch):
		return err
	case to-from == 1:
		tooMuch(from, err)
		return nil
	}
	middle := (from + to) / 2
	if err := inHalves(from, middle, ask, tooMuch); err != nil {
		return err
	}
	return inHalves(middle, to, ask, tooMuch)
}
