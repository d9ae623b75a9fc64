package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/wildout/wildout/runtime/event"
)

// Path leads to a value in an event, such as data.userId.
type Path struct {
	text string
	keys []string // below data
}

var pathPattern = regexp.MustCompile(`^(id|type|source|subject|data)(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// ParsePath reads a path: id, type, source, subject, or data and the names of
// the fields below it.
func ParsePath(text string) (*Path, error) {
	if !pathPattern.MatchString(text) {
		return nil, fmt.Errorf("%q is not a path: write data.userId, or id, type, source or subject", text)
	}
	keys := strings.Split(text, ".")
	switch {
	case keys[0] != "data" && len(keys) > 1:
		return nil, fmt.Errorf("%s of an event is text, it has no field %s", keys[0], keys[1])
	case text == "data":
		return nil, fmt.Errorf("data is not a single value: write the path of a field, such as data.userId")
	}
	return &Path{text: text, keys: keys[1:]}, nil
}

// String returns the path as it was written.
func (p *Path) String() string { return p.text }

// Lookup returns the value at the path as canonical JSON: two values are the
// same exactly when their texts are. The string "1" and the number 1 differ,
// the numbers 1 and 1.0 do not. It returns false when the value is missing,
// null, empty text of an attribute, an object or a list.
func (p *Path) Lookup(e *event.Event) (string, bool) {
	switch p.text {
	case "id":
		return attribute(e.ID)
	case "type":
		return attribute(e.Type)
	case "source":
		return attribute(e.Source)
	case "subject":
		return attribute(e.Subject)
	}
	doc, err := newDocument(e.Data)
	if err != nil {
		return "", false
	}
	at := &doc
	for _, key := range p.keys {
		if at.raw[0] != '{' {
			return "", false
		}
		if at, err = at.field(key); err != nil || at == nil {
			return "", false
		}
	}
	return canonicalScalar(at.raw)
}

func attribute(value string) (string, bool) {
	if value == "" {
		return "", false
	}
	return string(appendString(nil, value)), true
}

// Scalar returns a JSON value as Lookup returns it; false for null, an object
// and a list.
func Scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	return canonicalScalar(raw)
}

func canonicalScalar(raw []byte) (string, bool) {
	switch raw[0] {
	case '{', '[', 'n':
		return "", false
	case 't', 'f':
		return string(raw), true
	case '"':
		return string(appendString(nil, text(raw))), true
	}
	if string(raw) == "-0" {
		return "0", true
	}
	if !bytes.ContainsAny(raw, ".eE") {
		return string(raw), true
	}
	f, ok := number(raw).(types.Double)
	if !ok {
		return string(raw), true
	}
	if n := float64(f); n == math.Trunc(n) && math.Abs(n) < 1<<63 {
		return fmt.Sprintf("%d", int64(n)), true
	}
	return formatFloat(float64(f)), true
}
