package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// parcels are functions with a step of each kind.
const parcels = `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: order}
spec:
  description: Sends an order.
  triggers: [{event: order/placed}]
  retryPolicy: {maxAttempts: 2, initialInterval: 50ms, multiplier: "1", jitter: "0"}
  steps:
    - {name: price, set: "${ {'sum': event.data.nr * 2} }"}
    - {name: pack, handler: log.write, forEach: "${['a','b']}", with: {message: "pack ${item} of ${event.data.nr}"}}
    - {name: call, handler: http.request, with: {url: "http://127.0.0.1:1/${steps.price.output.sum}"}, onError: Continue}
    - {name: tell, sendEvent: [{name: order/sent, data: {nr: "${event.data.nr}"}}]}
    - {name: carry, invoke: {function: carrier, data: {nr: "${event.data.nr}"}}}
    - {name: never, if: "event.data.nr > 100", handler: log.write, with: {message: never}}
    - {name: wait, if: "event.data.nr > 10", waitForEvent: {event: order/paid, match: data.nr, timeout: 10m}}
    - {name: last, handler: log.write, with: {message: "${steps.carry.output}"}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: carrier}
spec:
  triggers: [{event: carrier/asked}]
  steps: [{name: ride, sleep: 200ms}, {name: done, set: "carried ${event.data.nr}"}]
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: refuse}
spec:
  triggers: [{event: refused}]
  steps: [{name: check, assert: [{that: "false", message: "no way"}]}]
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: long}
spec:
  triggers: [{event: long}]
  steps:
    - {name: text, set: "${event.data.text}"}
    - {name: size, handler: log.write, with: {message: "has ${steps.text.output}"}}
    - {name: env, handler: log.write, with: {message: "${env.SITE_NAME}"}}
`

func startParcels(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "parcels.yaml"), parcels)
	return start(t, dir)
}

// sendFor sends an event and returns the id of the run that it starts.
func (r *running) sendFor(t *testing.T, eventType, data string) (event, record string) {
	t.Helper()
	out, _, err := cli(t, "send", eventType, "--data", data, "--url", r.client.URL)
	if err != nil {
		t.Fatal(err)
	}
	event = strings.TrimSpace(out)
	runs, err := r.client.EventRuns(t.Context(), eventType, event)
	if err != nil || len(runs.Runs) != 1 {
		t.Fatalf("runs %+v (%v)", runs, err)
	}
	return event, runs.Runs[0].ID
}

func (r *running) reaches(t *testing.T, record string, st run.Status) *console.RunDetail {
	t.Helper()
	var d *console.RunDetail
	eventually(t, fmt.Sprintf("run %s is %s", record, st), func() (holds bool) {
		var err error
		d, err = r.client.Run(t.Context(), record)
		return err == nil && d.Status == st
	})
	return d
}

// TestRunDetail looks at a run with a step of each kind, while it waits and
// when it has ended: the inputs are those that the handlers got.
func TestRunDetail(t *testing.T) {
	s := startParcels(t)
	_, id := s.sendFor(t, "order/placed", `{"nr":11}`)
	eventually(t, "it waits for the payment", func() bool {
		d, err := s.client.Run(t.Context(), id)
		return err == nil && step(d, "wait").Status == "waiting"
	})
	waiting := s.reaches(t, id, run.Waiting)
	checkDetail(t, "while it waits", waiting)
	if w := step(waiting, "wait"); w.Does != "order/paid, up to 10m" || w.Until == nil || step(waiting, "last").Status != run.StepPending {
		t.Errorf("the wait is %+v", w)
	}
	if _, _, err := cli(t, "send", "order/paid", "--data", `{"nr":11}`, "--url", s.client.URL); err != nil {
		t.Fatal(err)
	}
	ended := s.reaches(t, id, run.Succeeded)
	checkDetail(t, "at its end", ended)
	if l := step(ended, "last"); string(l.Input) != `{"message":"carried 11"}` {
		t.Errorf("the last step was given %s", l.Input)
	}
	child := step(ended, "carry").Child
	if child == nil || child.Function != "carrier" {
		t.Fatalf("the child is %+v", child)
	}
	if c, err := s.client.Run(t.Context(), child.ID); err != nil || c.Parent == nil || c.Parent.ID != id || c.Parent.Function != "order" {
		t.Errorf("the child is %+v (%v)", c, err)
	}
}

