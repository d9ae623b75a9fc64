package http

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

// defaultMaxResponse leaves a margin for the rest of the output.
const defaultMaxResponse = wildout.MaxOutputBytes - 64<<10

// Options configure a Client. The zero value is ready.
type Options struct {
	// AllowPrivate allows loopback, private (RFC 1918, RFC 4193) and carrier
	// (RFC 6598) addresses. Link-local ones, where clouds keep their metadata
	// and credentials, stay refused.
	AllowPrivate bool
	// AllowCIDRs allows these addresses whatever they are, such as the service
	// network of the cluster.
	AllowCIDRs []netip.Prefix

	// Secrets returns the signing secrets of that name, "whsec_" and base64 as
	// in Standard Webhooks. It is asked for each request, so a secret may
	// rotate: with several, the request is signed with each. Nil knows none.
	Secrets func(name string) ([]string, error)

	// DialTimeout bounds connecting, and again the TLS handshake: 10 s.
	DialTimeout time.Duration
	// Timeout bounds a request that names none, until its body is read: 30 s.
	Timeout time.Duration
	// MaxResponseBytes is the largest body of a response, and the most that a
	// request may ask for: a little less than wildout.MaxOutputBytes.
	MaxResponseBytes int64
	// RootCAs verifies servers in place of the system's.
	RootCAs *x509.CertPool
	// Now is the clock of signatures and of Retry-After dates: time.Now.
	Now func() time.Time
}

// Validate reports what cannot work.
func (o Options) Validate() error {
	var errs []error
	if o.DialTimeout < 0 || o.Timeout < 0 {
		errs = append(errs, errors.New("timeouts must be more than 0"))
	}
	if o.MaxResponseBytes < 0 || o.MaxResponseBytes > wildout.MaxOutputBytes {
		errs = append(errs, fmt.Errorf("max response bytes is %d, want 1 to %d, the largest output of a step", o.MaxResponseBytes, wildout.MaxOutputBytes))
	}
	for i, prefix := range o.AllowCIDRs {
		if !prefix.IsValid() {
			errs = append(errs, fmt.Errorf("allowed CIDR %d is not valid", i))
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxResponseBytes == 0 {
		o.MaxResponseBytes = defaultMaxResponse
	}
	if o.Secrets == nil {
		o.Secrets = func(string) ([]string, error) { return nil, nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
