package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

func runsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "runs",
		Aliases: []string{"run"},
		Short:   "Look at runs, replay and cancel them",
		Example: `  wildout runs list
  wildout runs list --function send-welcome-email --status failed
  wildout runs get 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout runs watch 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout runs replay --status failed --since 1h`,
	}, runsListCommand(), runsGetCommand(), runsWatchCommand(), runsReplayCommand(), runsCancelCommand())
}

// queryFlags select runs.
type queryFlags struct {
	function, eventType, event, text string
	statuses                         []string
	since, until                     string
}

// runStatuses are what --status takes.
var runStatuses = []string{"queued", "running", "waiting", "succeeded", "failed", "cancelled", "rejected"}

func (q *queryFlags) add(cmd *cobra.Command, api *apiFlags) {
	flags := cmd.Flags()
	flags.StringVar(&q.function, "function", "", "of this function only")
	flags.StringSliceVar(&q.statuses, "status", nil, "in one of these states only: "+strings.Join(runStatuses, ", "))
	flags.StringVar(&q.eventType, "event-type", "", "started by events of this type only")
	flags.StringVar(&q.event, "event", "", "started by the event with this id only")
	flags.StringVar(&q.text, "error", "", "with this text in the error only")
	flags.StringVar(&q.since, "since", "", "that ended, or began if they have not ended, since then: 15m, 2d, or 2030-01-31T09:00:00Z")
	flags.StringVar(&q.until, "until", "", "and until then")
	completeFlag(cmd, "function", api.completeFunctions())
	completeFlag(cmd, "event-type", api.completeTypes())
	completeFlag(cmd, "status", cobra.FixedCompletions(runStatuses, cobra.ShellCompDirectiveNoFileComp))
}

// empty says whether the flags select nothing out.
func (q *queryFlags) empty() bool {
	return q.function == "" && q.eventType == "" && q.event == "" && q.text == "" && len(q.statuses) == 0 && q.since == "" && q.until == ""
}

func (q *queryFlags) query(now time.Time) (query console.RunQuery, err error) {
	query = console.RunQuery{Function: q.function, EventType: q.eventType, EventID: q.event, Text: q.text}
	for _, status := range q.statuses {
		if !slices.Contains(runStatuses, status) {
			return query, usagef("--status is %q, want %s", status, strings.Join(runStatuses, ", "))
		}
		query.Statuses = append(query.Statuses, run.Status(status))
	}
	if query.Since, err = console.ParseTime(q.since, now); err != nil {
		return query, usagef("--since %v", err)
	}
	if query.Until, err = console.ParseTime(q.until, now); err != nil {
		return query, usagef("--until %v", err)
	}
	return query, nil
}

// collect reads pages until there are most runs, or no more; partial says what
// is left out.
func collect(ctx context.Context, client *console.Client, q console.RunQuery, most int) (runs []run.Record, more bool, partial string, err error) {
	runs = []run.Record{}
	for {
		q.Limit = min(most-len(runs), console.MaxLimit)
		page, err := client.Runs(ctx, q)
		if err != nil {
			return nil, false, "", err
		}
		runs = append(runs, page.Runs...)
		if page.Next == "" || len(runs) >= most {
			return runs, page.Next != "", page.Partial, nil
		}
		q.Cursor = page.Next
	}
}

func runsListCommand() *cobra.Command {
	var api apiFlags
	var q queryFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs, the newest first",
		Long: `Lists runs, the newest first: by when they ended, or began if they have not
ended. A run that succeeded or failed is there until it leaves the history of its
function (spec.history.limit).`,
		Example: `  wildout runs list
  wildout runs list --status failed,cancelled --limit 5
  wildout runs list --error "connection refused" --since 2h
  wildout runs list --function send-welcome-email -o json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := q.query(time.Now())
			if err != nil {
				return err
			}
			if limit < 1 {
				return usagef("--limit is %d, want 1 or more", limit)
			}
			client, err := api.client()
			if err != nil {
				return err
			}
			runs, more, partial, err := collect(cmd.Context(), client, query, limit)
			if err != nil {
				return err
			}
			return printRuns(cmd, api.output, runs, more, partial)
		},
	}
	api.add(cmd)
	q.add(cmd, &api)
	cmd.Flags().IntVar(&limit, "limit", 20, "most runs to list")
	return cmd
}

// printRuns writes a list of runs; what else there is to know is for people.
func printRuns(cmd *cobra.Command, format term.Format, runs []run.Record, more bool, partial string) error {
	out, notes := cmd.OutOrStdout(), cmd.ErrOrStderr()
	switch {
	case format.Machine():
		return format.Print(out, runs)
	case format == term.Name:
		for i := range runs {
			fmt.Fprintln(out, runs[i].ID)
		}
		return nil
	case len(runs) == 0:
		_, err := fmt.Fprintln(out, "no runs")
		return err
	}
	if err := term.StyleFor(out).Runs(out, runs, time.Now()); err != nil {
		return err
	}
	style := term.StyleFor(notes)
	if more {
		fmt.Fprintln(notes, style.Dim("there are more: --limit takes another number, --since and --until a time"))
	}
	if partial != "" {
		fmt.Fprintln(notes, style.Dim(partial))
	}
	return nil
}

func runsGetCommand() *cobra.Command {
	var api apiFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "get ID...",
		Short: "Show runs with their steps",
		Long: `Shows runs with their steps: what has been done, what waits and until when, and
what has not begun. With --verbose it also shows what each step was given, what
it gave, and each failed attempt.`,
		Example: `  wildout runs get 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout runs get 01JD3W0Q8M6ZC2V5T4R9X7K1AB --verbose`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, ids []string) error {
			client, err := api.client()
			if err != nil {
				return err
			}
			runs := make([]*console.RunDetail, 0, len(ids))
			var missing error
			for _, id := range ids {
				record, err := client.Run(cmd.Context(), id)
				if isMissing(err) {
					missing = errors.Join(missing, err)
					continue
				}
				if err != nil {
					return err
				}
				runs = append(runs, record)
			}
			if len(runs) == 0 {
				return missing
			}
			return errors.Join(printDetails(cmd.OutOrStdout(), api.output, runs, len(ids) > 1, term.Detail(verbose)), missing)
		},
	}
	api.add(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with inputs, outputs and attempts")
	cmd.ValidArgsFunction = api.completeRuns()
	return cmd
}

func isMissing(err error) bool {
	var refused *console.RefusedError
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound
}

func printDetails(out io.Writer, format term.Format, runs []*console.RunDetail, list bool, detail term.Detail) error {
	switch {
	case format.Machine() && list:
		return format.Print(out, runs)
	case format.Machine():
		return format.Print(out, runs[0])
	}
	for i, record := range runs {
		if format == term.Name {
			fmt.Fprintln(out, record.ID)
			continue
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := term.StyleFor(out).Run(out, record, time.Now(), detail); err != nil {
			return err
		}
	}
	return nil
}
