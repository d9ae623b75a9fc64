package webhook_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway/webhook"
)

// sameData compares JSON by its meaning.
func sameData(t *testing.T, got json.RawMessage, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("data %s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("data %s, want %s", got, want)
	}
}

func only(t *testing.T, events []event.Event) event.Event {
	t.Helper()
	if len(events) != 1 {
		t.Fatalf("%d events, want 1", len(events))
	}
	return events[0]
}

func TestPushOfGitHub(t *testing.T) {
	s := newSite(t)
	push := fromGitHub("push", "72d3162e-cc78-11e3-81ab-4c9367dc0958", payload(t, "github-push.json"), githubSecret).
		with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").with("tracestate", "vendor=1")
	a := s.taken(push)
	again := s.taken(push) // GitHub's button "Redeliver"
	if want := []string{"72d3162e-cc78-11e3-81ab-4c9367dc0958"}; !slices.Equal(a.IDs, want) || !slices.Equal(again.IDs, want) {
		t.Errorf("ids %v, then %v, want %v", a.IDs, again.IDs, want)
	}
	e := only(t, s.stream("github/push"))
	if e.Source != "/webhooks/github" || e.Subject != "octo-org/greeter" || e.ID != a.IDs[0] {
		t.Errorf("event %+v", e)
	}
	if e.TraceParent != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" || e.TraceState != "vendor=1" {
		t.Errorf("trace context %q, %q", e.TraceParent, e.TraceState)
	}
	sameData(t, e.Data, `{"repository":"octo-org/greeter","branch":"main","author":"mara","commits":[
		{"id":"0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c","message":"Greet in German too: \"Grüß Gott\" <☀>"},
		{"id":"76ae82c7b1a177c8d03f9e96e0adf2466113728f","message":"Release 1.4"}]}`)
}

func TestPaymentOfStripe(t *testing.T) {
	s := newSite(t)
	body := payload(t, "stripe-payment.json")
	s.taken(fromStripe(body, now.Add(-time.Minute), stripeSecret))
	s.taken(fromStripe(body, now, stripeSecret)) // Stripe repeats, and signs anew
	e := only(t, s.stream("stripe/payment_intent.succeeded"))
	if e.ID != "evt_3PzXyQ2eZvKYlo2C1nQe8a7T" || e.Subject != "cus_QnYb1a2b3c4d5e" {
		t.Errorf("event %+v", e)
	}
	sameData(t, e.Data, `{"payment":"pi_3PzXyQ2eZvKYlo2C1a9bC0dE","amount":1099,"currency":"eur","order":"A-2041"}`)
}

func TestOrderOfStandardWebhooks(t *testing.T) {
	s := newSite(t)
	order := fromShop("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", payload(t, "shop-order.json"), now, shopSecret)
	a := s.taken(order)
	s.taken(order)
	if want := []string{"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W.0", "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W.1"}; !slices.Equal(a.IDs, want) {
		t.Errorf("ids %v, want %v", a.IDs, want)
	}
	paid := only(t, s.stream("shop/order.paid"))
	sameData(t, paid.Data, `{"id":"A-2041","total":"10.99","items":[{"sku":"mug-blue","quantity":1},{"sku":"sticker","quantity":3}]}`)
	sold := s.stream("shop/item.sold")
	if len(sold) != 2 || sold[1].Subject != "sticker" {
		t.Fatalf("items %+v, want 2", sold)
	}
	sameData(t, sold[1].Data, `{"order":"A-2041","sku":"sticker","quantity":3}`)
}

func TestUnsigned(t *testing.T) {
	s := newSite(t)
	for range 2 {
		s.taken(call{path: "sensor?room=kitchen", body: ` {"celsius":21.5}`})
	}
	events := s.stream("sensor/reading")
	if len(events) != 2 || events[0].ID == events[1].ID || events[0].Subject != "kitchen" {
		t.Fatalf("events %+v, want two: nothing says that the second is the first", events)
	}
	sameData(t, events[0].Data, `{"celsius":21.5}`)
}

