package store

import (
	"crypto/x509"
	"errors"
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

// errUnreadable has fixed words: errors become conditions and lines of logs.
var errUnreadable = errors.New("the Redis URL cannot be used (it is not shown, for it may hold a password): " +
	"it looks like redis://user:password@host:6379/0 or rediss://…, user and password stand before the first host alone, " +
	"and special characters in the password are written as %2F for /, %2C for a comma, %40 for @, %23 for #, %3F for ?")

func parseURL(raw string) (*redis.UniversalOptions, error) {
	scheme, _, _ := strings.Cut(raw, "://")
	switch {
	case strings.Contains(scheme, "sentinel"):
		return nil, errors.New("the Redis URL names Sentinels, which are not supported: name the primary, by a Service or a proxy that follows it, as redis://user:password@host:6379/0")
	case strings.Contains(scheme, "cluster"):
		return nil, errors.New("the Redis URL has a scheme of its own for a cluster: name several of its nodes, as redis://HOST:6379,HOST:6379")
	}
	first, rest, several := strings.Cut(raw, ",")
	if scheme == "unix" {
		return nil, errors.New("the Redis URL names a Unix socket, which is not supported; use redis://host:port")
	}
	// A password with a / or a , ends too early, and what is behind stands where a
	// port, a database or another host is: no part of it may be shown, neither here
	// nor by whoever dials it.
	o, err := redis.ParseURL(first)
	if err != nil || strings.Contains(rest, "@") || strings.Count(first, "@") > 1 {
		return nil, errUnreadable
	}
	if u, err := url.Parse(first); err != nil || strings.Contains(u.Opaque+u.Host+u.Path+u.RawQuery+u.Fragment, "@") {
		return nil, errUnreadable
	}
	u := &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		DialTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		// The group commit retries by itself and knows what is safe to repeat.
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
	}
	if several {
		u.Addrs = append(u.Addrs, strings.Split(rest, ",")...)
		u.IsClusterMode = true
	}
	return u, nil
}
