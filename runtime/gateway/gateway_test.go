package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

// stream keeps what was published, or fails.
type stream struct {
	events []*event.Event
	err    error
}

func (s *stream) Publish(_ context.Context, events ...*event.Event) error {
	if s.err != nil {
		return s.err
	}
	for _, e := range events {
		s.events = append(s.events, e)
		if e.ID == "" {
			e.ID = fmt.Sprintf("id-%d", len(s.events))
		}
	}
	return nil
}

const registered = `{"type":"object","required":["userId","email"],"properties":{
	"userId":{"type":"string","minLength":1},"email":{"type":"string","format":"email"},
	"tags":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"}}}}}}`

const mail = `{"type":"object","oneOf":[{"required":["to"]},{"required":["recipients"]}]}`

func newGateway(t *testing.T, s *stream, change ...func(*gateway.Options)) http.Handler {
	t.Helper()
	types := &gateway.Types{}
	err := types.Set(map[string]json.RawMessage{"user/registered": json.RawMessage(registered), "email/send": json.RawMessage(mail), "any/thing": nil})
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.Options{Publisher: s, Types: types}
	for _, c := range change {
		c(&o)
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	g.Register(mux)
	return mux
}

type answer struct {
	IDs    []string
	Error  string
	Faults []gateway.Fault
	Status int
}

func post(t *testing.T, h http.Handler, body string) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/e/some-key", strings.NewReader(body)))
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("the answer %q is no JSON: %v", w.Body, err)
	}
	if a.Status != w.Code {
		t.Errorf("the body says %d, the status line %d", a.Status, w.Code)
	}
	return a
}

func TestAcceptedEvents(t *testing.T) {
	const good = `{"name":"user/registered","data":{"userId":"u","email":"u@x.example"}}`
	now := time.Now().UnixMilli()
	for name, c := range map[string]struct {
		body string
		ids  string
		data string // of the last event
	}{
		"one event":           {good, "id-1", `{"userId":"u","email":"u@x.example"}`},
		"an array":            {"[" + good + "," + good + "]", "id-1 id-2", `{"userId":"u","email":"u@x.example"}`},
		"white space":         {" \n[ " + good + " ] \n", "id-1", `{"userId":"u","email":"u@x.example"}`},
		"an id":               {`{"name":"any/thing","id":"mine","data":{"a":1}}`, "mine", `{"a":1}`},
		"no data":             {`{"name":"any/thing"}`, "id-1", `{}`},
		"null data":           {`{"name":"any/thing","data":null}`, "id-1", `{}`},
		"a type nobody knows": {`{"name":"what.ever_1-2","data":{}}`, "id-1", `{}`},
		"all of Inngest":      {fmt.Sprintf(`{"name":"any/thing","data":{},"ts":%d,"user":{"id":1},"v":"2","meta":{}}`, now), "id-1", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stream{}
			a := post(t, newGateway(t, s), c.body)
			if a.Status != http.StatusOK || strings.Join(a.IDs, " ") != c.ids {
				t.Fatalf("answer %+v, want the ids %s", a, c.ids)
			}
			if last := s.events[len(s.events)-1]; string(last.Data) != c.data {
				t.Errorf("data %s, want %s", last.Data, c.data)
			}
		})
	}
}

