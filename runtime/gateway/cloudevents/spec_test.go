package cloudevents_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/cloudevents"
)

// TestSpecification has what the specification says is an event: the HTTP
// Protocol Binding and the JSON Event Format, version 1.0.2.
func TestSpecification(t *testing.T) {
	s := newSite(t)
	const someevent, test = "com.example.someevent", "io.cloudevents.test"
	for name, c := range map[string]struct {
		request
		eventType         string
		id, subject, data string // empty: not looked at
	}{
		"binary":                         {binary(`{"message":"Hello World!"}`), someevent, "/mycontext/subcontext 1234-1234-1234", "", `{"message":"Hello World!"}`},
		"binary, a charset":              {binary(`{"a":1}`, "ce-id", "b1", "Content-Type", "application/json; charset=utf-8"), someevent, "/mycontext/subcontext b1", "", `{"a":1}`},
		"binary, another JSON":           {binary(`{"a":2}`, "ce-id", "b2", "Content-Type", "application/vnd.shop.order+json"), someevent, "", "", `{"a":2}`},
		"binary, no media type":          {binary(`{"a":3}`, "ce-id", "b3", "Content-Type", ""), someevent, "", "", `{"a":3}`},
		"binary, upper case names":       {upperCase(binary(`{"a":4}`, "ce-id", "b4")), someevent, "/mycontext/subcontext b4", "", `{"a":4}`},
		"binary, no data":                {binary("", "ce-id", "b5"), someevent, "", "", `{}`},
		"binary, no data of a text":      {binary("", "ce-id", "b6", "Content-Type", "text/plain"), someevent, "", "", `{}`},
		"binary, null":                   {binary("null", "ce-id", "b7"), someevent, "", "", `{}`},
		"binary, spaces around the data": {binary(" {\"a\": 8}\n", "ce-id", "b8"), someevent, "", "", `{"a": 8}`},
		"binary, extensions":             {binary("{}", "ce-id", "b9", "ce-partitionkey", "A", "ce-knativearrivaltime", "2026-03-02T08:20:00Z", "ce-dataschema", "https://example.com/s"), someevent, "", "", `{}`},

		"percent-encoded":               {binary("{}", "ce-id", "p1", "ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"), someevent, "", "Euro € 😀", ""},
		"percent-encoded, lower case":   {binary("{}", "ce-id", "p2", "ce-subject", "Euro%20%e2%82%ac"), someevent, "", "Euro €", ""},
		"percent-encoded, without need": {binary("{}", "ce-id", "%70%33"), someevent, "/mycontext/subcontext p3", "", ""},
		"percent-encoded once":          {binary("{}", "ce-id", "p4", "ce-subject", "100%2525"), someevent, "", "100%25", ""},
		"quoted":                        {binary("{}", "ce-id", `"p5"`, "ce-subject", `"a \"quoted\" \\ %41"`), someevent, "/mycontext/subcontext p5", `a "quoted" \ A`, ""},
		"a percent alone":               {binary("{}", "ce-id", "p6", "ce-subject", "50% off, 100%"), someevent, "", "50% off, 100%", ""},
		"UTF-8 as it is":                {binary("{}", "ce-id", "p7", "ce-subject", "Größe ☀"), someevent, "", "Größe ☀", ""},
		"a quote in the middle":         {binary("{}", "ce-id", "p8", "ce-subject", `5"disk`), someevent, "", `5"disk`, ""},

		"time with nanoseconds": {binary("{}", "ce-id", "t1", "ce-time", "2018-04-05T17:31:00.123456789Z"), someevent, "/mycontext/subcontext t1", "", ""},
		"time with an offset":   {binary("{}", "ce-id", "t2", "ce-time", "2018-04-05T16:31:00-01:00"), someevent, "/mycontext/subcontext t2", "", ""},
		"time in lower case":    {binary("{}", "ce-id", "t3", "ce-time", "2018-04-05t17:31:00z"), someevent, "/mycontext/subcontext t3", "", ""},
		"time left out":         {binary("{}", "ce-id", "t4", "ce-time", ""), someevent, "/mycontext/subcontext t4", "", ""},

		"structured":                        {structured(), test, "https://cloudevents.io minimal", "", `{}`},
		"structured, a charset":             {typed(structured("id", `"s1"`), "application/cloudevents+json; charset=UTF-8"), test, "https://cloudevents.io s1", "", `{}`},
		"structured, null is nothing":       {structured("id", `"s2"`, "subject", "null", "time", "null", "dataschema", "null", "datacontenttype", "null", "ext", "null", "data", "null"), test, "https://cloudevents.io s2", "", `{}`},
		"structured, all core attributes":   {structured("id", `"s3"`, "subject", `"tests"`, "time", `"2018-04-05T17:31:00Z"`, "dataschema", `"https://cloudevents.io/dataschema"`, "datacontenttype", `"text/plain"`), test, "https://cloudevents.io s3", "tests", `{}`},
		"structured, a relative source":     {structured("id", `"s4"`, "source", `"#fragment"`), test, "#fragment s4", "", ""},
		"structured, a URN":                 {structured("id", `"s5"`, "source", `"urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"`), test, "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66 s5", "", ""},
		"structured, extensions":            {structured("id", `"s6"`, "extinteger", "10", "extnegative", "-2147483648", "extboolean", "true", "extstring", `"text"`, "exturi", `"https://cloudevents.io"`, "exttimestamp", `"2023-03-31T15:12:00Z"`, "extbinary", `"TWE="`), test, "https://cloudevents.io s6", "", ""},
		"structured, data":                  {structured("id", `"s7"`, "data", `{"big":9007199254740993,"html":"<b>","float":1.00}`), test, "", "", `{"big":9007199254740993,"html":"<b>","float":1.00}`},
		"structured, data first":            {request{body: `{"data":{"a":1},"datacontenttype":"application/json","id":"s8","source":"/s","type":"io.cloudevents.test","specversion":"1.0"}`, header: structured().header}, test, "/s s8", "", `{"a":1}`},
		"structured, base64":                {structured("id", `"s9"`, "data_base64", `"`+base64.StdEncoding.EncodeToString([]byte(`{"a":"ü"}`))+`"`), test, "", "", `{"a":"ü"}`},
		"structured, base64 with an escape": {structured("id", `"s10"`, "data_base64", `"e\u0033\u0030="`), test, "", "", `{}`},
		"structured, white space":           {request{body: "\n " + document("id", `"s11"`) + " \n", header: structured().header}, test, "https://cloudevents.io s11", "", ""},
		"structured, escapes":               {structured("id", `"\u0073\u00fc"`), test, "https://cloudevents.io sü", "", ""},

		"batched":              {batched(document("id", `"a1"`), document("id", `"a2"`, "data", `{"a":1}`)), test, "https://cloudevents.io a2", "", `{"a":1}`},
		"batched, other types": {batched(document("id", `"a3"`), document("id", `"a3"`, "type", `"io.cloudevents.other"`, "datacontenttype", `"application/xml"`)), "io.cloudevents.other", "https://cloudevents.io a3", "", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.taken(c.request)
			e := s.last(c.eventType)
			if c.id != "" && e.ID != c.id {
				t.Errorf("id %q, want %q", e.ID, c.id)
			}
			if c.subject != "" && e.Subject != c.subject {
				t.Errorf("subject %q, want %q", e.Subject, c.subject)
			}
			if c.data != "" && string(e.Data) != c.data {
				t.Errorf("data %s, want %s", e.Data, c.data)
			}
		})
	}
}

