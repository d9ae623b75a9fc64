package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	wildout "github.com/wildout/wildout/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a real server until the test ends.
func serve(t *testing.T, handler nethttp.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func newClient(t *testing.T, opts Options) *Client {
	t.Helper()
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// inside may call the test's server, which is on loopback.
func inside(t *testing.T) *Client { return newClient(t, Options{AllowPrivate: true}) }

func attempt() context.Context {
	return wildout.WithInfo(context.Background(), wildout.RunInfo{
		IdempotencyKey: "run1/call", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=1",
	}, nil)
}

func TestHandlerSendsFromJSON(t *testing.T) {
	var got *nethttp.Request
	var body []byte
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.Header().Set("Set-Cookie", "secret=1")
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(nethttp.StatusCreated)
		_, _ = io.WriteString(w, `{"id": 12345678901234567890}`)
	})
	reg := &wildout.Registry{}
	Register(reg, inside(t))
	handler, ok := reg.Lookup("http.request")
	if !ok {
		t.Fatal("http.request is not registered")
	}
	output, err := handler(attempt(), json.RawMessage(fmt.Sprintf(`{
		"url": "%s/path?a=1", "query": {"b": [2, "x y"], "big": 10000000000000001, "no": null, "yes": true},
		"headers": {"x-api-key": "k"}, "body": {"n": 10000000000000001}, "timeout": "5s", "expectStatus": [201]}`, server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"method":          {got.Method, "POST"},
		"target":          {got.RequestURI, "/path?a=1&b=2&b=x+y&big=10000000000000001&yes=true"},
		"body":            {string(body), `{"n": 10000000000000001}`},
		"Content-Type":    {got.Header.Get("Content-Type"), "application/json"},
		"X-Api-Key":       {got.Header.Get("X-Api-Key"), "k"},
		"Idempotency-Key": {got.Header.Get("Idempotency-Key"), "run1/call"},
		"traceparent":     {got.Header.Get("Traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"tracestate":      {got.Header.Get("Tracestate"), "a=1"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	want := `{"status":201,"headers":{"content-type":"application/problem+json; charset=utf-8","etag":"\"x\""},"body":{"id":12345678901234567890},"durationMs":`
	if !strings.HasPrefix(string(output), want) {
		t.Errorf("output is %s, want %s…", output, want)
	}
}

func TestResponseBody(t *testing.T) {
	tests := map[string]struct{ contentType, body, want string }{
		"JSON":         {"application/json", `[1.10]`, `"body":[1.10]`},
		"broken JSON":  {"application/json", `[1`, `"body":"[1"`},
		"a name twice": {"application/json", `{"a":1,"a":2}`, `"body":"{\"a\":1,\"a\":2}"`},
		"Latin-1":      {"application/json", "{\"a\":\"\xe4\"}", `"body":null,"bodyBase64":"eyJhIjoi5CJ9"`},
		"text":         {"text/plain", `[1]`, `"body":"[1]"`},
		"empty":        {"application/json", ``, `"body":null`},
		"binary":       {"application/octet-stream", "\xff\x00", `"body":null,"bodyBase64":"/wA="`},
		"content type": {"nonsense;;", "x", `"body":"x"`},

		"JSON in Latin-1":      {"application/json; charset=iso-8859-1", "{\"a\":\"\xfc\"}", `"body":{"a":"ü"}`},
		"JSON in disguise":     {"application/json", "{\"a\":\"\xfc\"}", `"body":null,"bodyBase64":"eyJhIjoi/CJ9"`},
		"JSON in UTF-16":       {"application/json; charset=utf-16", "\xff\xfe\"\x00\xfc\x00\"\x00", `"body":"ü"`},
		"JSON with a mark":     {"application/json", "\xef\xbb\xbf[1]", `"body":[1]`},
		"JSON in no charset":   {"application/json; charset=klingon", `["ü"]`, `"body":["ü"]`},
		"text in Latin-1":      {"text/plain; charset=\"ISO-8859-1\"", "\xfc", `"body":"ü"`},
		"text in Windows-1252": {"text/html; charset=windows-1252", "5 \x80", `"body":"5 €"`},
		"text in Shift JIS":    {"text/plain; charset=shift_jis", "\x93\xfa\x96\x7b", `"body":"日本"`},
		"text that lies":       {"text/plain; charset=utf-8", "a\xff", `"body":null,"bodyBase64":"Yf8="`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				_, _ = io.WriteString(w, tt.body)
			})
			response, err := inside(t).Do(attempt(), Request{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			output, err := json.Marshal(response)
			if err != nil || !strings.Contains(string(output), tt.want) {
				t.Errorf("output is %s, %v; want %s", output, err, tt.want)
			}
		})
	}
}

func TestResponseBeyondTheLimits(t *testing.T) {
	for name, body := range map[string]string{
		"values":   "[" + strings.Repeat("0,", 100_000) + "0]",
		"depth":    strings.Repeat("[", 201) + strings.Repeat("]", 201),
		"exponent": `{"n":1e1000000}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
			})
			_, err := inside(t).Do(attempt(), Request{URL: server.URL})
			if err == nil || !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "beyond") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestHeaderInTwoLetterCases(t *testing.T) {
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { t.Error("a request was sent") })
	_, err := inside(t).Do(attempt(), Request{URL: server.URL, Headers: map[string]string{"X-User": "mara", "x-user": "root-admin"}})
	if err == nil || !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "headers: x-user is there twice") {
		t.Errorf("error %v", err)
	}
}

func TestStatusClasses(t *testing.T) {
	const (
		success = iota
		retriable
		nonRetriable
	)
	tests := map[string]struct {
		status     int
		retryAfter string
		expect     []int
		want       int
		wait       time.Duration
	}{
		"200":                       {status: 200, want: success},
		"204":                       {status: 204, want: success},
		"expected 404":              {status: 404, expect: []int{200, 404}, want: success},
		"unexpected 200":            {status: 200, expect: []int{201}, want: nonRetriable},
		"304":                       {status: 304, want: nonRetriable},
		"400":                       {status: 400, want: nonRetriable},
		"401, Retry-After or not":   {status: 401, retryAfter: "5", want: nonRetriable},
		"408":                       {status: 408, want: retriable},
		"425":                       {status: 425, want: retriable},
		"429":                       {status: 429, retryAfter: "7", want: retriable, wait: 7 * time.Second},
		"500":                       {status: 500, want: retriable},
		"501":                       {status: 501, want: retriable},
		"503 and Retry-After":       {status: 503, retryAfter: "120", want: retriable, wait: 2 * time.Minute},
		"503 and a far Retry-After": {status: 503, retryAfter: "999999999999", want: retriable, wait: 24 * time.Hour},
		"503 and a bad Retry-After": {status: 503, retryAfter: "soon", want: retriable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.status)
			})
			_, err := inside(t).Do(attempt(), Request{URL: server.URL, ExpectStatus: tt.expect})
			got := success
			if wildout.IsNonRetriable(err) {
				got = nonRetriable
			} else if err != nil {
				got = retriable
			}
			if got != tt.want {
				t.Errorf("%v: got class %d, want %d", err, got, tt.want)
			}
			if wait, _ := wildout.RetryDelay(err); wait != tt.wait {
				t.Errorf("%v: waits %s, want %s", err, wait, tt.wait)
			}
		})
	}
}

