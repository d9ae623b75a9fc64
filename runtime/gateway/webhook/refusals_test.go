package webhook_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/gateway/webhook"
)

var update = flag.Bool("update", false, "write the table of bad requests in docs/gateway-webhooks.md")

// refusals are bad requests and what they are told, in the order of the docs.
func refusals(t *testing.T) []refusal {
	push, stripe, order := payload(t, "github-push.json"), payload(t, "stripe-payment.json"), payload(t, "shop-order.json")
	github := fromGitHub("push", "d-1", push, githubSecret)
	paid := fromStripe(stripe, now, stripeSecret)
	shop := fromShop("msg_1", order, now, shopSecret)
	const hub, stripeSignature = "X-Hub-Signature-256", "Stripe-Signature"
	return []refusal{
		{"a webhook that is not configured", call{path: "gitlab", body: "{}"}, 404, `there is no webhook "gitlab"`},
		{"GitHub: no signature", github.without(hub), 401, "webhook github: header X-Hub-Signature-256 is missing"},
		{"GitHub: only the old SHA-1", github.without(hub).with("X-Hub-Signature", "sha1=126f2c800419c60137ce748d7672e77b65cf16d6"), 401, "header X-Hub-Signature-256 is missing"},
		{"GitHub: another secret", fromGitHub("push", "d-1", push, "wrong"), 401, "header X-Hub-Signature-256 does not fit the body with any of our secrets"},
		{"GitHub: a byte of the body changed", github.of(strings.Replace(push, "main", "mine", 1)), 401, "header X-Hub-Signature-256 does not fit the body"},
		{"GitHub: a space more in the body", github.of(push + " "), 401, "header X-Hub-Signature-256 does not fit the body"},
		{"GitHub: half a signature", github.with(hub, github.header[hub][:40]), 401, "header X-Hub-Signature-256 is not sha256= and hexadecimal digits"},
		{"GitHub: a part of the digits", github.with(hub, github.header[hub][:41]), 401, "header X-Hub-Signature-256 does not fit the body"},
		{"GitHub: without sha256=", github.with(hub, strings.TrimPrefix(github.header[hub], "sha256=")), 401, "header X-Hub-Signature-256 is not sha256="},
		{"Stripe: no signature", paid.without(stripeSignature), 401, "webhook stripe: header Stripe-Signature is missing"},
		{"Stripe: another secret", fromStripe(stripe, now, "whsec_wrong"), 401, "header Stripe-Signature does not fit the body"},
		{"Stripe: the body changed", paid.of(strings.Replace(stripe, "1099", "1098", 1)), 401, "header Stripe-Signature does not fit the body"},
		{"Stripe: another time than was signed", paid.with(stripeSignature, strings.Replace(paid.header[stripeSignature], "t=1772439600", "t=1772439601", 1)), 401, "header Stripe-Signature does not fit the body"},
		{"Stripe: sent again 6 minutes later", fromStripe(stripe, now.Add(-6*time.Minute), stripeSecret), 401, "header Stripe-Signature is older than the tolerance of 5m0s"},
		{"Stripe: 6 minutes ahead", fromStripe(stripe, now.Add(6*time.Minute), stripeSecret), 401, "header Stripe-Signature is more than 5m0s in the future: is a clock wrong?"},
		{"Stripe: no time", paid.with(stripeSignature, "v1=00"), 401, "header Stripe-Signature has no t=, the time"},
		{"Stripe: two times", paid.with(stripeSignature, "t=1,t=2,v1=00"), 401, "header Stripe-Signature has more than one t="},
		{"Stripe: a time that is none", paid.with(stripeSignature, "t=noon,v1=00"), 401, `header Stripe-Signature has the time "noon", want seconds since 1970`},
		{"Stripe: only the old v0", paid.with(stripeSignature, "t=1772439600,v0=00"), 401, "header Stripe-Signature has no v1=, the signature"},
		{"Stripe: no hexadecimal digits", paid.with(stripeSignature, "t=1772439600,v1=xy"), 401, "header Stripe-Signature has a v1= that is not hexadecimal"},
		{"Stripe: 17 signatures", paid.with(stripeSignature, "t=1772439600"+strings.Repeat(",v1=00", 17)), 401, "header Stripe-Signature has more than 16 signatures"},
		{"Standard Webhooks: no id", shop.without("Webhook-Id"), 401, "webhook shop: header Webhook-Id is missing"},
		{"Standard Webhooks: no time", shop.without("Webhook-Timestamp"), 401, "header Webhook-Timestamp is missing"},
		{"Standard Webhooks: no signature", shop.without("Webhook-Signature"), 401, "header Webhook-Signature is missing"},
		{"Standard Webhooks: another secret", fromShop("msg_1", order, now, "whsec_b3RoZXI="), 401, "header Webhook-Signature does not fit the body"},
		{"Standard Webhooks: the body changed", shop.of(order + "\n"), 401, "header Webhook-Signature does not fit the body"},
		{"Standard Webhooks: another id than was signed", shop.with("Webhook-Id", "msg_2"), 401, "header Webhook-Signature does not fit the body"},
		{"Standard Webhooks: another time than was signed", shop.with("Webhook-Timestamp", "1772439601"), 401, "header Webhook-Signature does not fit the body"},
		{"Standard Webhooks: 11 minutes old, tolerance 10m", fromShop("msg_1", order, now.Add(-11*time.Minute), shopSecret), 401, "header Webhook-Timestamp is older than the tolerance of 10m0s"},
		{"Standard Webhooks: a time that is none", shop.with("Webhook-Timestamp", "2026-03-02T08:20:00Z"), 401, `header Webhook-Timestamp has the time "2026-03-02T08:20:00Z"`},
		{"Standard Webhooks: only a version we do not know", shop.with("Webhook-Signature", "v2,AAAA"), 401, "header Webhook-Signature does not fit the body"},
		{"an empty body", call{path: "sensor"}, 400, "the body is empty, want JSON"},
		{"a form", fromGitHub("push", "d-1", "payload=%7B%7D", githubSecret).with("Content-Type", "application/x-www-form-urlencoded"), 415, "the body is a form, want JSON: choose application/json in the settings of the sender"},
		{"half of the JSON", call{path: "sensor", body: `{"a":`}, 400, "the body cannot be read: it ends too early"},
		{"no UTF-8", call{path: "sensor", body: "{\"a\":\"\xff\"}"}, 400, "the body cannot be read: it is not valid UTF-8"},
		{"a body of 2 MiB, where 1 MiB is the limit", call{path: "sensor", body: `{"a":"` + strings.Repeat("x", 2<<20) + `"}`}, 413, "the body is larger than 1048576 bytes"},
		{"a compressed body", call{path: "sensor", body: "{}"}.with("Content-Encoding", "gzip"), 415, "the body is compressed (gzip)"},
		{"a list where the data would be the body", call{path: "sensor", body: `[1]`}, 422, "webhooks[3].events[0].data: is left out, and the body is no object"},
		{"a field that the condition reads is missing", fromStripe(`{"id":"evt_1"}`, now, stripeSecret), 422, `webhooks[1].events[0].if: there is no field "type"; test for it with has(...), in: body.type in [`},
		{"a field that the data reads is missing", fromGitHub("push", "d-1", `{"deleted":false,"ref":"refs/heads/a","repository":{"full_name":"a/b"},"commits":[]}`, githubSecret), 422, `webhooks[0].events[0].data.author: body has no field "pusher"; it has deleted, ref, repository, commits, in: body.pusher.name`},
		{"a header that is missing", fromGitHub("push", "d-1", push, githubSecret).without("X-GitHub-Event"), 422, `webhooks[0].events[0].if: there is no field "x-github-event"`},
		{"no list where there should be one", fromShop("m", `{"type":"order.paid","data":{"id":"A","items":"none"}}`, now, shopSecret), 422, "webhooks[2].events[1].forEach: there must be a list here and it is a string"},
		{"an item that does not fit the schema of its type", fromShop("m", `{"type":"order.paid","data":{"id":"A","items":[{"sku":"a","quantity":0}]}}`, now, shopSecret), 400, "event 1: data.quantity"},
		{"data that is no object", call{path: "odd", body: `{"type":"a","data":[1]}`}, 422, "webhooks[4].events[0].data: gives [1], want an object"},
		{"a type that is none", call{path: "odd", body: `{"type":"a b","data":{}}`}, 400, `event 0: type "a b" is no event type`},
		{"a type that is reserved", call{path: "odd", body: `{"type":"wildout/run.done","data":{}}`}, 400, `event 0: type "wildout/run.done" is reserved`},
		{"a type beside eventTypes", fromStripeTyped(), 403, `webhook/narrow may not send events of the type "b/c"`},
		{"a long id", call{path: "odd", body: `{"type":"a","data":{},"id":"` + strings.Repeat("x", 257) + `"}`}, 400, "event 0: id must be at most 256 bytes"},
		{"an expression that takes too long", call{path: "slow", body: `{"list":` + numbers(2000) + `}`}, 422, "webhooks[6].events[0].subject: the expression takes more than 1000000 operations on this data"},
	}
}

