package run

import (
	"fmt"
	"regexp"
	"strconv"
)

// FailedElements says of a forEach how many of its elements failed, and with what
// the first one did. Its text is the error of the step in a Record.
type FailedElements struct {
	Count int // 0: nobody knows
	Of    int
	First int // from 0
	Error string
}

func (f FailedElements) String() string {
	if f.Count == 0 {
		return f.Error
	}
	return fmt.Sprintf("%d of %d elements failed, the first is [%d]: %s", f.Count, f.Of, f.First, f.Error)
}

var failedElements = regexp.MustCompile(`(?s)^(\d+) of (\d+) elements failed, the first is \[(\d+)\]: (.*)$`)

// ParseFailedElements reads what String writes. Of another text, and of a record of a
// release before, only the error is known.
func ParseFailedElements(text string) FailedElements {
	f := FailedElements{Error: text}
	m := failedElements.FindStringSubmatch(text)
	if m == nil {
		return f
	}
	for i, into := range []*int{&f.Count, &f.Of, &f.First} {
		n, err := strconv.Atoi(m[i+1])
		if err != nil {
			return FailedElements{Error: text}
		}
		*into = n
	}
	f.Error = m[4]
	return f
}
