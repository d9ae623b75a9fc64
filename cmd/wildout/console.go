package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/settings"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/cmd/wildout/internal/window"
)

// consoleSettings are the settings of `wildout console`.
type consoleSettings struct {
	window.Options
	logFormat string
}

func (c *consoleSettings) all() []settings.Setting {
	a := &c.Access
	return []settings.Setting{
		{Flag: "redis-url", Usage: "Redis, such as redis://:password@host:6379/0", Set: settings.Text(&c.RedisURL)},
		{Flag: "redis-ca", Usage: "certificates of the authorities that sign for rediss://, in PEM", Set: settings.Text(&c.RedisCA)},
		{Flag: "namespace", Default: "default", Usage: "namespace of the functions", Set: settings.Text(&c.Namespace)},
		{Flag: "token-file", Usage: "file with the tokens that people log in with, one per line", Set: settings.Text(&a.TokenFile)},
		{Flag: "trusted-proxies", Usage: "addresses of the proxy that authenticates, such as 10.1.2.0/24, separated by commas", Set: prefixes(&a.TrustedProxies)},
		{Flag: "user-header", Default: "X-Auth-Request-Email,X-Auth-Request-User", Usage: "headers with which the proxy names the user; the first that is set counts", Set: settings.List(&a.UserHeaders)},
		{Flag: "groups-header", Default: "X-Auth-Request-Groups", Usage: "header with the groups of the user", Set: settings.Text(&a.GroupsHeader)},
		{Flag: "allow-actions", Default: "false", Usage: "let everybody who may look also send, cancel and replay", Set: settings.Switch(&a.AllowActions)},
		{Flag: "action-users", Usage: "users of the proxy who may send, cancel and replay, separated by commas", Set: settings.List(&a.ActionUsers)},
		{Flag: "action-groups", Usage: "groups of users who may", Set: settings.List(&a.ActionGroups)},
		{Flag: "event-types", Usage: "folders and files with manifests of event types, separated by commas", Set: settings.List(&c.EventTypes)},
		{Flag: "listen", Default: ":8288", Usage: "address for people", Set: settings.Text(&c.Listen)},
		{Flag: "listen-probes", Default: ":8080", Usage: "address of /healthz, /readyz and /metrics", Set: settings.Text(&c.Probes)},
		{Flag: "tls-cert", Usage: "file with the certificate and its chain, in PEM; serves HTTPS", Set: settings.Text(&c.TLSCert)},
		{Flag: "tls-key", Usage: "file with its key", Set: settings.Text(&c.TLSKey)},
		{Flag: "log-format", Default: "json", Usage: "json or text", Set: settings.OneOf(&c.logFormat, "json", "text")},
	}
}

// prefixes takes networks and addresses that are separated by commas.
func prefixes(into *[]netip.Prefix) func(string) error {
	return func(v string) error {
		var texts []string
		if err := settings.List(&texts)(v); err != nil {
			return err
		}
		*into = nil
		for _, text := range texts {
			prefix, err := netip.ParsePrefix(text)
			if addr, single := netip.ParseAddr(text); single == nil {
				prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
			}
			if err != nil {
				return fmt.Errorf("%q is no network: write one such as 10.1.2.0/24, or an address", text)
			}
			*into = append(*into, prefix.Masked())
		}
		return nil
	}
}

// check reports what does not fit together.
func (c *consoleSettings) check() error {
	switch {
	case c.RedisURL == "":
		return errors.New("no Redis: set --redis-url or $WILDOUT_REDIS_URL to something like redis://host:6379/0")
	case c.Access.TokenFile == "" && len(c.Access.TrustedProxies) == 0:
		return errors.New("nobody could look: --token-file names a file with tokens, --trusted-proxies the addresses of a proxy that authenticates; both may be set")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key belong together: one is missing")
	}
	return nil
}

func consoleCommand() *cobra.Command {
	var c consoleSettings
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the console: pages to look at functions, runs and events",
		Long: `Serves the pages on which people look at functions, runs and events, and the API
behind ` + "`wildout runs`" + ` and the other commands. Whoever looks is known from a proxy
that authenticates (--trusted-proxies), or by a token (--token-file). Nobody may
send, cancel or replay unless told so: --allow-actions, --action-users,
--action-groups.

A setting is a flag, a variable, or a file that the variable with _FILE at its
end names. Tokens, event types and the certificate may be replaced while it runs.
docs/console.md says more.`,
		Example: `  wildout console --redis-url redis://localhost:6379/0 --token-file tokens --event-types config/event-types
  wildout console --redis-url redis://localhost:6379/0 --trusted-proxies 10.1.0.0/16 --action-groups operators`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settings.Read(cmd.Flags(), os.Environ(), c.all()); err != nil {
				return err
			}
			if err := c.check(); err != nil {
				return err
			}
			c.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
			if c.logFormat == "text" {
				c.Logger = slog.New(term.NewLogHandler(cmd.ErrOrStderr()))
			}
			return window.Run(cmd.Context(), c.Options)
		},
	}
	settings.AddFlags(cmd.Flags(), c.all())
	return cmd
}
