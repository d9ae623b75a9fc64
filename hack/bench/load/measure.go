package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const oneEvent = `{"name":"user/registered","data":{"userId":"u-1234567890","email":"somebody@example.com","plan":"free","address":{"street":"1 Main Street","city":"Springfield","zip":"12345"},"tags":["new","web"],"note":"The quick brown fox jumps over the lazy dog, and then once more."}}`

// hundred is a request with a hundred events.
var hundred = "[" + strings.Repeat(oneEvent+",", 99) + oneEvent + "]"

const rowFormat = "| %s | %s | %s | %s | %s | %s |\n"

// row prints a line of the table: median rate, latencies, and what was refused.
func row(name string, all []result, events int64, ratio string) {
	r := median(all)
	fmt.Printf(rowFormat, name, thousands(int64(r.perSecond())*events), ratio, ms(r.P50), ms(r.P99), fmt.Sprintf("%.0f%%", 100*float64(r.Refused)/float64(max(1, r.Requests))))
}

func ms(micros int64) string { return fmt.Sprintf("%.1f", float64(micros)/1000) }

func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// median returns the result with the median rate.
func median(all []result) result {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b result) int { return int(a.perSecond() - b.perSecond()) })
	return sorted[len(sorted)/2]
}

func ratio(a, b []result) string {
	return fmt.Sprintf("%.2f", median(a).perSecond()/median(b).perSecond())
}

// round runs wrk and checks that nothing that was accepted is lost.
func (s *session) round(ctx context.Context, stream string, events int64, b blast) (result, error) {
	if err := s.rdb.Del(ctx, stream).Err(); err != nil {
		return result{}, err
	}
	r, err := s.wrk(ctx, b)
	if err != nil {
		return r, err
	}
	time.Sleep(200 * time.Millisecond) // requests that wrk left behind
	have, err := s.rdb.XLen(ctx, stream).Result()
	if err != nil {
		return r, err
	}
	// More than were accepted: wrk does not wait for the last answers, and an
	// event that was refused because Redis was late may be there all the same.
	if most := (r.Requests + int64(b.connections)) * events; have < r.accepted()*events || have > most {
		return r, fmt.Errorf("%d events are in the stream: %d were accepted, and %d sent at most", have, r.accepted()*events, most)
	}
	return r, nil
}

func measure(ctx context.Context, o options) error {
	s, err := newSession(ctx, o)
	if s != nil {
		defer s.close()
	}
	if err != nil {
		return err
	}
	fmt.Printf("Redis with appendfsync %s, %d connections, %d rounds of %s, medians.\n\n", o.fsync, o.connections, o.rounds, o.duration)
	fmt.Printf(rowFormat, "", "events/s", "ratio", "p50 ms", "p99 ms", "refused")
	fmt.Println("|---|---|---|---|---|---|")
	if err := s.saturation(ctx); err != nil {
		return err
	}
	if err := s.overload(ctx); err != nil {
		return err
	}
	return s.wrongKeys(ctx)
}

var gatewayStream = "wo:{" + namespace + ".0}:ev:" + eventType

// saturation compares the gateway with the bare handler.
func (s *session) saturation(ctx context.Context) error {
	bareURL, err := s.bare(ctx)
	if err != nil {
		return err
	}
	gatewayURL, err := s.gateway(ctx, gatewayOptions{})
	if err != nil {
		return err
	}
	var bare, single, batch []result
	for range s.rounds {
		for _, side := range []struct {
			into   *[]result
			stream string
			events int64
			blast  blast
		}{
			{&bare, bareStream, 1, blast{url: bareURL, body: oneEvent}},
			{&single, gatewayStream, 1, blast{url: gatewayURL, body: oneEvent}},
			{&batch, gatewayStream, 100, blast{url: gatewayURL, body: hundred}},
		} {
			side.blast.connections, side.blast.duration = s.connections, s.duration
			r, err := s.round(ctx, side.stream, side.events, side.blast)
			if err != nil {
				return err
			}
			*side.into = append(*side.into, r)
		}
	}
	row("bare net/http + XADD", bare, 1, "1")
	row("gateway, one event a request", single, 1, ratio(single, bare))
	row("gateway, 100 events a request", batch, 100, fmt.Sprintf("%.2f", 100*median(batch).perSecond()/median(bare).perSecond()))
	s.stopLast()
	s.stopLast()
	return nil
}

