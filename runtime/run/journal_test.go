package run_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

func TestResultComesBackAsItWas(t *testing.T) {
	for name, c := range map[string]struct {
		result run.Result
		text   string
	}{
		"empty":   {run.Result{Output: []byte("null")}, `{"o":null}`},
		"plain":   {run.Result{Output: []byte(`{"a":1}`), Attempts: 1, Start: 5, Duration: 7}, `{"n":1,"t":5,"d":7,"o":{"a":1}}`},
		"version": {run.Result{Output: []byte("1"), Attempts: 1, Version: "abc"}, `{"v":"abc","n":1,"o":1}`},
		"error":   {run.Result{Error: "no \"way\"\n", Attempts: 2, Output: []byte("null")}, `{"e":"no \"way\"\n","n":2,"o":null}`},
		"tries": {run.Result{Output: []byte("null"), Attempts: 2, Tries: run.Tries{{Start: *at(0), Millis: 3, Error: "é"}, {Start: *at(9), Error: ""}}},
			`{"n":2,"r":[{"t":1700000000000,"d":3,"e":"é"},{"t":1700000000009,"d":0,"e":""}],"o":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			text := string(c.result.Encode())
			same(t, text, c.text)
			got, err := run.DecodeResult("s", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, c.result)
		})
	}
	if _, err := run.DecodeResult("a/b", []byte(`{"n":"x"}`)); err == nil || !strings.HasPrefix(err.Error(), "journal field a/b is damaged: ") {
		t.Errorf("of a damaged result: %v", err)
	}
}

func TestProgressComesBackAsItWas(t *testing.T) {
	p := run.Progress{Kind: run.KindWait, Attempts: 1, Error: "e", Since: 2, Due: 3, Seen: "4-0", Child: "c", Version: "v", Parks: 5,
		Tries: run.Tries{{Start: *at(0), Millis: 3, Error: "e"}}}
	text := string(p.Encode())
	same(t, text, `{"y":"w","n":1,"e":"e","t":2,"u":3,"s":"4-0","c":"c","v":"v","r":[{"t":1700000000000,"d":3,"e":"e"}],"k":5}`)
	got, err := run.DecodeProgress("s", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, p)
	same(t, p.Empty(), false)
	if _, err := run.DecodeProgress("s", []byte(`[]`)); err == nil || !strings.HasPrefix(err.Error(), "journal field ~s is damaged: ") {
		t.Errorf("of a damaged progress: %v", err)
	}
}

func TestEmptyProgress(t *testing.T) {
	for name, p := range map[string]run.Progress{
		"attempts": {Attempts: 1}, "error": {Error: "e"}, "since": {Since: 1}, "due": {Due: 1},
		"seen": {Seen: "1-0"}, "child": {Child: "c"}, "version": {Version: "v"},
	} {
		if p.Empty() {
			t.Errorf("a progress with %s is empty", name)
		}
	}
	if p := (run.Progress{Kind: run.KindSleep, Parks: 2}); !p.Empty() {
		t.Error("a progress of which only the kind is known is not empty")
	}
}

// TestProgressDoes: what earlier releases wrote did not say what a step does.
func TestProgressDoes(t *testing.T) {
	for text, want := range map[string]struct {
		kind   run.Kind
		reason run.Reason
	}{
		`{"t":1,"u":2}`:                {run.KindSleep, run.Sleeping},
		`{"t":1,"u":2,"s":"1-0"}`:      {run.KindWait, run.WaitingForEvent},
		`{"t":1,"u":2,"c":"x"}`:        {run.KindInvoke, run.WaitingForRun},
		`{"n":1,"e":"no","u":2}`:       {run.KindHandler, run.RetryBackoff},
		`{"e":"not now","u":2}`:        {run.KindHandler, run.RetryBackoff},
		`{"t":1}`:                      {run.KindHandler, run.RetryBackoff},
		`{"y":"w","t":1,"u":2}`:        {run.KindWait, run.WaitingForEvent}, // registered, and not looked back yet
		`{"y":"h","t":1,"u":2}`:        {run.KindHandler, run.RetryBackoff},
		`{"y":"s","t":1,"c":"x"}`:      {run.KindSleep, run.Sleeping},
		`{"y":"i","t":1,"u":2}`:        {run.KindInvoke, run.WaitingForRun},
		`{"y":"w","n":1,"s":"","u":2}`: {run.KindWait, run.WaitingForEvent},
	} {
		p, err := run.DecodeProgress("s", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if p.Does() != want.kind || p.Reason() != want.reason {
			t.Errorf("%s: %s, %s; want %s, %s", text, p.Does(), p.Reason(), want.kind, want.reason)
		}
	}
}

func TestTriesAreBounded(t *testing.T) {
	var tries run.Tries
	for n := range run.MaxTries + 3 {
		before := tries
		kept := fmt.Sprint(before)
		tries = tries.Add(*at(n), time.Duration(n)*time.Millisecond, errors.New(strings.Repeat("x", 300)))
		same(t, fmt.Sprint(before), kept) // an attempt that was given up may still hold it
	}
	same(t, len(tries), run.MaxTries)
	same(t, tries[0].Millis, int64(3))
	same(t, tries[run.MaxTries-1], run.Try{Start: *at(run.MaxTries + 2), Millis: run.MaxTries + 2, Error: strings.Repeat("x", 256) + "… (cut)"})
}

func TestIdentityComesBackAsItWas(t *testing.T) {
	i := run.Identity{
		Event:     event.Event{ID: "e", Type: "a", Source: "s", Subject: "u", Time: start, TraceParent: "p", TraceState: "w", Data: []byte(`{"n":1}`)},
		Entries:   []run.Entry{{Type: "a", ID: "1-0"}, {Type: "b", ID: "2-0"}, {ID: "3-0"}},
		StartedAt: *at(1), Version: "v", Parent: &run.Parent{Function: "f", RunID: "r", Path: "s"}, Once: "o", Follows: "x", ReplayOf: "y",
		Admitted: true, Queued: *at(2),
	}
	text, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(text), `{"i":"e","y":"a","s":"s","u":"u","t":1700000000000,"p":"p","w":"w","d":{"n":1},"n":["1-0","b 2-0","- 3-0"],"b":1700000000001,"v":"v",`+
		`"c":{"f":"f","r":"r","p":"s"},"o":"o","f":"x","a":true,"r":"y","q":1700000000002}`)
	got, err := (&run.Journal{Identity: text}).DecodeIdentity("r")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, i)
	if _, err := (&run.Journal{Identity: []byte(`{"i":1}`)}).DecodeIdentity("r"); err == nil || !strings.Contains(err.Error(), "journal of run r") {
		t.Errorf("of a damaged one: %v", err)
	}
}

func TestJournalSortsItsFields(t *testing.T) {
	j := run.DecodeJournal(map[string]string{
		"@": "meta", "@o": "", "@active": "1500", "@cancel": "1700000000000 because of that", "?w": "5-0", "~open": `{"n":1}`,
		"a": `{"o":1}`, "a/b": `{"o":2}`, "@failure": `{"e":"no","o":"a"}`,
	})
	same(t, string(j.Identity), "meta")
	same(t, j.Parked, true)
	same(t, j.Active, 1500*time.Millisecond)
	same(t, *j.Cancel, run.CancelRequest{At: start, Reason: "because of that"})
	same(t, len(j.Results), 3)
	same(t, string(j.Results["a/b"]), `{"o":2}`)
	same(t, string(j.Progress["open"]), `{"n":1}`)
	if j := run.DecodeJournal(map[string]string{"@o": "1-0", "a": "{}"}); j.Parked || j.Identity != nil || j.Cancel != nil {
		t.Errorf("of a run that somebody has: %+v", j)
	}
	same(t, run.ProgressField("a"), "~a")
	same(t, run.CandidateField("a"), "?a")
}

func TestVersionOf(t *testing.T) {
	fields := map[string][]byte{"a": []byte(`{"o":1}`), "b": []byte(`broken`)}
	same(t, run.VersionOf(fields, nil), "")
	same(t, run.VersionOf(fields, map[string][]byte{"~c": []byte(`{"v":"x","u":1}`)}), "x")
}

func TestFailureComesBackAsItWas(t *testing.T) {
	f := &run.Failure{Message: "no", Step: "a[1]", Attempts: 3}
	r, err := run.DecodeResult(run.FailureField, f.Result(start).Encode())
	if err != nil {
		t.Fatal(err)
	}
	same(t, run.FailureOf(&r), f)
	same(t, r.Start, start.UnixMilli())
	same(t, run.FailureOf(&run.Result{Error: "old", Output: []byte("null")}), &run.Failure{Message: "old"})
}

func TestCancelRequest(t *testing.T) {
	same(t, *run.ParseCancelRequest("1700000000000 "), run.CancelRequest{At: start})
	same(t, (&run.CancelRequest{}).Error(), "the run is to be cancelled: cancelled")
	same(t, (&run.CancelRequest{Reason: "why"}).Error(), "the run is to be cancelled: cancelled: why")
}

func TestWaitMember(t *testing.T) {
	for _, w := range []run.Wait{{Path: "a"}, {Path: "a[1]", HasIf: true}} {
		same(t, run.ParseMember(w.Member("id")), run.Waiter{RunID: "id", Path: w.Path, HasIf: w.HasIf})
	}
}

// journal is one with these progresses and results.
func journal(progress, results map[string]string) *run.Journal {
	fields := map[string]string{}
	for path, text := range progress {
		fields[run.ProgressField(path)] = text
	}
	for path, text := range results {
		fields[path] = text
	}
	return run.DecodeJournal(fields)
}

func TestJournalReason(t *testing.T) {
	for name, c := range map[string]struct {
		identity run.Identity
		journal  *run.Journal
		want     run.Reason
	}{
		"nothing":                     {run.Identity{}, journal(nil, nil), ""},
		"slot":                        {run.Identity{Queued: start}, journal(map[string]string{"a": `{"y":"s","u":5}`}, nil), run.WaitingForSlot},
		"rate":                        {run.Identity{Admitted: true}, journal(nil, nil), run.Throttled},
		"begun":                       {run.Identity{Admitted: true}, journal(nil, map[string]string{"a": `{"o":1}`}), ""},
		"follows":                     {run.Identity{Follows: "x"}, journal(nil, nil), run.WaitingForRun},
		"sleep":                       {run.Identity{}, journal(map[string]string{"a": `{"y":"s","u":5}`}, nil), run.Sleeping},
		"the earlier":                 {run.Identity{}, journal(map[string]string{"a": `{"y":"w","u":9}`, "b": `{"y":"h","n":1,"u":5}`, "c": `{"y":"i"}`}, nil), run.RetryBackoff},
		"ended ones":                  {run.Identity{}, journal(map[string]string{"a": `{"y":"s","u":5}`, "b": `{"y":"w","u":9}`}, map[string]string{"a": `{"o":1}`}), run.WaitingForEvent},
		"damaged":                     {run.Identity{}, journal(map[string]string{"a": `{`}, nil), ""},
		"a sleep that is over":        {run.Identity{}, journal(map[string]string{"a": `{"y":"s","u":4}`, "b": `{"y":"w","u":9}`}, nil), run.WaitingForEvent},
		"a handler, by what it wants": {run.Identity{}, journal(map[string]string{"a": `{"y":"h","n":1,"w":["paid"]}`, "a/paid": `{"y":"w","u":9,"o":{"e":"paid"}}`}, nil), run.WaitingForEvent},
	} {
		t.Run(name, func(t *testing.T) { same(t, c.journal.Reason(&c.identity, time.UnixMilli(4)), c.want) })
	}
}

func TestJournalSteps(t *testing.T) {
	const began = 1_700_000_000_000
	now := *at(60_000)
	text := fmt.Sprintf
	j := journal(map[string]string{
		"nap":      text(`{"y":"s","t":%d,"u":%d}`, began+1000, began+2000),
		"old-nap":  text(`{"t":%d,"u":%d}`, began+1500, began+60_000),
		"sleeps":   text(`{"y":"s","t":%d,"u":%d}`, began+2000, began+60_001),
		"late":     text(`{"y":"w","t":%d,"u":%d}`, began+3000, began+4000), // its time-out has passed, and nobody has looked
		"retry":    text(`{"y":"h","n":2,"e":"no","t":%d,"u":%d,"r":[{"t":%d,"d":3,"e":"no"}]}`, began+5000, began+90_000, began+5000),
		"child":    text(`{"y":"i","t":%d,"c":"x"}`, began+6000),
		"paid":     text(`{"y":"w","t":%d,"u":%d,"s":"1-0"}`, began+7000, began+9000),
		"one":      text(`{"n":1,"t":%d}`, began),
		"one/call": text(`{"y":"i","t":%d,"c":"y","o":{"f":"ship"}}`, began+20_000),
		"one/rest": text(`{"y":"s","t":%d,"u":%d,"o":{}}`, began+10_000, began+11_000),
		"damaged":  `{`,
	}, map[string]string{
		"one/call": text(`{"n":1,"t":%d,"o":1}`, began+25_000),
		"one/tell": text(`{"y":"e","n":1,"t":%d,"o":["id"]}`, began+30_000),
		"one":      text(`{"n":2,"t":%d,"d":5,"r":[{"t":%d,"d":1,"e":"no"}],"o":{"a":1}}`, began+10, began),
		"paid":     text(`{"n":1,"t":%d,"d":1,"o":{"id":"e"}}`, began+8000),
		"failed":   text(`{"n":1,"e":"never","t":%d,"o":null}`, began+8500),
		"@failure": text(`{"n":1,"e":"never","t":%d,"o":"failed"}`, began+8500),
		"broken":   `{`,
	})
	want := []run.StepRecord{
		{Name: "one", Status: run.StepOK, Attempts: 2, Start: at(10), Millis: 5, Output: []byte(`{"a":1}`), Tries: []run.Try{{Start: *at(0), Millis: 1, Error: "no"}}},
		{Name: "nap", Status: run.StepOK, Attempts: 1, Start: at(1000), Millis: 1000},
		{Name: "old-nap", Status: run.StepOK, Attempts: 1, Start: at(1500), Millis: 58_500},
		{Name: "sleeps", Status: run.StepWaiting, Start: at(2000), Until: at(60_001)},
		{Name: "late", Status: run.StepWaiting, Start: at(3000), Until: at(4000)},
		{Name: "retry", Status: run.StepWaiting, Attempts: 2, Start: at(5000), Until: at(90_000), Error: "no", Tries: []run.Try{{Start: *at(5000), Millis: 3, Error: "no"}}},
		{Name: "child", Status: run.StepWaiting, Start: at(6000)},
		{Name: "paid", Status: run.StepOK, Attempts: 1, Start: at(7000), Millis: 1001, Output: []byte(`{"id":"e"}`)},
		{Name: "failed", Status: run.StepFailed, Attempts: 1, Start: at(8500), Error: "never"},
		{Name: "one/rest", Status: run.StepOK, Attempts: 1, Start: at(10_000), Millis: 1000, Kind: run.KindSleep},
		{Name: "one/call", Status: run.StepOK, Attempts: 1, Start: at(20_000), Millis: 5000, Output: []byte("1"), Kind: run.KindInvoke, Of: "ship"},
		{Name: "one/tell", Status: run.StepOK, Attempts: 1, Start: at(30_000), Output: []byte(`["id"]`), Kind: run.KindSend},
	}
	got := j.Steps(now)
	for i := range got {
		for _, at := range []*time.Time{got[i].Start, got[i].Until} {
			if at != nil {
				*at = at.UTC()
			}
		}
	}
	same(t, got, want)
}

func TestStatuses(t *testing.T) {
	ended := map[run.Status]bool{run.Succeeded: true, run.Failed: true, run.Cancelled: true, run.Skipped: true, run.Rejected: true}
	for _, s := range run.Statuses() {
		if s.Ended() != ended[s] {
			t.Errorf("%s: ended is %t", s, s.Ended())
		}
	}
	for _, s := range []run.StepStatus{run.StepPending, run.StepRunning, run.StepWaiting} {
		if s.Ended() {
			t.Errorf("a step that is %s has ended", s)
		}
	}
	for _, s := range []run.StepStatus{run.StepOK, run.StepFailed, run.StepSkipped, run.StepCancelled} {
		if !s.Ended() {
			t.Errorf("a step that is %s has not ended", s)
		}
	}
}

// A run that an older release parked is read, and what it did not know is
// empty; what this one parks comes back as it was.
func TestIdentityOfOldJournals(t *testing.T) {
	const old = `{"i":"e1","y":"a","t":1700000000000,"p":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","d":{"n":1},"b":1700000000001,"v":"abc"}`
	var m run.Identity
	if err := json.Unmarshal([]byte(old), &m); err != nil {
		t.Fatal(err)
	}
	if m.Event.ID != "e1" || m.Event.TraceParent == "" || m.Event.TraceState != "" || !m.Queued.IsZero() {
		t.Errorf("got %+v", m)
	}
	if again, err := json.Marshal(m); err != nil || string(again) != old {
		t.Errorf("it becomes %s, %v", again, err)
	}
	m.Event.TraceState, m.Queued = "vendor=x", m.StartedAt
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back run.Identity
	if err := json.Unmarshal(text, &back); err != nil || back.Event.TraceState != "vendor=x" || !back.Queued.Equal(m.Queued) {
		t.Errorf("%s becomes %+v, %v", text, back, err)
	}
}
