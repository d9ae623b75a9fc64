package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/http/httpguts"

	wildout "github.com/wildout/wildout/runtime"
)

// Request is the input of http.request.
type Request struct {
	// Method is POST by default when there is a body, else GET.
	Method string `json:"method,omitempty"`
	// URL is http or https. Query is added behind the query it has.
	URL   string `json:"url"`
	Query Query  `json:"query,omitempty"`
	// Headers win over those that the client sets: User-Agent, Content-Type,
	// Idempotency-Key, traceparent and tracestate.
	Headers map[string]string `json:"headers,omitempty"`
	// Body is sent as JSON; Text as it is. At most one of them is given.
	Body json.RawMessage `json:"body,omitempty"`
	Text *string         `json:"text,omitempty"`
	// Timeout is a Go duration, such as 30s, for the whole of one attempt.
	Timeout string `json:"timeout,omitempty"`
	// ExpectStatus lists the statuses that are a success; by default 200-299.
	ExpectStatus []int `json:"expectStatus,omitempty"`
	// MaxResponseBytes lowers the limit on the response's body.
	MaxResponseBytes int64 `json:"maxResponseBytes,omitempty"`
	// Sign is the name of a secret; the request then carries the signature of
	// Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature).
	Sign string `json:"sign,omitempty"`
}

// Query are parameters: each a string, a number, a boolean or a list of them.
// Null leaves one out.
type Query url.Values

// UnmarshalJSON takes an object. Numbers keep their form.
func (q *Query) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("query: want an object: %w", err)
	}
	values := Query{}
	for name, value := range raw {
		list := []json.RawMessage{value}
		if value[0] == '[' {
			if err := json.Unmarshal(value, &list); err != nil {
				return err
			}
		}
		for _, v := range list {
			text, err := scalar(v)
			if err != nil {
				return fmt.Errorf("query.%s: %w", name, err)
			}
			if text != nil {
				values[name] = append(values[name], *text)
			}
		}
	}
	*q = values
	return nil
}

// scalar is the text of a JSON scalar; null has none.
func scalar(raw json.RawMessage) (*string, error) {
	text := string(raw)
	switch raw[0] {
	case 'n':
		return nil, nil
	case '{', '[':
		return nil, errors.New("want a string, a number, a boolean or a list of them")
	case '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, err
		}
	}
	return &text, nil
}

func (r Request) hasBody() bool {
	return r.Text != nil || len(r.Body) > 0 && string(r.Body) != "null"
}

func (r Request) method() string {
	switch {
	case r.Method != "":
		return strings.ToUpper(r.Method)
	case r.hasBody():
		return nethttp.MethodPost
	}
	return nethttp.MethodGet
}

// target is the URL to call. Its errors do not show the URL: userinfo and
// query may hold secrets.
func (r Request) target() (*url.URL, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, errors.New("url cannot be read (it is not shown, for it may hold a secret), want https://host/path")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("url has the scheme %q, want http or https", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("url has no host, want https://host/path")
	}
	// What the URL has stays as it is: it need not be name=value&…, and what
	// does not read like that would be lost.
	if added := url.Values(r.Query).Encode(); added != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += added
	}
	return u, nil
}

func (r Request) timeout(fallback time.Duration) (time.Duration, error) {
	if r.Timeout == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(r.Timeout)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("timeout is %q, want a duration such as 30s or 2m", r.Timeout)
	}
	return d, nil
}

func (r Request) maxResponse(limit int64) (int64, error) {
	if r.MaxResponseBytes < 0 || r.MaxResponseBytes > limit {
		return 0, fmt.Errorf("maxResponseBytes is %d, want 1 to %d", r.MaxResponseBytes, limit)
	}
	if r.MaxResponseBytes == 0 {
		return limit, nil
	}
	return r.MaxResponseBytes, nil
}

// payload is what is sent, and what a signature covers.
func (r Request) payload() ([]byte, error) {
	hasBody := len(r.Body) > 0 && string(r.Body) != "null"
	switch {
	case hasBody && r.Text != nil:
		return nil, errors.New("the request has body and text: give one of them")
	case hasBody:
		return r.Body, nil
	case r.Text != nil:
		return []byte(*r.Text), nil
	}
	return nil, nil
}

// build makes the request, unsigned. Its errors are faults of the input.
func (r Request) build(ctx context.Context) (*nethttp.Request, error) {
	u, err := r.target()
	if err != nil {
		return nil, err
	}
	payload, err := r.payload()
	if err != nil {
		return nil, err
	}
	req, err := nethttp.NewRequestWithContext(ctx, r.method(), u.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("method %q is not an HTTP method", r.Method)
	}
	return req, r.setHeaders(req)
}

// setTrace adds the W3C trace context: that of the span in the context, which
// may be one that a handler began itself, else that of the attempt.
func setTrace(req *nethttp.Request, info wildout.RunInfo) {
	if trace.SpanContextFromContext(req.Context()).IsValid() {
		propagation.TraceContext{}.Inject(req.Context(), propagation.HeaderCarrier(req.Header))
		return
	}
	if info.TraceParent != "" {
		req.Header.Set("Traceparent", info.TraceParent)
	}
	if info.TraceState != "" {
		req.Header.Set("Tracestate", info.TraceState)
	}
}

func (r Request) setHeaders(req *nethttp.Request) error {
	info := wildout.Info(req.Context())
	req.Header.Set("User-Agent", "wildout")
	if r.Text != nil {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	} else if r.hasBody() {
		req.Header.Set("Content-Type", "application/json")
	}
	if info.IdempotencyKey != "" {
		req.Header.Set("Idempotency-Key", info.IdempotencyKey)
	}
	setTrace(req, info)
	seen := make(map[string]bool, len(r.Headers))
	for name, value := range r.Headers {
		// One of the two would win, and nobody could say which.
		same := strings.ToLower(name)
		if seen[same] {
			return fmt.Errorf("headers: %s is there twice, in different letter case", same)
		}
		seen[same] = true
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("headers: %q is not the name of a header", name)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("headers.%s: the value has a control character", name)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return nil
}
