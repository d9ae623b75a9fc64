package main

import (
	"context"
	"errors"
	"fmt"
)

// measureMemory takes the server's memory with all connections of the system
// closed and relates it to that of the empty server.
func measureMemory(ctx context.Context, srv *server, sys system, runs int) (m memory, err error) {
	events := makeEvents(runs)
	payload := 0
	for i := range events {
		payload += events[i].payloadBytes()
	}
	for _, part := range []struct {
		into   **float64
		work   work
		worked bool
		less   int // bytes that are not overhead
	}{
		{&m.PendingOverPayload, work{Steps: 3}, false, payload},
		{&m.Sleeping, work{Steps: 3, Sleep: true}, true, 0},
		{&m.Finished, work{Steps: 3, KeepHistory: true}, true, 0},
	} {
		grown, err := measureGrowth(ctx, srv, sys, part.work, events, part.worked)
		switch {
		case errors.Is(err, errNotOffered):
			continue
		case err != nil:
			return m, err
		}
		perRun := float64(grown-int64(part.less)) / float64(runs)
		*part.into = &perRun
	}
	return m, nil
}

// measureGrowth returns by how many bytes the events, or what remains of their
// runs, make an empty server grow.
func measureGrowth(ctx context.Context, srv *server, sys system, w work, events []benchEvent, worked bool) (int64, error) {
	if err := srv.Empty(ctx); err != nil {
		return 0, err
	}
	empty, err := srv.usedMemory(ctx)
	if err != nil {
		return 0, err
	}
	t, err := open(ctx, srv, sys, w, len(events))
	if err != nil {
		return 0, err
	}
	if err := fill(ctx, t, events, worked); err != nil {
		return 0, errors.Join(err, t.close())
	}
	if err := t.close(); err != nil {
		return 0, err
	}
	full, err := srv.usedMemory(ctx)
	if err != nil {
		return 0, err
	}
	return full - empty, nil
}

// fill publishes the events and, if worked, has their runs brought to where
// the work ends or sleeps.
func fill(ctx context.Context, t *trial, events []benchEvent, worked bool) error {
	if err := t.Publish(ctx, events); err != nil {
		return err
	}
	if !worked {
		return nil
	}
	t.start(ctx)
	if err := t.wait(ctx); err != nil {
		return err
	}
	if tr, ok := t.instance.(trimmer); ok {
		if err := tr.Trim(ctx); err != nil {
			return fmt.Errorf("trim what is finished: %w", err)
		}
	}
	return nil
}
