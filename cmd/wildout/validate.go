package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/manifest"
	"github.com/wildout/wildout/internal/standard"
)

func validateCommand() *cobra.Command {
	var paths []string
	cmd := &cobra.Command{
		Use:   "validate -f DIR|FILE",
		Short: "Check manifests, and print every fault",
		Long: `Checks the manifests of functions and event types as the operator and a runner
do: fields, bounds, the graph of the steps, every expression, and the schemas.
It prints all faults and ends with status 1 if there is one. Whether a handler
exists only its runner knows; ` + "`wildout dev`" + ` checks the standard ones.`,
		Example: `  wildout validate -f config/functions
  wildout validate -f function.yaml -f event-type.yaml`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := manifest.Load(paths, nil)
			if err != nil {
				return err
			}
			for _, fault := range set.Faults {
				fmt.Fprintln(cmd.ErrOrStderr(), fault)
			}
			for _, doubt := range set.Doubts {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", doubt)
			}
			if len(set.Faults) > 0 {
				return errShown
			}
			if len(set.Functions)+len(set.EventTypes) == 0 {
				return errors.New("there is no manifest of kind WildoutFunction or WildoutEventType")
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s and %s are valid\n", count(len(set.Functions), "function"), count(len(set.EventTypes), "event type"))
			return err
		},
	}
	cmd.Flags().StringArrayVarP(&paths, "filename", "f", nil, "folder or file; may be repeated")
	_ = cmd.MarkFlagRequired("filename") // the flag exists
	return cmd
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func migrateCommand() *cobra.Command {
	var url string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "migrate [--database URL]",
		Short: "Bring the tables of the site's functions up to date",
		Long: `Creates and updates the tables that the nine functions use. It may be run at any
time and by several at once: what is up to date stays as it is. Use the direct
address of a Supabase project, or its pooler in session mode.
$WILDOUT_DATABASE_URL names the database, where the flag does not.`,
		Example: `  wildout migrate --database postgres://me:secret@localhost:5432/site
  wildout migrate --database sqlite:site.db`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				url = os.Getenv("WILDOUT_DATABASE_URL")
			}
			if url == "" {
				return usagef("no database: set --database or $WILDOUT_DATABASE_URL to something like postgres://user:password@host:5432/name")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if err := standard.Migrate(ctx, url); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "the tables are up to date")
			return err
		},
	}
	cmd.Flags().StringVar(&url, "database", "", "postgres://… or sqlite:FILE")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long it may take")
	return cmd
}
