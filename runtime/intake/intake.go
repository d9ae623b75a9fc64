// Package intake is the one check of an event that is about to be published,
// whichever way it comes in: over the gateway, from a webhook, from the page of
// the console, or from a step. The rules of the envelope and of the form of the
// data hold for every event, the schema of its type where one is known. The
// package must not know who sends the event, or where it is kept.
package intake

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wildout/wildout/runtime/event"
)

const (
	maxType = 128
	maxID   = 256
	maxText = 1024 // of source and subject
)

// Fault is what is wrong with an event.
type Fault struct {
	// Path is the field, such as data.email.
	Path string
	// Message says what was expected there.
	Message string
}

func (f Fault) String() string { return strings.TrimSpace(f.Path + " " + f.Message) }

// Faults are all that was found in one event.
type Faults []Fault

// Error makes an error of faults.
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, fault := range f {
		texts[i] = fault.String()
	}
	return strings.Join(texts, "; ")
}

// Err is nil when there is no fault.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

func (f *Faults) add(path, format string, args ...any) {
	*f = append(*f, Fault{path, fmt.Sprintf(format, args...)})
}

// Envelope looks at everything but the schema: the attributes of an event, and
// the form of its data. An id that is empty is for the store to make.
func Envelope(e *event.Event) (found Faults) {
	switch {
	case e.Type == "":
		found.add("type", "is missing: it is the event type, such as user/registered")
	case !validType(e.Type):
		found.add("type", "%q is no event type: up to %d letters, digits and . _ / -, a letter or a digit at both ends", clip(e.Type), maxType)
	case strings.HasPrefix(e.Type, "inngest/"), strings.HasPrefix(e.Type, "wildout/"):
		found.add("type", "%q is reserved for what the system sends itself", clip(e.Type))
	}
	for _, text := range [...]struct {
		path, value string
		most        int
	}{{"id", e.ID, maxID}, {"source", e.Source, maxText}, {"subject", e.Subject, maxText}} {
		if len(text.value) > text.most || !plain(text.value) {
			found.add(text.path, "must be at most %d bytes of text without control characters", text.most)
		}
	}
	if err := event.Check(e.Data); err != nil {
		found.add("data", "%s", strings.TrimPrefix(err.Error(), "malformed event: data "))
	}
	return found
}

// validType reports whether a name is one that WildoutEventType.spec.type may
// have: it becomes part of a Redis key.
func validType(name string) bool {
	if name == "" || len(name) > maxType {
		return false
	}
	for i := range len(name) {
		c := name[i]
		inside := c == '.' || c == '_' || c == '/' || c == '-'
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (!inside || i == 0 || i == len(name)-1) {
			return false
		}
	}
	return true
}

// plain reports whether a text can stand in a line of a log.
func plain(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, unicode.IsControl) < 0
}

// clip shortens what came from outside for a message.
func clip(text string) string { return clipTo(text, 60) }

func clipTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i] + "…"
		}
	}
	return text
}
