// Package store is everything that touches Redis: the keys, the scripts, and
// the guarantees that hang on them (docs/guarantees.md). What is durable, who
// owns a run and who may finish it is decided here and nowhere else. The
// package must not know plans, handlers or CEL: to it a result is bytes.
package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options says which Redis to use and which part of it.
type Options struct {
	// URL is redis://, rediss:// or unix://, as go-redis parses it; several
	// hosts separated by commas make a cluster.
	URL string
	// Namespace keeps the functions of one team apart from those of another.
	Namespace string
	// CA are certificates, in PEM, of authorities that the server's certificate
	// may be signed by, beside those that the system trusts. For rediss://.
	CA []byte
	// Logger gets what an operator should know. Default: slog.Default().
	Logger *slog.Logger
	// PoolSize bounds the connections. Default: 10 per CPU.
	PoolSize int
	// Dial connects to a host:port, with TLS where the configuration is not nil.
	// Default: as go-redis does.
	Dial func(ctx context.Context, network, address string, secure *tls.Config) (net.Conn, error)
}

// Validate reports what is missing or wrong.
func (o *Options) Validate() error {
	if o.URL == "" {
		return errors.New("no Redis URL: set it to something like redis://host:6379/0")
	}
	if o.Namespace == "" {
		return errors.New("no namespace: set it to the namespace of the functions")
	}
	if strings.ContainsAny(o.Namespace, "{}:") {
		return fmt.Errorf("namespace %q must not contain { } or a colon", o.Namespace)
	}
	_, err := o.client()
	return err
}

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

// Store is the connection to one Redis and one namespace in it. It is safe
// for use by many goroutines.
type Store struct {
	rdb     redis.UniversalClient
	opts    *redis.UniversalOptions
	keys    Keys
	log     *slog.Logger
	scripts scripts
	traffic *trafficHook
	// published has the event types of which an event was published.
	published sync.Map
}

// Open returns a Store. It connects when first used; Ping says whether it can.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	opts, err := o.client()
	if err != nil {
		return nil, err
	}
	opts.PoolSize = o.PoolSize
	if o.Dial != nil {
		opts.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			return o.Dial(ctx, network, address, opts.TLSConfig)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	// go-redis writes to stderr by itself; every error reaches its caller, who
	// says it in words.
	silence.Do(func() { redis.SetLogger(silent{}) })
	s := &Store{rdb: redis.NewUniversalClient(opts), opts: opts, keys: NewKeys(o.Namespace), log: o.Logger, traffic: &trafficHook{}}
	s.rdb.AddHook(s.traffic)
	s.scripts = loadScripts()
	return s, nil
}

var silence sync.Once

type silent struct{}

// Printf implements the logger of go-redis.
func (silent) Printf(context.Context, string, ...any) {}

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

// Close closes the connections.
func (s *Store) Close() error { return s.rdb.Close() }

// Keys returns the names of the keys.
func (s *Store) Keys() Keys { return s.keys }

// Ping says whether Redis answers, and if not, why, in words for an operator.
func (s *Store) Ping(ctx context.Context) error {
	return Explain(s.rdb.Ping(ctx).Err())
}

const (
	slow   = "Redis does not answer in time: is it overloaded, does a firewall or NetworkPolicy drop the packets, or does it speak no TLS at this port (rediss://)?"
	broken = "the connection to Redis broke: if it always does, Redis may want TLS (rediss://), or a proxy before it has no server"
)

// explained is an error with what to do about it.
type explained struct {
	advice string
	err    error
}

func (e *explained) Error() string { return e.advice + " (" + e.err.Error() + ")" }
func (e *explained) Unwrap() error { return e.err }

// Advice is what Explain says to do about an error, without a word of what the
// server has answered; "": it does not know.
func Advice(err error) string {
	var e *explained
	if errors.As(err, &e) {
		return e.advice
	}
	return ""
}

// Explain adds to an error of Redis what to do about it. Nil stays nil.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, known := range []struct{ mark, advice string }{
		{"WRONGPASS", "Redis refuses the user name or password: check the Redis URL (key `url` of the Secret)"},
		{"NOAUTH", "Redis asks for a password and the Redis URL has none: write redis://:password@host:port"},
		{"NOPERM", "the Redis user may not do this: give it access to the keys wo:* and to scripts, streams and sorted sets"},
		{"OOM ", "Redis is at maxmemory: raise it, or shorten the retention of event types and the history of functions"},
		{"MISCONF", "Redis cannot save to its disk and refuses writes: look at its log, its disk may be full"},
		{"READONLY", "this Redis is a replica: point the Redis URL at the primary"},
		{"LOADING", "Redis is loading its data after a start; this passes by itself"},
		{"certificate signed by unknown authority", "the certificate of Redis is signed by an authority that is not trusted: put its certificate, in PEM, into the key `ca.crt` of the Secret (of a runner: WILDOUT_REDIS_CA_FILE)"},
		{"x509: ", "the certificate of Redis does not fit the host in the Redis URL, or is not valid now: renew it, or correct the host"},
		{"first record does not look like a TLS handshake", "no Redis with TLS answers at this port: write redis:// in place of rediss://, or the port for TLS"},
		{"connection refused", "nothing listens at the address in the Redis URL: is Redis running, are host and port right?"},
		{"no such host", "the host in the Redis URL does not exist in DNS"},
		{"i/o timeout", slow},
		{"deadline exceeded", slow},
		{"EOF", broken},
		{"connection reset", broken},
	} {
		if strings.Contains(text, known.mark) {
			return &explained{known.advice, err}
		}
	}
	return fmt.Errorf("redis: %w", err)
}
