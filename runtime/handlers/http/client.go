package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

// Client makes requests. Its methods may be called from several goroutines.
type Client struct {
	opts   Options
	client *nethttp.Client
}

// New returns a Client.
func New(opts Options) (*Client, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("http handler: %w", err)
	}
	opts = opts.withDefaults()
	guard := guard{allowPrivate: opts.AllowPrivate, allow: opts.AllowCIDRs}
	dialer := &net.Dialer{Timeout: opts.DialTimeout, Control: guard.control}
	transport := &nethttp.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    opts.DialTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    10,
		IdleConnTimeout:        30 * time.Second,
	}
	return &Client{opts: opts, client: &nethttp.Client{Transport: transport, CheckRedirect: checkRedirect}}, nil
}

// Close ends the idle connections.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Do makes one request. Errors say the method, the host, the readable part of
// the path, and what the server answered; what no attempt can mend is marked NonRetriable, and a Retry-After
// of the server is passed on.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	timeout, err := r.timeout(c.opts.Timeout)
	if err != nil {
		return Response{}, wildout.NonRetriable(err)
	}
	limit, err := r.maxResponse(c.opts.MaxResponseBytes)
	if err != nil {
		return Response{}, wildout.NonRetriable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := r.build(ctx)
	if err != nil {
		return Response{}, wildout.NonRetriable(err)
	}
	if r.Sign != "" {
		// Retriable: secrets are mended on the runner, not in the manifest.
		if err := c.sign(req, r); err != nil {
			return Response{}, err
		}
	}
	begin := time.Now()
	res, err := c.client.Do(req)
	if err != nil {
		return Response{}, transportError(req, err, time.Since(begin))
	}
	defer res.Body.Close()
	body, err := readBody(res, limit)
	if accepted(res.StatusCode, r.ExpectStatus) {
		return success(res, body, err, limit, time.Since(begin))
	}
	failure := fmt.Errorf("%s: status %d: %s", describe(res.Request), res.StatusCode, snippet(res.Header.Get("Content-Type"), body, secretsOf(r)))
	return Response{}, classifyStatus(res.StatusCode, res.Header, c.opts.Now(), failure)
}

func success(res *nethttp.Response, body []byte, err error, limit int64, took time.Duration) (Response, error) {
	switch {
	case errors.Is(err, errTooLarge):
		return Response{}, wildout.NonRetriable(fmt.Errorf("%s: status %d, but the response is larger than %d bytes, the limit; ask for less, or fetch it in a handler of your own and return a reference",
			describe(res.Request), res.StatusCode, limit))
	case err != nil:
		return Response{}, fmt.Errorf("%s: status %d: %w", describe(res.Request), res.StatusCode, err)
	}
	response, err := newResponse(res, body, took)
	if err != nil {
		return Response{}, wildout.NonRetriable(fmt.Errorf("%s: status %d: the response is JSON beyond what a step may hold: %w; ask for less, or fetch it in a handler of your own",
			describe(res.Request), res.StatusCode, err))
	}
	return response, nil
}

// transportError describes a request that got no response. The error of the
// net/http client shows the URL, so only its cause is kept.
func transportError(req *nethttp.Request, err error, took time.Duration) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no response after %s: %w", took.Round(time.Millisecond), err)
	}
	if strings.Contains(err.Error(), "Location header") { // which the error shows as it came
		err = &redirectError{"a redirect leads to a Location that cannot be read"}
	}
	err = fmt.Errorf("%s: %w", describe(req), err)
	if permanent(err) {
		return wildout.NonRetriable(err)
	}
	return err
}
