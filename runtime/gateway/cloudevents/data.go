package cloudevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/strictjson"
)

// data returns the data of an event as one JSON value: JSON as it is, text and
// XML as a string. None, and null, is the empty object.
func (f *faults) data(m *message) json.RawMessage {
	contentType, _ := m.attributes["datacontenttype"].(string)
	data, err := m.value, error(nil)
	if data == nil && len(m.bytes) > 0 {
		data, err = fromBytes(m.bytes, contentType, m.charset)
	}
	var media *mediaError
	switch {
	case errors.As(err, &media):
		f.media++
		f.add("data", "%v", err)
		return nil
	case err != nil:
		f.add("data", "%v", err)
		return nil
	}
	if data = bytes.TrimSpace(data); len(data) == 0 || isNull(data) {
		return json.RawMessage("{}")
	}
	var malformed *event.MalformedError
	if err := event.Check(data); errors.As(err, &malformed) {
		f.add("data", "%s", strings.TrimPrefix(malformed.Reason, "data "))
	}
	return data
}

// mediaError says that data is of a kind that an event cannot have here.
type mediaError struct{ message string }

func (e *mediaError) Error() string { return e.message }

// fromBytes makes a JSON value of data of a media type.
func fromBytes(data []byte, contentType, charset string) ([]byte, error) {
	if len(data) > event.MaxBytes { // before anything is made of it
		return nil, fmt.Errorf("is %d bytes, the limit is %d; store it elsewhere and send a reference", len(data), event.MaxBytes)
	}
	media, params, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return nil, &mediaError{fmt.Sprintf("is %q, which is no media type", clip(contentType))}
	}
	if charset == "" {
		charset = params["charset"]
	}
	kind := kindOf(media)
	if kind == "" {
		return nil, &mediaError{fmt.Sprintf("is %s; data is JSON, text or XML here, send application/json", clip(contentType))}
	}
	text, err := inUTF8(data, charset)
	if err != nil || kind == "json" {
		return text, err
	}
	if !utf8.Valid(text) {
		return nil, errors.New("cannot be read: it is not valid UTF-8: say its charset in the content type")
	}
	return strictjson.Marshal(string(text))
}

// kindOf is json, text, or nothing for what is neither. Without a media type it
// is JSON.
func kindOf(media string) string {
	switch {
	case media == "", media == "application/json", media == "text/json", strings.HasSuffix(media, "+json"):
		return "json"
	case strings.HasPrefix(media, "text/"), media == "application/xml", strings.HasSuffix(media, "+xml"):
		return "text"
	}
	return ""
}

// inUTF8 is data in a charset as UTF-8.
func inUTF8(data []byte, charset string) ([]byte, error) {
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii":
		return data, nil
	}
	from, err := htmlindex.Get(charset)
	if err != nil {
		return nil, &mediaError{fmt.Sprintf("is in the charset %q, which is not known: send utf-8", clip(charset))}
	}
	text, err := from.NewDecoder().Bytes(data)
	if err != nil {
		return nil, fmt.Errorf("cannot be read as %s: %w", clip(charset), err)
	}
	return text, nil
}