func step(d *console.RunDetail, name string) console.Step {
	i := slices.IndexFunc(d.Steps, func(s console.Step) bool { return s.Name == name })
	if i < 0 {
		return console.Step{}
	}
	return d.Steps[i]
}

func checkDetail(t *testing.T, when string, d *console.RunDetail) {
	t.Helper()
	var names []string
	for i := range d.Steps {
		names = append(names, d.Steps[i].Name+" "+string(d.Steps[i].Status))
	}
	got, want := strings.Join(names[:8], ", "), "price ok, pack ok, pack[0] ok, pack[1] ok, call failed, tell ok, carry ok, never skipped"
	if got != want {
		t.Errorf("%s the steps are %s, want %s", when, got, want)
	}
	for name, want := range map[string]string{
		"pack[1]": `{"message":"pack b of 11"}`,
		"call":    `{"url":"http://127.0.0.1:1/22"}`,
		"tell":    `{"nr":11}`,
		"carry":   `{"nr":11}`,
	} {
		if got := step(d, name); string(got.Input) != want {
			t.Errorf("%s %s was given %s, want %s", when, name, got.Input, want)
		}
	}
	if c := step(d, "call"); c.Kind != plan.KindHandler || c.Does != "http.request" || len(c.Tries) != 2 || c.MaxAttempts != 2 || !slices.Equal(c.Needs, []string{"pack"}) ||
		string(c.Template) != `{"url":"http://127.0.0.1:1/${steps.price.output.sum}"}` {
		t.Errorf("%s the call is %+v", when, c)
	}
	if p := step(d, "price"); string(p.Output) != `{"sum":22}` {
		t.Errorf("%s the price is %s", when, p.Output)
	}
	if sent := step(d, "tell").Sent; len(sent) != 1 || sent[0].Type != "order/sent" || sent[0].ID == "" {
		t.Errorf("%s these events were sent: %+v", when, sent)
	}
	if step(d, "carry").Child == nil {
		t.Errorf("%s the child is not known", when)
	}
}

// TestInputsThatCannotBeTold: what an input was made of is not kept, or is known
// to the runner alone. Then there is what the manifest says, and no guess.
func TestInputsThatCannotBeTold(t *testing.T) {
	s := startParcels(t)
	for text, want := range map[string]string{"short": `{"message":"has short"}`, strings.Repeat("long ", 1000): ""} {
		_, id := s.sendFor(t, "long", `{"text":"`+text+`"}`)
		d := s.reaches(t, id, run.Succeeded)
		if got := step(d, "size"); string(got.Input) != want || string(got.Template) != `{"message":"has ${steps.text.output}"}` {
			t.Errorf("of a text of %d bytes the input is %s, want %s", len(text), got.Input, want)
		}
		if got := step(d, "env"); got.Input != nil || got.Template == nil {
			t.Errorf("with a setting of the runner the input is %s", got.Input)
		}
	}
}

