package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/cluster"
	"github.com/wildout/wildout/cmd/wildout/internal/eventfile"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

type sendFlags struct {
	apiFlags
	data, file, id, ids string
	key, keyFile        string
	wait                bool
	timeout, patience   time.Duration
}

func sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send [TYPE]",
		Short: "Send events, and with --wait show the runs that they start",
		Long: `Sends events and prints their ids. With a TYPE, --data or --file has the data of
the event, a JSON object; a file with several, as an array or one per line, makes
as many events. Without a TYPE the file has whole events, each with its type:
{"name":"user/registered","data":{…}}, and "id" if it has one. A file of any
length is sent in batches; of a batch all events are accepted, or none.

A batch that was not answered is sent again, and counts once all the same. To be
able to send a file again after an interruption, without sending anything twice,
give its events ids: their own, or with --ids.

With --wait it also waits for the runs that the event starts, and prints them
with their steps: until each has ended, or waits for something that does not come
before the timeout (a sleep of days). The exit status is 1 if a run failed, or had
not ended in time.`,
		Example: `  wildout send user/registered --data '{"userId":"u1","email":"u1@example.com"}' --wait
  wildout send audit/log --file entry.json --id audit-42
  echo '{"task":"health-check"}' | wildout send system/maintenance --file - --wait
  wildout send user/registered --file users.ndjson --ids import-7
  jq -c '.[]' events.json | wildout send --file -`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, strings.Join(args, ""))
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.gateway, "gateway", os.Getenv("WILDOUT_GATEWAY_URL"), "where events go, if not to --url, nor to the gateway of a cluster; or $WILDOUT_GATEWAY_URL")
	flags.StringVar(&f.data, "data", "", "the data of the event, a JSON object")
	flags.StringVar(&f.file, "file", "", "file with data or events; - is the standard input")
	flags.StringVar(&f.id, "id", "", "id of the event: of several with one id, within 24 hours the first counts")
	flags.StringVar(&f.ids, "ids", "", "ids for the events of a file that have none: this, a hyphen, and their number")
	flags.StringVar(&f.key, "key", cmp.Or(os.Getenv("WILDOUT_EVENT_KEY"), "dev"), "event `KEY`; wildout dev takes any, in a cluster it is that of the default sender; better $WILDOUT_EVENT_KEY")
	flags.StringVar(&f.keyFile, "key-file", os.Getenv("WILDOUT_EVENT_KEY_FILE"), "file with the event key; or $WILDOUT_EVENT_KEY_FILE")
	flags.BoolVar(&f.wait, "wait", false, "wait for the runs that the event starts, and show them")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long --wait waits")
	flags.DurationVar(&f.patience, "retry-for", time.Minute, "how long to try again while the gateway is busy or away")
	cmd.MarkFlagsMutuallyExclusive("data", "file")
	cmd.MarkFlagsMutuallyExclusive("id", "ids")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, head string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.completeTypes()(cmd, args, head)
	}
	return cmd
}

