package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Where the console and the gateway are to the clients of a Transport.
const (
	ConsoleURL = "http://console"
	GatewayURL = "http://gateway"
)

// Transport makes requests to the console and the gateway of the namespace,
// through the API server. It looks for what a request needs when there is one.
type Transport struct {
	cluster *Cluster
	token   string
	base    *http.Transport
	// elsewhere makes the requests to all other hosts.
	elsewhere http.RoundTripper

	mu    sync.Mutex // held while somebody looks
	known map[string]*way
}

// way is what was found out of a component.
type way struct {
	*front
	tunnel *tunnel
	token  string
}

// NewTransport returns a Transport. The token is the user's own for the console;
// "": the one in its Secret. Requests to other hosts go elsewhere.
func (c *Cluster) NewTransport(token string, elsewhere http.RoundTripper) *Transport {
	t := &Transport{cluster: c, token: token, elsewhere: elsewhere, known: map[string]*way{}}
	t.base = &http.Transport{
		DialContext:           t.dial,
		ResponseHeaderTimeout: time.Minute,
		MaxIdleConnsPerHost:   16,
		// The certificate is for another name. Who answers is what the API
		// server takes for the pod, and what the kubelet connects with.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
	return t
}

// Check says what keeps requests from the console, or the gateway, by its URL.
func (t *Transport) Check(ctx context.Context, url string) error {
	_, err := t.way(ctx, strings.TrimPrefix(url, "http://"))
	return err
}

// EventKey reads the key of the gateway's default sender.
func (t *Transport) EventKey(ctx context.Context) (string, error) {
	gateway, err := t.way(ctx, gatewayPart.name)
	if err != nil {
		return "", err
	}
	return gateway.credential(ctx)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Hostname()
	if host != consolePart.name && host != gatewayPart.name {
		return t.elsewhere.RoundTrip(r)
	}
	to, err := t.way(r.Context(), host)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme = to.scheme()
	if to.token != "" {
		r.Header.Set("Authorization", "Bearer "+to.token)
	}
	return t.base.RoundTrip(r)
}

// way finds a component, once.
func (t *Transport) way(ctx context.Context, host string) (*way, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.known[host]; w != nil {
		return w, nil
	}
	part := consolePart
	if host == gatewayPart.name {
		part = gatewayPart
	}
	f, err := t.cluster.find(ctx, part)
	if err != nil {
		return nil, err
	}
	w := &way{front: f, tunnel: &tunnel{front: f}}
	if host == consolePart.name {
		if w.token = t.token; w.token == "" {
			if w.token, err = f.credential(ctx); err != nil {
				return nil, err
			}
		}
	}
	t.known[host] = w
	return w, nil
}

func (t *Transport) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	to, err := t.way(ctx, host)
	if err != nil {
		return nil, err
	}
	return to.tunnel.dial(ctx)
}