func upperCase(r request) request {
	header := map[string]string{}
	for name, value := range r.header {
		header[strings.ToUpper(name)] = value
	}
	r.header = header
	return r
}

func typed(r request, contentType string) request {
	r.header = map[string]string{"Content-Type": contentType}
	return r
}

func TestEmptyBatch(t *testing.T) {
	s := newSite(t)
	s.taken(batched())
}

// TestIdentity: source and id together make an event what it is, whatever the
// mode; with us it is the type that joins them.
func TestIdentity(t *testing.T) {
	s := newSite(t)
	const eventType = "io.cloudevents.test"
	for _, r := range []request{
		structured("id", `"1"`, "source", `"/a"`),
		structured("id", `"1"`, "source", `"/b"`),
		binary("{}", "ce-type", eventType, "ce-id", "1", "ce-source", "/a"), // again
		batched(document("id", `"1"`, "source", `"/b"`), document("id", `"2"`, "source", `"/b"`)),
		structured("id", `"b 1"`, "source", `"/a"`), // "/a b 1" is no other pair's
	} {
		s.taken(r)
	}
	var ids []string
	for _, e := range s.stream(eventType) {
		ids = append(ids, e.ID)
	}
	if got, want := strings.Join(ids, "; "), "/a 1; /b 1; /b 2; /a b 1"; got != want {
		t.Errorf("ids %s, want %s", got, want)
	}
}

// TestLongIdentity gives pairs that are too long for an id one of their own.
func TestLongIdentity(t *testing.T) {
	s := newSite(t)
	long := strings.Repeat("x", 300)
	for _, source := range []string{"/a", "/b", "/a"} {
		s.taken(structured("id", `"`+long+`"`, "source", `"`+source+`"`))
	}
	events := s.stream("io.cloudevents.test")
	if len(events) != 2 || events[0].ID == events[1].ID || !strings.HasPrefix(events[0].ID, "sha256:") {
		t.Errorf("events %+v, want two with ids of their own", events)
	}
}

