package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Certificate is a certificate with its key, from files that may be replaced.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// OpenCertificate reads a certificate with its chain and its key, in PEM.
func OpenCertificate(certFile, keyFile string) (*Certificate, error) {
	if certFile == "" || keyFile == "" {
		return nil, errors.New("TLS needs both a certificate and its key")
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	err := c.Reload()
	return c, err
}

// Reload reads the files again. On an error the last certificate stays.
func (c *Certificate) Reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("TLS certificate %s with the key %s: %w", c.certFile, c.keyFile, err)
	}
	if expires := pair.Leaf.NotAfter; time.Now().After(expires) {
		return fmt.Errorf("TLS certificate %s ran out at %s", c.certFile, expires.UTC().Format(time.RFC3339))
	}
	c.current.Store(&pair)
	return nil
}

// Files are the files to watch.
func (c *Certificate) Files() []string { return []string{c.certFile, c.keyFile} }

// Expires is when the certificate runs out.
func (c *Certificate) Expires() time.Time { return c.current.Load().Leaf.NotAfter }

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}
