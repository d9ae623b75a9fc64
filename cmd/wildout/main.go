// Command wildout is the tool of whoever writes and runs functions: it runs them
// without a cluster, sends events, shows runs and acts on them, and checks
// manifests. Installed as kubectl-wildout it is `kubectl wildout`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	cmd := root()
	cmd.SetOut(term.Guard(os.Stdout))
	cmd.SetErr(term.Guard(os.Stderr))
	name := calledAs(cmd, filepath.Base(os.Args[0]))
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil && !errors.Is(err, errShown) && !errors.Is(err, context.Canceled) {
		term.StyleFor(os.Stderr).Wrap(os.Stderr, name+": "+plain(err).Error())
	}
	os.Exit(exitStatus(err))
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wildout",
		Short: "Durable, event-driven functions",
		Long: `wildout runs durable, event-driven functions: a function is a manifest, its
steps call handlers, and what a step returned is kept, so that a run goes on
where it was, whatever crashed meanwhile.

` + exitHelp,
		Example: `  wildout dev                                      run the functions of this folder
  wildout send user/registered --wait \
    --data '{"userId":"u1","email":"u1@example.com"}'
  wildout runs list --status failed                what went wrong
  wildout runs watch                               see runs come and go
  wildout describe function send-welcome-email     what is with a function in a cluster
  wildout validate -f config/functions             check manifests`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(devCommand(), gatewayCommand(), consoleCommand(), sendCommand(), runsCommand(), functionsCommand(), eventsCommand(), describeCommand(), validateCommand(), migrateCommand(), versionCommand())
	return cmd
}

// pluginName is the name under which kubectl finds the command.
const pluginName = "kubectl-wildout"

// calledAs makes the help texts say the name by which the command was called,
// and returns it. As kubectl_complete-wildout it completes for kubectl.
func calledAs(cmd *cobra.Command, program string) string {
	program = strings.TrimSuffix(program, ".exe")
	switch program {
	case "kubectl_complete-wildout":
		cmd.SetArgs(append([]string{cobra.ShellCompRequestCmd}, os.Args[1:]...))
	case pluginName:
	default:
		return cmd.Name()
	}
	const name = "kubectl wildout"
	cmd.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: name}
	var rename func(*cobra.Command)
	rename = func(c *cobra.Command) {
		for _, text := range []*string{&c.Example, &c.Long} {
			*text = strings.ReplaceAll(strings.ReplaceAll(*text, "  wildout ", "  "+name+" "), "`wildout ", "`"+name+" ")
			*text = strings.ReplaceAll(*text, "| wildout ", "| "+name+" ")
		}
		for _, sub := range c.Commands() {
			rename(sub)
		}
	}
	rename(cmd)
	return name
}

// isPlugin reports whether the command was called by kubectl.
func isPlugin(cmd *cobra.Command) bool {
	return cmd.Root().Annotations[cobra.CommandDisplayNameAnnotation] != ""
}

// group returns a command that only has others below it. By itself it shows its
// help; without a check, cobra takes a misspelt subcommand for a wish for it.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("unknown command %q for %q; see `%s --help`", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return cmd.Help()
	}
	cmd.AddCommand(commands...)
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}

// version is what the Go toolchain recorded: the tag of a release, or the
// commit of a build from source.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wildout (unknown version)"
	}
	name := info.Main.Version
	if name == "" {
		name = "(devel)"
	}
	return "wildout " + name + ", " + info.GoVersion
}