func TestErrorsShowNoSecrets(t *testing.T) {
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		w.WriteHeader(nethttp.StatusTeapot)
		fmt.Fprintf(w, "no  such\n pot: %s %s %s", r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), r.RequestURI, strings.Repeat("x", 2000))
	})
	url := strings.Replace(server.URL, "http://", "http://user:hunter22@", 1)
	request := Request{Method: "put", URL: url + "/p/?token=s3cr3t-token", Query: Query{"key": {"other-s3cr3t"}},
		Headers: map[string]string{"X-Api-Key": "t0k3n-x"}}
	_, err := inside(t).Do(attempt(), request)
	host := strings.TrimPrefix(server.URL, "http://")
	for _, want := range []string{"PUT", host, "status 418", "no such pot"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
	server.Close()
	_, refused := inside(t).Do(attempt(), request)
	if refused == nil || wildout.IsNonRetriable(refused) || !strings.Contains(refused.Error(), host) {
		t.Errorf("got %v, want a retriable error with the host", refused)
	}
	for _, err := range []error{err, refused} {
		for _, secret := range []string{"hunter22", "s3cr3t-token", "other-s3cr3t", "t0k3n-x", "dXNlcjpodW50ZXIyMg"} {
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%v shows %s", err, secret)
			}
		}
		if n := len(fmt.Sprint(err)); n > 500 {
			t.Errorf("the error has %d bytes", n)
		}
	}
}

