package cloudevents_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of bad requests in docs/gateway-cloudevents.md")

// refusal is one bad request, and a part of what it is told.
type refusal struct {
	what    string
	request request
	code    int
	want    string
}

// refusals are bad requests in the order of the docs.
func refusals() []refusal {
	authorized := func(value string, r request) request {
		r.header["Authorization"] = value
		return r
	}
	long := strings.Repeat("x", 1025)
	return []refusal{
		{"no key", authorized("", structured()), 401, "Event key not found"},
		{"a wrong key", authorized("Bearer wrong", structured()), 401, "Event key not found"},
		{"a type that the key may not send", authorized("Bearer "+narrowKey, structured()), 403, `shop may not send events of the type "io.cloudevents.test"`},
		{"no CloudEvent at all", request{body: `{"name":"user/registered"}`, header: map[string]string{"Content-Type": "application/json"}}, 415, "this is no CloudEvent: send the headers ce-specversion, ce-id, ce-source and ce-type"},
		{"another event format", typed(structured(), "application/cloudevents+xml"), 415, "events in the format application/cloudevents+xml are not understood"},
		{"another batch format", typed(batched(), "application/cloudevents-batch+protobuf"), 415, "are not understood: send application/cloudevents+json or application/cloudevents-batch+json"},
		{"no media type", typed(structured(), "json;;"), 415, `header Content-Type is "json;;", which is no media type`},
		{"another charset", typed(structured(), "application/cloudevents+json; charset=utf-16"), 415, `the charset is "utf-16", want utf-8`},
		{"a body of 2 MiB, where 1 MiB is the limit", structured("data", `{"a":"`+strings.Repeat("x", 2<<20)+`"}`), 413, "the body is larger than 1048576 bytes"},

		{"binary: no id", binary("{}", "ce-id", ""), 400, "event 0: id is missing"},
		{"binary: no source", binary("{}", "ce-source", ""), 400, "event 0: source is missing"},
		{"binary: no type", binary("{}", "ce-type", ""), 400, "event 0: type is missing"},
		{"binary: no specversion", binary("{}", "ce-specversion", ""), 415, "this is no CloudEvent"},
		{"binary: specversion 0.3", binary("{}", "ce-specversion", "0.3"), 400, `event 0: specversion is "0.3", want "1.0"`},
		{"binary: specversion 1.1", binary("{}", "ce-specversion", "1.1"), 400, `event 0: specversion is "1.1", want "1.0"`},
		{"binary: an id of spaces", binary("{}", "ce-id", "%20%20"), 400, "event 0: id is empty: leave it out, or say something"},
		{"binary: no UTF-8 behind %", binary("{}", "ce-subject", "%C0%A0"), 400, "event 0: subject is not UTF-8 when it is decoded"},
		{"binary: a control character behind %", binary("{}", "ce-id", "a%0Ab"), 400, "event 0: id has a control character"},
		{"binary: a source with a space", binary("{}", "ce-source", "/a%20b"), 400, `event 0: source "/a b" is no URI reference: it has a space`},
		{"binary: a source that is no URI", binary("{}", "ce-source", ":%2525"), 400, `event 0: source ":%25" cannot be used`},
		{"binary: a time of day", binary("{}", "ce-time", "lunchtime"), 400, `event 0: time "lunchtime" is no RFC 3339 time`},
		{"binary: ce-datacontenttype", binary("{}", "ce-datacontenttype", "application/json"), 400, "event 0: datacontenttype is in the header ce-datacontenttype: it belongs to Content-Type"},
		{"binary: an underscore in a name", binary("{}", "ce-my_ext", "a"), 400, "event 0: my_ext is no name of an attribute"},
		{"binary: Avro", binary("Obj\x01", "Content-Type", "application/avro"), 415, "event 0: data is application/avro; data is JSON, text or XML here"},
		{"binary: half of the JSON", binary(`{"a":`), 400, "event 0: data cannot be read: it ends too early, at byte 6"},
		{"binary: no UTF-8", binary("{\"a\":\"\xff\"}"), 400, "event 0: data cannot be read: it is not valid UTF-8, at byte 7"},
		{"binary: a long subject", binary("{}", "ce-subject", long), 400, "event 0: subject has 1025 bytes, the limit is 1024"},

		{"structured: an empty body", request{header: structured().header}, 400, "the body is empty, want an event in JSON"},
		{"structured: no JSON", request{body: "specversion: 1.0", header: structured().header}, 400, "the body cannot be read: "},
		{"structured: no UTF-8", structured("subject", "\"\xff\""), 400, "the body cannot be read: it is not valid UTF-8"},
		{"structured: a list", request{body: "[" + document() + "]", header: structured().header}, 400, "event 0: event is no JSON object"},
		{"structured: null", request{body: "null", header: structured().header}, 400, "event 0: event is no JSON object"},
		{"structured: nothing in it", request{body: "{}", header: structured().header}, 400, `event 0: specversion is missing, want "1.0"; event 0: id is missing; event 0: source is missing; event 0: type is missing`},
		{"structured: specversion 0.9", structured("specversion", `"0.9"`), 400, `event 0: specversion is "0.9", want "1.0"`},
		{"structured: specversion as a number", structured("specversion", "1"), 400, `event 0: specversion is 1, want "1.0"`},
		{"structured: id null", structured("id", "null"), 400, "event 0: id is missing"},
		{"structured: id empty", structured("id", `""`), 400, "event 0: id is empty"},
		{"structured: id a number", structured("id", "25"), 400, "event 0: id is 25, want a string"},
		{"structured: id an object", structured("id", `{"a":1}`), 400, "event 0: id is an object; an attribute is a string"},
		{"structured: source empty", structured("source", `""`), 400, "event 0: source is empty"},
		{"structured: subject empty", structured("subject", `""`), 400, "event 0: subject is empty"},
		{"structured: dataschema empty", structured("dataschema", `""`), 400, "event 0: dataschema is empty"},
		{"structured: datacontenttype empty", structured("datacontenttype", `""`), 400, "event 0: datacontenttype is empty"},
		{"structured: no media type", structured("datacontenttype", `"a/b/c"`), 400, `event 0: datacontenttype "a/b/c" is no media type`},
		{"structured: time to the minute", structured("time", `"2018-04-05T18:31Z"`), 400, `event 0: time "2018-04-05T18:31Z" is no RFC 3339 time`},
		{"structured: time with an odd offset", structured("time", `"2018-04-05T18:31:00+25:00"`), 400, "is no RFC 3339 time"},
		{"structured: time with half an offset", structured("time", `"2018-04-05T18:31:00+05"`), 400, "is no RFC 3339 time"},
		{"structured: time as a number", structured("time", "1522953060"), 400, "event 0: time is 1522953060, want a string"},
		{"structured: a fraction", structured("ext", "1.5"), 400, "event 0: ext is 1.5; a number is an integer of 32 bits"},
		{"structured: a large number", structured("ext", "2147483648"), 400, "event 0: ext is 2147483648; a number is an integer of 32 bits"},
		{"structured: a list as an extension", structured("ext", "[1]"), 400, "event 0: ext is a list; an attribute is a string"},
		{"structured: upper case in a name", structured("MyExtension", `"bad"`), 400, "event 0: MyExtension is no name of an attribute: want lower case letters and digits"},
		{"structured: a dot in a name", structured("my.extension", `"bad"`), 400, "event 0: my.extension is no name of an attribute"},
		{"structured: data twice", structured("data", "{}", "data_base64", `"e30="`), 400, "event 0: data_base64 is there beside data"},
		{"structured: base64 as a number", structured("data_base64", "1"), 400, "event 0: data_base64 is no string"},
		{"structured: no base64", structured("data_base64", `"e3"`), 400, "event 0: data_base64 is not base64"},
		{"structured: no JSON behind base64", structured("data_base64", `"SGk="`), 400, "event 0: data cannot be read"},
		{"structured: bytes that are no text", structured("datacontenttype", `"image/png"`, "data_base64", `"iVBORw=="`), 415, "event 0: data is image/png; data is JSON, text or XML here"},
		{"structured: a name twice", structured("data", `{"a":1,"a":2}`), 400, `the body cannot be read: the name "a" is there twice`},

		{"batched: one event without an array", typed(structured(), "application/cloudevents-batch+json"), 400, "the body is no array of events: for one event send Content-Type: application/cloudevents+json"},
		{"batched: 5,001 events", batched(strings.Split(strings.Repeat(document()+" ", 5001), " ")[:5001]...), 400, "the batch has more than 5000 events: send fewer at a time"},
		{"batched: the second is no event", batched(document(), "7"), 400, "event 1: event is no JSON object"},
		{"batched: the second has no id", batched(document(), document("id", "")), 400, "event 1: id is missing (nothing was published)"},
		{"batched: another specversion", batched(document(), document("specversion", `"0.3"`)), 400, `event 1: specversion is "0.3"`},
		{"batched: one does not fit its schema", batched(document(), document("type", `"com.shop.paid"`, "data", `{"amount":"much"}`)), 400, "event 1: data.amount is not valid: got string, want integer"},

		{"a type with a space", structured("type", `"a b"`), 400, `event 0: type "a b" is no event type`},
		{"a type with a colon", structured("type", `"com.example:created"`), 400, `event 0: type "com.example:created" is no event type`},
		{"a reserved type", structured("type", `"wildout/run.finished"`), 400, `event 0: type "wildout/run.finished" is reserved`},
	}
}

