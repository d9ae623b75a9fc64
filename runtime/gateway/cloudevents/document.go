package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
)

// document reads one event in the JSON format, which is known to be JSON. It
// returns nil when there is no event. The reader of the SDK is not used: it
// panics on some texts, takes 1.5 for 1 and the empty string for nothing.
func (f *faults) document(text json.RawMessage) *message {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members == nil {
		f.add("event", "is no JSON object")
		return nil
	}
	data, base64Data := members["data"], members["data_base64"]
	delete(members, "data")
	delete(members, "data_base64")
	m := &message{attributes: make(attributes, len(members)), data: func() ([]byte, error) { return data, nil }}
	switch {
	case isNull(base64Data):
	case !isNull(data):
		f.add("data_base64", "is there beside data: send one of them")
	default:
		m.data = func() ([]byte, error) { return decodeBase64(base64Data) }
	}
	for name, raw := range members {
		if isNull(raw) { // as if it were not there: JSON Event Format, section 2.2
			continue
		}
		value, problem := scalar(raw)
		if problem != "" {
			f.add(name, "%s", problem)
			continue
		}
		m.attributes[name] = value
	}
	return m
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// scalar returns the value of an attribute: a string, a bool or an int64.
func scalar(raw json.RawMessage) (value any, problem string) {
	switch raw[0] {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return nil, "is no string"
		}
		return text, ""
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

func decodeBase64(raw json.RawMessage) ([]byte, error) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil, errors.New("is no string")
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	return data, nil
}
