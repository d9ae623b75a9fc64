// Package front is `wildout gateway`: it joins the gateway with its
// configuration, the other ways in, the event types, and the HTTP server that
// faces strangers. What is read from files follows them while it runs. The
// package must not know how events are checked or stored.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/cloudevents"
	"github.com/wildout/wildout/runtime/gateway/config"
	"github.com/wildout/wildout/runtime/gateway/files"
	"github.com/wildout/wildout/runtime/gateway/server"
	"github.com/wildout/wildout/runtime/gateway/tokenreview"
	"github.com/wildout/wildout/runtime/gateway/webhook"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/runner"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/telemetry"
)

// Options are what Run needs.
type Options struct {
	// RedisURL, RedisCA (in PEM, may be empty) and Namespace say where events go.
	RedisURL, RedisCA, Namespace string
	// Config is the file with senders and webhooks. Empty: everybody may send.
	Config string
	// EventTypes are folders and files with manifests of event types.
	EventTypes []string
	Strict     bool
	// Listen is the address for events, Probes that of /healthz, /readyz and
	// /metrics.
	Listen, Probes string
	// TLSCert and TLSKey are files; both empty: HTTP.
	TLSCert, TLSKey string
	// TokenAudience is whom ServiceAccount tokens must be made for; empty: the
	// default of tokenreview.
	TokenAudience string
	// Limits of the gateway and of the server, as these describe them.
	MaxBodyBytes, MaxRequestBytes  int64
	MaxRequests, MaxConnections    int
	MemoryThreshold                float64
	PublishTimeout, RequestTimeout time.Duration
	Drain, Grace                   time.Duration
	Logger                         *slog.Logger
	// Listening is called with the two addresses once both are open; may be nil.
	Listening func(events, probes string)
}

// front is the process.
type front struct {
	opts        Options
	log         *slog.Logger
	metrics     *prometheus.Registry
	store       *store.Conn
	gateway     *gateway.Gateway
	types       intake.Types
	typesFault  string // what was said of the event types
	live        *config.Live
	reviewer    *tokenreview.Reviewer
	webhooks    atomic.Pointer[webhook.Handler]
	counts      *gateway.Metrics
	hookMetrics *webhook.Metrics
	backlog     *telemetry.Backlog
	certificate *server.Certificate // nil: HTTP
	leaving     atomic.Bool
}

// Run serves until ctx ends, and then ends in order.
func Run(ctx context.Context, o Options) error {
	f := &front{opts: o, log: o.Logger, metrics: prometheus.NewRegistry()}
	if err := f.open(); err != nil {
		return errors.Join(err, f.close())
	}
	return errors.Join(f.serve(ctx), f.close())
}

// open reads all there is to read. Redis need not be there.
func (f *front) open() (err error) {
	o := f.opts
	if f.store, err = store.Open(store.Options{URL: o.RedisURL, CA: []byte(o.RedisCA), Namespace: o.Namespace, Logger: f.log}); err != nil {
		return err
	}
	f.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), telemetry.NewRedisTraffic(f.store),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wildout_gateway_config_stale",
			Help: "1 while the configuration on disk cannot be used, and the last good one stays."}, f.stale))
	// That of all functions, so that one without a runner is seen too.
	if f.backlog, err = telemetry.NewBacklog(f.metrics, telemetry.BacklogOptions{Store: f.store, Logger: f.log}); err != nil {
		return err
	}
	f.counts = gateway.NewMetrics(f.metrics)
	f.hookMetrics = webhook.NewMetrics(f.metrics, f.counts)
	settings := gateway.Options{
		Backend: f.store, Types: &f.types, Strict: o.Strict, Metrics: f.counts, Logger: f.log, MaxBodyBytes: o.MaxBodyBytes, MaxRequests: o.MaxRequests,
		MaxRequestBytes: o.MaxRequestBytes, MemoryThreshold: o.MemoryThreshold, PublishTimeout: o.PublishTimeout,
	}
	if o.Config != "" {
		settings.Authenticator = f
	}
	if f.gateway, err = gateway.New(settings); err != nil {
		return err
	}
	if err := f.loadTypes(); err != nil {
		return err
	}
	if o.Config != "" {
		if f.live, err = config.Open(o.Config, f.log, f.apply); err != nil {
			return err
		}
	}
	if o.TLSCert != "" || o.TLSKey != "" {
		f.certificate, err = server.OpenCertificate(o.TLSCert, o.TLSKey)
	}
	return err
}

func (f *front) close() error {
	if f.reviewer != nil {
		f.reviewer.Close()
	}
	if f.store != nil {
		return f.store.Close()
	}
	return nil
}

func (f *front) serve(ctx context.Context) error {
	events, err := net.Listen("tcp", f.opts.Listen)
	if err != nil {
		return fmt.Errorf("%w: --listen takes another address", err)
	}
	defer events.Close()
	probes, err := net.Listen("tcp", f.opts.Probes)
	if err != nil {
		return fmt.Errorf("%w: --listen-probes takes another address", err)
	}
	defer probes.Close()
	ways, err := f.ways()
	if err != nil {
		return err
	}
	inside := http.NewServeMux()
	runner.RegisterProbes(inside, f.ready, f.metrics)
	f.log.Info("gateway starts", "listen", events.Addr().String(), "probes", probes.Addr().String(), "tls", f.certificate != nil, "namespace", f.opts.Namespace)
	if f.opts.Listening != nil {
		f.opts.Listening(events.Addr().String(), probes.Addr().String())
	}
	group, ctx := errgroup.WithContext(ctx)
	// The probes and the watch over Redis outlast the last request.
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopSaying := context.AfterFunc(ctx, func() { f.leaving.Store(true) })
	defer stopSaying()
	group.Go(func() error {
		defer stop()
		return server.Serve(ctx, server.Options{Listener: events, Handler: ways, Certificate: f.certificate, MaxConnections: f.opts.MaxConnections,
			RequestTimeout: f.opts.RequestTimeout, Drain: f.opts.Drain, Grace: f.opts.Grace, Logger: f.log})
	})
	group.Go(func() error { return runner.Serve(beside, probes, inside) })
	group.Go(func() error { return f.gateway.Run(beside) })
	group.Go(func() error { return f.backlog.Run(beside) })
	group.Go(func() error { return files.Watch(ctx, f.log, f.files, f.reload) })
	return group.Wait()
}

// ways are all ways in.
func (f *front) ways() (http.Handler, error) {
	mux := http.NewServeMux()
	f.gateway.Register(mux)
	events, err := cloudevents.New(cloudevents.Options{Gateway: f.gateway, Metrics: f.counts, Logger: f.log})
	if err != nil {
		return nil, err
	}
	events.Register(mux)
	mux.Handle("POST /webhooks/{name}", f.gateway.Guard("webhook", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := f.webhooks.Load(); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})))
	return mux, nil
}

// ready says why no events should be sent here; nil: they should.
func (f *front) ready() error {
	if f.leaving.Load() {
		return errors.New("the gateway is about to stop")
	}
	return f.gateway.Ready()
}
