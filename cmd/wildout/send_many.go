package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
)

// A batch is what one request sends: few enough that a fault costs little, and
// far below the bounds of the gateway.
const (
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
)

// all sends the events of a file. A file with one event is as good as --data.
func (f *sendFlags) all(cmd *cobra.Command, s *sender, in *source, size int64) error {
	first, err := in.next()
	if errors.Is(err, io.EOF) {
		return usagef("there is no event in the file")
	}
	if err != nil {
		return err
	}
	second, err := in.next()
	if errors.Is(err, io.EOF) {
		if f.id != "" {
			first.ID = f.id
		}
		ids, err := s.post(cmd.Context(), []wireEvent{first})
		s.progress.Done()
		if err != nil {
			return err
		}
		return f.sent(cmd, s.client, first.Name, ids[0])
	}
	switch {
	case f.wait:
		return usagef("--wait is for one event, and the file has several")
	case f.id != "":
		return usagef("--id is for one event, and the file has several: --ids gives them ids")
	}
	b := &batches{sender: s, in: in, size: size, events: []wireEvent{first}, bytes: len(first.Data)}
	if f.output == term.Name {
		b.ids = cmd.OutOrStdout()
	}
	if err == nil {
		err = b.sendAll(cmd.Context(), second)
	}
	s.progress.Done()
	return f.report(cmd, b, err)
}

// report says how many events were sent, however it ended.
func (f *sendFlags) report(cmd *cobra.Command, b *batches, err error) error {
	took := b.progress.Took()
	switch {
	case f.output.Machine():
		err = errors.Join(f.output.Print(cmd.OutOrStdout(), map[string]any{"sent": b.sent, "milliseconds": took.Milliseconds()}), err)
	case f.output == term.Text && err == nil:
		fmt.Fprintf(cmd.OutOrStdout(), "sent %s in %s\n", plural(b.sent, "event"), term.Duration(took))
	}
	if err == nil {
		return nil
	}
	rest := "the others were not sent"
	if errors.Is(err, context.Canceled) {
		rest = fmt.Sprintf("the next %s may have been sent, the others were not", term.Count(len(b.events)))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "sent %s of the file, in its order; %s\n", plural(b.sent, "event"), rest)
	return err
}

// batches sends the events of a file, in their order.
type batches struct {
	*sender
	in     *source
	size   int64 // of the file; 0: nobody knows
	events []wireEvent
	bytes  int
	sent   int
	ids    io.Writer // where ids are printed; nil: nowhere
}

func (b *batches) sendAll(ctx context.Context, next wireEvent) error {
	for {
		b.events = append(b.events, next)
		b.bytes += len(next.Data)
		if len(b.events) >= maxBatch || b.bytes >= maxBatchBytes {
			if err := b.flush(ctx); err != nil {
				return err
			}
		}
		var err error
		if next, err = b.in.next(); errors.Is(err, io.EOF) {
			return b.flush(ctx)
		} else if err != nil {
			return errors.Join(b.flush(ctx), err) // what was read is sound
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (b *batches) flush(ctx context.Context) error {
	if len(b.events) == 0 {
		return nil
	}
	ids, err := b.post(ctx, b.events)
	if err != nil {
		if len(b.events) > 1 && ctx.Err() == nil {
			err = fmt.Errorf("events %d to %d of the file (the answer counts from 0): %w", b.sent+1, b.sent+len(b.events), err)
		}
		return err
	}
	b.sent += len(ids)
	b.done = b.sent
	b.events, b.bytes = b.events[:0], 0
	share := -1.0
	if b.size > 0 {
		share = float64(b.in.Offset()) / float64(b.size)
	}
	b.progress.Show(b.sent, share)
	if b.ids != nil {
		for _, id := range ids {
			fmt.Fprintln(b.ids, id)
		}
	}
	return nil
}

// sender posts batches, each until it is answered.
type sender struct {
	client   *console.Client
	key      string
	patience time.Duration // how long one batch is tried again
	progress *term.Progress
	done     int
}

// The pauses between two tries where the gateway does not say.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 10 * time.Second
)

// post sends events and returns their ids. All tries have one seed: the gateway
// takes the events once.
func (s *sender) post(ctx context.Context, events []wireEvent) ([]string, error) {
	body, err := json.Marshal(events)
	if err != nil {
		return nil, fmt.Errorf("the events cannot be sent: %w", err)
	}
	header := http.Header{"X-Inngest-Event-Id-Seed": {seed(time.Now())}}
	deadline := time.Now().Add(s.patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ids, err := s.client.SendWith(ctx, s.key, body, header)
		wait, again := s.retry(err, pause)
		switch {
		case err == nil && len(ids) != len(events):
			return nil, fmt.Errorf("the gateway took %s and returned %d ids", plural(len(events), "event"), len(ids))
		case !again || time.Now().Add(wait).After(deadline):
			return ids, err
		}
		s.progress.Pause(s.done, "waiting for the gateway: "+err.Error())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// retry says whether another try makes sense, and when. Where nobody has ever
// answered, the address is wrong, or nothing runs there.
func (s *sender) retry(err error, pause time.Duration) (time.Duration, bool) {
	var refused *console.RefusedError
	var unreachable *console.UnreachableError
	var dial *net.OpError
	switch {
	case s.done == 0 && errors.As(err, &dial) && dial.Op == "dial":
		return 0, false
	case errors.As(err, &refused):
		busy := refused.Status == http.StatusTooManyRequests || refused.Status >= http.StatusBadGateway
		return max(pause, refused.RetryAfter), busy
	case errors.As(err, &unreachable):
		return pause, true
	}
	return 0, false
}

// seed is what the Inngest event API knows a request again by.
func seed(now time.Time) string {
	entropy := make([]byte, 10)
	_, _ = rand.Read(entropy) // it never fails
	return fmt.Sprintf("%d,%s", now.UnixMilli(), base64.StdEncoding.EncodeToString(entropy))
}
