package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

const (
	// parallel is how many requests are under way at once.
	parallel = 8
	// maxActed is how many runs one command replays or cancels.
	maxActed = 10_000
)

// act is what is done to runs: replay or cancel.
type act struct {
	apiFlags
	queryFlags
	yes, dryRun bool
	// verb and done are the words: replay and replayed.
	verb, done string
	// statuses are those that count where none is asked for.
	statuses []string
	// do does it to one run and returns what is to be told: the id of the new
	// run, or that of the old one.
	do func(ctx context.Context, client *console.Client, id string) (string, error)
}

func runsReplayCommand() *cobra.Command {
	a := &act{verb: "replay", done: "replayed", statuses: []string{"failed"}}
	a.do = func(ctx context.Context, client *console.Client, id string) (string, error) {
		return client.Replay(ctx, id)
	}
	return a.command(&cobra.Command{
		Use:   "replay [ID...]",
		Short: "Start runs anew, from their events",
		Long: `Starts new runs with the events of runs that were, from the first step, and with
the functions as they are now; the ids of the new runs are printed. The runs are
those that are named, or all that the filters select: the failed ones, if
--status does not say otherwise.

On a terminal it asks first. Elsewhere a selection by filters needs --yes.`,
		Example: `  wildout runs replay 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout runs replay --function send-welcome-email --since 2h
  wildout runs replay --error "connection refused" --dry-run`,
	})
}

