package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/strictjson"
)

// maxAttributes bounds the attributes of an event, and maxFaults what is said of
// a request: nobody mends more at a time.
const (
	maxAttributes = 100
	maxFaults     = 100
)

// document reads one event in the JSON format, which is known to be JSON. It
// returns nil when there is no event. The reader of the SDK is not used: it
// panics on some texts, takes 1.5 for 1 and the empty string for nothing.
func (f *faults) document(text []byte) *message {
	if strictjson.KindOf(text) != "an object" {
		f.add("event", "is no JSON object")
		return nil
	}
	m := &message{attributes: attributes{}}
	var data, base64Data json.RawMessage
	err := strictjson.Members(text, func(name, value []byte) error {
		switch {
		case isNull(value): // as if it were not there: JSON Event Format, section 2.2
		case string(name) == "data":
			data = value
		case string(name) == "data_base64":
			base64Data = value
		case len(m.attributes) >= maxAttributes:
			return errTooMany
		default:
			attribute, problem := scalar(value)
			if problem == "" {
				m.attributes[string(name)] = attribute
				return nil
			}
			if f.add(clip(string(name)), "%s", problem); len(f.found) >= maxFaults {
				return errTooMany
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errTooMany):
		f.add("event", "has more than %d attributes, or too many faults", maxAttributes)
	case err != nil:
		f.add("event", "cannot be read: %v", err)
	case base64Data == nil:
		m.value = data
	case data != nil:
		f.add("data_base64", "is there beside data: send one of them")
	default:
		if m.bytes, err = decodeBase64(base64Data); err != nil {
			f.add("data_base64", "%v", err)
		}
	}
	return m
}

var errTooMany = errors.New("too many attributes")

func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// scalar returns the value of an attribute: a string, a bool or an int64.
func scalar(raw []byte) (value any, problem string) {
	switch raw[0] {
	case '"':
		return strictjson.Text(raw), ""
	case 't', 'f':
		return raw[0] == 't', ""
	case '{':
		return nil, "is an object; an attribute is a string, a number without a fraction, true or false"
	case '[':
		return nil, "is a list; an attribute is a string, a number without a fraction, true or false"
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		return nil, "is " + clip(string(raw)) + "; a number is an integer of 32 bits"
	}
	return n, ""
}

func decodeBase64(raw []byte) ([]byte, error) {
	if raw[0] != '"' {
		return nil, errors.New("is no string")
	}
	if most := base64.StdEncoding.EncodedLen(event.MaxBytes) + 2; len(raw) > most { // before it is decoded
		return nil, fmt.Errorf("has %d characters, the limit is %d; store it elsewhere and send a reference", len(raw), most)
	}
	data, err := base64.StdEncoding.DecodeString(strictjson.Text(raw))
	if err != nil {
		return nil, errors.New("is not base64")
	}
	return data, nil
}
