package plan

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// everything uses every field of a spec.
const everything = `
description: Greets a new user.
triggers:
- {event: user/registered, if: event.data.email != ''}
- {cron: "0  3 * * *", timeZone: Europe/Berlin}
suspend: true
concurrency: [{limit: 10}, {limit: 1, key: event.data.userId}]
rateLimit: {limit: 50, period: 1m, key: event.data.userId}
throttle: {limit: 7, period: 1h, window: Sliding}
idempotency: {key: event.data.userId}
timeout: 10m
deadline: 30d
retryPolicy: {maxAttempts: 6, multiplier: "1.5"}
steps:
- {name: log-it, handler: audit.log, with: {userId: "${event.data.userId}"}}
- {name: create, handler: users.create, onError: Continue, timeout: 30s}
- {name: beside, needs: [], sleep: 72h}
- {name: until, needs: [create, beside], sleepUntil: "2030-01-31T09:00:00Z"}
- {name: seen, waitForEvent: {event: user/active, match: data.userId, if: async.data.ok && event.id != '', timeout: 24h}}
- {name: tell, if: steps.seen.output != null, sendEvent: [{name: mail/send, data: {to: "${item}"}, id: "m-${run.id}"}], forEach: "${event.data.list}", maxParallel: 5}
- {name: child, invoke: {function: other, data: "${event.data}", timeout: 1h}, retryPolicy: {maxAttempts: 1}}
- {name: check, assert: [{that: steps.child.attempts > 0, message: "no child of ${event.id}"}, {that: "true"}]}
- {name: sum, set: "${steps.create.error + steps['log-it'].error}"}
onFailure:
- {name: first-aid, handler: audit.log, with: {error: "${error.message}", step: "${steps.sum.output}"}}
- {name: then, set: "${steps['first-aid'].output}"}
output: {sum: "${steps.sum.output}"}
versioning: Latest
history: {limit: 5}
`

