package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/wildout/wildout/runtime/strictjson"
)

// setBody makes the body part of the output, which is UTF-8 whatever the
// server sent. What cannot be read stays as it came, in base64. It fails when
// JSON goes beyond the limits.
func (r *Response) setBody(contentType string, body []byte) error {
	mediaType, params, err := mime.ParseMediaType(contentType)
	isJSON := err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
	text, ok := decode(body, params["charset"])
	switch {
	case len(body) == 0:
		return nil
	case !ok:
		r.BodyBase64 = body
		return nil
	case !isJSON:
		r.Body = string(text)
		return nil
	}
	err = responseLimits.Check(text)
	var fault *strictjson.Error
	if errors.As(err, &fault) && fault.Kind == strictjson.Limit {
		return err
	}
	r.Body = string(text)
	if err == nil {
		r.Body = json.RawMessage(text) // as it came: numbers stay exact
	}
	return nil
}

// decode returns body as UTF-8, and whether it could be read. JSON needs no
// charset, but servers that write it in another one say so like all others. A
// byte order mark wins, as in browsers, and goes. An unknown charset says
// nothing.
func decode(body []byte, charset string) ([]byte, bool) {
	enc, err := htmlindex.Get(charset)
	if err != nil || enc == unicode.UTF8 {
		text := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
		return text, utf8.Valid(text)
	}
	text, _, err := transform.Bytes(unicode.BOMOverride(enc.NewDecoder()), body)
	return text, err == nil && !bytes.ContainsRune(text, utf8.RuneError)
}
