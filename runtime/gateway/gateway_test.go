package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/intake"
)

func TestAcceptedEvents(t *testing.T) {
	redis := servicetest.StartRedis(t)
	const good = `{"name":"user/registered","data":{"userId":"u","email":"u@x.example"}}`
	now := time.Now().UnixMilli()
	for name, c := range map[string]struct {
		body, header string
		types        string // of the events that were published
		data         string // of the last one
	}{
		"one event":             {good, "", "user/registered", `{"userId":"u","email":"u@x.example"}`},
		"an array":              {"[" + good + "," + good + "]", "", "user/registered user/registered", `{"userId":"u","email":"u@x.example"}`},
		"white space":           {" \n[ " + good + " ] \n", "", "user/registered", `{"userId":"u","email":"u@x.example"}`},
		"no data":               {`{"name":"any/thing"}`, "", "any/thing", `{}`},
		"null data":             {`{"name":"any/thing","data":null}`, "", "any/thing", `{}`},
		"unicode":               {`{"name":"any/thing","data":{"ключ":"значение 🦦 \u00e9"}}`, "", "any/thing", `{"ключ":"значение 🦦 \u00e9"}`},
		"large numbers":         {`{"name":"any/thing","data":{"n":12345678901234567890.5}}`, "", "any/thing", `{"n":12345678901234567890.5}`},
		"a type nobody knows":   {`{"name":"what.ever_1-2","data":{}}`, "", "what.ever_1-2", `{}`},
		"all of Inngest":        {fmt.Sprintf(`{"name":"any/thing","data":{},"ts":%d,"user":{"id":1},"v":"2","meta":{}}`, now), "", "any/thing", `{}`},
		"no time, as Go has it": {`{"name":"any/thing","ts":0}`, "", "any/thing", `{}`},
		"as Python sends it":    {`[{"data":{},"id":"","name":"any/thing","ts":0,"user":null,"v":null}]`, "X-Inngest-SDK: inngest-py:v0.5.0", "any/thing", `{}`},
		"an old time":           {`{"name":"any/thing","ts":1000000000000}`, "", "any/thing", `{}`},
		"what a client to come may send": {`{"name":"any/thing","data":{},"sessions":[1]}`, "X-Inngest-SDK: inngest-js:v9.0.0",
			"any/thing", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, redis)
			var header []string
			if c.header != "" {
				header = append(header, c.header)
			}
			a := r.post(c.body, header...)
			if a.Status != http.StatusOK || len(a.IDs) != len(strings.Fields(c.types)) {
				t.Fatalf("answer %+v, want an id for each of %s", a, c.types)
			}
			types := strings.Fields(c.types)
			events := r.stream(types[len(types)-1])
			last := events[len(events)-1]
			if string(last.Data) != c.data {
				t.Errorf("data %s, want %s", last.Data, c.data)
			}
			if len(events) != len(types) || last.ID != *a.IDs[len(a.IDs)-1] {
				t.Errorf("%d events, the last with the id %s, want %d and %s", len(events), last.ID, len(types), a.ids())
			}
		})
	}
}

func TestIDsCountOnce(t *testing.T) {
	redis := servicetest.StartRedis(t)
	r := newRig(t, redis)
	other := newRigIn(t, redis, fmt.Sprint("g", namespaces.Load())) // another replica
	const body = `[{"name":"any/thing","id":"mine","data":{"n":1}},{"name":"any/thing","id":"mine","data":{"n":2}},{"name":"other","id":"mine"}]`
	for _, gateway := range []*rig{r, other, r} {
		if a := gateway.post(body); a.ids() != "mine mine mine" {
			t.Errorf("ids %s", a.ids())
		}
	}
	if events := r.stream("any/thing"); len(events) != 1 || string(events[0].Data) != `{"n":1}` {
		t.Errorf("events %+v, want the first one alone", events)
	}
	if events := r.stream("other"); len(events) != 1 {
		t.Errorf("%d events of the other type, want 1", len(events))
	}
}

func TestSeedCountsOnce(t *testing.T) {
	redis := servicetest.StartRedis(t)
	r := newRig(t, redis)
	other := newRigIn(t, redis, fmt.Sprint("g", namespaces.Load()))
	const seed = "X-Inngest-Event-ID-Seed: 1700000000000,AAECAwQFBgcICQ=="
	const body = `[{"name":"any/thing","data":{"n":1}},{"name":"any/thing","data":{"n":2}}]`
	first, again := r.post(body, seed), other.post(body, seed)
	if first.ids() != again.ids() || len(again.IDs) != 2 {
		t.Errorf("ids %s, then %s", first.ids(), again.ids())
	}
	if n := len(r.stream("any/thing")); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	if a := r.post(`{"name":"any/thing","data":{"n":3}}`, seed); a.Status != http.StatusOK || strings.Contains(first.ids(), a.ids()) {
		t.Errorf("answer %+v to another body with the same seed", a)
	}
	if n := len(r.stream("any/thing")); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestTraceContextIsKept(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t))
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r.post(`{"name":"any/thing"}`, "Traceparent: "+parent, "Tracestate: a=1")
	r.post(`{"name":"any/thing"}`, "Traceparent: rubbish", "Tracestate: a=1")
	events := r.stream("any/thing")
	if events[0].TraceParent != parent || events[0].TraceState != "a=1" || events[1].TraceParent != "" || events[1].TraceState != "" {
		t.Errorf("events %+v", events)
	}
}

