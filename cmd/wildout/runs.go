package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/store"
)

func runsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "runs",
		Aliases: []string{"run"},
		Short:   "Look at runs",
		Example: `  wildout runs list
  wildout runs list --function send-welcome-email --status failed
  wildout runs get 01JD3W0Q8M6ZC2V5T4R9X7K1AB`,
		// Without it, cobra takes a misspelt subcommand for a wish for help.
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(runsListCommand(), runsGetCommand())
	return cmd
}

func runsListCommand() *cobra.Command {
	var api apiFlags
	var q console.Query
	var status string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs, the newest first",
		Example: `  wildout runs list
  wildout runs list --status failed --limit 5
  wildout runs list --function send-welcome-email -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := api.client()
			if err != nil {
				return err
			}
			q.Status = store.Status(status)
			runs, err := client.Runs(cmd.Context(), q)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if api.output == "json" {
				return printJSON(out, runs)
			}
			if len(runs) == 0 {
				_, err := fmt.Fprintln(out, "no runs")
				return err
			}
			return term.StyleFor(out).Runs(out, runs, time.Now())
		},
	}
	api.add(cmd)
	cmd.Flags().StringVar(&q.Function, "function", "", "of this function only")
	cmd.Flags().StringVar(&status, "status", "", "succeeded, failed, running, waiting or rejected only")
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "most runs to list")
	return cmd
}

func runsGetCommand() *cobra.Command {
	var api apiFlags
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Show a run with its steps",
		Example: `  wildout runs get 01JD3W0Q8M6ZC2V5T4R9X7K1AB`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := api.client()
			if err != nil {
				return err
			}
			run, err := client.Run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if api.output == "json" {
				return printJSON(out, run)
			}
			return term.StyleFor(out).Run(out, run, time.Now())
		},
	}
	api.add(cmd)
	return cmd
}

func functionsCommand() *cobra.Command {
	var api apiFlags
	cmd := &cobra.Command{
		Use:     "functions",
		Short:   "List the functions and their numbers",
		Example: `  wildout functions`,
		Args:    cobra.NoArgs,
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
			if api.output == "json" {
				return printJSON(out, all)
			}
			var t term.Table
			t.Texts("FUNCTION", "RUNNERS", "BACKLOG", "IN FLIGHT", "WAITING", "SUCCEEDED", "FAILED", "TRIGGERS")
			for _, f := range all {
				t.Texts(f.Name, fmt.Sprint(f.Runners), fmt.Sprint(f.Backlog()), fmt.Sprint(f.Pending), fmt.Sprint(f.Waiting),
					fmt.Sprint(f.Succeeded), fmt.Sprint(f.Failed), strings.Join(f.Triggers, ", "))
			}
			return t.Write(out)
		},
	}
	api.add(cmd)
	return cmd
}