func TestLimitsResponse(t *testing.T) {
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
	})
	if _, err := inside(t).Do(attempt(), Request{URL: server.URL, MaxResponseBytes: 100}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := inside(t).Do(attempt(), Request{URL: server.URL, MaxResponseBytes: 99})
	if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "larger than 99 bytes") {
		t.Errorf("above the limit: %v", err)
	}
}

func TestTimeLimits(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/body" {
			w.(nethttp.Flusher).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	for _, path := range []string{"/header", "/body"} {
		_, err := inside(t).Do(attempt(), Request{URL: server.URL + path, Timeout: "50ms"})
		if !errors.Is(err, context.DeadlineExceeded) || wildout.IsNonRetriable(err) {
			t.Errorf("%s: got %v, want a retriable time-out", path, err)
		}
	}
	ctx, cancel := context.WithCancel(attempt())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := inside(t).Do(ctx, Request{URL: server.URL}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to be cancelled", err)
	}
}

func TestRefusedRequests(t *testing.T) {
	text := "x"
	tests := map[string]struct {
		request Request
		want    string
	}{
		"scheme":         {Request{URL: "ftp://example.org"}, `scheme "ftp"`},
		"no scheme":      {Request{URL: "example.org/x"}, "scheme"},
		"no host":        {Request{URL: "https:///x"}, "no host"},
		"unreadable":     {Request{URL: "https://u:s3cret%zz@example.org"}, "cannot be read"},
		"method":         {Request{URL: "https://example.org", Method: "G ET"}, "method"},
		"header name":    {Request{URL: "https://example.org", Headers: map[string]string{"a b": "x"}}, `"a b"`},
		"header value":   {Request{URL: "https://example.org", Headers: map[string]string{"a": "s3cret\r\nb: c"}}, "headers.a"},
		"timeout":        {Request{URL: "https://example.org", Timeout: "30"}, `timeout is "30"`},
		"response limit": {Request{URL: "https://example.org", MaxResponseBytes: 1 << 30}, "maxResponseBytes"},
		"body and text":  {Request{URL: "https://example.org", Body: json.RawMessage("1"), Text: &text}, "one of them"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := inside(t).Do(attempt(), tt.request)
			if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want a non-retriable error with %q and no secret", err, tt.want)
			}
		})
	}
}

func TestSignature(t *testing.T) {
	const current, previous = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	var header nethttp.Header
	var body []byte
	server := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	})
	secrets := map[string][]string{"hook": {current, previous}, "broken": {"whsec_***"}}
	client := newClient(t, Options{AllowPrivate: true, Secrets: func(name string) ([]string, error) { return secrets[name], nil }})
	if _, err := client.Do(attempt(), Request{URL: server.URL, Sign: "hook", Body: json.RawMessage(`{"a": 1}`)}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{current, previous} {
		verifier, err := webhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(body, header); err != nil {
			t.Errorf("a receiver with %s: %v", secret, err)
		}
	}
	if id := header.Get("Webhook-Id"); id != "run1/call" {
		t.Errorf("webhook-id is %q", id)
	}
	for _, name := range []string{"other", "broken"} {
		_, err := client.Do(attempt(), Request{URL: server.URL, Sign: name})
		if err == nil || wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("secret %s: got %v, want a retriable error that names it", name, err)
		}
	}
}
