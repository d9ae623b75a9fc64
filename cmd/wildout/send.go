package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/store"
)

// defaultURL is where `wildout dev` answers.
const defaultURL = "http://127.0.0.1:8288"

// apiFlags say where `wildout dev` is, and how to print.
type apiFlags struct {
	url    string
	output string
}

func (a *apiFlags) add(cmd *cobra.Command) {
	fallback := cmp.Or(os.Getenv("WILDOUT_URL"), defaultURL)
	cmd.Flags().StringVar(&a.url, "url", fallback, "where wildout answers; or $WILDOUT_URL")
	cmd.Flags().StringVarP(&a.output, "output", "o", "text", "text or json")
}

func (a *apiFlags) client() (*console.Client, error) {
	if a.output != "text" && a.output != "json" {
		return nil, fmt.Errorf("--output is %q, want text or json", a.output)
	}
	return &console.Client{URL: a.url}, nil
}

func printJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

type sendFlags struct {
	apiFlags
	data, file, id, key string
	wait                bool
	timeout             time.Duration
}

func sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send TYPE",
		Short: "Send an event, and with --wait show the runs that it starts",
		Long: `Sends an event and prints its id. With --wait it also waits for the runs that the
event starts and prints them with their steps: until each has ended, or waits
for something that does not come before the timeout (a sleep of days). The exit
status is 1 if a run failed, or had not ended in time.`,
		Example: `  wildout send user/registered --data '{"userId":"u1","email":"u1@example.com"}' --wait
  wildout send audit/log --file entry.json --id audit-42
  echo '{"task":"health-check"}' | wildout send system/maintenance --file - --wait`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.send(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "the data of the event, a JSON object")
	flags.StringVar(&f.file, "file", "", "file with the data; - is the standard input")
	flags.StringVar(&f.id, "id", "", "id of the event: of several with one id, within 24 hours the first counts")
	flags.StringVar(&f.key, "key", "dev", "event key; `wildout dev` takes any")
	flags.BoolVar(&f.wait, "wait", false, "wait for the runs that the event starts, and show them")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long --wait waits")
	cmd.MarkFlagsMutuallyExclusive("data", "file")
	return cmd
}

func (f *sendFlags) send(ctx context.Context, eventType string, in io.Reader, out io.Writer) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	data, err := f.read(in)
	if err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		Name string          `json:"name"`
		ID   string          `json:"id,omitempty"`
		Data json.RawMessage `json:"data,omitempty"`
	}{eventType, f.id, data})
	if err != nil {
		return fmt.Errorf("the data is no JSON: %w", err)
	}
	ids, err := client.Send(ctx, f.key, body)
	if err != nil {
		return err
	}
	if len(ids) != 1 {
		return fmt.Errorf("%s took one event and returned %d ids", f.url, len(ids))
	}
	if !f.wait {
		if f.output == "json" {
			return printJSON(out, console.EventRuns{ID: ids[0], Type: eventType, Runs: []store.Record{}})
		}
		_, err := fmt.Fprintln(out, ids[0])
		return err
	}
	if f.output == "text" {
		fmt.Fprintln(out, ids[0])
	}
	runs, err := awaitRuns(ctx, client, eventType, ids[0], f.timeout)
	if runs == nil {
		return err
	}
	return errors.Join(f.print(out, runs), err, verdict(runs))
}

// read returns the data of the event; nil: none.
func (f *sendFlags) read(in io.Reader) (data json.RawMessage, err error) {
	switch {
	case f.file == "-":
		data, err = io.ReadAll(in)
	case f.file != "":
		data, err = os.ReadFile(f.file)
	case f.data != "":
		data = json.RawMessage(f.data)
	}
	if err != nil {
		return nil, fmt.Errorf("read the data: %w", err)
	}
	if data != nil && !json.Valid(data) {
		return nil, errors.New("the data is no JSON: in a shell, put it in single quotes")
	}
	return data, nil
}

func (f *sendFlags) print(out io.Writer, runs *console.EventRuns) error {
	if f.output == "json" {
		return printJSON(out, runs)
	}
	if len(runs.Runs) == 0 {
		_, err := fmt.Fprintf(out, "no function listens to %s\n", runs.Type)
		return err
	}
	style := term.StyleFor(out)
	for i := range runs.Runs {
		fmt.Fprintln(out)
		if err := style.Run(out, &runs.Runs[i], time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// verdict is errShown if a run failed.
func verdict(runs *console.EventRuns) error {
	failed := func(r store.Record) bool { return r.Status == store.Failed || r.Status == store.Rejected }
	if slices.ContainsFunc(runs.Runs, failed) {
		return errShown
	}
	return nil
}

// settled is how long a run must have been waiting, for longer than we do,
// before it is taken for one that goes on later: what it waits for may be a
// run that is just at work for it.
const settled = time.Second

// awaitRuns polls until every run that the event started has ended or waits
// for something far off. On a timeout it returns the runs as they are, and an
// error.
func awaitRuns(ctx context.Context, client *console.Client, eventType, id string, timeout time.Duration) (*console.EventRuns, error) {
	deadline := time.Now().Add(timeout)
	since := map[string]time.Time{} // run and its steps: when it was first seen to wait so
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		runs, err := client.EventRuns(ctx, eventType, id)
		if err != nil {
			return nil, err
		}
		busy := 0
		for i := range runs.Runs {
			if !rests(&runs.Runs[i], deadline, since) {
				busy++
			}
		}
		switch {
		case busy == 0:
			return runs, nil
		case time.Now().After(deadline):
			return runs, fmt.Errorf("%d of %d runs had not ended after %s", busy, len(runs.Runs), timeout)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return runs, ctx.Err()
		}
	}
}

// rests reports whether a run has ended, or waits for longer than we do.
func rests(r *store.Record, deadline time.Time, since map[string]time.Time) bool {
	switch r.Status {
	case store.Running, console.Queued:
		return false
	case store.Waiting:
		if r.WaitsFor != nil && r.WaitsFor.Before(deadline) {
			return false
		}
		state := fmt.Sprint(r.ID, len(r.Steps), r.WaitsFor)
		if since[state].IsZero() {
			since[state] = time.Now()
		}
		return time.Since(since[state]) >= settled
	}
	return true
}
