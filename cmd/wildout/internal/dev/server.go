// Package dev is `wildout dev`: everything in one process, without a cluster.
// It joins the real parts (gateway, console, worker, handlers) with servers
// for a developer: a Redis, a SQLite file, an SMTP sink. A function behaves
// here as it does on Kubernetes, for the worker is the same. The package must
// not know how a function is carried out.
package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
	"github.com/wildout/wildout/internal/mailsink"
	"github.com/wildout/wildout/internal/standard"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/console/web"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/runner"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/telemetry"
	"github.com/wildout/wildout/runtime/worker"
)

// Options configure a Server. The zero value is ready.
type Options struct {
	// Paths are folders and files with manifests; manifest.DefaultPaths() when
	// empty.
	Paths []string
	// DataDir keeps Redis and SQLite: .wildout by default.
	DataDir string
	// RedisURL, DatabaseURL and SMTPURL name servers to use in place of own ones.
	RedisURL, DatabaseURL, SMTPURL string
	// EmbeddedRedis uses the built-in Redis even if redis-server is installed.
	EmbeddedRedis bool
	// Migrate brings the tables of DatabaseURL up to date; those of the own
	// SQLite file always are.
	Migrate bool
	// GatewayConfig is a configuration of the gateway, of which the webhooks
	// are taken; may be empty.
	GatewayConfig string
	// Listen is the address of HTTP: 127.0.0.1:8288 by default.
	Listen string
	// Hosts are names that the server may be asked for, and whose pages may ask,
	// besides addresses and names without a dot: that of a tunnel, perhaps.
	Hosts []string
	// Namespace of the functions: default.
	Namespace string
	// Env is what expressions see as `env`, over DefaultEnv.
	Env map[string]string
	// Logger gets a line per run. Nil: slog.Default().
	Logger *slog.Logger
}

// DefaultEnv is what the site's functions need to know, so that they work
// without settings.
func DefaultEnv() map[string]string {
	return map[string]string{
		"SITE_NAME":         "Wildout",
		"ADMIN_EMAIL":       "admin@wildout.example",
		"SECURITY_CONTACTS": "security@wildout.example",
	}
}

// Function is a function as the server lists it.
type Function struct {
	Name     string
	Triggers []string
}

// About is what a developer wants to know of a Server that is ready.
type About struct {
	URL, Redis, Database, Mail string
	Functions                  []Function
}

// Server is the one process. It runs once.
type Server struct {
	opts  Options
	log   *slog.Logger
	ready chan struct{}
	once  sync.Once

	redis     *redisServer
	store     *store.Conn
	sink      *mailsink.Sink // nil with SMTPURL
	handlers  *standard.Set
	types     intake.Types
	events    *gateway.Gateway
	console   *console.Service
	site      *web.Site
	declared  atomic.Pointer[[]console.EventType]
	functions *functions
	workers   context.Context // of the workers
	metrics   *prometheus.Registry
	backlog   *telemetry.Backlog
	about     About
}

// New returns a Server. It touches nothing before Run.
func New(o Options) *Server {
	if len(o.Paths) == 0 {
		o.Paths = manifest.DefaultPaths()
	}
	o.DataDir = cmp.Or(o.DataDir, ".wildout")
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:8288")
	o.Namespace = cmp.Or(o.Namespace, "default")
	o.Logger = cmp.Or(o.Logger, slog.Default())
	env := DefaultEnv()
	maps.Copy(env, o.Env)
	o.Env = env
	return &Server{opts: o, log: o.Logger, ready: make(chan struct{})}
}

// Ready is closed when the server answers and every function is being run.
func (s *Server) Ready() <-chan struct{} { return s.ready }

func (s *Server) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// About describes the server; once it is Ready.
func (s *Server) About() About {
	a := s.about
	a.Functions = s.functions.list()
	return a
}

// Handlers are the handlers and the database; once it is Ready.
func (s *Server) Handlers() *standard.Set { return s.handlers }

// Mails returns what the SMTP sink was sent; once it is Ready.
func (s *Server) Mails() []mailsink.Message {
	if s.sink == nil {
		return nil
	}
	return s.sink.Messages()
}

