// Package window is `wildout console`: it joins the console's pages and API
// with Redis, the event types, and the HTTP server that faces people. Tokens,
// event types and the certificate follow their files while it runs. The package
// must not know what pages look like.
package window

import (
	"context"
	"encoding/json"
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

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/console/web"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/files"
	"github.com/wildout/wildout/runtime/gateway/server"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/runner"
	"github.com/wildout/wildout/runtime/store"
)

// Options are what Run needs.
type Options struct {
	// RedisURL, RedisCA (in PEM, may be empty) and Namespace say what is shown.
	RedisURL, RedisCA, Namespace string
	// EventTypes are folders and files with manifests of event types; events
	// that are sent are checked against them.
	EventTypes []string
	// Access says who may look and act.
	Access web.Access
	// Listen is the address for people, Probes that of /healthz, /readyz and
	// /metrics.
	Listen, Probes string
	// TLSCert and TLSKey are files; both empty: HTTP.
	TLSCert, TLSKey string
	Logger          *slog.Logger
	// Listening is called with the two addresses once both are open; may be nil.
	Listening func(people, probes string)
}

// window is the process.
type window struct {
	opts        Options
	log         *slog.Logger
	metrics     *prometheus.Registry
	store       *store.Conn
	gateway     *gateway.Gateway
	types       intake.Types
	declared    atomic.Pointer[[]console.EventType]
	service     *console.Service
	site        *web.Site
	certificate *server.Certificate // nil: HTTP
}

// Run serves until ctx ends, and then ends in order.
func Run(ctx context.Context, o Options) error {
	w := &window{opts: o, log: o.Logger, metrics: prometheus.NewRegistry()}
	if err := w.open(); err != nil {
		return errors.Join(err, w.close())
	}
	return errors.Join(w.serve(ctx), w.close())
}

// open reads all there is to read. Redis need not be there.
func (w *window) open() (err error) {
	o := w.opts
	if err := o.Access.Validate(); err != nil {
		return err
	}
	if w.store, err = store.Open(store.Options{URL: o.RedisURL, CA: []byte(o.RedisCA), Namespace: o.Namespace, Logger: w.log}); err != nil {
		return err
	}
	w.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if w.gateway, err = gateway.New(gateway.Options{Backend: w.store, Types: &w.types, Logger: w.log}); err != nil {
		return err
	}
	if err := w.loadTypes(); err != nil {
		return err
	}
	w.service, err = console.New(console.Options{Store: w.store, Authorize: web.Authorize, Send: w.send, Types: w.declaredTypes, Logger: w.log})
	if err != nil {
		return err
	}
	if w.site, err = web.New(web.Options{Service: w.service, Access: &o.Access, AnyHost: true, Namespace: o.Namespace, Logger: w.log}); err != nil {
		return err
	}
	if o.TLSCert != "" || o.TLSKey != "" {
		w.certificate, err = server.OpenCertificate(o.TLSCert, o.TLSKey)
	}
	return err
}

func (w *window) close() error {
	if w.store != nil {
		return w.store.Close()
	}
	return nil
}

// grace is how long requests may go on once the process is asked to stop.
const grace = 10 * time.Second

func (w *window) serve(ctx context.Context) error {
	people, err := net.Listen("tcp", w.opts.Listen)
	if err != nil {
		return fmt.Errorf("%w: --listen takes another address", err)
	}
	defer people.Close()
	probes, err := net.Listen("tcp", w.opts.Probes)
	if err != nil {
		return fmt.Errorf("%w: --listen-probes takes another address", err)
	}
	defer probes.Close()
	mux, api, inside := http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	w.service.Register(api)
	mux.Handle("/v1/", w.site.Protect(api))
	w.site.Register(mux)
	runner.RegisterProbes(inside, w.ready, w.metrics)
	w.log.Info("console starts", "listen", people.Addr().String(), "probes", probes.Addr().String(), "tls", w.certificate != nil, "namespace", w.opts.Namespace)
	if w.opts.Listening != nil {
		w.opts.Listening(people.Addr().String(), probes.Addr().String())
	}
	group, ctx := errgroup.WithContext(ctx)
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	endStreams := context.AfterFunc(ctx, w.site.Close)
	defer endStreams()
	group.Go(func() error {
		defer stop()
		return server.Serve(ctx, server.Options{Listener: people, Handler: mux, Certificate: w.certificate, Grace: grace, Logger: w.log})
	})
	group.Go(func() error { return runner.Serve(beside, probes, inside) })
	group.Go(func() error { return w.gateway.Run(beside) })
	group.Go(func() error { return w.service.Serve(ctx) })
	group.Go(func() error { return files.Watch(ctx, w.log, w.files, w.reload) })
	return group.Wait()
}

// ready says why people would see an error; nil: they would not.
func (w *window) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return w.store.Ping(ctx)
}

// send publishes events that somebody sends from a page, by the way that all
// others take.
func (w *window) send(ctx context.Context, events []*event.Event) error {
	err := w.gateway.Accept(ctx, &gateway.Sender{Name: "console", Types: []string{"*"}}, events)
	var refusal *gateway.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	problem := &console.Problem{Status: refusal.Status, Text: refusal.Message}
	for _, f := range refusal.Faults {
		problem.Faults = append(problem.Faults, console.Fault(f))
	}
	return problem
}

// files are what to watch.
func (w *window) files() []string {
	all := append([]string{}, w.opts.EventTypes...)
	if w.certificate != nil {
		all = append(all, w.certificate.Files()...)
	}
	return all
}

// reload reads the files again; what cannot be used stays as it was.
func (w *window) reload() {
	if err := w.loadTypes(); err != nil {
		w.log.Error("the event types cannot be used; the last good ones stay", "error", err)
	}
	if w.certificate == nil {
		return
	}
	if err := w.certificate.Reload(); err != nil {
		w.log.Error("the last good certificate stays", "error", err, "until", w.certificate.Expires())
	}
}

func (w *window) loadTypes() error {
	if len(w.opts.EventTypes) == 0 {
		return nil
	}
	set, err := manifest.Load(w.opts.EventTypes, nil)
	if err == nil {
		err = set.Err()
	}
	if err != nil {
		return err
	}
	schemas := make(map[string]json.RawMessage, len(set.EventTypes))
	all := make([]console.EventType, len(set.EventTypes))
	for i, t := range set.EventTypes {
		schemas[t.Name] = t.Schema
		all[i] = console.EventType{Type: t.Name, Description: t.Description, Schema: t.Schema}
	}
	if err := w.types.Set(schemas); err != nil {
		return err
	}
	w.declared.Store(&all)
	return nil
}

// declaredTypes returns the event types of the manifests.
func (w *window) declaredTypes() []console.EventType {
	if all := w.declared.Load(); all != nil {
		return *all
	}
	return nil
}