// wireEvent is an event as the gateway takes it.
type wireEvent struct {
	Name string          `json:"name"`
	ID   string          `json:"id,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

func (f *sendFlags) run(cmd *cobra.Command, eventType string) error {
	if eventType == "" && f.file == "" {
		return usagef("which event? Name its type, or a file of events with --file")
	}
	if f.ids != "" && f.file == "" {
		return usagef("--ids is for the events of a file; a single one has an --id")
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	if f.keyFile != "" {
		text, err := os.ReadFile(f.keyFile)
		if err != nil {
			return usagef("read the event key: %v", err)
		}
		f.key = strings.TrimSpace(string(text))
	}
	if err := f.prepareCluster(cmd.Context()); err != nil {
		return err
	}
	s := &sender{client: client, key: f.key, patience: f.patience, progress: term.NewProgress(cmd.ErrOrStderr(), "event")}
	if f.file == "" {
		return f.one(cmd, s, eventType, json.RawMessage(f.data))
	}
	in, size, err := f.open(cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer in.Close()
	return f.all(cmd, s, &source{Reader: eventfile.NewReader(in), eventType: eventType, ids: f.ids}, size)
}

// prepareCluster looks for what sending needs in a cluster, before anything is
// sent: the gateway, and the key of its default sender; with --wait the console.
func (f *sendFlags) prepareCluster(ctx context.Context) (err error) {
	if f.through == nil {
		return nil
	}
	if f.gateway == "" {
		if err := f.through.Check(ctx, cluster.GatewayURL); err != nil {
			return err
		}
		if own := f.keyFile != "" || f.cmd.Flags().Changed("key") || os.Getenv("WILDOUT_EVENT_KEY") != ""; !own {
			if f.key, err = f.through.EventKey(ctx); err != nil {
				return err
			}
		}
	}
	if f.wait {
		return f.through.Check(ctx, cluster.ConsoleURL)
	}
	return nil
}

// open opens the file; its size is 0 when nobody knows it.
func (f *sendFlags) open(stdin io.Reader) (io.ReadCloser, int64, error) {
	if f.file == "-" {
		return io.NopCloser(stdin), 0, nil
	}
	file, err := os.Open(f.file)
	if err != nil {
		return nil, 0, usagef("read the events: %v", err)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return file, 0, nil //nolint:nilerr // only the share that is done cannot be shown
	}
	return file, info.Size(), nil
}

// one sends one event, and waits for its runs.
func (f *sendFlags) one(cmd *cobra.Command, s *sender, eventType string, data json.RawMessage) error {
	if len(data) > 0 && !json.Valid(data) {
		return usagef("the data is no JSON: in a shell, put it in single quotes")
	}
	ids, err := s.post(cmd.Context(), []wireEvent{{eventType, f.id, data}})
	s.progress.Done()
	if err != nil {
		return err
	}
	return f.sent(cmd, s.client, eventType, ids[0])
}

// sent prints what became of one event.
func (f *sendFlags) sent(cmd *cobra.Command, client *console.Client, eventType, id string) error {
	out := cmd.OutOrStdout()
	if !f.wait {
		if f.output.Machine() {
			return f.output.Print(out, console.EventRuns{ID: id, Type: eventType, Runs: []run.Record{}})
		}
		_, err := fmt.Fprintln(out, id)
		return err
	}
	if !f.output.Machine() {
		fmt.Fprintln(out, id)
	}
	runs, err := awaitRuns(cmd.Context(), client, eventType, id, f.timeout)
	if runs == nil {
		return err
	}
	return errors.Join(f.print(out, runs), err, verdict(runs))
}

func (f *sendFlags) print(out io.Writer, runs *console.EventRuns) error {
	switch {
	case f.output.Machine():
		return f.output.Print(out, runs)
	case f.output == term.Name:
		return nil
	case len(runs.Runs) == 0:
		_, err := fmt.Fprintf(out, "no function listens to %s\n", runs.Type)
		return err
	}
	for i := range runs.Runs {
		fmt.Fprintln(out)
		if err := term.StyleFor(out).Run(out, console.Bare(&runs.Runs[i]), time.Now(), term.Brief); err != nil {
			return err
		}
	}
	return nil
}

// verdict is errShown if a run failed.
func verdict(runs *console.EventRuns) error {
	failed := func(r run.Record) bool {
		return r.Status == run.Failed || r.Status == run.Rejected || r.Status == run.Cancelled
	}
	if slices.ContainsFunc(runs.Runs, failed) {
		return errShown
	}
	return nil
}

// source makes events of the values of a file.
type source struct {
	*eventfile.Reader
	eventType string // of all; "": each value is an event
	ids       string
	n         int
}

// next returns the next event; io.EOF after the last one.
func (s *source) next() (wireEvent, error) {
	value, err := s.Next()
	if err != nil {
		return wireEvent{}, err
	}
	s.n++
	e := wireEvent{Name: s.eventType, Data: value}
	if s.eventType == "" {
		e = wireEvent{}
		dec := json.NewDecoder(bytes.NewReader(value))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			return e, fmt.Errorf("value %d is no event: %w; it looks like {\"name\":\"user/registered\",\"data\":{…}}; with a TYPE on the command line the file has only the data", s.n, err)
		}
	}
	if e.ID == "" && s.ids != "" {
		e.ID = fmt.Sprintf("%s-%d", s.ids, s.n)
	}
	return e, nil
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
func rests(r *run.Record, deadline time.Time, since map[string]time.Time) bool {
	switch r.Status {
	case run.Running, console.Queued:
		return false
	case run.Waiting:
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