func TestCompile(t *testing.T) {
	p := compileSpec(t, everything)
	if p.Function != "greet" || p.Timeout != 10*time.Minute || p.Deadline != 30*24*time.Hour || p.Output == nil {
		t.Errorf("function %q, timeout %v, deadline %v, output %v", p.Function, p.Timeout, p.Deadline, p.Output)
	}
	if tr := p.Triggers[0]; tr.Event != "user/registered" || tr.If.String() != "event.data.email != ''" || tr.Schedule != nil {
		t.Errorf("first trigger: %+v", tr)
	}
	tick := p.Triggers[1].Schedule.Next(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	if want := time.Date(2026, 7, 2, 1, 0, 0, 0, time.UTC); !tick.Equal(want) || p.Triggers[1].Cron != "TZ=Europe/Berlin 0 3 * * *" {
		t.Errorf("second trigger: %q, first tick %v, want %v", p.Triggers[1].Cron, tick, want)
	}
	if c := p.Concurrency; len(c) != 2 || c[0].Limit != 10 || c[0].Key != nil || c[1].Limit != 1 || c[1].Key == nil {
		t.Errorf("concurrency: %+v", c)
	}
	if r := p.RateLimit; r.Limit != 50 || r.Burst != 1 || r.Period != time.Minute || r.Key == nil {
		t.Errorf("rate limit: %+v", r)
	}
	if th := p.Throttle; th.Limit != 7 || th.Burst != 1 || th.Period != time.Hour || th.Key != nil || !th.Sliding {
		t.Errorf("throttle: %+v", th)
	}
	if i := p.Idempotency; i.TTL != 24*time.Hour || i.Key == nil {
		t.Errorf("idempotency: %+v", i)
	}
	wantNeeds := [][]int{nil, {0}, nil, {1, 2}, {3}, {4}, {5}, {6}, {7}}
	for i, step := range p.Steps {
		if !reflect.DeepEqual(step.Needs, wantNeeds[i]) {
			t.Errorf("step %s needs %v, want %v", step.Name, step.Needs, wantNeeds[i])
		}
	}
	if len(p.OnFailure) != 2 || p.OnFailure[1].Needs[0] != 0 {
		t.Errorf("onFailure: %+v", p.OnFailure)
	}
}

func TestCompileSteps(t *testing.T) {
	p := compileSpec(t, everything)
	steps := map[string]*Step{}
	for _, step := range p.Steps {
		steps[step.Name] = step
	}
	inherited := Retry{MaxAttempts: 6, InitialInterval: time.Second, Multiplier: 1.5, MaxInterval: 10 * time.Minute, Jitter: 0.2}
	if s := steps["log-it"]; s.Timeout != DefaultStepTimeout || s.Retry != inherited || s.MaxParallel != 1 || s.ContinueOnError {
		t.Errorf("log-it: %+v", s)
	}
	if s := steps["create"]; s.Timeout != 30*time.Second || !s.ContinueOnError {
		t.Errorf("create: %+v", s)
	}
	if s := steps["tell"]; s.If == nil || s.ForEach == nil || s.MaxParallel != 5 {
		t.Errorf("tell: %+v", s)
	}
	if s := steps["child"]; s.Retry.MaxAttempts != 1 || s.Retry.Multiplier != 2 {
		t.Errorf("child: %+v", s.Retry)
	}
}

// TestActions has each action as it was written.
func TestActions(t *testing.T) {
	actions := map[string]Action{}
	for _, step := range compileSpec(t, everything).Steps {
		actions[step.Name] = step.Action
	}
	for name, want := range map[string]struct {
		kind        Kind
		does, input string
	}{
		"log-it": {KindHandler, "audit.log", `{"userId":"${event.data.userId}"}`},
		"create": {KindHandler, "users.create", ""},
		"beside": {KindSleep, "72h", ""},
		"until":  {KindSleep, "until 2030-01-31T09:00:00Z", ""},
		"seen":   {KindWaitForEvent, "user/active, up to 24h", ""},
		"tell":   {KindSendEvent, "mail/send", `{"to":"${item}"}`},
		"child":  {KindInvoke, "other", `"${event.data}"`},
		"check":  {KindAssert, "steps.child.attempts > 0; true", ""},
		"sum":    {KindSet, "", `"${steps.create.error + steps['log-it'].error}"`},
	} {
		a := actions[name]
		if a.Kind() != want.kind || a.Does() != want.does || string(a.Input().Source()) != want.input {
			t.Errorf("%s: %s, %q, %s; want %+v", name, a.Kind(), a.Does(), a.Input().Source(), want)
		}
	}
	if s := actions["beside"].(*Sleep); s.For != 72*time.Hour || s.Until != nil {
		t.Errorf("beside: %+v", s)
	}
	if at, err := actions["until"].(*Sleep).Until.Time(&Scope{}); err != nil || at.Year() != 2030 {
		t.Errorf("until: %v, %v", at, err)
	}
	if w := actions["seen"].(*WaitForEvent); w.Event != "user/active" || w.Match.String() != "data.userId" || w.If == nil || w.Timeout != 24*time.Hour {
		t.Errorf("seen: %+v", w)
	}
	if s := actions["tell"].(*SendEvent).Events; len(s) != 1 || s[0].Type != "mail/send" || s[0].Data == nil || s[0].ID == nil {
		t.Errorf("tell: %+v", s)
	}
	if i := actions["child"].(*Invoke); i.Function != "other" || i.Timeout != time.Hour || i.Data == nil {
		t.Errorf("child: %+v", i)
	}
	if c := actions["check"].(*Assert).Conditions; len(c) != 2 || c[0].Message == nil || c[1].Message != nil || c[1].That.String() != "true" {
		t.Errorf("check: %+v", c)
	}
}

func TestCompileDoesNotChangeTheSpec(t *testing.T) {
	spec := readSpec(t, everything)
	before, _ := json.Marshal(spec)
	p, err := Compile("greet", spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(spec); string(after) != string(before) {
		t.Errorf("the spec was changed:\n%s\n%s", before, after)
	}
	if p.Spec.RateLimit.Burst != 1 || p.Spec.Idempotency.TTL != "24h" || p.Spec.Steps[0].OnError != v1alpha1.OnErrorFail || *p.Spec.History.Limit != 5 {
		t.Error("the plan's spec lacks defaults")
	}
}

func TestHash(t *testing.T) {
	const spec = "triggers: [{event: a}]\nsteps: [{name: a, handler: b, with: {x: 1, z: '<2>'}}]\n"
	base := compileSpec(t, spec).Hash
	if len(base) != 16 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Errorf("hash %q", base)
	}
	for name, same := range map[string]string{
		"suspend":           spec + "suspend: true",
		"history":           spec + "history: {limit: 7}",
		"description":       spec + "description: other",
		"written defaults":  spec + "versioning: Pinned",
		"the order of keys": "steps: [{handler: b, with: {z: '<2>', x: 1}, name: a, onError: Fail}]\ntriggers: [{event: a}]",
	} {
		if got := compileSpec(t, same).Hash; got != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	for name, other := range map[string]string{
		"a value":    strings.Replace(spec, "x: 1", "x: 2", 1),
		"a trigger":  strings.Replace(spec, "event: a", "event: b", 1),
		"versioning": spec + "versioning: Latest",
	} {
		if got := compileSpec(t, other).Hash; got == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
	// A release that changes this makes a new version of every function.
	if want := "a89ae455748865c3"; base != want {
		t.Errorf("hash is %s, want %s", base, want)
	}
}

func TestKnownHandler(t *testing.T) {
	spec := readSpec(t, on("- {name: a, handler: audit.log}\n- {name: b, handler: audit.lug}"))
	_, err := Compile("greet", spec, Options{KnownHandler: func(name string) bool { return name == "audit.log" }})
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 1 || errs[0].Path != "spec.steps[1].handler" || !strings.Contains(errs[0].Message, `no handler "audit.lug"`) {
		t.Errorf("got %v", err)
	}
}

func TestFunctionName(t *testing.T) {
	spec := readSpec(t, on("- {name: a, set: 1}"))
	for _, name := range []string{"", "Greet", "a.b", "-a", strings.Repeat("x", 53)} {
		_, err := Compile(name, spec, Options{})
		var errs Errors
		if !errors.As(err, &errs) || errs[0].Path != "metadata.name" {
			t.Errorf("%q: got %v", name, err)
		}
	}
	if _, err := Compile(strings.Repeat("x", 52), spec, Options{}); err != nil {
		t.Error(err)
	}
	if _, err := Compile("greet", nil, Options{}); err == nil {
		t.Error("no spec compiles")
	}
}

// TestOneFault proves that a fault can be found with errors.As.
func TestOneFault(t *testing.T) {
	var fault *Error
	if err := error(faults(t, on("- {name: a, if: '1', set: 1}"))); !errors.As(err, &fault) || fault.Path != "spec.steps[0].if" || fault.Column != 1 || fault.Source != "1" {
		t.Errorf("got %+v", fault)
	}
}

// TestShippedFunctions compiles the manifests of this repository.
func TestShippedFunctions(t *testing.T) {
	for _, folder := range []string{"functions", "event-types", "samples"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "config", folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if filepath.Base(file) == "kustomization.yaml" {
				continue
			}
			t.Run(filepath.Base(file), func(t *testing.T) { compileFile(t, file) })
		}
	}
}

func compileFile(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	functions, _, err := ReadManifests(file, data)
	if err != nil {
		t.Error(err)
	}
	for _, f := range functions {
		if _, err := Compile(f.Name, &f.Spec, Options{}); err != nil {
			t.Errorf("%s:\n%v", f.Name, err)
		}
	}
}

// An expression in a statement is refused, but for versions that runs have
// begun with; with $${ there is none.
func TestLiteralInputs(t *testing.T) {
	spec := readSpec(t, on("- {name: a, handler: sql.exec, with: {sql: \"delete from t where id = '${event.id}'\"}}"))
	if _, err := Compile("greet", spec, Options{}); err == nil {
		t.Error("compiled anew")
	}
	if _, err := Compile("greet", spec, Options{Stored: true}); err != nil {
		t.Errorf("stored: %v", err)
	}
	compileSpec(t, on("- {name: a, handler: sql.exec, with: {sql: \"select '$${x}'\", args: ['${event.id}']}}"))
	compileSpec(t, on("- {name: a, handler: log.write, with: {message: '${event.id}', sql: '${event.id}'}}"))
}
