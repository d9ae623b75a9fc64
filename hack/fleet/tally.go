package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
)

// call is a kind of request to the API server.
type call struct{ Verb, Resource string }

// write reports whether the call may change what is stored. The Lease of the
// leader and the questions about who reads the metrics are not counted.
func (c call) write() bool {
	switch {
	case c.Resource == "leases" || strings.HasSuffix(c.Resource, "reviews"):
		return false
	case c.Verb == "get" || c.Verb == "list" || c.Verb == "watch":
		return false
	}
	return true
}

// calls are how often there was what.
type calls map[call]int

// since are the calls that came after before.
func (c calls) since(before calls) calls {
	diff := calls{}
	for k, n := range c {
		if n > before[k] {
			diff[k] = n - before[k]
		}
	}
	return diff
}

func (c calls) total() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

func (c calls) writes() (n int) {
	for k, i := range c {
		if k.write() {
			n += i
		}
	}
	return n
}

// tally stands between the operator and the API server, and counts. What the
// API server counts itself does not say who asked.
type tally struct {
	URL string
	CA  []byte // PEM

	server *http.Server

	mu        sync.Mutex
	calls     calls
	last      map[call]time.Time
	lastWork  time.Time // a call that is neither a write of the Lease nor a routine look
	lastWrite time.Time
}

// newTally begins to listen on loopback, with TLS as an API server would.
func newTally(config *rest.Config) (*tally, error) {
	target, err := url.Parse(config.Host)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("the API server of the kubeconfig is %q: %w", config.Host, errors.Join(err, errors.New("want https://host:port")))
	}
	// Who asks is in the request.
	upstream, err := rest.TransportFor(rest.AnonymousClientConfig(config))
	if err != nil {
		return nil, fmt.Errorf("set up connections to the API server: %w", err)
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the operator: %w", err)
	}
	t := &tally{URL: "https://" + listener.Addr().String(), CA: certificate, calls: calls{}, last: map[call]time.Time{}}
	quiet := log.New(io.Discard, "", 0) // the operator reports what fails
	proxy := &httputil.ReverseProxy{Transport: upstream, FlushInterval: -1, ErrorLog: quiet,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = target.Host }}
	t.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t.count(callOf(r), time.Now())
			proxy.ServeHTTP(w, r)
		})}
	go func() { _ = t.server.ServeTLS(listener, "", "") }() // Close ends it
	return t, nil
}

func (t *tally) close() { _ = t.server.Close() }

func (t *tally) count(c call, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[c]++
	t.last[c] = at
	if c.write() {
		t.lastWrite = at
	}
	if c.write() || c.Verb == "get" && c.Resource != "secrets" && c.Resource != "leases" && c.Resource != "" {
		t.lastWork = at
	}
}

func (t *tally) snapshot() calls {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.calls)
}

// idleSince is when the operator last asked for something of its own accord,
// and when it last wrote.
func (t *tally) idleSince() (work, write time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastWork, t.lastWrite
}

// lastOf is when there was last such a call.
func (t *tally) lastOf(c call) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[c]
}

// quiet waits until nothing was written for a while.
func (t *tally) quiet(ctx context.Context, pause, limit time.Duration) bool {
	end := time.Now().Add(limit)
	for time.Now().Before(end) {
		if _, write := t.idleSince(); time.Since(write) >= pause {
			return true
		}
		if sleep(ctx, 100*time.Millisecond) != nil {
			return false
		}
	}
	return false
}

// callOf reads what a request asks for: /api/v1/… or /apis/group/version/…,
// then [namespaces/name/]resource[/name[/subresource]].
func callOf(r *http.Request) call {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default:
		return call{Verb: "get"} // discovery, openapi
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return call{verbOf(r, len(parts) > 1), resource}
}

func verbOf(r *http.Request, named bool) string {
	switch r.Method {
	case http.MethodGet:
		switch {
		case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
			return "watch"
		case named:
			return "get"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch") {
			return "apply"
		}
		return "patch"
	}
	return strings.ToLower(r.Method)
}

// sleep waits, or returns why not.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
