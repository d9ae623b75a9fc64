package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
)

func functionsCommand() *cobra.Command {
	var api apiFlags
	cmd := &cobra.Command{
		Use:     "functions",
		Aliases: []string{"function", "fn"},
		Short:   "List the functions, their state and their numbers",
		Long: `Lists the functions that were started in this namespace. The state is the first
of these that holds: suspended; down (no runner); failing (at least half of the
last runs failed); busy; idle. The rate is of the last five minutes.`,
		Example: `  wildout functions
  wildout functions -o json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := api.client()
			if err != nil {
				return err
			}
			all, err := client.Functions(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case api.output.Machine():
				return api.output.Print(out, all)
			case api.output == term.Name:
				for i := range all {
					fmt.Fprintln(out, all[i].Name)
				}
				return nil
			case len(all) == 0:
				_, err := fmt.Fprintln(out, "no functions")
				return err
			}
			return term.StyleFor(out).Functions(out, all, time.Now())
		},
	}
	api.add(cmd)
	return cmd
}

// plural writes a number of things: 1 run, 2 runs, 12,000 runs.
func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return term.Count(n) + " " + what
}
