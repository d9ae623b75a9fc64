// Package tokenreview lets Kubernetes ServiceAccounts send events: it asks the
// API server, by TokenReview, whose token a request carries. It uses plain
// HTTPS with the token and the certificate authority that every pod has, and
// no Kubernetes client. What the API server said is kept for a short time;
// what cannot be a good token is refused without asking, and unknown tokens
// are asked about at a bounded rate, so that nobody can flood the API server
// through the gateway.
//
// The package must not know how senders are configured.
package tokenreview

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/wildout/wildout/runtime/gateway"
)

// Audience is what tokens for a gateway are made for, unless it is told
// otherwise: a token that is meant for somebody else is refused.
const Audience = "wildout-gateway"

// podFolder is where Kubernetes mounts what a pod needs to reach the API server.
const podFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// The largest time for which what the API server said is believed, and the
// time after which it is given up.
const (
	defaultAcceptFor = time.Minute
	defaultRefuseFor = 10 * time.Second
	defaultTimeout   = 3 * time.Second
)

// Options are what a Reviewer needs. All but Sender have defaults in a pod.
type Options struct {
	// Server is the https:// address of the API server. Empty: that of the
	// cluster in which this process runs.
	Server string
	// TokenFile and CAFile are how this process authenticates itself to the
	// API server, and the API server to it. Both are read anew for each review
	// and may be replaced at any time. Empty: those that a pod has.
	TokenFile, CAFile string
	// Audience is whom a token must be made for. Empty: Audience.
	Audience string
	// Sender returns who sends with a token of the account, nil for nobody. It
	// is called for each request, before the token is known to be good: nobody
	// asks the API server about the token of an account that may not send.
	Sender func(Account) *gateway.Sender
	// AcceptFor is how long an accepted token stays accepted unasked, but never
	// beyond its expiry, and RefuseFor how long a refused one stays refused:
	// a minute and ten seconds by default.
	AcceptFor, RefuseFor time.Duration
	// Timeout bounds one review, waiting for its turn included: 3 s by default.
	Timeout time.Duration
}

// Validate reports what is missing or wrong, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Sender == nil {
		return errors.New("tokenreview: nobody says which ServiceAccounts are senders")
	}
	if err := o.findServer(); err != nil {
		return err
	}
	for _, field := range []struct {
		file   *string
		inPod  string
		wanted string
	}{
		{&o.TokenFile, "token", "the token with which this process asks the API server"},
		{&o.CAFile, "ca.crt", "the certificate authority of the API server"},
	} {
		if *field.file == "" {
			*field.file = filepath.Join(podFolder, field.inPod)
		}
		if _, err := os.ReadFile(*field.file); err != nil {
			return fmt.Errorf("tokenreview: %s: %w; in a pod, automountServiceAccountToken must not be false", field.wanted, err)
		}
	}
	if o.Audience == "" {
		o.Audience = Audience
	}
	for _, field := range []struct {
		name  string
		value *time.Duration
		unset time.Duration
	}{
		{"AcceptFor", &o.AcceptFor, defaultAcceptFor},
		{"RefuseFor", &o.RefuseFor, defaultRefuseFor},
		{"Timeout", &o.Timeout, defaultTimeout},
	} {
		if *field.value < 0 {
			return fmt.Errorf("tokenreview: %s is %s, want more than 0", field.name, *field.value)
		}
		if *field.value == 0 {
			*field.value = field.unset
		}
	}
	return nil
}

// findServer checks the address of the API server, or finds it.
func (o *Options) findServer() error {
	if o.Server == "" {
		// Kubernetes sets both in every container.
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return errors.New("tokenreview: this process runs in no cluster (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set): " +
				"ServiceAccount tokens can be checked only where there is an API server to ask")
		}
		o.Server = "https://" + net.JoinHostPort(host, port)
	}
	server, err := url.Parse(o.Server)
	if err != nil || server.Scheme != "https" || server.Host == "" {
		return fmt.Errorf("tokenreview: the address of the API server is %q, want https://host:port", o.Server)
	}
	return nil
}