func TestReplayAndCancel(t *testing.T) {
	s := startParcels(t)
	url := []string{"--url", s.client.URL}
	_, failed := s.sendFor(t, "refused", `{}`)
	s.reaches(t, failed, run.Failed)
	for range 4 {
		s.sendFor(t, "refused", `{}`)
	}
	command := func(args ...string) (string, string, error) {
		return cli(t, append(append([]string{"runs"}, args...), url...)...)
	}

	out, _, err := command("replay", failed)
	if err != nil {
		t.Fatal(err)
	}
	replay := s.reaches(t, strings.TrimSpace(out), run.Failed)
	if replay.ReplayOf != failed || replay.EventType != "refused" {
		t.Errorf("the replay is %+v", replay)
	}
	if out, _, err := command("list", "--function", "refuse", "-o", "name"); err != nil || strings.Count(out, "\n") != 6 {
		t.Errorf("there are the runs %s (%v)", out, err)
	}
	if _, _, err := command("replay", "--function", "refuse"); exitStatus(err) != exitUsage || !strings.Contains(err.Error(), "replay 6 runs: add --yes") {
		t.Errorf("without --yes: %v", err)
	}
	if out, _, err := command("replay", "--function", "refuse", "--dry-run", "-o", "name"); err != nil || strings.Count(out, "\n") != 6 {
		t.Errorf("only to look: %s (%v)", out, err)
	}
	out, notes, err := command("replay", "--function", "refuse", "--yes")
	if err != nil || strings.Count(out, "\n") != 6 || !strings.Contains(notes, "replayed 6 of 6 runs") {
		t.Errorf("with --yes: %s %s (%v)", out, notes, err)
	}
	eventually(t, "all have run", func() bool {
		out, _, err := command("list", "--status", "failed", "-o", "name")
		return err == nil && strings.Count(out, "\n") == 12
	})

	_, waits := s.sendFor(t, "order/placed", `{"nr":12}`)
	eventually(t, "it waits for the payment", func() bool {
		d, err := s.client.Run(t.Context(), waits)
		return err == nil && step(d, "wait").Status == "waiting"
	})
	out, _, err = command("cancel", "--function", "order", "--yes", "--reason", "sent by mistake", "-o", "json")
	var outcomes []outcome
	if json.Unmarshal([]byte(out), &outcomes) != nil || err != nil || len(outcomes) != 1 || outcomes[0].ID != waits {
		t.Errorf("cancel: %s (%v)", out, err)
	}
	if d := s.reaches(t, waits, run.Cancelled); !strings.Contains(d.Error, "sent by mistake") {
		t.Errorf("its error is %q", d.Error)
	}
	out, notes, err = command("cancel", waits, failed)
	if exitStatus(err) != exitNo || out != "" || strings.Count(notes, "has ended already") != 2 || !strings.Contains(notes, "cancelled 0 of 2 runs") {
		t.Errorf("once more: %q %q (%v)", out, notes, err)
	}
	if out, _, err := command("cancel", "--status", "waiting"); err != nil || out != "no runs\n" {
		t.Errorf("where there is nothing: %q (%v)", out, err)
	}
}

