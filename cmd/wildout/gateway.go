package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/front"
	"github.com/wildout/wildout/cmd/wildout/internal/settings"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/runner"
)

// gatewaySettings are the settings of `wildout gateway`.
type gatewaySettings struct {
	front.Options
	anyone    bool
	logFormat string
}

func (g *gatewaySettings) all() []settings.Setting {
	return []settings.Setting{
		{Flag: "redis-url", Usage: "Redis, such as redis://:password@host:6379/0", Set: settings.Text(&g.RedisURL)},
		{Flag: "redis-ca", Usage: "certificates of the authorities that sign for rediss://, in PEM", Set: settings.Text(&g.RedisCA)},
		{Flag: "namespace", Default: "default", Usage: "namespace of the functions", Set: settings.Text(&g.Namespace)},
		{Flag: "config", Usage: "file with the senders and the webhooks (docs/gateway.md)", Set: settings.Text(&g.Config)},
		{Flag: "anyone", Default: "false", Usage: "without a configuration: take events from everybody, with any key", Set: settings.Switch(&g.anyone)},
		{Flag: "event-types", Usage: "folders and files with manifests of event types, separated by commas", Set: settings.List(&g.EventTypes)},
		{Flag: "strict", Default: "false", Usage: "refuse events of types that have no manifest", Set: settings.Switch(&g.Strict)},
		{Flag: "listen", Default: ":8288", Usage: "address for events", Set: settings.Text(&g.Listen)},
		{Flag: "listen-probes", Default: ":8080", Usage: "address of /healthz, /readyz and /metrics", Set: settings.Text(&g.Probes)},
		{Flag: "tls-cert", Usage: "file with the certificate and its chain, in PEM; serves HTTPS", Set: settings.Text(&g.TLSCert)},
		{Flag: "tls-key", Usage: "file with its key", Set: settings.Text(&g.TLSKey)},
		{Flag: "token-audience", Default: "wildout-gateway", Usage: "whom ServiceAccount tokens must be made for", Set: settings.Text(&g.TokenAudience)},
		{Flag: "max-body", Default: "16Mi", Usage: "largest body of a request", Set: settings.Bytes(&g.MaxBodyBytes)},
		{Flag: "max-requests", Default: "1024", Usage: "most requests that are worked on at the same time", Set: settings.Count(&g.MaxRequests)},
		{Flag: "max-request-bytes", Default: "64Mi", Usage: "most bytes of bodies at the same time; a byte takes about four of memory", Set: settings.Bytes(&g.MaxRequestBytes)},
		{Flag: "max-connections", Default: "8192", Usage: "most open connections", Set: settings.Count(&g.MaxConnections)},
		{Flag: "memory-threshold", Default: "90%", Usage: "how full Redis may be, of its maxmemory, before events are refused", Set: settings.Part(&g.MemoryThreshold)},
		{Flag: "publish-timeout", Default: "5s", Usage: "longest wait for Redis", Set: settings.Duration(&g.PublishTimeout, false)},
		{Flag: "request-timeout", Default: "30s", Usage: "longest time for a request to come", Set: settings.Duration(&g.RequestTimeout, false)},
		{Flag: "drain", Default: "5s", Usage: "how long requests are still taken after a signal to stop", Set: settings.Duration(&g.Drain, true)},
		{Flag: "grace", Default: "20s", Usage: "how long those under way may then take", Set: settings.Duration(&g.Grace, false)},
		{Flag: "log-format", Default: "json", Usage: "json or text", Set: settings.OneOf(&g.logFormat, "json", "text")},
	}
}

// check reports what does not fit together.
func (g *gatewaySettings) check() error {
	switch {
	case g.RedisURL == "":
		return errors.New("no Redis: set --redis-url or $WILDOUT_REDIS_URL to something like redis://host:6379/0")
	case g.Config == "" && !g.anyone:
		return errors.New("nobody could send: --config names the file with the senders; --anyone takes events from everybody, to try it out")
	case g.Config != "" && g.anyone:
		return errors.New("--anyone and --config exclude each other: the configuration says who may send")
	case (g.TLSCert == "") != (g.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key belong together: one is missing")
	}
	return nil
}

func gatewayCommand() *cobra.Command {
	var g gatewaySettings
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Take events over HTTP",
		Long: `Takes events over HTTP and publishes them: in the form of the Inngest event API
(POST /e/KEY), as CloudEvents (POST /cloudevents) and as webhooks of other
services (POST /webhooks/NAME). It knows its senders by their keys or by their
ServiceAccounts, and checks events against the schemas of their types. An answer
of 2xx means that Redis has the events.

A setting is a flag, a variable, or a file that the variable with _FILE at its
end names. The configuration, the keys, the event types and the certificate may
be replaced while it runs. docs/gateway.md says more.`,
		Example: `  wildout gateway --redis-url redis://localhost:6379/0 --config gateway.yaml --event-types config/event-types
  wildout gateway --redis-url redis://localhost:6379/0 --anyone --log-format text`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settings.Read(cmd.Flags(), os.Environ(), g.all()); err != nil {
				return err
			}
			if err := g.check(); err != nil {
				return err
			}
			return g.run(cmd.Context(), cmd)
		},
	}
	settings.AddFlags(cmd.Flags(), g.all())
	return cmd
}

func (g *gatewaySettings) run(ctx context.Context, cmd *cobra.Command) error {
	runner.TuneMemory()
	g.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
	if g.logFormat == "text" {
		g.Logger = slog.New(term.NewLogHandler(cmd.ErrOrStderr()))
	}
	return front.Run(ctx, g.Options)
}
