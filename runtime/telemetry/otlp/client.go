package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// firstPause is the pause before the second attempt; it doubles up to maxPause.
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// patience bounds an upload with all its attempts. The spans behind it wait.
	patience = time.Minute
	// maxAnswer is what is read of an answer, in bytes.
	maxAnswer = 64 << 10
)

// Client sends spans. It is safe for concurrent use.
type Client struct {
	settings Settings
	http     *http.Client
	pause    func(ctx context.Context, d time.Duration) error
	// stopped is over when Stop was called, which end calls.
	stopped context.Context
	end     context.CancelFunc
}

var _ otlptrace.Client = (*Client)(nil)

// NewClient returns a client that has connected to nothing yet.
func NewClient(s Settings) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = s.TLS
	c := &Client{settings: s, http: &http.Client{Transport: transport, Timeout: s.Timeout}, pause: pause}
	c.stopped, c.end = context.WithCancel(context.Background())
	return c
}

// Start does nothing: a connection is made when there is something to send.
func (*Client) Start(context.Context) error { return nil }

// Stop ends the uploads under way and closes the connections.
func (c *Client) Stop(context.Context) error {
	c.end()
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans, again where the collector may take them later. The
// error says what it answered at last.
func (c *Client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire this is an ExportTraceServiceRequest, whose package has gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("write spans as protobuf: %w", err)
	}
	if c.settings.Gzip {
		body = compress(body)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	forget := context.AfterFunc(c.stopped, cancel)
	defer forget()
	for wait := firstPause; ; wait = min(2*wait, maxPause) {
		err := c.upload(ctx, body)
		var later *laterError
		if !errors.As(err, &later) {
			return err
		}
		if c.pause(ctx, max(later.after, jitter(wait))) != nil {
			return err
		}
	}
}

// laterError is a failure that may pass.
type laterError struct {
	err   error
	after time.Duration // what the collector asks for; 0: nothing
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

// upload is one attempt.
func (c *Client) upload(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.settings.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("send spans: %w", err)
	}
	request.Header.Set("User-Agent", "wildout-otlp-exporter")
	for name, values := range c.settings.Headers {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if c.settings.Gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return &laterError{err: fmt.Errorf("send spans: %w", err)} // it is away, slow or starting
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("send spans to %s: read its answer: %w", c.settings.URL, err)
	}
	return c.judge(response, answer)
}

// judge says what an answer means.
func (c *Client) judge(response *http.Response, answer []byte) error {
	isProto := response.Header.Get("Content-Type") == "application/x-protobuf"
	if response.StatusCode/100 == 2 {
		if !isProto {
			return nil
		}
		return refusal(answer)
	}
	words := string(answer)
	if isProto {
		words = statusMessage(answer)
	}
	err := fmt.Errorf("send spans to %s: it answers %s: %.500q", c.settings.URL, response.Status, words)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &laterError{err: err, after: retryAfter(response.Header)}
	}
	return err
}

// retryAfter reads how many seconds to wait. A date, which collectors do not
// send, counts as nothing.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	// A bytes.Buffer takes everything.
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// jitter returns between half of d and d: not all runners come back at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