// TestWatch follows runs: one to its end, and all.
func TestWatch(t *testing.T) {
	s := startParcels(t)
	_, id := s.sendFor(t, "order/placed", `{"nr":1}`)
	out, _, err := cli(t, "runs", "watch", id, "--url", s.client.URL)
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{"carry", "✓ order  succeeded in", "–  never"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	_, id = s.sendFor(t, "refused", `{}`)
	if out, _, err := cli(t, "runs", "watch", id, "--url", s.client.URL, "-o", "yaml"); exitStatus(err) != exitNo || !strings.Contains(out, "status: failed") {
		t.Errorf("of a run that fails: %s (%v)", out, err)
	}
	if _, _, err := cli(t, "runs", "watch", "nope", "--url", s.client.URL); exitStatus(err) != exitNo {
		t.Errorf("of no run: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	lines := follows(ctx, t, "runs", "watch", "--function", "refuse", "--status", "failed", "-o", "json", "--url", s.client.URL)
	eventually(t, "the run that fails is told", func() bool {
		s.sendFor(t, "refused", `{}`)
		select {
		case line := <-lines:
			var c console.Change
			return json.Unmarshal([]byte(line), &c) == nil && c.Run.Status == run.Failed && c.Run.Function == "refuse"
		case <-time.After(200 * time.Millisecond):
			return false
		}
	})
	cancel()
	for range lines { // until it has ended
	}
}

// follows runs a command that ends when ctx does, and returns its lines.
func follows(ctx context.Context, t *testing.T, args ...string) <-chan string {
	t.Helper()
	read, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for text := bufio.NewScanner(read); text.Scan(); {
			lines <- text.Text()
		}
	}()
	go func() {
		defer out.Close()
		cmd := root()
		cmd.SetArgs(args)
		cmd.SetOut(out)
		cmd.SetErr(&bytes.Buffer{})
		if err := cmd.ExecuteContext(ctx); exitStatus(err) != exitInterrupted && err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}()
	return lines
}

func TestEvents(t *testing.T) {
	s := startParcels(t)
	url := []string{"--url", s.client.URL}
	command := func(args ...string) (string, error) {
		out, _, err := cli(t, append(append([]string{"events"}, args...), url...)...)
		return out, err
	}
	if out, err := command("list"); err != nil || out != "no events\n" {
		t.Errorf("at first: %s (%v)", out, err)
	}
	first, record := s.sendFor(t, "refused", `{"who":"Mara"}`)
	s.reaches(t, record, run.Failed)
	if _, _, err := cli(t, append([]string{"send", "un/known", "--id", "mine"}, url...)...); err != nil {
		t.Fatal(err)
	}
	if out, err := command("list"); err != nil || !strings.Contains(out, first) || !strings.Contains(out, `{"who":"Mara"}`) || !strings.Contains(out, "mine") {
		t.Errorf("the list: %s (%v)", out, err)
	}
	if out, err := command("list", "--type", "un/known", "-o", "name"); err != nil || out != "mine\n" {
		t.Errorf("of a type: %s (%v)", out, err)
	}
	if out, err := command("list", "--since", "0s", "--limit", "5", "-o", "json"); err != nil || out != "[]\n" {
		t.Errorf("since now: %s (%v)", out, err)
	}
	if out, err := command("get", first); err != nil || !strings.Contains(out, `"who": "Mara"`) || !strings.Contains(out, "✗  refuse") {
		t.Errorf("one: %s (%v)", out, err)
	}
	out, err := command("get", "mine", "-o", "yaml")
	var e console.EventDetail
	if err != nil || yaml.Unmarshal([]byte(out), &e) != nil || e.Event.Type != "un/known" || len(e.Runs) != 0 {
		t.Errorf("as YAML: %s (%v)", out, err)
	}
	if _, err := command("get", "nope"); exitStatus(err) != exitNo {
		t.Errorf("one that is not: %v", err)
	}

	lines := follows(t.Context(), t, "events", "tail", "--last", "1", "--limit", "3", "-o", "name", "--url", s.client.URL)
	want := []string{"mine"}
	if line := <-lines; line != "mine" {
		t.Errorf("the tail begins with %s", line)
	}
	for range 2 {
		id, _ := s.sendFor(t, "refused", `{}`)
		want = append(want, id)
		if line := <-lines; line != id {
			t.Errorf("then %s, want %s", line, id)
		}
	}
	if line, more := <-lines; more {
		t.Errorf("after %v there is %s", want, line)
	}
}

// TestSendMany sends files of each form.
func TestSendMany(t *testing.T) {
	s := startParcels(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	many := file("many", strings.Repeat("{\"n\":1}\n", 2345))
	for name, c := range map[string]struct {
		args  []string
		out   string
		fails string
	}{
		"lines of data":      {[]string{"bulk/a", "--file", many}, "sent 2,345 events in", ""},
		"an array of data":   {[]string{"bulk/b", "--file", file("array", `[{"n":1},{"n":2}]`)}, "sent 2 events in", ""},
		"lines of events":    {[]string{"--file", file("events", "{\"name\":\"bulk/c\",\"data\":{}}\n{\"name\":\"bulk/d\",\"id\":\"x\"}")}, "sent 2 events in", ""},
		"one event":          {[]string{"--file", file("one", `{"name":"bulk/e","id":"the-one"}`)}, "the-one\n", ""},
		"one in an array":    {[]string{"bulk/f", "--file", file("two", `[{"n":1}]`), "--id", "this"}, "this\n", ""},
		"ids":                {[]string{"bulk/g", "--file", file("ids", "{}{}"), "--ids", "import", "-o", "name"}, "import-1\nimport-2\n", ""},
		"as JSON":            {[]string{"bulk/h", "--file", file("json", "{}{}"), "-o", "json"}, `"sent": 2`, ""},
		"no event":           {[]string{"--file", file("wrong", `{"nam":"x"}`)}, "", "value 1 is no event"},
		"nothing":            {[]string{"bulk/i", "--file", file("empty", "")}, "", "there is no event in the file"},
		"a fault on line 3":  {[]string{"bulk/j", "--file", file("fault", "{}\n{}\n{x}\n")}, "", "line 3 (value 3)"},
		"what is refused":    {[]string{"bulk/k", "--file", file("refused", "{}\n[]\n")}, "", "events 1 to 2 of the file"},
		"an id for many":     {[]string{"bulk/l", "--file", many, "--id", "x"}, "", "--id is for one event"},
		"a fault after some": {[]string{"bulk/m", "--file", file("late", strings.Repeat("{}\n", 1500)+"{")}, "", "line 1501 (value 1501)"},
	} {
		t.Run(name, func(t *testing.T) {
			out, notes, err := cli(t, append([]string{"send", "--url", s.client.URL}, c.args...)...)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			if !strings.HasPrefix(out, c.out) && !strings.Contains(out, c.out) {
				t.Errorf("printed %q, want %q", out, c.out)
			}
			if name == "a fault after some" && !strings.Contains(notes, "sent 1,500 events of the file") {
				t.Errorf("said %q", notes)
			}
		})
	}
	types, err := s.client.EventTypes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, e := range types {
		if strings.HasPrefix(e.Type, "bulk/") {
			counts[e.Type] = int(e.Events)
		}
	}
	compare(t, "events", counts, map[string]int{"bulk/a": 2345, "bulk/b": 2, "bulk/c": 1, "bulk/d": 1, "bulk/e": 1, "bulk/f": 1, "bulk/g": 2, "bulk/h": 2, "bulk/j": 2, "bulk/m": 1500})
	// With ids a second time sends nothing.
	if _, _, err := cli(t, "send", "bulk/g", "--url", s.client.URL, "--file", filepath.Join(dir, "ids"), "--ids", "import"); err != nil {
		t.Fatal(err)
	}
	if page, err := s.client.Events(t.Context(), console.EventQuery{Type: "bulk/g"}); err != nil || len(page.Events) != 2 {
		t.Errorf("after a second time there are %d events (%v)", len(page.Events), err)
	}
}

// TestCompletion asks what may stand where the cursor is.
func TestCompletionAsksTheServer(t *testing.T) {
	s := startParcels(t)
	_, record := s.sendFor(t, "refused", `{}`)
	t.Setenv("WILDOUT_URL", s.client.URL)
	for name, c := range map[string]struct {
		args        []string
		want, avoid string
	}{
		"functions":   {[]string{"runs", "list", "--function", ""}, "order\tSends an order.", ":0"},
		"the rest":    {[]string{"runs", "list", "--function", "ca"}, "carrier", "order"},
		"runs":        {[]string{"runs", "get", ""}, record + "\trefuse", ":0"},
		"event types": {[]string{"send", "ord"}, "order/placed\tstarts order", "refused"},
		"states":      {[]string{"runs", "list", "--status", "f"}, "failed", "functions"},
		"formats":     {[]string{"functions", "-o", ""}, "yaml", ":0"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := cli(t, append([]string{"__complete"}, c.args...)...)
			if err != nil || !strings.Contains(out, c.want) || strings.Contains(out, c.avoid) {
				t.Errorf("completes (%v):\n%s", err, out)
			}
		})
	}
	t.Setenv("WILDOUT_URL", "http://127.0.0.1:1")
	if out, _, err := cli(t, "__complete", "runs", "list", "--function", ""); err != nil || !strings.HasPrefix(out, ":4") {
		t.Errorf("where nobody answers (%v):\n%s", err, out)
	}
}

func runsOf(function string) console.RunQuery { return console.RunQuery{Function: function} }
