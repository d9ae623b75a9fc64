// Package telemetry is what an operator sees of runs from outside: spans for
// an OpenTelemetry collector, the ids on log lines, and the gauges that are
// read from Redis. It decides which trace and which span a run is, so that the
// parts of a run that several runners did join up. It must not know how a run
// is carried out, and nothing in it may stop or slow a run.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/wildout/wildout/runtime/telemetry/otlp"
)

// scope is the name of the instrumentation in every span.
const scope = "github.com/wildout/wildout/runtime"

// flushPatience bounds what Close waits for a collector.
const flushPatience = 5 * time.Second

// Options say whose spans they are. Where they go and how many are kept is said
// by the environment (OTEL_*), as OpenTelemetry has it.
type Options struct {
	// Service is service.name, unless OTEL_SERVICE_NAME says otherwise.
	Service string
	// Namespace is service.namespace; may be empty.
	Namespace string
	// Instance is service.instance.id: the name of the pod. Default: the host name.
	Instance string
	// Version is service.version; may be empty.
	Version string
	// Logger is told, seldom, that the collector does not take spans. Default:
	// slog.Default().
	Logger *slog.Logger
	// Metrics get the counts of spans; may be nil.
	Metrics prometheus.Registerer
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Instance == "" {
		o.Instance, _ = os.Hostname() // without one the attribute is left out
	}
	if o.Service == "" {
		return errors.New("telemetry: no service name")
	}
	return nil
}

// Tracing makes the spans of runs and sends them. The nil Tracing makes none;
// what an event carries is passed on all the same.
type Tracing struct {
	log      *slog.Logger
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Start returns a Tracing, or nil when the environment names no collector
// (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or turns
// traces off (OTEL_SDK_DISABLED=true, OTEL_TRACES_EXPORTER=none). It connects to
// nothing yet. A fault in the settings is logged: it costs the spans, and not
// the runs. Close ends the Tracing.
func Start(ctx context.Context, o Options) *Tracing {
	t, err := open(ctx, &o)
	if err != nil {
		o.Logger.Error("no spans are sent", "error", err)
	}
	return t
}

func open(ctx context.Context, o *Options) (*Tracing, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	wanted, err := wanted(os.Getenv)
	if !wanted || err != nil {
		return nil, err
	}
	target, err := otlp.FromEnvironment(os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("telemetry: where traces go: %w", err)
	}
	exporter, err := otlptrace.New(ctx, otlp.NewClient(target))
	if err != nil {
		return nil, fmt.Errorf("telemetry: the exporter of traces: %w", err)
	}
	about, err := describe(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("telemetry: describe this process: %w; look at OTEL_RESOURCE_ATTRIBUTES", err)
	}
	counts := newSpanCounts(o.Metrics)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithIDGenerator(generator{}),
		sdktrace.WithSpanProcessor(counts),
		// It drops what does not fit into its queue, and never waits. The sampler
		// is that of OTEL_TRACES_SAMPLER: that of the parent, by default.
		sdktrace.WithBatcher(&watched{SpanExporter: exporter, log: o.Logger, counts: counts}),
	)
	return &Tracing{log: o.Logger, provider: provider, tracer: provider.Tracer(scope, trace.WithInstrumentationVersion(o.Version))}, nil
}

// wanted reads whether there is to be tracing.
func wanted(getenv func(string) string) (bool, error) {
	endpoint := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	exporters := getenv("OTEL_TRACES_EXPORTER")
	if exporters != "" && !slices.Contains(strings.Split(exporters, ","), "otlp") {
		return false, nil
	}
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return false, fmt.Errorf("telemetry: OTEL_EXPORTER_OTLP_PROTOCOL is %q and only http/protobuf is spoken: leave it out, and name the port of the collector for HTTP, 4318 as a rule", protocol)
	}
	return true, nil
}

// describe makes the resource. What the environment says wins.
func describe(ctx context.Context, o *Options) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{semconv.ServiceName(o.Service)}
	for _, a := range []attribute.KeyValue{
		semconv.ServiceNamespace(o.Namespace), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance),
	} {
		if a.Value.AsString() != "" {
			attributes = append(attributes, a)
		}
	}
	return resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(attributes...), resource.WithFromEnv())
}

// Close sends what is left, for a few seconds at most, and ends the Tracing.
func (t *Tracing) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushPatience)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last spans were not sent", "error", err)
	}
}