// TestWithoutAnID sends what a scheme signs again, without the id that its sender
// usually gives: it is one event; what was signed otherwise is another one.
func TestWithoutAnID(t *testing.T) {
	s := newSite(t)
	push := payload(t, "github-push.json")
	first := s.taken(fromGitHub("push", "", push, githubSecret))
	again := s.taken(fromGitHub("push", "", push, githubSecret))
	if len(first.IDs) != 1 || first.IDs[0] == "" || !slices.Equal(first.IDs, again.IDs) {
		t.Errorf("GitHub: ids %v, then %v", first.IDs, again.IDs)
	}
	only(t, s.stream("github/push"))
	payment := strings.Replace(payload(t, "stripe-payment.json"), `"evt_3PzXyQ2eZvKYlo2C1nQe8a7T"`, "null", 1)
	first = s.taken(fromStripe(payment, now, stripeSecret))
	again = s.taken(fromStripe(payment, now, stripeSecret))
	later := s.taken(fromStripe(payment, now.Add(-time.Second), stripeSecret))
	if len(first.IDs) != 1 || first.IDs[0] == "" || !slices.Equal(first.IDs, again.IDs) || slices.Equal(first.IDs, later.IDs) {
		t.Errorf("Stripe: ids %v, then %v, and of another time %v", first.IDs, again.IDs, later.IDs)
	}
	if events := s.stream("stripe/payment_intent.succeeded"); len(events) != 2 {
		t.Errorf("%d events, want 2", len(events))
	}
}

func TestIgnored(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		call
		want string
	}{
		"ping":         {fromGitHub("ping", "d-1", `{"zen":"Keep it logically awesome.","hook_id":292430182}`, githubSecret), "this is the ping of GitHub: the webhook works"},
		"other events": {fromGitHub("star", "d-2", `{"action":"created"}`, githubSecret), "no condition of the webhook holds"},
		"a false if":   {fromStripe(`{"id":"evt_1","type":"charge.refunded"}`, now, stripeSecret), "no condition of the webhook holds"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.in(t).taken(c.call); a.Ignored != c.want || len(a.IDs) != 0 {
				t.Errorf("answer %+v, want ignored %q", a, c.want)
			}
		})
	}
	if n := s.counted("wildout_webhook_requests_total", "ignored", "github"); n != 2 {
		t.Errorf("%v requests of GitHub counted as ignored, want 2", n)
	}
}

// TestTakenSignatures has what must be taken although it looks odd.
func TestTakenSignatures(t *testing.T) {
	s := newSite(t)
	stripe, shop := `{"id":"evt_1","type":"other"}`, `{"type":"other"}`
	for name, c := range map[string]call{
		"GitHub, upper case digits":    upper(fromGitHub("star", "1", "{}", githubSecret)),
		"Stripe, two secrets in use":   fromStripe(stripe, now, "whsec_other", stripeSecret),
		"Stripe, within the tolerance": fromStripe(stripe, now.Add(-5*time.Minute), stripeSecret),
		"Stripe, from the future":      fromStripe(stripe, now.Add(5*time.Minute), stripeSecret),
		"Stripe, with spaces":          spaced(fromStripe(stripe, now, stripeSecret)),
		"shop, two secrets in use":     fromShop("m", shop, now, "whsec_b3RoZXI=", shopSecret),
		"shop, its own tolerance":      fromShop("m", shop, now.Add(-9*time.Minute), shopSecret),
		"shop, other versions":         versions(fromShop("m", shop, now, shopSecret)),
	} {
		t.Run(name, func(t *testing.T) { s.in(t).taken(c) })
	}
}

func upper(c call) call {
	return c.with("X-Hub-Signature-256", "sha256="+strings.ToUpper(strings.TrimPrefix(c.header["X-Hub-Signature-256"], "sha256=")))
}

func spaced(c call) call {
	return c.with("Stripe-Signature", strings.ReplaceAll(c.header["Stripe-Signature"], ",", ", "))
}

func versions(c call) call {
	return c.with("Webhook-Signature", "v1a,bm90IG91cnM= v2,xyz "+c.header["Webhook-Signature"])
}