// Run serves until ctx ends. Runs that are under way then go on when the
// server is started again, unless Redis is the built-in one.
func (s *Server) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.opts.Listen)
	if err != nil {
		return fmt.Errorf("%w: is another `wildout dev` running? --listen takes another address", err)
	}
	defer listener.Close()
	s.about.URL = "http://" + listener.Addr().String()
	unlock, err := lockFolder(s.opts.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	// Servers outlast the workers, which have something to write at the end.
	servers, stopServers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServers()
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	group, ctx := errgroup.WithContext(ctx)
	s.workers = ctx
	tracing := telemetry.Start(ctx, telemetry.Options{Service: "wildout-dev", Namespace: s.opts.Namespace, Logger: s.log, Metrics: s.metrics})
	defer tracing.Close()
	s.functions = &functions{store: s.store, tracing: tracing, handlers: s.handlers.Registry, env: s.opts.Env, metrics: worker.NewMetrics(s.metrics), log: s.log, running: map[string]*running{}}
	handler, err := s.routes()
	if err != nil {
		return errors.Join(err, s.close())
	}
	if err := s.load(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	group.Go(func() error { defer stopServers(); <-ctx.Done(); s.site.Close(); s.functions.wait(); return nil })
	group.Go(func() error { return runner.Serve(servers, listener, handler) })
	group.Go(func() error { return s.events.Run(servers) })
	group.Go(func() error { return s.console.Serve(servers) })
	group.Go(func() error { return s.handlers.Run(servers) })
	group.Go(func() error { return s.backlog.Run(servers) })
	if s.sink != nil {
		group.Go(func() error { return s.sink.Run(servers) })
	}
	group.Go(func() error { return s.watch(ctx) })
	group.Go(func() error { s.awaitReady(ctx); return nil })
	return errors.Join(group.Wait(), s.close())
}

// open starts or connects to what the functions need.
func (s *Server) open(ctx context.Context) (err error) {
	if s.redis, err = startRedis(ctx, &s.opts); err != nil {
		return err
	}
	s.about.Redis = s.redis.about
	if s.store, err = store.Open(store.Options{URL: s.redis.url, Namespace: s.opts.Namespace, Logger: s.log}); err != nil {
		return err
	}
	if err := s.awaitRedis(ctx); err != nil {
		return err
	}
	s.metrics = prometheus.NewRegistry()
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), telemetry.NewRedisTraffic(s.store))
	if s.backlog, err = telemetry.NewBacklog(s.metrics, telemetry.BacklogOptions{Store: s.store, Logger: s.log}); err != nil {
		return err
	}
	smtp := s.opts.SMTPURL
	s.about.Mail = "sent through the server of --smtp"
	if smtp == "" {
		if s.sink, err = mailsink.New(mailsink.Options{Log: s.log}); err != nil {
			return err
		}
		smtp = "smtp://" + s.sink.Addr() + "?starttls=off"
		s.about.Mail = s.about.URL + "/mails (kept here, sent to nobody)"
	}
	database := s.opts.DatabaseURL
	s.about.Database = "the one of --database"
	if database == "" {
		file := filepath.Join(s.opts.DataDir, "dev.db")
		database, s.about.Database = "sqlite:"+file, "SQLite in "+file
	}
	s.handlers, err = standard.New(ctx, standard.Options{
		DatabaseURL: database, SMTPURL: smtp, From: s.opts.Env["SITE_NAME"] + " <no-reply@wildout.example>",
		AllowPrivate: true, Fallback: s.store.Fallback("audit"), CheckRedis: s.store.Ping, Logger: s.log,
		Backlog: func(ctx context.Context) (int64, error) { return telemetry.TotalBacklog(ctx, s.store) },
	})
	if err != nil {
		return err
	}
	if s.opts.DatabaseURL == "" || s.opts.Migrate {
		return standard.MigrateDB(ctx, s.handlers.DB.DB, s.handlers.DB.Dialect)
	}
	return nil
}

// awaitRedis waits while Redis is away or loading, and says so.
func (s *Server) awaitRedis(ctx context.Context) error {
	said := ""
	for {
		err := s.store.Ping(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if said != err.Error() {
			said = err.Error()
			s.log.Error("waiting for Redis", "error", err)
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s *Server) close() error {
	if s.handlers != nil {
		s.handlers.Close()
	}
	var err error
	if s.sink != nil {
		err = s.sink.Close()
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.redis != nil {
		s.redis.stop()
	}
	return err
}

// awaitReady closes Ready once every worker works.
func (s *Server) awaitReady(ctx context.Context) {
	for ctx.Err() == nil {
		if s.functions.health() == nil {
			s.once.Do(func() { close(s.ready) })
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *Server) routes() (_ http.Handler, err error) {
	mux := http.NewServeMux()
	if err := s.registerGateway(mux); err != nil {
		return nil, err
	}
	s.console, err = console.New(console.Options{Store: s.store, Authorize: console.AllowAll, Send: s.sendFromConsole, Types: s.declaredTypes, Logger: s.log})
	if err != nil {
		return nil, err
	}
	if err := s.registerSite(mux); err != nil {
		return nil, err
	}
	runner.RegisterProbes(mux, s.functions.health, s.metrics)
	return s.guard(mux), nil
}