// refusal is one bad request.
type refusal struct {
	what string
	call call
	code int
	want string // part of the error
}

func fromStripeTyped() call { return call{path: "narrow", body: `{"type":"b/c"}`} }

func numbers(n int) string { return "[0" + strings.Repeat(",1", n-1) + "]" }

func oddWebhooks() []webhook.Config {
	none := webhook.Verify{Scheme: webhook.None}
	return []webhook.Config{
		{Name: "odd", Verify: none, Events: []webhook.Mapping{{Type: "${body.type}", ID: "${body.?id.orValue('')}", Data: json.RawMessage(`"${body.data}"`)}}},
		{Name: "narrow", Verify: none, EventTypes: []string{"a/*"}, Events: []webhook.Mapping{{Type: "${body.type}"}}},
		{Name: "slow", Verify: none, Events: []webhook.Mapping{{Type: "a", Subject: "${body.list.map(a, body.list.map(b, a + b))[0][0]}"}}},
	}
}

// TestRefusals sends each, and holds the answers against the docs.
func TestRefusals(t *testing.T) {
	s := newSite(t, oddWebhooks()...)
	cases := refusals(t)
	answers := make([]string, len(cases))
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			a := s.in(t).send(c.call)
			answers[i] = a.Error
			if a.code != c.code || !strings.Contains(a.Error, c.want) {
				t.Errorf("%d %s\nwant %d and %s", a.code, a.Error, c.code, c.want)
			}
			if len(a.IDs) > 0 {
				t.Errorf("ids %v", a.IDs)
			}
			for _, secret := range []string{githubSecret, stripeSecret, shopSecret, s.secrets} {
				if strings.Contains(a.Error, secret) {
					t.Errorf("the answer holds %q", secret)
				}
			}
			if a.code == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Signature ") {
				t.Errorf("WWW-Authenticate is %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
	for _, eventType := range []string{"github/push", "stripe/payment_intent.succeeded", "shop/order.paid", "shop/item.sold", "sensor/reading", "a", "b/c"} {
		if events := s.stream(eventType); len(events) > 0 {
			t.Errorf("%d events of type %s were published", len(events), eventType)
		}
	}
	if !t.Failed() {
		checkDocs(t, cases, answers)
	}
}

// checkDocs compares the table in the docs with the answers.
func checkDocs(t *testing.T, cases []refusal, answers []string) {
	t.Helper()
	const file, begin, end = "../../../docs/gateway-webhooks.md", "<!-- begin bad requests: go test ./runtime/gateway/webhook -run TestRefusals -update -->\n", "<!-- end bad requests -->"
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
