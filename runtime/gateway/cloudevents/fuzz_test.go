package cloudevents

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

// fuzzRead holds read to its promises: a refusal that the sender can mend, or
// events that a stream may hold.
func fuzzRead(t *testing.T, header http.Header, body []byte) {
	t.Helper()
	events, err := read(header, body)
	if err != nil {
		var refusal *gateway.Refusal
		if !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest && refusal.Status != http.StatusUnsupportedMediaType {
			t.Errorf("error %v, want a refusal with 400 or 415", err)
		}
		if !utf8.ValidString(err.Error()) && utf8.Valid(body) {
			t.Errorf("the error %q is not UTF-8", err)
		}
		return
	}
	for _, e := range events {
		if e.Type == "" || e.ID == "" || len(e.ID) > maxID || strings.IndexFunc(e.ID+e.Source+e.Subject, unicode.IsControl) >= 0 {
			t.Errorf("event %+v", e)
		}
		if !utf8.ValidString(e.ID + e.Source + e.Subject + e.Type) {
			t.Errorf("event %+v is not UTF-8", e)
		}
		if err := event.Check(e.Data); err != nil {
			t.Errorf("data %q: %v", e.Data, err)
		}
	}
}

func FuzzBinary(f *testing.F) {
	f.Add("1234", "/mycontext", "com.example.someevent", "Euro%20%E2%82%AC", "2018-04-05T03:56:24Z", "Ce-Ext", "1", "application/json", []byte(`{"a":1}`))
	f.Add(`"\"q\" %41"`, "urn:x", "t", "%C0%A0", "", "Ce-Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "text/plain; charset=\"utf-8\"", []byte{})
	f.Add("%", ":", " ", "%0", "%zz", "Ce-", "\xff", "application/cloudevents", []byte("null"))
	f.Fuzz(func(t *testing.T, id, source, eventType, subject, at, name, value, contentType string, body []byte) {
		header := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {source}, "Ce-Type": {eventType},
			"Ce-Subject": {subject}, "Ce-Time": {at}, "Content-Type": {contentType}}
		header[http.CanonicalHeaderKey(name)] = []string{value}
		fuzzRead(t, header, body)
	})
}

// documents are the seeds of the JSON formats.
var documents = []string{
	`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":[1,null]},"time":"2018-04-05T17:31:00Z"}`,
	`{"data_base64":"e30=","specversion":"1.0","id":"\u00fc","source":"#f","type":"t","ext":-7,"flag":true,"subject":null}`,
	`{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":1}`,
	`{"specversion":"1.0","id":{"a":[]},"source":[],"type":"t","ext":1.5,"datacontenttype":"text/plain","data":"x"}`,
	`{"specversion":"1.0","specversion":"0.3","id":"1","id":"2","source":" ","type":""}`, `null`, `[]`, `7`, ``,
}

func FuzzStructured(f *testing.F) {
	for _, d := range documents {
		f.Add([]byte(d))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzRead(t, http.Header{"Content-Type": {"application/cloudevents+json"}}, body)
	})
}

func FuzzBatched(f *testing.F) {
	f.Add([]byte("[" + strings.Join(documents[:4], ",") + "]"))
	f.Add([]byte("[" + documents[0] + "," + documents[1] + "]"))
	f.Add([]byte(" [ ]"))
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzRead(t, http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, body)
	})
}

// FuzzHeaderValue decodes what the rules of the binding encode.
func FuzzHeaderValue(f *testing.F) {
	for _, text := range []string{"Euro € 😀", `"`, "%", "a b", "%41", "\u00a0", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var b strings.Builder
		for i := range len(text) {
			if c := text[i]; c > ' ' && c < 0x7f && c != '"' && c != '%' {
				b.WriteByte(c)
			} else {
				b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
			}
		}
		if got, ok := decodeHeader(b.String()); !ok || got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