// overload gives the gateway one core and offers twice what it can take then,
// in requests of a hundred events, so that wrk on the other core can: with the
// settings that it has by itself, and with a sender who may send half of its
// capacity.
func (s *session) overload(ctx context.Context) error {
	url, err := s.gateway(ctx, gatewayOptions{oneCore: true})
	if err != nil {
		return err
	}
	full, err := s.round(ctx, gatewayStream, 100, blast{url: url, body: hundred, connections: s.connections, duration: s.duration})
	if err != nil {
		return err
	}
	row("gateway on one core, 100 events a request", []result{full}, 100, "1")
	s.stopLast()
	const connections = 2000 // the pauses between their requests make the pace
	capacity := full.perSecond()
	pause := time.Duration(connections / (2 * capacity) * float64(time.Second))
	for _, c := range []struct {
		name string
		gatewayOptions
	}{
		{"twice the capacity", gatewayOptions{oneCore: true}},
		{"twice the capacity, of which the sender may send a quarter", gatewayOptions{oneCore: true, rate: int(50 * capacity)}},
	} {
		url, err := s.gateway(ctx, c.gatewayOptions)
		if err != nil {
			return err
		}
		r, err := s.round(ctx, gatewayStream, 100, blast{url: url, body: hundred, connections: connections, pause: max(time.Millisecond, pause), duration: 2 * s.duration})
		if err != nil {
			return err
		}
		if r.Broken > 0 {
			return fmt.Errorf("%s: %d requests got no answer", c.name, r.Broken)
		}
		row(fmt.Sprintf("%s (%s events/s came)", c.name, thousands(int64(100*r.offered()))), []result{r}, 100, fmt.Sprintf("%.2f", r.perSecond()/capacity))
		s.stopLast()
	}
	return nil
}

// wrongKeys measures a right key at saturation, with and without a thousand
// wrong ones a second beside it.
func (s *session) wrongKeys(ctx context.Context) error {
	url, err := s.gateway(ctx, gatewayOptions{})
	if err != nil {
		return err
	}
	right := blast{url: url, body: oneEvent, connections: s.connections, duration: s.duration}
	wrong := blast{url: strings.Replace(url, key, "this-key-is-no-bodys", 1), body: oneEvent, connections: 120, pause: 100 * time.Millisecond, duration: s.duration + time.Second}
	var alone, beside, refused []result
	for range s.rounds {
		r, err := s.round(ctx, gatewayStream, 1, right)
		if err != nil {
			return err
		}
		alone = append(alone, r)
		flood := make(chan result, 1)
		go func() {
			r, _ := s.wrk(ctx, wrong) // a flood that failed has no requests
			flood <- r
		}()
		time.Sleep(300 * time.Millisecond)
		if r, err = s.round(ctx, gatewayStream, 1, right); err != nil {
			return err
		}
		beside, refused = append(beside, r), append(refused, <-flood)
	}
	row("right key alone", alone, 1, "1")
	row(fmt.Sprintf("right key beside %.0f wrong ones/s", median(refused).offered()), beside, 1, ratio(beside, alone))
	for _, r := range refused {
		if r.offered() < 900 || r.Refused != r.Requests {
			return fmt.Errorf("the flood of wrong keys had %.0f requests a second, of which %d of %d were refused: want 1,000, all refused", r.offered(), r.Refused, r.Requests)
		}
	}
	return nil
}
