package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

func runsWatchCommand() *cobra.Command {
	var api apiFlags
	var q queryFlags
	cmd := &cobra.Command{
		Use:   "watch [ID]",
		Short: "Follow one run until it ends, or all runs as they come and go",
		Long: `With an id it shows the run and its steps as they go on, until the run has ended;
the exit status is 0 if it succeeded, else 1. Without one it shows the newest
runs as they come and go, until it is interrupted. Where no terminal is, it
writes a line for each change instead.`,
		Example: `  wildout runs watch 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout runs watch
  wildout runs watch --function send-welcome-email --status failed
  wildout runs watch -o json | jq .run.error`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && !q.empty() {
				return usagef("with the id of a run there is nothing to filter")
			}
			client, err := api.client()
			if err != nil {
				return err
			}
			w := &watch{client: client, out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), format: api.output}
			if len(args) == 1 {
				return w.run(cmd.Context(), args[0])
			}
			query, err := q.query(time.Now())
			if err != nil {
				return err
			}
			return w.list(cmd.Context(), query)
		},
	}
	api.add(cmd)
	q.add(cmd, &api)
	cmd.ValidArgsFunction = api.completeRuns()
	return cmd
}

// watch shows runs while they go on.
type watch struct {
	client *console.Client
	out    io.Writer
	notes  io.Writer
	format term.Format
}

const (
	// redraw is the least time between two pictures, refresh the most: the
	// times in it go on.
	redraw  = 150 * time.Millisecond
	refresh = time.Second
	// giveUp is how long nobody may answer to one who follows.
	giveUp = 30 * time.Second
)

// live says whether the picture is drawn anew in place.
func (w *watch) live() bool { return w.format == term.Text && term.IsTerminal(w.out) }

// run follows one run to its end.
func (w *watch) run(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nudges := w.nudges(ctx, console.Filter{RunID: id, Kinds: []console.ChangeKind{console.RunChanged}})
	screen := term.NewScreen(w.out)
	var told string
	for {
		r, err := w.client.Run(ctx, id)
		if err != nil {
			return err
		}
		ended := r.EndedAt != nil
		switch {
		case w.live():
			var picture bytes.Buffer
			if err := term.StyleFor(w.out).Run(&picture, r, time.Now(), term.Brief); err != nil {
				return err
			}
			err = screen.Draw(picture.Bytes(), ended)
		case w.format.Machine():
			err = w.next(r, &told)
		case w.format == term.Text && !ended:
			err = w.steps(r, &told)
		}
		if err != nil {
			return err
		}
		if ended {
			return w.ended(r)
		}
		if err := nextNudge(ctx, nudges); err != nil {
			return err
		}
	}
}

// next prints a run for a program if it has changed.
func (w *watch) next(r *console.RunDetail, told *string) error {
	state := fmt.Sprint(r.Status, r.EndedAt, progressOf(r))
	if state == *told {
		return nil
	}
	*told = state
	return w.format.PrintNext(w.out, r)
}

// progressOf says where the steps of a run are.
func progressOf(r *console.RunDetail) string {
	var b strings.Builder
	for i := range r.Steps {
		fmt.Fprintln(&b, r.Steps[i].Name, r.Steps[i].Status, r.Steps[i].Attempts)
	}
	return b.String()
}

// steps writes the steps that have moved, one a line.
func (w *watch) steps(r *console.RunDetail, told *string) error {
	now := progressOf(r)
	before := strings.Split(*told, "\n")
	style := term.StyleFor(w.out)
	for i, line := range strings.Split(now, "\n") {
		if i >= len(r.Steps) || i < len(before) && before[i] == line || r.Steps[i].Status == run.StepPending {
			continue
		}
		if err := style.StepLine(w.out, &r.Steps[i], time.Now()); err != nil {
			return err
		}
	}
	*told = now
	return nil
}

// ended prints a run that has ended, and makes its outcome that of the command.
func (w *watch) ended(r *console.RunDetail) error {
	switch {
	case w.format == term.Name:
		fmt.Fprintln(w.out, r.ID)
	case w.format == term.Text && !w.live():
		if err := term.StyleFor(w.out).Run(w.out, r, time.Now(), term.Brief); err != nil {
			return err
		}
	}
	if r.Status != run.Succeeded {
		return errShown
	}
	return nil
}

// list shows the newest runs until ctx ends.
func (w *watch) list(ctx context.Context, q console.RunQuery) error {
	if !w.live() {
		return w.lines(ctx, q)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nudges := w.nudges(ctx, console.Filter{Function: q.Function, Kinds: []console.ChangeKind{console.RunChanged}})
	screen := term.NewScreen(w.out)
	for {
		style := term.StyleFor(w.out)
		q.Limit = min(max(style.Height-3, 5), console.MaxLimit)
		page, err := w.client.Runs(ctx, q)
		if err != nil {
			return err
		}
		var picture bytes.Buffer
		if len(page.Runs) == 0 {
			fmt.Fprintln(&picture, "no runs yet")
		} else if err := style.Runs(&picture, page.Runs, time.Now()); err != nil {
			return err
		}
		fmt.Fprintln(&picture, style.Dim("Ctrl-C ends this"))
		if err := screen.Draw(picture.Bytes(), false); err != nil {
			return err
		}
		if err := nextNudge(ctx, nudges); err != nil {
			return err
		}
	}
}

// lines writes a line for each run that comes to another state.
func (w *watch) lines(ctx context.Context, q console.RunQuery) error {
	filter := console.Filter{Function: q.Function, EventType: q.EventType, Kinds: []console.ChangeKind{console.RunChanged}}
	return follow(ctx, w.client, filter, func(c console.Change) error {
		if c.Kind == console.Reset {
			_, err := fmt.Fprintln(w.notes, "some changes were missed")
			return err
		}
		if c.Run == nil || !q.Fits(c.Run) {
			return nil // Connected, or another run
		}
		switch {
		case w.format.Machine():
			return w.format.PrintNext(w.out, c)
		case w.format == term.Name:
			_, err := fmt.Fprintln(w.out, c.Run.ID)
			return err
		}
		return term.StyleFor(w.out).RunLine(w.out, c.Run, time.Now())
	})
}

// nudges follows in the background and says when there is something new; the
// error with which it ends is the last thing it sends.
func (w *watch) nudges(ctx context.Context, f console.Filter) <-chan error {
	nudges := make(chan error, 1)
	go func() {
		err := follow(ctx, w.client, f, func(console.Change) error {
			select {
			case nudges <- nil:
			default:
			}
			return nil
		})
		if ctx.Err() == nil {
			nudges <- err
		}
	}()
	return nudges
}

// nextNudge waits until there is something new to draw, or the times in the
// picture are old.
func nextNudge(ctx context.Context, nudges <-chan error) error {
	select {
	case <-time.After(redraw):
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-nudges:
		return err
	case <-time.After(refresh):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow calls each for every change until ctx ends or each returns an error.
// When the connection breaks it connects again and goes on where it was.
func follow(ctx context.Context, client *console.Client, f console.Filter, each func(console.Change) error) error {
	var failed error
	var connected time.Time // when there was a connection last
	for {
		err := client.Follow(ctx, f, func(c console.Change) bool {
			f.After, connected = c.ID, time.Now()
			failed = each(c)
			return failed == nil
		})
		var unreachable *console.UnreachableError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case failed != nil || err == nil:
			return failed
		case !errors.As(err, &unreachable), time.Since(connected) > giveUp:
			return err
		}
		select {
		case <-time.After(refresh):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
