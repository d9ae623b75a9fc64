// Package store is the connection to Redis: its address, the names of its keys,
// what its errors mean, and publishing. What is durable, who owns a run and who
// may end it is decided in the rooms below it, one for each who asks: runs for
// runners, inspect for who looks, acts for what a person asks for, upkeep for what
// keeps a namespace in order. The guarantees that hang on them are in
// docs/guarantees.md. Nothing here knows plans, handlers or CEL: a result is bytes.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	// Now is the clock of this machine. Default: time.Now.
	Now func() time.Time
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

// Conn is the connection to one Redis and one namespace in it. It is safe for
// use by many goroutines.
type Conn struct {
	rdb       redis.UniversalClient
	opts      *redis.UniversalOptions
	namespace string
	keys      Keys
	clock     *serverClock
	log       *slog.Logger
	traffic   *trafficHook
	// published has the event types of which an event was published.
	published sync.Map
}

// Open returns a Conn. It connects when first used; Ping says whether it can.
func Open(o Options) (*Conn, error) {
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
	if o.Now == nil {
		o.Now = time.Now
	}
	// go-redis writes to stderr by itself; every error reaches its caller, who
	// says it in words.
	silence.Do(func() { redis.SetLogger(silent{}) })
	c := &Conn{rdb: redis.NewUniversalClient(opts), opts: opts, namespace: o.Namespace, keys: NewKeys(o.Namespace), clock: &serverClock{local: o.Now}, log: o.Logger, traffic: &trafficHook{}}
	c.rdb.AddHook(c.traffic)
	return c, nil
}

var silence sync.Once

type silent struct{}

// Printf implements the logger of go-redis.
func (silent) Printf(context.Context, string, ...any) {}

// InNamespace returns a Conn for another namespace of the same Redis, on the
// same connections. Only the first one is closed.
func (c *Conn) InNamespace(namespace string) *Conn {
	return &Conn{rdb: c.rdb, opts: c.opts, namespace: namespace, keys: NewKeys(namespace), clock: c.clock, log: c.log, traffic: c.traffic}
}

// Redis is the client, for the rooms below this one and nobody else: who is
// outside asks one of them.
func (c *Conn) Redis() redis.UniversalClient { return c.rdb }

// Dedicated returns a client with one connection of its own, for reads that
// block: closing it ends them. What it sends is counted with the rest.
func (c *Conn) Dedicated() redis.UniversalClient {
	opts := *c.opts
	opts.PoolSize = 1
	rdb := redis.NewUniversalClient(&opts)
	rdb.AddHook(c.traffic)
	return rdb
}

// Logger gets what an operator should know.
func (c *Conn) Logger() *slog.Logger { return c.log }

// Close closes the connections.
func (c *Conn) Close() error { return c.rdb.Close() }

// Namespace is the one that it is for.
func (c *Conn) Namespace() string { return c.namespace }

// Keys returns the names of the keys.
func (c *Conn) Keys() Keys { return c.keys }

// Ping says whether Redis answers, and if not, why, in words for an operator.
func (c *Conn) Ping(ctx context.Context) error {
	return Explain(c.rdb.Ping(ctx).Err())
}
