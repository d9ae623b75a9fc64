package main

import (
	"fmt"
	"strconv"

	"github.com/wildout/wildout/runtime/event"
)

// eventType is the type of every event that bench publishes.
const eventType = "bench/event"

// A benchEvent is one event: about 300 bytes, of which its id says which run
// of the measurement it starts.
type benchEvent struct{ event.Event }

// dataFormat makes 300 bytes of JSON, in the shape of an audit entry.
const dataFormat = `{"action":"LISTING_UPDATE","actor":"user-%08d","role":"editor","ip":"203.0.113.%03d",` +
	`"resource":{"kind":"listing","id":"listing-%08d"},"details":{"count":1,"fields":["title","venue","starts_at"],` +
	`"note":"moved to the larger hall because tickets sold out"},"user_agent":"bench/1.0","session":"s-%012d"}`

// makeEvents returns the events of n runs, numbered from 0.
func makeEvents(n int) []benchEvent {
	events := make([]benchEvent, 0, n)
	for i := range n {
		events = append(events, benchEvent{event.Event{
			ID:   runID(i),
			Type: eventType,
			Data: fmt.Appendf(nil, dataFormat, i, i%256, i, i),
		}})
	}
	return events
}

// payloadBytes is what a publisher hands over: id and data.
func (e *benchEvent) payloadBytes() int { return len(e.ID) + len(e.Data) }

// runID names the i-th run of a measurement.
func runID(i int) string { return fmt.Sprintf("r%07d", i) }

// runIndex is the reverse of runID.
func runIndex(id string) (int, error) {
	if len(id) < 2 || id[0] != 'r' {
		return 0, fmt.Errorf("run id %q is not one of bench: want r and a number", id)
	}
	i, err := strconv.ParseUint(id[1:], 10, 31)
	if err != nil {
		return 0, fmt.Errorf("run id %q is not one of bench: %w", id, err)
	}
	return int(i), nil
}

// stepNames name the steps of a run.
var stepNames = [...]string{"validate", "store", "notify"}

// stepOutput is the small JSON that every handler returns.
type stepOutput struct {
	OK   bool   `json:"ok"`
	Step string `json:"step"`
	ID   string `json:"id"`
}

// handle is the handler of every step in every system.
func handle(step int, id string) stepOutput {
	return stepOutput{OK: true, Step: stepNames[step], ID: id}
}

// appendJSON appends the output as JSON, for the raw loop, which knows its
// handlers and needs no reflection.
func (o stepOutput) appendJSON(b []byte) []byte {
	b = append(b, `{"ok":`...)
	b = strconv.AppendBool(b, o.OK)
	b = append(b, `,"step":`...)
	b = strconv.AppendQuote(b, o.Step)
	b = append(b, `,"id":`...)
	b = strconv.AppendQuote(b, o.ID)
	return append(b, '}')
}
