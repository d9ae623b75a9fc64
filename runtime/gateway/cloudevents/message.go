package cloudevents

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/wildout/wildout/runtime/event"
)

// attributes are the attributes of an event by name: strings, and in JSON also
// bool and int64.
type attributes map[string]any

// message is an event as it came, in whichever mode.
type message struct {
	attributes attributes
	// value is data that stood in the event as JSON, bytes data that is of the
	// media type of the attributes, in the charset; both nil: there is none.
	value   []byte
	bytes   []byte
	charset string
	trace   traceContext
}

// traceContext is what the headers of a request say.
type traceContext struct{ parent, state string }

const (
	// maxText bounds each attribute, in bytes: the gateway keeps some of them
	// with every event.
	maxText = 1024
	// maxID is what the gateway takes as an id, in bytes.
	maxID = 256
)

// event makes our event of a message. What is wrong with it goes to f.
func (f *faults) event(m *message) *event.Event {
	before := len(f.found)
	ce := f.context(m.attributes)
	data := f.data(m)
	if len(f.found) > before {
		return nil
	}
	e := &event.Event{ID: eventID(ce.Source(), ce.ID()), Type: ce.Type(), Source: ce.Source(), Subject: ce.Subject(), Data: data}
	// The extension belongs to the event, and a broker on the way keeps it.
	parent, _ := m.attributes["traceparent"].(string)
	state, _ := m.attributes["tracestate"].(string)
	if e.TraceParent, e.TraceState = event.TraceContext(parent, state); e.TraceParent == "" {
		e.TraceParent, e.TraceState = event.TraceContext(m.trace.parent, m.trace.state)
	}
	return e
}

// context gives the attributes to the SDK, which knows their rules.
func (f *faults) context(all attributes) *cloudevent.Event {
	ce := cloudevent.New(cloudevent.CloudEventsVersionV1)
	f.version(all["specversion"])
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "specversion" {
			f.attribute(&ce, name, all[name])
		}
	}
	for _, name := range [...]string{"id", "source", "type"} {
		if all[name] == nil {
			f.add(name, "is missing")
		}
	}
	return &ce
}

func (f *faults) version(v any) {
	switch v {
	case cloudevent.CloudEventsVersionV1:
	case nil:
		f.add("specversion", "is missing, want %q", cloudevent.CloudEventsVersionV1)
	default:
		f.add("specversion", "is %v, want %q", quoted(v), cloudevent.CloudEventsVersionV1)
	}
}

// core are the attributes that are strings.
var core = map[string]bool{
	"id": true, "source": true, "type": true, "subject": true, "time": true, "datacontenttype": true, "dataschema": true,
}

func (f *faults) attribute(ce *cloudevent.Event, name string, value any) {
	text, isText := value.(string)
	switch {
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "":
		f.add(clip(name), "is no name of an attribute: want lower case letters and digits")
	case core[name] && !isText:
		f.add(name, "is %v, want a string", value)
	case core[name] && strings.TrimSpace(text) == "":
		f.add(name, "is empty: leave it out, or say something")
	case len(text) > maxText:
		f.add(name, "has %d bytes, the limit is %d", len(text), maxText)
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		f.add(name, "has a control character")
	case name == "source" && strings.IndexFunc(text, unicode.IsSpace) >= 0:
		f.add(name, "%q is no URI reference: it has a space", clip(text))
	case name == "time":
		if _, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err != nil {
			f.add(name, "%q is no RFC 3339 time such as 2030-01-31T09:00:00Z", clip(text))
		}
	case name == "datacontenttype":
		if _, _, err := mime.ParseMediaType(text); err != nil {
			f.add(name, "%q is no media type", clip(text))
		}
	default:
		if err := spec.V1.SetAttribute(ce.Context, name, value); err != nil {
			f.add(name, "%v cannot be used: %v", quoted(value), err)
		}
	}
}

// eventID makes one id of the two parts that identify a CloudEvent: with us an
// id is unique within its type, whoever sends it. A source has no space, so
// that two pairs never give one id.
func eventID(source, id string) string {
	both := source + " " + id
	if len(both) <= maxID {
		return both
	}
	sum := sha256.Sum256([]byte(both))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func quoted(v any) any {
	if text, ok := v.(string); ok {
		return `"` + clip(text) + `"`
	}
	return v
}