func runsCancelCommand() *cobra.Command {
	a := &act{verb: "cancel", done: "cancelled", statuses: []string{"queued", "running", "waiting"}}
	var reason string
	a.do = func(ctx context.Context, client *console.Client, id string) (string, error) {
		return id, client.Cancel(ctx, id, reason)
	}
	cmd := a.command(&cobra.Command{
		Use:   "cancel [ID...]",
		Short: "End runs that have not ended",
		Long: `Ends runs that have not ended: what waits, waits no more, and a step that is at
work is told to stop. What steps have done stays done. The runs are those that
are named, or all that the filters select and that have not ended.

On a terminal it asks first. Elsewhere a selection by filters needs --yes.`,
		Example: `  wildout runs cancel 01JD3W0Q8M6ZC2V5T4R9X7K1AB --reason "sent by mistake"
  wildout runs cancel --function send-welcome-email --status waiting
  wildout runs cancel --event-type user/registered --since 10m --dry-run`,
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why; it becomes the error of the runs")
	return cmd
}

func (a *act) command(cmd *cobra.Command) *cobra.Command {
	cmd.Args = usage(cobra.ArbitraryArgs)
	cmd.RunE = func(cmd *cobra.Command, ids []string) error { return a.run(cmd, ids) }
	a.apiFlags.add(cmd)
	a.queryFlags.add(cmd, &a.apiFlags)
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "only list the runs that it would be")
	cmd.ValidArgsFunction = a.completeRuns()
	return cmd
}

func (a *act) run(cmd *cobra.Command, ids []string) error {
	filtered := !a.empty()
	switch {
	case len(ids) > 0 && filtered:
		return usagef("name runs or filter them, not both")
	case len(ids) == 0 && !filtered:
		return usagef("which runs? Name them, or filter them with --function, --status, --event-type, --event, --error, --since or --until")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	runs, err := a.chosen(cmd, client, ids)
	if err != nil || len(runs) == 0 || a.dryRun {
		return err
	}
	if err := a.confirm(cmd, runs, filtered); err != nil {
		return err
	}
	return a.all(cmd, client, runs)
}

// chosen returns the runs that are meant, and with --dry-run prints them.
func (a *act) chosen(cmd *cobra.Command, client *console.Client, ids []string) (runs []run.Record, err error) {
	for _, id := range ids {
		record, err := client.Run(cmd.Context(), id)
		if err != nil {
			return nil, err
		}
		runs = append(runs, record.Record)
	}
	more := false
	if len(ids) == 0 {
		if len(a.queryFlags.statuses) == 0 {
			a.queryFlags.statuses = a.statuses
		}
		query, err := a.query(time.Now())
		if err != nil {
			return nil, err
		}
		if runs, more, _, err = collect(cmd.Context(), client, query, maxActed); err != nil {
			return nil, err
		}
	}
	if more {
		fmt.Fprintf(cmd.ErrOrStderr(), "there are more than %s runs: these are the newest, call it again for the others\n", term.Count(maxActed))
	}
	if len(runs) == 0 || a.dryRun {
		return runs, printRuns(cmd, a.output, runs, false, "")
	}
	return runs, nil
}

// confirm asks whoever sits at the terminal.
func (a *act) confirm(cmd *cobra.Command, runs []run.Record, filtered bool) error {
	if a.yes {
		return nil
	}
	if !term.IsTerminal(cmd.InOrStdin()) || !term.IsTerminal(cmd.ErrOrStderr()) {
		if !filtered {
			return nil
		}
		return usagef("this would %s %s: add --yes, or look at them with --dry-run", a.verb, plural(len(runs), "run"))
	}
	notes := cmd.ErrOrStderr()
	const shown = 10
	if err := term.StyleFor(notes).Runs(notes, runs[:min(shown, len(runs))], time.Now()); err != nil {
		return err
	}
	if len(runs) > shown {
		fmt.Fprintf(notes, "and %s more\n", term.Count(len(runs)-shown))
	}
	fmt.Fprintf(notes, "%s %s? [y/N] ", strings.ToUpper(a.verb[:1])+a.verb[1:], plural(len(runs), "run"))
	answer, err := readLine(cmd.Context(), cmd.InOrStdin())
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		fmt.Fprintln(notes, "nothing was done")
		return errShown
	}
	return nil
}

// readLine reads a line, or gives up when ctx ends.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // the end of the input is no
		lines <- line
	}()
	select {
	case line := <-lines:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// outcome is what became of one run.
type outcome struct {
	// ID is the run that was named, New the one that replays it.
	ID    string `json:"id"`
	New   string `json:"new,omitempty"`
	Error string `json:"error,omitempty"`
}

// all does it to all runs, and goes on when one refuses.
func (a *act) all(cmd *cobra.Command, client *console.Client, runs []run.Record) error {
	outcomes := make([]outcome, len(runs))
	progress := term.NewProgress(cmd.ErrOrStderr(), "run")
	var mu sync.Mutex
	done, failed := 0, 0
	group, ctx := errgroup.WithContext(cmd.Context())
	group.SetLimit(parallel)
	for i := range runs {
		group.Go(func() error {
			id, err := a.do(ctx, client, runs[i].ID)
			o := outcome{ID: runs[i].ID}
			switch {
			case err != nil && !isAnswer(err):
				return err // it will not be better for the others
			case err != nil:
				o.Error = err.Error()
			case id != o.ID:
				o.New = id
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[i] = o
			done++
			if err != nil {
				failed++
			}
			progress.Show(done, float64(done)/float64(len(runs)))
			return nil
		})
	}
	err := group.Wait()
	progress.Done()
	if printed := a.print(cmd, outcomes); printed != nil {
		return printed
	}
	if err == nil && failed > 0 {
		err = errShown
	}
	if (len(runs) > 1 || err != nil) && a.output == term.Text {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s %s of %s\n", a.done, term.Count(done-failed), plural(len(runs), "run"))
	}
	return err
}

// isAnswer says whether an error concerns one run only.
func isAnswer(err error) bool {
	var refused *console.RefusedError
	return errors.As(err, &refused) && refusedStatus(refused.Status) == exitNo
}

func (a *act) print(cmd *cobra.Command, outcomes []outcome) error {
	out := cmd.OutOrStdout()
	told := outcomes[:0]
	for _, o := range outcomes {
		if o.ID != "" { // else it was not come to
			told = append(told, o)
		}
	}
	if a.output.Machine() {
		return a.output.Print(out, told)
	}
	for _, o := range told {
		switch {
		case o.Error != "":
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", o.ID, o.Error)
		case o.New != "":
			fmt.Fprintln(out, o.New)
		default:
			fmt.Fprintln(out, o.ID)
		}
	}
	return nil
}
