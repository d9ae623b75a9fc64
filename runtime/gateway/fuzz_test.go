package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func FuzzReadEvents(f *testing.F) {
	for _, body := range []string{`{"name":"a","data":{}}`, `[{"name":"a","ts":1700000000000,"id":"x"},{}]`, `null`, `[null]`, `{"name":"a"} x`, "[", "", "\xff", `{"data":{"a":1e999}}`} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, lenient bool) {
		events, faults, err := readEvents(body, lenient)
		if err != nil {
			if r := AsRefusal(err); r.Status != http.StatusBadRequest || r.Message == "" {
				t.Errorf("refusal %+v", r)
			}
			return
		}
		if len(events) == 0 || len(events) > maxEvents {
			t.Fatalf("%d events", len(events))
		}
		for i, e := range events {
			// What has no fault can be published: its data is one JSON object.
			if found := append(envelope(i, e), faults...); len(found) == 0 && (!json.Valid(e.Data) || !bytes.HasPrefix(e.Data, []byte("{"))) {
				t.Errorf("data %q passes", e.Data)
			}
		}
	})
}

func FuzzSeed(f *testing.F) {
	f.Add("1700000000000,AAECAwQFBgcICQ==")
	f.Add(",")
	f.Add("-1,AAAA")
	f.Fuzz(func(t *testing.T, header string) {
		seed, err := parseSeed(header)
		if err == nil && seed != header {
			t.Errorf("the seed of %q is %q", header, seed)
		}
		if err == nil && header != "" && (len(header) > 40 || !strings.Contains(header, ",")) {
			t.Errorf("%q passes", header)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b", "acb")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if match(pattern, text) != slowMatch(pattern, text) {
			t.Errorf("match(%q, %q) = %v", pattern, text, match(pattern, text))
		}
	})
}

// slowMatch is the definition.
func slowMatch(pattern, text string) bool {
	if len(pattern) > 30 || len(text) > 30 {
		return match(pattern, text)
	}
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], text) || text != "" && slowMatch(pattern, text[1:])
	default:
		return text != "" && text[0] == pattern[0] && slowMatch(pattern[1:], text[1:])
	}
}
