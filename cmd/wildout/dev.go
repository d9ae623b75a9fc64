package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/cmd/wildout/internal/dev"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/telemetry"
)

// devFlags are the flags of `wildout dev` that are no dev.Options.
type devFlags struct {
	logFormat string
	env       []string
	demo      bool
}

func devCommand() *cobra.Command {
	var o dev.Options
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev [DIR|FILE ...]",
		Short: "Run functions on this machine, without a cluster",
		Long: `Runs all functions of the manifests in one process, and follows the files: what
you save is what runs. Without arguments it reads config/event-types and
config/functions if they are there, else the current folder.

It brings what functions need: Redis (redis-server if it is installed, with its
data in .wildout, else one that is built in and forgets), a database (SQLite in
.wildout), and an SMTP server that keeps the mails for you to look at. Each can
be replaced by a real one.

Expressions see the variables WILDOUT_ENV_NAME, and those of --env, as env.NAME.`,
		Example: `  wildout dev                                       the functions of this folder
  wildout dev hello.yaml                            one function
  wildout dev --redis redis://localhost:6379/0 --database postgres://me@localhost/site --migrate
  wildout dev --demo                                with sample data and sample events

  curl localhost:8288/e/dev -d '{"name":"user/registered","data":{"userId":"u1","email":"u1@example.com"}}'
  curl localhost:8288/v1/runs
  curl localhost:8288/mail`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Paths = args
			return runDev(cmd, o, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8288", "address of HTTP")
	flags.StringArrayVar(&o.Hosts, "allow-host", nil, "name that browsers and tunnels may ask for besides localhost, such as x.tunnel.example;\nmay be repeated")
	flags.StringVar(&o.DataDir, "data", ".wildout", "folder for the data of Redis and SQLite")
	flags.StringVar(&o.RedisURL, "redis", "", "Redis to use, such as redis://localhost:6379/0")
	flags.BoolVar(&o.EmbeddedRedis, "embedded-redis", false, "use the built-in Redis even if redis-server is installed")
	flags.StringVar(&o.DatabaseURL, "database", "", "database to use: postgres://… or sqlite:FILE")
	flags.BoolVar(&o.Migrate, "migrate", false, "bring the site's tables in --database up to date")
	flags.StringVar(&o.SMTPURL, "smtp", "", "mail server to use, such as smtp://user:password@host:587")
	flags.StringVar(&o.GatewayConfig, "gateway-config", "", "configuration of the gateway with webhooks to take (docs/gateway.md)")
	flags.StringVar(&o.Namespace, "namespace", "default", "namespace of the functions")
	flags.StringArrayVar(&f.env, "env", nil, "NAME=VALUE that expressions see as env.NAME; may be repeated")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.BoolVar(&f.demo, "demo", false, "seed sample rows, send one event of each type and show what happened;\nstarts with an empty folder of its own, .wildout/demo")
	return cmd
}

func runDev(cmd *cobra.Command, o dev.Options, f devFlags) error {
	var err error
	if o.Env, err = environment(os.Environ(), f.env); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch f.logFormat {
	case "text":
		o.Logger = slog.New(term.NewLogHandler(out))
	case "json":
		o.Logger = slog.New(slog.NewJSONHandler(out, nil))
	default:
		return fmt.Errorf("--log-format is %q, want text or json", f.logFormat)
	}
	o.Logger = slog.New(telemetry.NewLogHandler(o.Logger.Handler()))
	slog.SetDefault(o.Logger) // what a handler writes with slog.InfoContext is marked with its run
	if f.demo {
		o.DataDir = filepath.Join(o.DataDir, "demo")
		if err := os.RemoveAll(o.DataDir); err != nil {
			return fmt.Errorf("empty the folder of the demo: %w", err)
		}
	}
	server := dev.New(o)
	group, ctx := errgroup.WithContext(cmd.Context())
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error {
		select {
		case <-server.Ready():
		case <-ctx.Done():
			return nil
		}
		if f.logFormat == "text" {
			banner(out, server.About())
		}
		if f.demo {
			return demo(ctx, out, server)
		}
		return nil
	})
	return group.Wait()
}

// environment returns what expressions see as env: WILDOUT_ENV_* without the
// prefix, and over it the NAME=VALUE of flags.
func environment(environ, flags []string) (map[string]string, error) {
	env := map[string]string{}
	for _, entry := range environ {
		if entry, ok := strings.CutPrefix(entry, "WILDOUT_ENV_"); ok {
			name, value, _ := strings.Cut(entry, "=")
			env[name] = value
		}
	}
	for _, entry := range flags {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--env is %q, want NAME=VALUE", entry)
		}
		env[name] = value
	}
	return env, nil
}

// banner says what runs where.
func banner(w io.Writer, a dev.About) {
	style := term.StyleFor(w)
	fmt.Fprintf(w, "\n%s\n\n", style.Bold("wildout dev"))
	t := term.Table{Indent: "  "}
	row := func(name, value string) { t.Row(term.Cell{Text: name, Paint: style.Dim}, term.Cell{Text: value}) }
	row("send events", "POST "+a.URL+"/e/dev")
	row("console", a.URL+"/")
	row("see mails", a.Mail)
	row("redis", a.Redis)
	row("database", a.Database)
	row("functions", fmt.Sprint(len(a.Functions)))
	_ = t.Write(w) // there is nobody left to tell
	list := term.Table{Indent: "    "}
	for _, f := range a.Functions {
		list.Row(term.Cell{Text: f.Name}, term.Cell{Text: strings.Join(f.Triggers, ", "), Paint: style.Dim})
	}
	_ = list.Write(w)
	if len(a.Functions) == 0 {
		fmt.Fprintf(w, "  %s\n", style.Busy("there is no function yet: write one, it is picked up as you save it"))
	}
	fmt.Fprintln(w)
}