func TestRefusedEvents(t *testing.T) {
	const good = `{"name":"user/registered","data":{"userId":"u","email":"u@x.example"}}`
	for name, c := range map[string]struct{ body, want string }{
		"nothing":                {"", "the body is empty"},
		"no JSON":                {"name=user/registered", "cannot be read"},
		"half an event":          {`{"name":"a`, "cannot be read"},
		"a text":                 {`"user/registered"`, "cannot be read"},
		"null":                   {`null`, "event 0: name is missing"},
		"an empty array":         {`[]`, "0 events, want 1 to 5000"},
		"too many":               {"[" + strings.Repeat("{},", 5000) + "{}]", "5001 events, want 1 to 5000"},
		"two without an array":   {good + good, "send several as an array"},
		"a field misspelt":       {`{"nam":"user/registered"}`, `unknown field "nam"`},
		"no name":                {`{"data":{}}`, "event 0: name is missing"},
		"a name with braces":     {`{"name":"a{b}"}`, "is no event type"},
		"a name with a space":    {`{"name":"user registered"}`, "is no event type"},
		"a long name":            {`{"name":"` + strings.Repeat("x", 129) + `"}`, "is no event type"},
		"a reserved name":        {`{"name":"wildout/cron.tick"}`, "is reserved"},
		"a reserved name too":    {`{"name":"inngest/function.failed"}`, "is reserved"},
		"data of another type":   {`{"name":"any/thing","data":[1]}`, "event 0: data must be an object"},
		"data too large":         {`{"name":"any/thing","data":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, "the limit is 1048576"},
		"a control character":    {`{"name":"any/thing","id":"a\u0000b"}`, "event 0: id must be"},
		"a long id":              {`{"name":"any/thing","id":"` + strings.Repeat("x", 257) + `"}`, "event 0: id must be"},
		"a time to come":         {fmt.Sprintf(`{"name":"any/thing","ts":%d}`, time.Now().Add(time.Hour).UnixMilli()), "sent for later"},
		"the second is at fault": {"[" + good + `,{"name":"user/registered","data":{"userId":"u"}}]`, "event 1: data.email is missing"},
		"a format":               {`{"name":"user/registered","data":{"userId":"u","email":"nobody"}}`, `data.email "nobody" is no email`},
		"every fault":            {`{"name":"user/registered","data":{}}`, "data.userId is missing; event 0: data.email is missing"},
		"a length":               {`{"name":"user/registered","data":{"userId":"","email":"u@x.example"}}`, "data.userId is not valid: minLength"},
		"a type":                 {`{"name":"user/registered","data":{"userId":7,"email":"u@x.example"}}`, "data.userId is not valid: got number, want string"},
		"deep inside":            {`{"name":"user/registered","data":{"userId":"u","email":"u@x.example","tags":[{},{"name":1}]}}`, "data.tags[1].name is not valid"},
		"no alternative":         {`{"name":"email/send","data":{}}`, "fits none of the alternatives: data.to is missing, or data.recipients is missing"},
		"two alternatives":       {`{"name":"email/send","data":{"to":1,"recipients":2}}`, "more than one of the alternatives"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stream{}
			a := post(t, newGateway(t, s), c.body)
			if a.Status != http.StatusBadRequest || !strings.Contains(a.Error, c.want) {
				t.Errorf("status %d, error %q, want 400 and %q", a.Status, a.Error, c.want)
			}
			if len(s.events) > 0 {
				t.Error("a part of the request was published")
			}
		})
	}
}

func TestFaultsAreListed(t *testing.T) {
	a := post(t, newGateway(t, &stream{}), `[{"name":"any/thing"},{"name":"user/registered","data":{"userId":"u","email":"x"}}]`)
	want := gateway.Fault{Event: 1, Path: "data.email", Message: `"x" is no email`}
	if len(a.Faults) != 1 || a.Faults[0] != want {
		t.Errorf("faults %+v, want %+v", a.Faults, want)
	}
}

func TestOtherRefusals(t *testing.T) {
	const body = `{"name":"any/thing"}`
	for name, c := range map[string]struct {
		stream stream
		change func(*gateway.Options)
		status int
		want   string
	}{
		"a key that may not": {change: func(o *gateway.Options) {
			o.Authenticate = func(key string) error { return errors.New("no such key: " + key) }
		}, status: http.StatusUnauthorized, want: "no such key: some-key"},
		"a body too large": {change: func(o *gateway.Options) { o.MaxBodyBytes = 10 }, status: http.StatusRequestEntityTooLarge, want: "larger than 10 bytes"},
		"Redis is away":    {stream: stream{err: errors.New("nobody home")}, change: func(*gateway.Options) {}, status: http.StatusServiceUnavailable, want: "send them again: nobody home"},
	} {
		t.Run(name, func(t *testing.T) {
			a := post(t, newGateway(t, &c.stream, c.change), body)
			if a.Status != c.status || !strings.Contains(a.Error, c.want) {
				t.Errorf("status %d, error %q, want %d and %q", a.Status, a.Error, c.status, c.want)
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
			types := &gateway.Types{}
			if err := types.Set(map[string]json.RawMessage{"a/b": json.RawMessage(schema)}); err == nil || !strings.Contains(err.Error(), "event type a/b") {
				t.Errorf("error %v, want one that names the type", err)
			}
		})
	}
}
