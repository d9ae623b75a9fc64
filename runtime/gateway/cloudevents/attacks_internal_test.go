package cloudevents

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
)

// TestAttacksOnTheReader has bodies as large as the gateway takes which ask for
// far more memory than they have bytes. What is judged is all that was allocated.
func TestAttacksOnTheReader(t *testing.T) {
	const size = 16 << 20
	of := func(open, part, end string) []byte {
		return []byte(open + strings.Repeat(part, (size-len(open)-len(end))/len(part)) + end)
	}
	var names strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&names, `"a%d":"b",`, i)
	}
	const event = `{"specversion":"1.0","type":"a","id":"1","source":"/s","data":`
	for name, c := range map[string]struct {
		media, want string
		body        []byte
	}{
		"a batch of nothing":    {"application/cloudevents-batch+json", "more than", of("[", "{},", "{}]")},
		"a batch of zeros":      {"application/cloudevents-batch+json", "more than", of("[", "0,", "0]")},
		"a batch of lists":      {"application/cloudevents-batch+json", "nested deeper", of("[", "[", "")},
		"an event of zeros":     {"application/cloudevents+json", "more than", of(event+"[", "0,", "0]}")},
		"an event of lists":     {"application/cloudevents+json", "more than 100000 members", of(event+"[", "[0,0,0],", "0]}")},
		"a batch with one":      {"application/cloudevents-batch+json", "more than 100000 members", of("["+event+"[", strings.TrimSuffix(strings.Repeat("[0,0],", 50), ",")+",", "0]}]")},
		"many attributes":       {"application/cloudevents+json", "more than", []byte("{" + names.String() + `"id":"1"}`)},
		"a number of megabytes": {"application/cloudevents+json", "a number of more than", of(event, "1", "}")},
		"binary, zeros":         {"application/json", "limit is 1048576", of("[", "0,", "0]")},
		"binary, a text":        {"text/plain", "limit is 1048576", of("", "a", "")},
		"a text in base64":      {"application/cloudevents+json", "limit is", of(strings.Replace(event, `"data"`, `"data_base64"`, 1)+`"`, "YWJj", `"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Content-Type": {c.media}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {"a"}, "Ce-Source": {"/s"}}
			var err error
			spent := servicetest.Spend(func() { _, err = read(header, c.body) })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.300v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 50_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if spent.Allocated > 40<<20 {
				t.Errorf("%s", spent)
			}
			t.Log(spent)
		})
	}
}