// TestRefusals sends each, and holds the answers against the docs. No status is
// one that Knative would try again (404, 408, 409, 429, 5xx).
func TestRefusals(t *testing.T) {
	s := newSite(t)
	cases := refusals()
	answers := make([]string, len(cases))
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			a := s.in(t).send(c.request)
			answers[i] = a.Error
			if a.code != c.code || !strings.Contains(a.Error, c.want) {
				t.Errorf("%d %s\nwant %d and %s", a.code, a.Error, c.code, c.want)
			}
			if strings.HasPrefix(c.want, "event ") && len(a.Faults) == 0 {
				t.Error("the answer lists no faults")
			}
		})
	}
	for _, eventType := range []string{"com.example.someevent", "io.cloudevents.test", "com.shop.paid"} {
		if events := s.stream(eventType); len(events) > 0 {
			t.Errorf("%d events of type %s were published", len(events), eventType)
		}
	}
	if !t.Failed() {
		checkDocs(t, cases, answers)
	}
}

// TestRepeatedHeader cannot be told by a map of headers.
func TestRepeatedHeader(t *testing.T) {
	s := newSite(t)
	r := binary("{}")
	r.header["ce-id"] = ""
	if a := s.sendTwice(r, "ce-id", "1", "2"); a.code != 400 || !strings.Contains(a.Error, "id is there more than once") {
		t.Errorf("%d %s", a.code, a.Error)
	}
}

// checkDocs compares the table in the docs with the answers.
func checkDocs(t *testing.T, cases []refusal, answers []string) {
	t.Helper()
	const file, begin, end = "../../../docs/gateway-cloudevents.md", "<!-- begin bad requests: go test ./runtime/gateway/cloudevents -run TestRefusals -update -->\n", "<!-- end bad requests -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table of bad requests", file)
	}
	var table strings.Builder
	table.WriteString("| request | status | `error` |\n|---|---|---|\n")
	for i, c := range cases {
		fmt.Fprintf(&table, "| %s | %d | %s |\n", c.what, c.code, strings.ReplaceAll(answers[i], "|", `\|`))
	}
	want := head + begin + table.String() + end + tail
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("the table of bad requests in %s is out of date: the comment above it says how to write it again", file)
	}
}