func TestNothingOfABatchUnlessAskedFor(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t))
	const body = `[{"name":"any/thing","data":{"n":1}},{"name":"user/registered","data":{"userId":"u","email":"x"}},
		{"name":"wildout/x"},{"name":"any/thing","data":{"n":2}},{"name":"any/thing","data":[]}]`
	a := r.post(body)
	if a.Status != http.StatusBadRequest || len(r.stream("any/thing")) != 0 {
		t.Errorf("answer %+v", a)
	}
	a = r.do(http.MethodPost, "/e/some-key?partial=true", body)
	want := []gateway.Fault{
		{Event: 1, Path: "data.email", Message: `"x" is no email`},
		{Event: 2, Path: "name", Message: `"wildout/x" is reserved for what the system sends itself`},
		{Event: 4, Path: "data", Message: "must be an object"},
	}
	if a.Status != http.StatusOK || len(a.IDs) != 5 || a.IDs[1] != nil || a.IDs[2] != nil || fmt.Sprint(a.Faults) != fmt.Sprint(want) {
		t.Errorf("answer %+v, ids %s", a, a.ids())
	}
	if events := r.stream("any/thing"); len(events) != 2 || events[1].ID != *a.IDs[3] {
		t.Errorf("events %+v, want two, the second with the id %s", events, *a.IDs[3])
	}
	if a = r.do(http.MethodPost, "/e/some-key?partial=true", `[{"name":"wildout/x"}]`); a.Status != http.StatusBadRequest {
		t.Errorf("answer %+v where nothing is sound", a)
	}
}

func TestFaultsAreListed(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t))
	a := r.post(`[{"name":"any/thing"},{"name":"user/registered","data":{"userId":"u","email":"x"}}]`)
	want := gateway.Fault{Event: 1, Path: "data.email", Message: `"x" is no email`}
	if len(a.Faults) != 1 || a.Faults[0] != want {
		t.Errorf("faults %+v, want %+v", a.Faults, want)
	}
}

func TestBrowsersMaySend(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t))
	a := r.do(http.MethodOptions, "/e/some-key", "", "Origin: https://site.example", "Access-Control-Request-Method: POST")
	if a.Status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("status %d, header %v", a.Status, a.header)
	}
	if a := r.post(`{"name":"any/thing"}`, "Origin: https://site.example"); a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("header %v", a.header)
	}
}

func TestOnlyDevAnswersTheProbe(t *testing.T) {
	redis := servicetest.StartRedis(t)
	for dev, want := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		r := newRig(t, redis, func(o *gateway.Options) { o.Dev = dev })
		response, err := http.Get(r.url + "/dev")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("dev %v: status %d, want %d", dev, response.StatusCode, want)
		}
	}
}

// Other ways in publish through Accept.
func TestAccept(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t))
	sender := &gateway.Sender{Name: "github", Types: []string{"any/*"}}
	events := []*event.Event{{Type: "any/thing", Source: "https://github.example", Subject: "s", Data: []byte(`[1]`)}}
	if err := r.Accept(t.Context(), sender, events); err != nil {
		t.Fatal(err)
	}
	if got := r.stream("any/thing"); len(got) != 1 || got[0].ID != events[0].ID || got[0].Source != "https://github.example" || got[0].Subject != "s" {
		t.Errorf("events %+v", got)
	}
	for name, c := range map[string]struct {
		event event.Event
		want  int
		text  string
	}{
		"another type": {event.Event{Type: "other", Data: []byte(`{}`)}, http.StatusForbidden, `github may not send events of the type "other"`},
		"no JSON":      {event.Event{Type: "any/thing", Data: []byte(`{`)}, http.StatusBadRequest, "data cannot be read: it ends too early"},
		"a long text":  {event.Event{Type: "any/thing", Source: strings.Repeat("x", 1025), Data: []byte(`{}`)}, http.StatusBadRequest, "source must be"},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := gateway.AsRefusal(r.Accept(t.Context(), sender, []*event.Event{&c.event}))
			if refusal.Status != c.want || !strings.Contains(refusal.Message, c.text) {
				t.Errorf("refusal %+v, want %d and %q", refusal, c.want, c.text)
			}
		})
	}
}

func TestSchemasThatCannotBeUsed(t *testing.T) {
	for name, schema := range map[string]string{
		"no schema":        `{"type":"strng"}`,
		"no JSON":          `{`,
		"a file":           `{"$ref":"file:///etc/passwd"}`,
		"another document": `{"$ref":"https://example.com/schema.json"}`,
	} {
		t.Run(name, func(t *testing.T) {
			types := &intake.Types{}
			if err := types.Set(map[string]json.RawMessage{"a/b": json.RawMessage(schema)}); err == nil || !strings.Contains(err.Error(), "event type a/b") {
				t.Errorf("error %v, want one that names the type", err)
			}
		})
	}
}
