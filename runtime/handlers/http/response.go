package http

import (
	"errors"
	"fmt"
	"io"
	"mime"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/strictjson"
)

const (
	// maxRetryAfter keeps a run from waiting for a server's typing error.
	maxRetryAfter = 24 * time.Hour
	// snippetBytes is how much of a body an error shows.
	snippetBytes = 300
)

// Response is the output of http.request.
type Response struct {
	Status int `json:"status"`
	// Headers has those of Content-Type, ETag, Last-Modified, Link, Location,
	// Retry-After and X-Request-Id that were sent, in lower case.
	Headers map[string]string `json:"headers"`
	// Body is the decoded JSON when the content type says so, a string when
	// the body is text, null when it is empty. A charset that the content type
	// names is decoded. JSON that could be read in two ways, as with a name twice
	// in an object, is text.
	Body any `json:"body"`
	// BodyBase64 stands in for Body when the body is not UTF-8, nor what its
	// content type names.
	BodyBase64 []byte `json:"bodyBase64,omitempty"`
	// DurationMs is how long the request took, redirects and body included.
	DurationMs int64 `json:"durationMs"`
}

var keptHeaders = []string{"Content-Type", "ETag", "Last-Modified", "Link", "Location", "Retry-After", "X-Request-Id"}

// Bounds of the JSON of a response: expressions that look into it need far more
// memory for a value than its text has bytes.
var responseLimits = strictjson.Limits{Depth: 200, Values: 100_000}

// newResponse fails when the body goes beyond the limits.
func newResponse(res *nethttp.Response, body []byte, took time.Duration) (Response, error) {
	out := Response{Status: res.StatusCode, Headers: map[string]string{}, DurationMs: took.Milliseconds()}
	for _, name := range keptHeaders {
		if value := res.Header.Get(name); value != "" {
			out.Headers[strings.ToLower(name)] = value
		}
	}
	err := out.setBody(res.Header.Get("Content-Type"), body)
	return out, err
}

var errTooLarge = errors.New("too large")

// readBody reads at most limit bytes; more give errTooLarge and the first
// part, for an error to show.
func readBody(res *nethttp.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return body, fmt.Errorf("the response broke off after %d bytes: %w", len(body), err)
	}
	if int64(len(body)) > limit {
		return body, errTooLarge
	}
	return body, nil
}

func accepted(status int, expected []int) bool {
	if len(expected) > 0 {
		return slices.Contains(expected, status)
	}
	return status >= 200 && status <= 299
}

// classifyStatus turns a response that is no success into an error: 408, 425,
// 429 and 5xx are tried again, when the server says so at its time; no other
// status changes by asking again.
func classifyStatus(status int, header nethttp.Header, now time.Time, err error) error {
	switch {
	case status == 408, status == 425, status == 429, status >= 500:
		if wait, ok := parseRetryAfter(header.Get("Retry-After"), now); ok {
			return wildout.RetryAfter(wait, err)
		}
		return err
	}
	return wildout.NonRetriable(err)
}

// parseRetryAfter reads a Retry-After header (RFC 9110, 10.2.3), clipped to a
// day. A time that is not ahead is none: the retry policy knows better.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		wait = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := nethttp.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(wait, maxRetryAfter), wait > 0
}

// snippet is the beginning of a body on one line, without the secrets that the
// server may have repeated.
func snippet(contentType string, body []byte, secrets []string) string {
	_, params, _ := mime.ParseMediaType(contentType) // of a broken one nothing is known
	decoded, _ := decode(body[:min(len(body), 4*snippetBytes)], params["charset"])
	text := strings.ToValidUTF8(string(decoded), "")
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > snippetBytes {
		text = strings.ToValidUTF8(text[:snippetBytes], "") + "…"
	}
	if text == "" {
		return "(no body)"
	}
	return text
}
