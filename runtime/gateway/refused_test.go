package gateway_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/gateway"
)

// senders authenticates by the name of the sender.
type senders []*gateway.Sender

func (all senders) Authenticate(_ context.Context, credential string) (*gateway.Sender, error) {
	for _, s := range all {
		if credential == "key-of-"+s.Name {
			return s, nil
		}
	}
	return nil, gateway.ErrNotMine
}

// known are the senders of the table below.
var known = senders{
	{Name: "shop", Types: []string{"any/*", "user/*", "email/*", "undeclared", "wildout/*", "inngest/*", "a*"}},
	{Name: "slow", Types: []string{"*"}, Rate: &gateway.Rate{Limit: 1, Period: time.Hour, Burst: 3}},
}

const good = `{"name":"user/registered","data":{"userId":"u","email":"u@x.example"}}`

// refusal is a bad request and its answer, and a line of docs/gateway.md.
type refusal struct {
	what   string
	method string // POST
	path   string // /e/key-of-shop
	header string
	body   string
	status int
	want   string // in the error
}

var refusals = []refusal{
	{what: "no body", body: "", status: 400, want: "the body is empty"},
	{what: "no JSON", body: "name=user/registered", status: 400, want: "the body is no JSON"},
	{what: "half an event", body: `{"name":"a`, status: 400, want: "the body is no JSON: it ends too early"},
	{what: "a text", body: `"user/registered"`, status: 400, want: "event 0: is a string, want an object"},
	{what: "`null`", body: `null`, status: 400, want: "event 0: name is missing"},
	{what: "an empty array", body: `[]`, status: 400, want: "0 events, want 1 to 5000"},
	{what: "5,001 events", body: "[" + strings.Repeat("{},", 5000) + "{}]", status: 400, want: "more than 5000 events"},
	{what: "two events without an array", body: good + good, status: 400, want: "send several as an array"},
	{what: "a bracket too many", body: "[" + good + "]]", status: 400, want: "the body is no JSON"},
	{what: "a field that is misspelt (clients of Inngest may send fields we do not know)", body: `{"nam":"user/registered"}`, status: 400, want: "event 0: nam is unknown"},
	{what: "fields of a wrong type", body: `[{"name":7},{"name":"a","ts":"now"},3]`, status: 400, want: "event 0: name is a number, want a string; event 1: ts is a string, want a whole number; event 2: is a number, want"},
	{what: "no name", body: `{"data":{}}`, status: 400, want: "event 0: name is missing"},
	{what: "a name with braces", body: `{"name":"a{b}"}`, status: 400, want: "is no event type"},
	{what: "a name with a space", body: `{"name":"a b"}`, status: 400, want: "is no event type"},
	{what: "a name of 129 characters", body: `{"name":"` + strings.Repeat("a", 129) + `"}`, status: 400, want: "is no event type"},
	{what: "a name of ours", body: `{"name":"wildout/cron.tick"}`, status: 400, want: "is reserved"},
	{what: "a name of Inngest's", body: `{"name":"inngest/function.failed"}`, status: 400, want: "is reserved"},
	{what: "data that is no object", body: `{"name":"any/thing","data":[1]}`, status: 400, want: "event 0: data must be an object"},
	{what: "data of more than 1 MiB", body: `{"name":"any/thing","data":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, status: 400, want: "the limit is 1048576"},
	{what: "data that is not UTF-8", body: "{\"name\":\"any/thing\",\"data\":{\"a\":\"\xff\"}}", status: 400, want: "not valid UTF-8"},
	{what: "a field twice", body: `{"name":"any/thing","data":{},"data":{"a":1}}`, status: 400, want: `the name "data" is there twice`},
	{what: "a field twice, in the data", body: `[{"name":"any/thing","data":{"userId":"mara","userId":"root-admin"}}]`, status: 400, want: `the name "userId" is there twice, in [0].data`},
	{what: "a field in another letter case", body: `{"NAME":"any/thing"}`, status: 400, want: "event 0: NAME is unknown"},
	{what: "a number with an endless exponent", body: `[{"name":"any/thing","data":{"n":1e1000000}}]`, status: 400, want: "there is a number with an exponent beyond 400"},
	{what: "data nested 201 levels deep", body: `[{"name":"any/thing","data":{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}]`, status: 400, want: "nested deeper than 200 levels"},
	{what: "data of more than 100,000 values", body: `[{"name":"any/thing","data":{"a":[` + strings.Repeat("[0],", 60_000) + `0]}}]`, status: 400, want: "more than 100000 values"},
	{what: "an id with a control character", body: `{"name":"any/thing","id":"a\u0000b"}`, status: 400, want: "event 0: id must be"},
	{what: "an id of 257 bytes", body: `{"name":"any/thing","id":"` + strings.Repeat("x", 257) + `"}`, status: 400, want: "event 0: id must be"},
	{what: "a time to come", body: fmt.Sprintf(`{"name":"any/thing","ts":%d}`, time.Now().Add(time.Hour).UnixMilli()), status: 400, want: "sent for later"},
	{what: "a time in seconds", body: `{"name":"any/thing","ts":1700000000}`, status: 400, want: "before 1980"},
	{what: "data that lacks a field of the schema", body: "[" + good + `,{"name":"user/registered","data":{"userId":"u"}}]`, status: 400, want: "event 1: data.email is missing"},
	{what: "data of another format", body: `{"name":"user/registered","data":{"userId":"u","email":"nobody"}}`, status: 400, want: `data.email "nobody" is no email`},
	{what: "data with two faults", body: `{"name":"user/registered","data":{}}`, status: 400, want: "data.userId is missing; event 0: data.email is missing"},
	{what: "data that is too short", body: `{"name":"user/registered","data":{"userId":"","email":"u@x.example"}}`, status: 400, want: "data.userId is not valid: minLength"},
	{what: "data of another type", body: `{"name":"user/registered","data":{"userId":7,"email":"u@x.example"}}`, status: 400, want: "data.userId is not valid: got number, want string"},
	{what: "a fault deep inside", body: `{"name":"user/registered","data":{"userId":"u","email":"u@x.example","tags":[{},{"name":1}]}}`, status: 400, want: "data.tags[1].name is not valid"},
	{what: "data of no alternative (`oneOf`)", body: `{"name":"email/send","data":{}}`, status: 400, want: "fits none of the alternatives: data.to is missing, or data.recipients is missing"},
	{what: "data of two alternatives", body: `{"name":"email/send","data":{"to":1,"recipients":2}}`, status: 400, want: "more than one of the alternatives"},
	{what: "with `--strict`, a type that no manifest declares", path: "/e/key-of-shop?strict", body: `{"name":"undeclared"}`, status: 400, want: `"undeclared" is not declared`},
	{what: "`?partial=maybe`", path: "/e/key-of-shop?partial=maybe", body: good, status: 400, want: "partial is"},
	{what: "`X-Inngest-Event-ID-Seed: 7`", header: "X-Inngest-Event-ID-Seed: 7", body: good, status: 400, want: "10 bytes in base64"},
	{what: "no key, and no token", path: "/e/", body: good, status: 401, want: "Event key not found"},
	{what: "a key that nobody has", path: "/e/key-of-nobody", body: good, status: 401, want: "Event key not found"},
	{what: "a type that the sender may not send", body: `{"name":"bank/transfer"}`, status: 403, want: `shop may not send events of the type "bank/transfer"`},
	{what: "another method", method: http.MethodGet, status: 405, want: "events are sent with POST"},
	{what: "a body larger than `--max-body`", path: "/e/key-of-shop?small", body: `{"name":"any/thing","data":{"text":"` + strings.Repeat("x", 2000) + `"}}`, status: 413, want: "larger than 1024 bytes"},
	{what: "more events than the sender's burst", path: "/e/key-of-slow", body: `[` + strings.Repeat(`{"name":"any/thing"},`, 3) + `{"name":"any/thing"}]`, status: 413, want: "slow may send 3 at once"},
	{what: "a compressed body", header: "Content-Encoding: gzip", body: "\x1f\x8b", status: 415, want: "compressed (gzip)"},
	{what: "more than the sender's rate", path: "/e/key-of-slow?again", body: `[{"name":"any/thing"},{"name":"any/thing"}]`, status: 429, want: "slow may send 1 events in 1h0m0s"},
}

var update = flag.Bool("update", false, "write the table of bad requests into docs/gateway.md")

func TestBadRequests(t *testing.T) {
	redis := servicetest.StartRedis(t)
	gateways := map[string]*rig{
		"":       newRig(t, redis, func(o *gateway.Options) { o.Authenticator = known }),
		"strict": newRig(t, redis, func(o *gateway.Options) { o.Authenticator, o.Strict = known, true }),
		"small":  newRig(t, redis, func(o *gateway.Options) { o.Authenticator, o.MaxBodyBytes = known, 1024 }),
	}
	var table strings.Builder
	table.WriteString("| request | status | `error` |\n|---|---|---|\n")
	for _, c := range refusals {
		t.Run(c.what, func(t *testing.T) {
			path, option, _ := strings.Cut(c.path, "?")
			r := gateways[option]
			if r == nil {
				r, path = gateways[""], c.path
			}
			if path == "" {
				path = "/e/key-of-shop"
			}
			if c.method == "" {
				c.method = http.MethodPost
			}
			var header []string
			if c.header != "" {
				header = append(header, c.header)
			}
			if option == "again" {
				r.do(c.method, path, c.body, header...)
			}
			before := len(r.stream("any/thing")) + len(r.stream("user/registered"))
			a := r.do(c.method, path, c.body, header...)
			if a.Status != c.status || !strings.Contains(a.Error, c.want) {
				t.Errorf("status %d, error %q, want %d and %q", a.Status, a.Error, c.status, c.want)
			}
			if after := len(r.stream("any/thing")) + len(r.stream("user/registered")); after > before {
				t.Error("a part of the request was published")
			}
			if retry := a.header.Get("Retry-After"); (retry != "") != (c.status == 429) {
				t.Errorf("Retry-After %q", retry)
			}
			fmt.Fprintf(&table, "| %s | %d | %s |\n", c.what, a.Status, cell(a.Error))
		})
	}
	compareTable(t, table.String())
}

// cell makes a text fit for a cell of a table.
func cell(text string) string {
	text = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
	if runes := []rune(text); len(runes) > 220 {
		text = string(runes[:220]) + "…"
	}
	return text
}

// compareTable holds the table against the one in the documentation, which
// begins and ends with a comment.
func compareTable(t *testing.T, table string) {
	t.Helper()
	const file, begin, end = "../../docs/gateway.md", "<!-- begin bad requests: go test ./runtime/gateway -run TestBadRequests -update -->\n", "<!-- end bad requests -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	have, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table: %s", file, begin)
	}
	if have == table {
		return
	}
	if !*update {
		t.Errorf("the table in %s is not what the gateway answers: run go test ./runtime/gateway -run TestBadRequests -update", file)
		return
	}
	if err := os.WriteFile(file, []byte(head+begin+table+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