// TestPublishedVectors are signatures that the makers of the schemes publish.
func TestPublishedVectors(t *testing.T) {
	s := newSite(t)
	t.Run("GitHub", func(t *testing.T) {
		a := s.send(call{path: "github", body: "Hello, World!", header: map[string]string{
			"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}})
		if a.code != http.StatusBadRequest || !strings.Contains(a.Error, "the body cannot be read") {
			t.Errorf("%d %s: the signature is right, and the body no JSON", a.code, a.Error)
		}
	})
	t.Run("Standard Webhooks", func(t *testing.T) {
		s.now = time.Unix(1614265330, 0)
		defer func() { s.now = now }()
		a := s.send(call{path: "shop", body: `{"test": 2432232314}`, header: map[string]string{
			"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
			"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}})
		if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.Error, `no field "type"`) {
			t.Errorf("%d %s: the signature is right, and the mapping reads body.type", a.code, a.Error)
		}
	})
}

// TestRotation changes a secret without a restart: both count for a while.
func TestRotation(t *testing.T) {
	s := newSite(t)
	const other = "a new secret"
	is := func(secret string, want int) {
		t.Helper()
		if a := s.send(fromGitHub("star", "1", `{}`, secret)); a.code != want {
			t.Errorf("signed with %q: %d %s, want %d", secret, a.code, a.Error, want)
		}
	}
	is(githubSecret, http.StatusOK)
	is(other, http.StatusUnauthorized)
	s.secret("github", other, "", githubSecret)
	is(other, http.StatusUnauthorized) // read again a second later
	s.now = s.now.Add(time.Second)
	is(githubSecret, http.StatusOK)
	is(other, http.StatusOK)
	s.secret("github", other)
	s.now = s.now.Add(time.Second)
	is(githubSecret, http.StatusUnauthorized)
	is(other, http.StatusOK)

	if err := os.Remove(filepath.Join(s.secrets, "github")); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Second)
	is(other, http.StatusServiceUnavailable)
	if !strings.Contains(s.log.String(), "there is no secret") {
		t.Errorf("the log does not say why: %s", s.log.String())
	}
	s.secret("github", githubSecret)
	s.now = s.now.Add(time.Second)
	is(githubSecret, http.StatusOK)
}

// TestFanOutNeedsIDs refuses a mapping that loses an event without a trace.
func TestFanOutNeedsIDs(t *testing.T) {
	s := newSite(t, webhook.Config{Name: "twice", Verify: webhook.Verify{Scheme: webhook.None},
		Events: []webhook.Mapping{{Type: "a", ID: "${body.id}"}, {Type: "${body.other}", ID: "${body.id}"}}})
	if a := s.send(call{path: "twice", body: `{"id":7,"other":"a"}`}); a.code != http.StatusUnprocessableEntity ||
		!strings.Contains(a.Error, `webhooks[4].events: the request becomes two events of type a with the id "7"`) {
		t.Errorf("%d %s", a.code, a.Error)
	}
	if a := s.taken(call{path: "twice", body: `{"id":7,"other":"b"}`}); len(a.IDs) != 2 {
		t.Errorf("ids %v, want 2", a.IDs)
	}
}

// TestLargeLists bounds what one request may become.
func TestLargeLists(t *testing.T) {
	s := newSite(t, webhook.Config{Name: "many", Verify: webhook.Verify{Scheme: webhook.None},
		Events: []webhook.Mapping{{Type: "a", ForEach: "${body.list}", Data: json.RawMessage(`{"n":"${item}"}`)}}})
	list := func(n int) string { return `{"list":[0` + strings.Repeat(",0", n-1) + `]}` }
	if a := s.taken(call{path: "many", body: list(1000)}); len(a.IDs) != 1000 {
		t.Errorf("%d ids, want 1000", len(a.IDs))
	}
	if a := s.send(call{path: "many", body: list(1001)}); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.Error, "webhooks[4].events[0].forEach: the list has 1001 items") {
		t.Errorf("%d %s", a.code, a.Error)
	}
	if a := s.taken(call{path: "many", body: `{"list":[]}`}); a.Ignored == "" {
		t.Error("an empty list became something")
	}
}

// TestRedisAway asks the sender to come again.
func TestRedisAway(t *testing.T) {
	s := newSite(t)
	s.redis.Stop()
	a := s.send(call{path: "sensor", body: `{}`})
	if a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s, Retry-After %q", a.code, a.Error, a.header.Get("Retry-After"))
	}
	s.redis.Start()
	s.taken(call{path: "sensor", body: `{}`})
}

// TestRate bounds one webhook, and not the others.
func TestRate(t *testing.T) {
	s := newSite(t, webhook.Config{Name: "slow", Verify: webhook.Verify{Scheme: webhook.None}, Rate: &webhook.Rate{Limit: 2, Period: "1h"},
		Events: []webhook.Mapping{{Type: "a"}}})
	slow := call{path: "slow", body: `{}`}
	s.taken(slow)
	s.taken(slow)
	if a := s.send(slow); a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s, Retry-After %q, want 429", a.code, a.Error, a.header.Get("Retry-After"))
	}
	s.taken(call{path: "sensor", body: `{}`})
}

// TestNoCredentialsInEvents keeps passwords out of what expressions see.
func TestNoCredentialsInEvents(t *testing.T) {
	s := newSite(t, webhook.Config{Name: "all", Verify: webhook.Verify{Scheme: webhook.None},
		Events: []webhook.Mapping{{Type: "a", Data: json.RawMessage(`{"headers":"${headers}"}`)}}})
	s.taken(call{path: "all", body: `{}`, header: map[string]string{"Authorization": "Basic c2VjcmV0", "Cookie": "a=secret", "X-Other": "seen"}})
	if data := string(only(t, s.stream("a")).Data); strings.Contains(data, "c2VjcmV0") || strings.Contains(data, "a=secret") || !strings.Contains(data, `"x-other":"seen"`) {
		t.Errorf("data %s", data)
	}
}
