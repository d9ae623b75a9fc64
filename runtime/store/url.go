package store

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// client returns the settings of the Redis client.
func (o *Options) client() (*redis.UniversalOptions, error) {
	opts, err := parseURL(o.URL)
	if err != nil || len(o.CA) == 0 {
		return opts, err
	}
	if opts.TLSConfig == nil {
		return nil, errors.New("there is a certificate authority for Redis, and the Redis URL is not rediss://")
	}
	trusted, err := x509.SystemCertPool()
	if err != nil {
		trusted = x509.NewCertPool()
	}
	if !trusted.AppendCertsFromPEM(o.CA) {
		return nil, errors.New("the certificate authority for Redis has no certificate in PEM")
	}
	opts.TLSConfig.RootCAs = trusted
	return opts, nil
}

func parseURL(raw string) (*redis.UniversalOptions, error) {
	scheme, _, _ := strings.Cut(raw, "://")
	switch {
	case strings.Contains(scheme, "sentinel"):
		return nil, errors.New("the Redis URL names Sentinels, which are not supported: name the primary, by a Service or a proxy that follows it, as redis://user:password@host:6379/0")
	case strings.Contains(scheme, "cluster"):
		return nil, errors.New("the Redis URL has a scheme of its own for a cluster: name several of its nodes, as redis://HOST:6379,HOST:6379")
	}
	first, rest, several := strings.Cut(raw, ",")
	o, err := redis.ParseURL(first)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err // without the URL, which may hold a password
		}
		return nil, fmt.Errorf("the Redis URL cannot be used: %w; it looks like redis://user:password@host:6379/0", err)
	}
	u := &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		DialTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		// The group commit retries by itself and knows what is safe to repeat.
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
	}
	if o.Network == "unix" {
		return nil, errors.New("the Redis URL names a Unix socket, which is not supported; use redis://host:port")
	}
	if several {
		u.Addrs = append(u.Addrs, strings.Split(rest, ",")...)
		u.IsClusterMode = true
	}
	return u, nil
}
