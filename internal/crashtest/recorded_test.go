package crashtest_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

// Keys of when handlers did what they record, by the clock of the server that
// they record on: those of the runners may be wrong.
func spansKey(ns string) string  { return "spans:" + ns }
func firstsKey(ns string) string { return "firsts:" + ns }

// clock is that server's, in µs.
func (r *recorder) clock() (int64, error) {
	t, err := r.redis.Strings("TIME")
	if err != nil {
		return 0, err
	}
	sec, _ := strconv.ParseInt(t[0], 10, 64)
	micros, _ := strconv.ParseInt(t[1], 10, 64)
	return sec*1e6 + micros, nil
}

// busy records from when to when it was at work.
func (r *recorder) busy(ctx context.Context, in input) (any, error) {
	began, err := r.clock()
	if err != nil {
		return nil, err
	}
	time.Sleep(40 * time.Millisecond)
	if err := r.effect(ctx); err != nil {
		return nil, err
	}
	ended, err := r.clock()
	if err != nil {
		return nil, err
	}
	_, err = r.redis.Do("RPUSH", spansKey(r.ns), fmt.Sprint(r.name, " ", began, " ", ended))
	return in.Value, err
}

// first records when an effect was there for the first time.
func (r *recorder) first(ctx context.Context, in input) (any, error) {
	at, err := r.clock()
	if err != nil {
		return nil, err
	}
	if _, err := r.redis.Do("HSETNX", firstsKey(r.ns), wildout.Info(ctx).IdempotencyKey, at); err != nil {
		return nil, err
	}
	return in.Value, r.effect(ctx)
}

// span is a time, in µs since 1970; of a runner, or of trouble of one (of all: "").
type span struct {
	runner       string
	began, ended int64
}

func (s span) meets(other span) bool {
	return (s.runner == other.runner || other.runner == "") && s.began <= other.ended && other.began <= s.ended
}

// most is how many of the spans there were at one time. Those that meet trouble
// do not count: a handler that was under way when its runner lost its lease is
// under way for nobody.
func most(spans, troubles []span) (at, counted int) {
	type edge struct {
		at   int64
		step int
	}
	var edges []edge
	for _, s := range spans {
		if slices.ContainsFunc(troubles, s.meets) {
			continue
		}
		counted++
		edges = append(edges, edge{s.began, 1}, edge{s.ended, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.step - b.step
	})
	open := 0
	for _, e := range edges {
		open += e.step
		at = max(at, open)
	}
	return at, counted
}

func (s *scene) spans() (all []span, err error) {
	lines, err := s.notes.Strings("LRANGE", spansKey(s.ns), 0, -1)
	for _, line := range lines {
		words := strings.Fields(line)
		began, _ := strconv.ParseInt(words[1], 10, 64)
		ended, _ := strconv.ParseInt(words[2], 10, 64)
		all = append(all, span{words[0], began, ended})
	}
	return all, err
}

// firsts are when effects were there for the first time, in order.
func (s *scene) firsts() (all []int64, err error) {
	times, err := s.notes.Strings("HVALS", firstsKey(s.ns))
	for _, text := range times {
		at, _ := strconv.ParseInt(text, 10, 64)
		all = append(all, at)
	}
	slices.Sort(all)
	return all, err
}
