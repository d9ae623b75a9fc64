package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// testServer starts a redis-server for one test.
func testServer(t *testing.T) *server {
	t.Helper()
	srv, err := startServer(t.Context(), "redis-server", fsyncNone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// finishAll has a system finish that many runs and returns its trial, closed.
// It fails the test when a run is reported finished twice.
func finishAll(t *testing.T, srv *server, sys system, w work, runs int) *trial {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tr, err := open(ctx, srv, sys, w, runs)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Publish(ctx, makeEvents(runs)); err != nil {
		t.Fatal(err)
	}
	tr.start(ctx)
	if err := tr.wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tr.close(); err != nil {
		t.Fatal(err)
	}
	return tr
}

// Every run is finished once, with every result but the last in a journal that
// is gone afterwards. More runs than slots, so that slots are used again.
func TestRawFinishesEveryRunOnce(t *testing.T) {
	srv := testServer(t)
	const runs = 3*rawInFlight + 77
	for _, steps := range stepCounts {
		t.Run(fmt.Sprintf("%d steps", steps), func(t *testing.T) {
			before, err := srv.take(t.Context(), &sentCounter{})
			if err != nil {
				t.Fatal(err)
			}
			tr := finishAll(t, srv, rawSystem{}, work{Steps: steps}, runs)
			after, err := srv.take(t.Context(), tr.env.sent)
			if err != nil {
				t.Fatal(err)
			}
			executed := newDrain(before, after, runs).Executed
			if got, want := executed["hsetnx"], float64(steps-1); got != want {
				t.Errorf("%v results in the journal per run, want %v", got, want)
			}
			checkRawHistory(t, srv.rdb, runs, steps)
		})
	}
}

func checkRawHistory(t *testing.T, rdb *redis.Client, runs, steps int) {
	t.Helper()
	history, err := rdb.XRange(t.Context(), rawHistory, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	last := stepNames[steps-1]
	var got, want []string
	for _, m := range history {
		got = append(got, fmt.Sprint(m.Values["run"], m.Values["output"]))
	}
	for i := range runs {
		want = append(want, runID(i)+fmt.Sprintf(`{"ok":true,"step":%q,"id":%q}`, last, runID(i)))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("history has %d runs, want each of %d once with the output of step %s", len(got), runs, last)
	}
	pending, err := rdb.XPending(t.Context(), rawEvents, rawGroup).Result()
	if err != nil || pending.Count != 0 {
		t.Errorf("%+v are pending (error %v), want none", pending, err)
	}
	if journals, err := rdb.Keys(t.Context(), rawJournal+"*").Result(); err != nil || len(journals) != 0 {
		t.Errorf("%d journals remain (error %v), want none", len(journals), err)
	}
}

// A run whose event was acknowledged by somebody else is not finished, and
// its journal is theirs to drop.
func TestRawFinishRefusesWhatIsNotItsOwn(t *testing.T) {
	srv, ctx := testServer(t), t.Context()
	tr, err := open(ctx, srv, rawSystem{}, work{Steps: 3}, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	l := tr.instance.(*rawLoop)
	if err := l.Publish(ctx, makeEvents(4)); err != nil {
		t.Fatal(err)
	}
	read, err := l.rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: rawGroup, Consumer: "c1", Streams: []string{rawEvents, ">"}}).Result()
	if err != nil {
		t.Fatal(err)
	}
	var runs []*rawRun
	for i, m := range read[0].Messages {
		runs = append(runs, &rawRun{id: runID(i), entry: m.ID, step: 2, output: []byte(`{}`)})
		l.rdb.HSetNX(ctx, rawJournal+runID(i), stepNames[0], "{}")
	}
	for _, i := range []int{1, 3} {
		if n := l.rdb.XAck(ctx, rawEvents, rawGroup, runs[i].entry).Val(); n != 1 {
			t.Fatalf("acknowledged %d, want 1", n)
		}
	}
	c := rawCommit{loop: l}
	if err := c.commit(ctx, runs); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.refused, []int64{1, 3}) {
		t.Errorf("refused %v, want runs 1 and 3", c.refused)
	}
	if n := l.rdb.XLen(ctx, rawHistory).Val(); n != 2 {
		t.Errorf("history has %d runs, want 2", n)
	}
	journals := l.rdb.Keys(ctx, rawJournal+"*").Val()
	slices.Sort(journals)
	if want := []string{rawJournal + runID(1), rawJournal + runID(3)}; !slices.Equal(journals, want) {
		t.Errorf("journals %v remain, want %v", journals, want)
	}
	if err := c.advance(ctx); err != nil {
		t.Fatal(err)
	}
	if left := l.board.left.Load(); left != 2 {
		t.Errorf("%d runs are open on the board, want the 2 refused", left)
	}
}

// A first result stands; the loop does not overwrite it and does not go on.
func TestRawDoesNotOverwriteAResult(t *testing.T) {
	srv, ctx := testServer(t), t.Context()
	tr, err := open(ctx, srv, rawSystem{}, work{Steps: 3}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	l := tr.instance.(*rawLoop)
	l.rdb.HSet(ctx, rawJournal+runID(0), stepNames[0], "first")
	c := rawCommit{loop: l}
	if err := c.commit(ctx, []*rawRun{{id: runID(0), entry: "1-1", output: []byte("second")}}); err == nil {
		t.Error("a second result was accepted")
	}
	if got := l.rdb.HGet(ctx, rawJournal+runID(0), stepNames[0]).Val(); got != "first" {
		t.Errorf("the result is %q, want the first", got)
	}
}
