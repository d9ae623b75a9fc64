package v1alpha1

import (
	"strings"
	"time"
)

// AnnotationSince is on the manifest that a runner gets: the event types that the
// function came to read after it was created, and since when.
const AnnotationSince = "wildout.dev/since"

// SinceText is the value of AnnotationSince for a function that was created at
// that time; "": it has read all of them since then.
func SinceText(created time.Time, reads []ReadSince) string {
	var parts []string
	for _, r := range reads {
		if r.Since.Unix() != created.Unix() {
			parts = append(parts, string(r.Event)+"="+r.Since.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(parts, " ")
}

// Added returns what AnnotationSince says. What it does not say well was read
// from the beginning on.
func (f *WildoutFunction) Added() map[string]time.Time {
	added := map[string]time.Time{}
	for _, part := range strings.Fields(f.Annotations[AnnotationSince]) {
		name, text, _ := strings.Cut(part, "=")
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			added[name] = at
		}
	}
	return added
}
