// Command wildout is the tool of whoever writes functions: it runs them
// without a cluster, sends events, shows runs, and checks manifests.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errShown) {
		fmt.Fprintln(os.Stderr, "wildout:", err)
	}
	os.Exit(1)
}

// errShown ends a command with status 1 after it said why.
var errShown = errors.New("shown")

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wildout",
		Short: "Durable, event-driven functions",
		Long: `wildout runs durable, event-driven functions: a function is a manifest, its
steps call handlers, and what a step returned is kept, so that a run goes on
where it was, whatever crashed meanwhile.`,
		Example: `  wildout dev                                      run the functions of this folder
  wildout send user/registered --wait \
    --data '{"userId":"u1","email":"u1@example.com"}'
  wildout runs list --status failed                what went wrong
  wildout validate -f config/functions             check manifests`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(devCommand(), sendCommand(), runsCommand(), functionsCommand(), validateCommand(), migrateCommand(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
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
