package run_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

var start = time.UnixMilli(1_700_000_000_000).UTC()

// at is a time that many ms after start.
func at(ms int) *time.Time {
	t := start.Add(time.Duration(ms) * time.Millisecond)
	return &t
}

// decoded reads a record, with all its times in UTC.
func decoded(t *testing.T, text string) run.Record {
	t.Helper()
	if !json.Valid([]byte(text)) {
		t.Fatalf("not JSON: %s", text)
	}
	r, err := run.DecodeRecord("f", "1-0", text)
	if err != nil {
		t.Fatal(err)
	}
	utc := func(at *time.Time) {
		if at != nil {
			*at = at.UTC()
		}
	}
	utc(&r.StartedAt)
	utc(r.EndedAt)
	for i := range r.Steps {
		utc(r.Steps[i].Start)
		for j := range r.Steps[i].Tries {
			utc(&r.Steps[i].Tries[j].Start)
		}
	}
	return r
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", show(got), show(want))
	}
}

func show(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestRecordComesBackAsItWas(t *testing.T) {
	r := run.Record{
		ID: "id", Function: "f", Status: run.Cancelled, EventID: "e", EventType: "a/ö", Version: "v", StartedAt: start, EndedAt: at(5000),
		Error: `"no"`, ErrorStep: "one", ReplayOf: "other", Follows: "another", Output: []byte(`{"a":1}`),
		Event: &event.Event{ID: "e", Type: "a", Time: start, Data: []byte(`{"n":1}`)},
		Steps: []run.StepRecord{
			{Name: "plain", Status: run.StepOK, Attempts: 1, Start: at(0), Millis: 3},
			{Name: "pending", Status: run.StepPending},
			{Name: "error", Status: run.StepFailed, Attempts: 1, Start: at(3), Error: "a\nb"},
			{Name: "output", Status: run.StepOK, Attempts: 1, Start: at(4), Output: []byte(`[1.5,12345678901234567890,"x"]`)},
			{Name: "tries", Status: run.StepFailed, Attempts: 3, Start: at(50), Millis: 2, Error: "e2",
				Tries: []run.Try{{Start: *at(5), Millis: 1, Error: `e"1`}, {Start: *at(50), Millis: 2, Error: "e2"}}},
			{Name: "list", Status: run.StepOK, Start: at(60), Elements: 1, Output: []byte(`[true]`)},
			{Name: "list[0]", Status: run.StepOK, Start: at(60), Output: []byte(`true`)},
			{Name: `list[0]/a "b"`, Status: run.StepCancelled, Start: at(60), Millis: 4},
			{Name: "list[0]/nap", Status: run.StepOK, Start: at(60), Millis: 4, Kind: run.KindSleep},
			{Name: "list[0]/paid", Status: run.StepCancelled, Start: at(60), Millis: 4, Kind: run.KindWait, Of: "shop/paid"},
		},
	}
	same(t, decoded(t, string(run.AppendRecord(nil, &r))), r)
}

func TestOutputOfARunIsKeptOnce(t *testing.T) {
	r := run.Record{ID: "id", StartedAt: start, Status: run.Succeeded, Output: []byte(`{"text":"only once"}`), Steps: []run.StepRecord{
		{Name: "one", Status: run.StepOK, Output: []byte(`{"text":"only once"}`)}, {Name: "two", Status: run.StepOK}}}
	text := string(run.AppendRecord(nil, &r))
	same(t, strings.Count(text, "only once"), 1)
	same(t, decoded(t, text).Output, r.Output)
}

func TestOutputsAreBounded(t *testing.T) {
	quoted := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }
	for name, c := range map[string]struct {
		steps    []int // sizes of outputs
		want     []int // sizes kept; of a cut one, of its text
		whole    []int
		output   int
		wantText string // "": as it was
	}{
		"all fits":                    {steps: []int{1024}, want: []int{1024}, whole: []int{0}, output: 2048},
		"one step too much":           {steps: []int{1025}, want: []int{512 + len("…")}, whole: []int{1025}, output: 2048},
		"the run too much":            {output: 2049, wantText: `"(2049 bytes, not kept)"`},
		"the room of all steps is up": {steps: []int{1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024, 10}, want: []int{1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024, len("…")}, whole: []int{0, 0, 0, 0, 0, 0, 0, 0, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run.Record{ID: "id", StartedAt: start, Status: run.Succeeded}
			for _, n := range c.steps {
				r.Steps = append(r.Steps, run.StepRecord{Name: "s", Status: run.StepOK, Output: quoted(n)})
			}
			if c.output > 0 {
				r.Output = quoted(c.output)
			}
			got := decoded(t, string(run.AppendRecord(nil, &r)))
			for i, step := range got.Steps {
				same(t, step.OutputBytes, c.whole[i])
				size := len(step.Output)
				if step.OutputBytes > 0 {
					var head string
					if err := json.Unmarshal(step.Output, &head); err != nil {
						t.Fatal(err)
					}
					size = len(head)
				}
				same(t, size, c.want[i])
			}
			want := r.Output
			if c.wantText != "" {
				want = json.RawMessage(c.wantText)
			}
			same(t, got.Output, want)
		})
	}
}