func TestTraceContext(t *testing.T) {
	s := newSite(t)
	const hop, own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-11111111111111111111111111111111-2222222222222222-00"
	for name, c := range map[string]struct {
		request
		parent, state string
	}{
		"of the request":                  {binary("{}", "ce-id", "1", "traceparent", hop, "tracestate", "a=1"), hop, "a=1"},
		"of the event":                    {binary("{}", "ce-id", "2", "ce-traceparent", own, "ce-tracestate", "b=2", "traceparent", hop, "tracestate", "a=1"), own, "b=2"},
		"of the event, broken":            {binary("{}", "ce-id", "3", "ce-traceparent", "00-1-2-3", "traceparent", hop), hop, ""},
		"of the event, in JSON":           {structured("id", `"4"`, "type", `"com.example.someevent"`, "traceparent", `"`+own+`"`), own, ""},
		"none":                            {binary("{}", "ce-id", "5"), "", ""},
		"of the event, no string in JSON": {structured("id", `"6"`, "type", `"com.example.someevent"`, "traceparent", "7"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.taken(c.request)
			if e := s.last("com.example.someevent"); e.TraceParent != c.parent || e.TraceState != c.state {
				t.Errorf("%q, %q, want %q, %q", e.TraceParent, e.TraceState, c.parent, c.state)
			}
		})
	}
}

// TestQueryToken: a target of CloudEvents webhooks takes a token there too.
func TestQueryToken(t *testing.T) {
	s := newSite(t)
	r := structured()
	r.header["Authorization"] = ""
	r.path = "/cloudevents?access_token=" + key
	if a := s.taken(r); a.header.Get("Cache-Control") != "private" {
		t.Errorf("Cache-Control is %q", a.header.Get("Cache-Control"))
	}
	r.path = "/cloudevents?access_token=wrong"
	if a := s.send(r); a.code != http.StatusUnauthorized || strings.Contains(a.Error, "wrong") {
		t.Errorf("%d %s, want 401", a.code, a.Error)
	}
}

// TestConsent is the handshake of CloudEvents webhooks.
func TestConsent(t *testing.T) {
	some := func(o *cloudevents.Options) {
		o.AllowedOrigins, o.AllowedRate = []string{"eventgrid.azure.net"}, 120
	}
	for name, c := range map[string]struct {
		change       func(*cloudevents.Options)
		origin       string
		allowed      string
		rate         string
		path, method string
	}{
		"everybody":         {func(*cloudevents.Options) {}, "eventemitter.example.com", "eventemitter.example.com", "*", "/cloudevents", http.MethodOptions},
		"at the root":       {func(*cloudevents.Options) {}, "eventemitter.example.com", "eventemitter.example.com", "*", "/", http.MethodOptions},
		"no question":       {func(*cloudevents.Options) {}, "", "", "", "/cloudevents", http.MethodOptions},
		"one of some":       {some, "EventGrid.azure.net", "EventGrid.azure.net", "120", "/cloudevents", http.MethodOptions},
		"another than some": {some, "evil.example", "", "", "/cloudevents", http.MethodOptions},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.change)
			a := s.send(request{method: c.method, path: c.path, header: map[string]string{
				"Authorization": "", "WebHook-Request-Origin": c.origin, "WebHook-Request-Rate": "1000",
				"WebHook-Request-Callback": "http://127.0.0.1:1/confirm"}})
			if a.code != http.StatusNoContent || a.header.Get("WebHook-Allowed-Origin") != c.allowed || a.header.Get("WebHook-Allowed-Rate") != c.rate {
				t.Errorf("%d, origin %q, rate %q", a.code, a.header.Get("WebHook-Allowed-Origin"), a.header.Get("WebHook-Allowed-Rate"))
			}
			if !strings.Contains(a.header.Get("Allow"), "POST") {
				t.Errorf("Allow is %q", a.header.Get("Allow"))
			}
		})
	}
}

// TestWhatARetryMends answers with what Knative tries again.
func TestWhatARetryMends(t *testing.T) {
	s := newSite(t)
	slow := func(id string) request {
		r := structured("id", id)
		r.header["Authorization"] = "Bearer " + slowKey
		return r
	}
	s.taken(slow(`"1"`))
	if a := s.send(slow(`"2"`)); a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("over the rate: %d, Retry-After %q", a.code, a.header.Get("Retry-After"))
	}
	s.redis.Stop()
	if a := s.send(structured()); a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("Redis away: %d, Retry-After %q", a.code, a.header.Get("Retry-After"))
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]cloudevents.Options{
		"no gateway":     {},
		"want 0 or more": {Gateway: &gateway.Gateway{}, AllowedRate: -1},
	} {
		if _, err := cloudevents.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
