package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

// fuzzKeys has a key that no input can know.
var fuzzKeys = [][]byte{[]byte("0a7d6b1f3e55")}

// fuzzSignature holds a scheme to its promise: a request that nobody signed is
// refused, with an error that names a header.
func fuzzSignature(t *testing.T, s scheme, header http.Header, body []byte) {
	t.Helper()
	r := signed{header: header, body: body, now: time.Unix(1772442000, 0), tolerance: defaultTolerance}
	var refused *SignatureError
	if err := s.verify(r, fuzzKeys); !errors.As(err, &refused) || refused.Header == "" {
		t.Errorf("error %v, want a *SignatureError", err)
	}
}

func FuzzGitHubSignature(f *testing.F) {
	f.Add("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", []byte("Hello, World!"))
	f.Add("sha1=00", []byte("{}"))
	f.Add("sha256=", []byte{})
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		fuzzSignature(t, github{}, http.Header{headerGitHubSignature: {signature}}, body)
	})
}

func FuzzStripeSignature(f *testing.F) {
	f.Add("t=1772442000,v1=8efbd5d3c674d777c12a8d7b4fa97aed397d77b06a5dce111f8647736cbd023f,v0=00", []byte("{}"))
	f.Add("t=1772442000,t=1,v1=", []byte("{}"))
	f.Add("v1=00, t =1772442000", []byte("."))
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		fuzzSignature(t, stripe{}, http.Header{headerStripe: {signature}}, body)
	})
}

func FuzzStandardSignature(f *testing.F) {
	f.Add("msg_p5jXN8AQM9LWM0D4loKWxJek", "1772442000", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,x", []byte("{}"))
	f.Add("", "-9223372036854775808", "v1,", []byte("{}"))
	f.Add("a.b", "+1772442000", ",,, v1 v1,v1,", []byte("."))
	f.Fuzz(func(t *testing.T, id, seconds, signature string, body []byte) {
		fuzzSignature(t, standardWebhooks{}, http.Header{headerID: {id}, headerTimestamp: {seconds}, headerSignature: {signature}}, body)
	})
}

// sink takes every event, and panics at what the gateway would stumble over.
type sink struct{}

func (sink) Guard(_ string, next http.Handler) http.Handler { return next }

func (sink) Accept(_ context.Context, sender *gateway.Sender, events []*event.Event) error {
	if len(events) == 0 || len(events) > maxEvents || sender == nil {
		panic(fmt.Sprintf("%d events of %v", len(events), sender))
	}
	for _, e := range events {
		if !json.Valid(e.Data) || !strings.HasPrefix(string(e.Data), "{") {
			panic(fmt.Sprintf("data %q is no object", e.Data))
		}
	}
	return nil
}

// FuzzMapping gives arbitrary bodies to a mapping that uses all there is.
func FuzzMapping(f *testing.F) {
	webhooks := []Config{{Name: "fuzz", Verify: Verify{Scheme: None}, Events: []Mapping{
		{If: "has(body.a) && body.a == 'x'", Type: "fuzz/${body.a}", ID: "${body.id}", Subject: "${headers['x-fuzz']}", Data: json.RawMessage(`"${body}"`)},
		{ForEach: "${body.list.filter(i, i != null)}", Type: "fuzz/item", ID: "${item}", Data: json.RawMessage(`{"item":"${item}","all":["${body.list}",1,"a ${query.q} b"]}`)},
	}}}
	f.Add([]byte(`{"a":"x","id":7,"list":[1,"b",{"c":[null]},2.5e300]}`), "header", "q=1")
	f.Add([]byte(`[]`), "", "")
	f.Add([]byte(`{"list":{"a":1}}`), "\xff", "q=%zz")
	f.Add([]byte(`{"a":"x","id":{"b":1},"list":[],"list":[[]]}`), "ü", "q=a&q=b")
	h, err := New(Options{Gateway: sink{}, Webhooks: webhooks, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	f.Fuzz(func(t *testing.T, body []byte, header, query string) {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/fuzz", strings.NewReader(string(body)))
		r.Header["X-Fuzz"], r.URL.RawQuery = []string{header}, query
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code != http.StatusOK && w.Code/100 != 4 {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer %q is not JSON", w.Body)
		}
	})
}
