package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
)

func eventsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "events",
		Aliases: []string{"event"},
		Short:   "Look at events and what they started",
		Example: `  wildout events list --type user/registered
  wildout events get 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout events tail`,
	}, eventsListCommand(), eventsGetCommand(), eventsTailCommand())
}

// eventFlags select events.
type eventFlags struct{ eventType, since, until string }

func (f *eventFlags) add(cmd *cobra.Command, api *apiFlags) {
	cmd.Flags().StringVar(&f.eventType, "type", "", "of this type only")
	cmd.Flags().StringVar(&f.since, "since", "", "published since then: 15m, 2d, or 2030-01-31T09:00:00Z")
	completeFlag(cmd, "type", api.completeTypes())
}

func (f *eventFlags) query(now time.Time) (q console.EventQuery, err error) {
	q.Type = f.eventType
	if q.Since, err = console.ParseTime(f.since, now); err != nil {
		return q, usagef("--since %v", err)
	}
	if q.Until, err = console.ParseTime(f.until, now); err != nil {
		return q, usagef("--until %v", err)
	}
	return q, nil
}

func eventsListCommand() *cobra.Command {
	var api apiFlags
	var f eventFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List events, the newest first",
		Long: `Lists events, the newest first, with the beginning of their data. Without --type
these are the events of all types that are declared, that a function reads or
sends, or of which one was published through a gateway.`,
		Example: `  wildout events list
  wildout events list --type user/registered --since 1h -o json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
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
			events, err := collectEvents(cmd.Context(), client, q, limit)
			if err != nil {
				return err
			}
			return printEvents(cmd.OutOrStdout(), api.output, events)
		},
	}
	api.add(cmd)
	f.add(cmd, &api)
	cmd.Flags().StringVar(&f.until, "until", "", "and until then")
	cmd.Flags().IntVar(&limit, "limit", 20, "most events to list")
	return cmd
}

func collectEvents(ctx context.Context, client *console.Client, q console.EventQuery, most int) ([]console.EventSummary, error) {
	events := []console.EventSummary{}
	for {
		q.Limit = min(most-len(events), console.MaxLimit)
		page, err := client.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		events = append(events, page.Events...)
		if page.Next == "" || len(events) >= most {
			return events, nil
		}
		q.Cursor = page.Next
	}
}

func printEvents(out io.Writer, format term.Format, events []console.EventSummary) error {
	switch {
	case format.Machine():
		return format.Print(out, events)
	case format == term.Name:
		for i := range events {
			fmt.Fprintln(out, events[i].ID)
		}
		return nil
	case len(events) == 0:
		_, err := fmt.Fprintln(out, "no events")
		return err
	}
	return term.StyleFor(out).Events(out, events, time.Now(), true)
}

func eventsGetCommand() *cobra.Command {
	var api apiFlags
	var eventType string
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show an event and the runs that it started",
		Example: `  wildout events get 01JD3W0Q8M6ZC2V5T4R9X7K1AB
  wildout events get audit-42 --type audit/log -o yaml`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := api.client()
			if err != nil {
				return err
			}
			e, err := client.Event(cmd.Context(), eventType, args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case api.output.Machine():
				return api.output.Print(out, e)
			case api.output == term.Name:
				_, err := fmt.Fprintln(out, e.Event.ID)
				return err
			}
			return term.StyleFor(out).Event(out, e, time.Now())
		},
	}
	api.add(cmd)
	cmd.Flags().StringVar(&eventType, "type", "", "its type; without it all are looked through")
	completeFlag(cmd, "type", api.completeTypes())
	return cmd
}

func eventsTailCommand() *cobra.Command {
	var api apiFlags
	var f eventFlags
	var last, limit int
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show events as they are published",
		Long: `Shows the last events, and then each new one as it is published, until it is
interrupted or --limit is reached. With -o json each is a line.`,
		Example: `  wildout events tail
  wildout events tail --type user/registered --since 10m
  wildout events tail -o json | jq -r .id`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			if last < 0 || limit < 0 {
				return usagef("--last and --limit must not be negative")
			}
			client, err := api.client()
			if err != nil {
				return err
			}
			if f.since != "" && !cmd.Flags().Changed("last") {
				last = maxTail
			}
			t := &tail{client: client, out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), format: api.output, limit: limit, known: map[string]bool{}}
			return t.run(cmd.Context(), q, last)
		},
	}
	api.add(cmd)
	f.add(cmd, &api)
	cmd.Flags().IntVar(&last, "last", 10, "how many events from before to begin with; with --since all since then")
	cmd.Flags().IntVar(&limit, "limit", 0, "end after this many events; 0: never")
	return cmd
}

// maxTail is how many events from before --since shows.
const maxTail = 10_000

// tail shows events as they come.
type tail struct {
	client *console.Client
	out    io.Writer
	notes  io.Writer
	format term.Format
	limit  int
	n      int
	// known are the events from before, and from the time of the oldest of
	// them: the stream may bring them once more.
	known map[string]bool
	from  time.Time
}

// errEnough ends a tail that has shown what it was to show.
var errEnough = errors.New("enough")

func (t *tail) run(ctx context.Context, q console.EventQuery, last int) error {
	filter := console.Filter{Kinds: []console.ChangeKind{console.EventPublished}, EventType: q.Type}
	begun := false
	err := follow(ctx, t.client, filter, func(c console.Change) error {
		switch {
		case c.Kind == console.Connected && !begun:
			begun = true
			return t.before(ctx, q, last)
		case c.Kind == console.Reset:
			_, err := fmt.Fprintln(t.notes, "some events were missed: there were too many, or the server began anew")
			return err
		case c.Event == nil || t.known[c.Event.Type+" "+c.Event.ID] || c.Event.Time.Before(t.from):
			return nil
		}
		return t.show(c.Event)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// margin is how many events more than are shown are noted: the changes begin a
// moment before the connection.
const margin = 200

// before shows the last events from before.
func (t *tail) before(ctx context.Context, q console.EventQuery, last int) error {
	events, err := collectEvents(ctx, t.client, q, last+margin)
	if err != nil {
		return err
	}
	for i, e := range slices.Backward(events) {
		t.known[e.Type+" "+e.ID] = true
		if i >= last {
			continue
		}
		if err := t.show(&e); err != nil {
			return err
		}
	}
	if t.from = q.Since; len(events) == last+margin {
		t.from = events[len(events)-1].Time
	}
	return nil
}

func (t *tail) show(e *console.EventSummary) (err error) {
	switch {
	case t.format.Machine():
		err = t.format.PrintNext(t.out, e)
	case t.format == term.Name:
		_, err = fmt.Fprintln(t.out, e.ID)
	default:
		err = term.StyleFor(t.out).Events(t.out, []console.EventSummary{*e}, time.Now(), false)
	}
	if t.n++; err == nil && t.n == t.limit {
		return errEnough
	}
	return err
}
