// Package runner is the main of a runner: settings from flags, environment and
// files, one function from its manifest, probes and metrics, and the worker
// until a signal ends it. Whoever has handlers of their own writes
//
//	func main() {
//		wildout.Register("greet", greet)
//		runner.Main()
//	}
//
// The package must not know which handlers there are.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/api/v1alpha1"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
	"github.com/wildout/wildout/runtime/worker"
)

// Main runs the handlers that were added with wildout.Register. It returns
// when the runner was asked to stop, and exits the process on an error, with
// one of the statuses of v1alpha1.
func Main() { MainWith(registered, "") }

// MainWith is Main for handlers that need the settings or the store. usage
// says which variables setup reads; --help prints it.
func MainWith(setup Setup, usage string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	code := Run(ctx, Options{Args: os.Args[1:], Environ: os.Environ(), Setup: setup, Usage: usage, Stderr: os.Stderr})
	if code != 0 {
		stop()
		os.Exit(code) //nolint:gocritic // stop was called
	}
}

// Handlers are what Setup makes.
type Handlers struct {
	Registry *wildout.Registry
	// Missing says which settings the handler of a name lacks; nil or "": none.
	Missing func(handler string) string
	// Run does what the handlers do beside the runs, until ctx ends; may be nil.
	Run func(ctx context.Context) error
	// Close is called at the end; may be nil.
	Close func()
}

// Resources are what Setup may use.
type Resources struct {
	Settings Settings
	Store    *store.Conn
	Logger   *slog.Logger
}

// Setup makes the handlers. It must not need servers to be up.
type Setup func(ctx context.Context, r Resources) (Handlers, error)

func registered(context.Context, Resources) (Handlers, error) {
	return Handlers{Registry: wildout.Default}, nil
}

// Options are what Run needs; all but Usage are required.
type Options struct {
	// Args are the command line without the name of the program, and Environ
	// is the environment as os.Environ gives it.
	Args    []string
	Environ []string
	Setup   Setup
	// Usage is what --help says beside the settings that all runners have.
	Usage  string
	Stderr io.Writer
}

// Run runs the function until ctx ends and returns the exit status of the
// process. What went wrong is written to Stderr and, for Kubernetes to show, to
// the termination log.
func Run(ctx context.Context, o Options) int {
	settings, err := ReadSettings(o.Args, o.Environ, o.Usage, o.Stderr)
	if errors.Is(err, errHelp) {
		return 0
	}
	if err == nil {
		err = run(ctx, settings, o)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(o.Stderr, "runner:", err)
	writeTerminationLog(settings.TerminationLog, err.Error())
	return exitStatus(err)
}

// exitStatus tells the operator what of the runner has ended: a process has no
// other words than prose.
func exitStatus(err error) int {
	var manifest plan.Errors
	var fault *configError
	switch {
	case errors.As(err, &manifest) && manifest.Has(plan.UnknownHandler):
		return v1alpha1.ExitUnknownHandler
	case errors.As(err, &fault):
		return v1alpha1.ExitBadSettings
	}
	return v1alpha1.ExitFailed
}

// configError is a fault that another start does not mend.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func run(ctx context.Context, settings Settings, o Options) error {
	TuneMemory()
	logger := newLogger(settings.LogFormat, o.Stderr)
	slog.SetDefault(logger) // what a handler writes with slog.InfoContext is marked with its run
	redis, err := store.Open(store.Options{URL: settings.RedisURL, CA: []byte(settings.RedisCA), Namespace: settings.Namespace, Logger: logger})
	if err != nil {
		return &configError{err}
	}
	defer redis.Close()
	handlers, err := o.Setup(ctx, Resources{settings, redis, logger})
	if err != nil {
		return &configError{err}
	}
	if handlers.Close != nil {
		defer handlers.Close()
	}
	function, manifest, err := load(settings.Manifest, handlers)
	if err != nil {
		return &configError{err}
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), telemetry.NewRedisTraffic(redis))
	backlog, err := telemetry.NewBacklog(metrics, telemetry.BacklogOptions{Store: redis, Functions: []string{function.Function}, Logger: logger})
	if err != nil {
		return &configError{err}
	}
	tracing := telemetry.Start(ctx, telemetry.Options{Service: function.Function, Namespace: settings.Namespace, Logger: logger, Metrics: metrics})
	defer tracing.Close()
	w, err := worker.New(worker.Options{
		Store: worker.OnRedis(runs.New(redis)), Plan: function, Created: manifest.CreationTimestamp.Time, Added: manifest.Added(), Handlers: handlers.Registry, Env: settings.Env, MaxInFlight: settings.MaxInFlight,
		Lease: settings.Lease, Grace: settings.Grace, Logger: logger, Metrics: worker.NewMetrics(metrics), Tracing: tracing,
	})
	if err != nil {
		return &configError{err}
	}
	logger.Info("runner starts", "function", function.Function, "version", function.Hash, "namespace", settings.Namespace)
	group, ctx := errgroup.WithContext(ctx)
	// Probes and background work outlast the draining of the worker.
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { defer stop(); return w.Run(ctx) })
	group.Go(func() error { return serve(beside, settings.Listen, w.Health, metrics) })
	group.Go(func() error { return backlog.Run(beside) })
	if handlers.Run != nil {
		group.Go(func() error { return handlers.Run(beside) })
	}
	return group.Wait()
}

func newLogger(format string, w io.Writer) *slog.Logger {
	var handler slog.Handler = slog.NewJSONHandler(w, nil)
	if format == "text" {
		handler = slog.NewTextHandler(w, nil)
	}
	return slog.New(telemetry.NewLogHandler(handler))
}

// load reads the one function of a manifest and compiles it.
func load(path string, handlers Handlers) (*plan.Plan, *v1alpha1.WildoutFunction, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the manifest of the function: %w; set WILDOUT_MANIFEST to its path", err)
	}
	functions, _, err := plan.ReadManifests(path, text)
	if err != nil {
		return nil, nil, err
	}
	if len(functions) != 1 {
		return nil, nil, fmt.Errorf("%s has %d functions, and a runner runs exactly one", path, len(functions))
	}
	lacking := map[string]error{}
	known := func(name string) bool {
		if _, ok := handlers.Registry.Lookup(name); ok {
			return true
		}
		if handlers.Missing == nil || handlers.Missing(name) == "" {
			return false
		}
		lacking[name] = fmt.Errorf("the handler %s needs %s", name, handlers.Missing(name))
		return true // it is not the manifest that is at fault
	}
	p, err := plan.Compile(functions[0].Name, &functions[0].Spec, plan.Options{KnownHandler: known})
	if err = errors.Join(append(slices.Collect(maps.Values(lacking)), err)...); err != nil {
		return nil, nil, fmt.Errorf("function %s cannot run:\n%w", functions[0].Name, err)
	}
	return p, &functions[0], nil
}
