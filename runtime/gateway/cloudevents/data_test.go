package cloudevents_test

import (
	"encoding/base64"
	"strconv"
	"testing"
)

// TestKindsOfData are those of the conformance tests of CloudEvents, in both
// modes, and what stands in the event for each.
func TestKindsOfData(t *testing.T) {
	const xml = `<much wow="xml"/>`
	for name, c := range map[string]struct{ media, body, want string }{
		"a text":            {"text/plain", "Hello", `"Hello"`},
		"a text in Latin-1": {"text/plain; charset=iso-8859-1", "Gr\xfc\xdfe", `"Grüße"`},
		"a text in UTF-8":   {"text/plain; charset=utf-8", " Grüße\n", `" Grüße\n"`},
		"a JSON string":     {"application/json", `"Hello"`, `"Hello"`},
		"a JSON object":     {"application/json", ` {"n": 12345678901234567890}`, `{"n": 12345678901234567890}`},
		"a JSON list":       {"application/json", `[1, "a"]`, `[1, "a"]`},
		"a JSON number":     {"application/vnd.shop+json", `0.10`, `0.10`},
		"XML":               {"application/xml", xml, strconv.Quote(xml)},
		"XML of a kind":     {"application/atom+xml", xml, strconv.Quote(xml)},
		"null":              {"application/json", "null", `{}`},
		"nothing":           {"text/plain", "", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.taken(binary(c.body, "Content-Type", c.media))
			if got := string(s.last("com.example.someevent").Data); got != c.want {
				t.Errorf("binary: data %s, want %s", got, c.want)
			}
			body := base64Of(c.body)
			s.taken(structured("datacontenttype", strconv.Quote(c.media), "data_base64", body))
			if got := string(s.last("io.cloudevents.test").Data); got != c.want {
				t.Errorf("structured, base64: data %s, want %s", got, c.want)
			}
			s.taken(structured("id", `"2"`, "datacontenttype", strconv.Quote(c.media), "data", c.want))
			if got := string(s.last("io.cloudevents.test").Data); got != c.want {
				t.Errorf("structured: data %s, want %s", got, c.want)
			}
		})
	}
}

func base64Of(text string) string {
	return `"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"`
}