// TestCutKeepsCharactersWhole: what is kept of a long output is valid UTF-8.
func TestCutKeepsCharactersWhole(t *testing.T) {
	r := run.Record{ID: "id", StartedAt: start, Steps: []run.StepRecord{{Name: "s", Status: run.StepOK, Output: json.RawMessage(`"x` + strings.Repeat("é", 1000) + `"`)}}}
	var head string
	if err := json.Unmarshal(decoded(t, string(run.AppendRecord(nil, &r))).Steps[0].Output, &head); err != nil {
		t.Fatal(err)
	}
	same(t, head, `"x`+strings.Repeat("é", 255)+"…")
	same(t, run.Cut("aé", 3), "aé")
	same(t, run.Cut("aéb", 2), "a… (cut)")
	same(t, run.Cut("aéb", 3), "aé… (cut)")
}

func TestRecordsOfEarlierReleasesAreReadable(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want run.Record
	}{
		"0.1, succeeded": {`{"i":"x","e":"e","y":"a","v":"v","t":1700000000000,"d":7,"o":{"a":1},"s":[["one","",1,0,3],["two","skipped",0,3,0],["three","pending",0,-1,0]]}`,
			run.Record{Status: run.Succeeded, EndedAt: at(7), EventID: "e", EventType: "a", Version: "v", Output: []byte(`{"a":1}`), Steps: []run.StepRecord{
				{Name: "one", Status: run.StepOK, Attempts: 1, Start: at(0), Millis: 3}, {Name: "two", Status: run.StepSkipped, Start: at(3)}, {Name: "three", Status: run.StepPending}}}},
		"0.1, failed": {`{"i":"x","t":1700000000000,"d":7,"x":"failed","m":"no","n":"one","E":{"id":"e","type":"a","time":"2023-11-14T22:13:20Z","data":{}},"s":[["one","failed",4,2,3,"no \"way\""]]}`,
			run.Record{Status: run.Failed, EndedAt: at(7), Error: "no", ErrorStep: "one", Event: &event.Event{ID: "e", Type: "a", Time: start, Data: []byte(`{}`)},
				Steps: []run.StepRecord{{Name: "one", Status: run.StepFailed, Attempts: 4, Start: at(2), Millis: 3, Error: `no "way"`}}}},
		"0.2": {`{"i":"x","t":1700000000000,"d":9,"x":"cancelled","m":"why","R":"y","s":[["one",0,2,5,3,0,{"a":1},0,[[0,4,"no"]]],["list",0,1,8,1,0,"[1,2…",4000,[],60],["two","cancelled",0,9,0]],"O":0}`,
			run.Record{Status: run.Cancelled, EndedAt: at(9), Error: "why", ReplayOf: "y", Output: []byte(`{"a":1}`), Steps: []run.StepRecord{
				{Name: "one", Status: run.StepOK, Attempts: 2, Start: at(5), Millis: 3, Output: []byte(`{"a":1}`), Tries: []run.Try{{Start: *at(0), Millis: 4, Error: "no"}}},
				{Name: "list", Status: run.StepOK, Attempts: 1, Start: at(8), Millis: 1, Output: []byte(`"[1,2…"`), OutputBytes: 4000, Elements: 60},
				{Name: "two", Status: run.StepCancelled, Start: at(9)}}}},
		"0.3": {`{"i":"x","t":1700000000000,"d":9,"s":[["one/call",0,1,5,3,0,"hi",0,[],0,"iship-order"],["one/tell",0,1,8,0,0,null,0,[],0,"e"]]}`,
			run.Record{Status: run.Succeeded, EndedAt: at(9), Steps: []run.StepRecord{
				{Name: "one/call", Status: run.StepOK, Attempts: 1, Start: at(5), Millis: 3, Output: []byte(`"hi"`), Kind: run.KindInvoke, Of: "ship-order"},
				{Name: "one/tell", Status: run.StepOK, Attempts: 1, Start: at(8), Kind: run.KindSend}}}},
		"a later one, with more": {`{"i":"x","t":1700000000000,"d":7,"later":[1],"s":[["one","",1,0,3,"",null,0,[],0,"","more"]],"O":9}`,
			run.Record{Status: run.Succeeded, EndedAt: at(7), Steps: []run.StepRecord{{Name: "one", Status: run.StepOK, Attempts: 1, Start: at(0), Millis: 3}}}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.ID = "x"
			c.want.Function = "f"
			c.want.StartedAt = start
			same(t, decoded(t, c.text), c.want)
		})
	}
	if _, err := run.DecodeRecord("f", "1-0", `{"i":`); err == nil || !strings.Contains(err.Error(), "history entry 1-0 of f is damaged") {
		t.Errorf("of a damaged record: %v", err)
	}
}
