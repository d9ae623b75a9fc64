// Package server is an HTTP server that faces strangers: it bounds how long a
// client may take and how many connections there are, serves certificates that
// are replaced while it runs, and stops without losing an answer. The package
// must not know what is served.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Options are what Serve needs. Only Listener and Handler have no default.
type Options struct {
	Listener net.Listener
	Handler  http.Handler
	// Certificate serves HTTPS; nil serves HTTP.
	Certificate *Certificate
	// MaxConnections bounds the open connections: 8,192 by default. Beyond it
	// the one that has been idle for longest is closed, and without one a new
	// connection waits.
	MaxConnections int
	// HeaderTimeout bounds the time in which the header of a request must have
	// come, 5 s by default; RequestTimeout that of the whole request, and then
	// that in which its answer must have gone: 30 s by default.
	HeaderTimeout, RequestTimeout time.Duration
	// Drain is how long the server goes on taking requests once it was asked to
	// stop, so that those who send to it learn it before a connection is
	// refused; every answer then closes its connection. 0 by default.
	Drain time.Duration
	// Grace is how long requests may go on after that: 20 s by default.
	Grace time.Duration
	// Logger gets what net/http complains of. Nil: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing or wrong, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Listener == nil || o.Handler == nil {
		return errors.New("server: no listener, or no handler")
	}
	if o.MaxConnections < 0 || o.HeaderTimeout < 0 || o.RequestTimeout < 0 || o.Drain < 0 || o.Grace < 0 {
		return errors.New("server: a bound is less than 0")
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 8192
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 5 * time.Second
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 30 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 20 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

const (
	idleTimeout    = time.Minute
	maxHeaderBytes = 32 << 10
	maxStreams     = 128 // requests at a time on one connection of HTTP/2
)

// Serve serves until ctx ends, and then ends in order: it goes on for Drain,
// refuses new connections, and returns when all requests were answered, or
// with an error when some were cut off after Grace.
func Serve(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	connections := limit(o.Listener, o.MaxConnections)
	var leaving atomic.Bool
	server := &http.Server{
		Handler: sayGoodbye(&leaving, o.Handler), ReadHeaderTimeout: o.HeaderTimeout, ReadTimeout: o.RequestTimeout, WriteTimeout: 2 * o.RequestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnState: connections.state,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: log.New(complaints{o.Logger}, "", 0),
	}
	var listener net.Listener = connections
	if o.Certificate != nil {
		server.TLSConfig = &tls.Config{GetCertificate: o.Certificate.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		listener = tls.NewListener(connections, server.TLSConfig)
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		leaving.Store(true)
		ended <- shutdown(server, o)
	})
	err := server.Serve(listener)
	if stop() { // it failed by itself
		return fmt.Errorf("HTTP server on %s: %w", o.Listener.Addr(), err)
	}
	return <-ended
}

// sayGoodbye closes each connection with its next answer, once the server is
// about to stop. To close those that are idle would be simpler, and would lose
// the request that is on its way.
func sayGoodbye(leaving *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func shutdown(server *http.Server, o Options) error {
	time.Sleep(o.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), o.Grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
		return fmt.Errorf("requests were cut off: they took longer than %s", o.Grace)
	}
	return nil
}

// complaints passes on what net/http complains of: clients that end a
// connection in the middle, or do not speak TLS. It is for who looks for it.
type complaints struct{ log *slog.Logger }

func (c complaints) Write(p []byte) (int, error) {
	c.log.Debug("HTTP", "complaint", string(p))
	return len(p), nil
}
