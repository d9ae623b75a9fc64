package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// on is a spec with these steps.
func on(steps string) string { return "triggers: [{event: user/registered}]\nsteps:\n" + steps }

// do is a spec with one step that logs this.
func do(with string) string {
	return on("- {name: first, set: 1}\n- {name: log-it, handler: audit.log, with: " + with + "}")
}

// manyWaits are that many events that a handler may wait for.
func manyWaits(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("{event: e%d}", i)
	}
	return strings.Join(all, ", ")
}

// faultCases are manifests with the paths of their faults; the messages are in
// testdata/faults.golden.
var faultCases = []struct {
	name, spec string
	paths      []string
}{
	// Shape.
	{"no trigger", "triggers: []\nsteps: [{name: a, set: 1}]", []string{"spec.triggers"}},
	{"no steps", "triggers: [{event: a}]\nsteps: []", []string{"spec.steps"}},
	{"too many triggers", "triggers: [" + strings.TrimSuffix(strings.Repeat("{event: a},", 11), ",") + "]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers"}},
	{"trigger of nothing", "triggers: [{}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0]"}},
	{"trigger of both", "triggers: [{event: a, cron: '* * * * *'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0]"}},
	{"trigger twice", "triggers: [{event: a}, {event: b}, {event: a}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[2]"}},
	{"if with cron", "triggers: [{cron: '* * * * *', if: 'true'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].if"}},
	{"timeZone with event", "triggers: [{event: a, timeZone: UTC}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].timeZone"}},
	{"bad event type", "triggers: [{event: 'a b'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].event"}},
	{"cron with six fields", "triggers: [{cron: '0 0 3 * * *'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].cron"}},
	{"cron descriptor", "triggers: [{cron: '@daily'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].cron"}},
	{"cron out of range", "triggers: [{cron: '61 * * * *'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].cron"}},
	{"cron that never happens", "triggers: [{cron: '0 0 31 2 *'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].cron"}},
	{"cron with a zone", "triggers: [{cron: 'TZ=UTC 0 0 * * *'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].cron"}},
	{"cron with tabs", "triggers: [{cron: \"0\\t0 * * *\"}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].cron"}},
	{"local zone", "triggers: [{cron: '0 0 * * *', timeZone: Local}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].timeZone"}},
	{"unknown zone", "triggers: [{cron: '0 0 * * *', timeZone: Europe/Berlim}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].timeZone"}},
	{"too many limits", "concurrency: [{limit: 1}, {limit: 2}, {limit: 3}]\n" + on("- {name: a, set: 1}"), []string{"spec.concurrency"}},
	{"two limits without key", "concurrency: [{limit: 1}, {limit: 2}]\n" + on("- {name: a, set: 1}"), []string{"spec.concurrency[1]"}},
	{"limit out of bounds", "concurrency: [{limit: 0}, {limit: 100001, key: event.id}]\n" + on("- {name: a, set: 1}"), []string{"spec.concurrency[0].limit", "spec.concurrency[1].limit"}},
	{"rate limit", "rateLimit: {limit: 0, period: 0s, burst: 1000001}\n" + on("- {name: a, set: 1}"),
		[]string{"spec.rateLimit.limit", "spec.rateLimit.burst", "spec.rateLimit.period"}},
	{"rate limit without period", "rateLimit: {limit: 1}\n" + on("- {name: a, set: 1}"), []string{"spec.rateLimit.period"}},
	{"throttle", "throttle: {limit: 0, burst: 1000001, window: Round}\n" + on("- {name: a, set: 1}"),
		[]string{"spec.throttle.period", "spec.throttle.window", "spec.throttle.burst", "spec.throttle.limit"}},
	{"sliding throttle", "throttle: {limit: 10001, period: 1m, burst: 2, window: Sliding}\n" + on("- {name: a, set: 1}"),
		[]string{"spec.throttle.limit", "spec.throttle.burst"}},
	{"idempotency without key", "idempotency: {ttl: 0s}\n" + on("- {name: a, set: 1}"), []string{"spec.idempotency.key", "spec.idempotency.ttl"}},
	{"durations", "timeout: 10 minutes\ndeadline: 0s\n" + on("- {name: a, set: 1, timeout: 0m}"),
		[]string{"spec.timeout", "spec.deadline", "spec.steps[0].timeout"}},
	{"retry policy", "retryPolicy: {maxAttempts: 101, multiplier: '0.5', jitter: '1.5', initialInterval: 1h, maxInterval: 1m}\n" + on("- {name: a, set: 1}"),
		[]string{"spec.retryPolicy.maxAttempts", "spec.retryPolicy.multiplier", "spec.retryPolicy.jitter", "spec.retryPolicy.initialInterval"}},
	{"retry policy of a step", on("- {name: a, set: 1, retryPolicy: {multiplier: '100.5'}}"), []string{"spec.steps[0].retryPolicy.multiplier"}},
	{"versioning", "versioning: Newest\n" + on("- {name: a, set: 1}"), []string{"spec.versioning"}},
	{"history", "history: {limit: -1}\n" + on("- {name: a, set: 1}"), []string{"spec.history.limit"}},
	{"description", "description: " + strings.Repeat("x", 1025) + "\n" + on("- {name: a, set: 1}"), []string{"spec.description"}},

	// Inputs that run.
	{"expression in sql", on("- {name: a, handler: sql.query, with: {sql: \"select * from t where id = '${event.id}'\"}}"), []string{"spec.steps[0].with.sql"}},
	{"expression that is the sql", on("- {name: a, handler: sql.exec, with: {sql: '${event.data.sql}', args: ['${event.id}']}}"), []string{"spec.steps[0].with.sql"}},
	{"sql in other letters", on("- {name: a, handler: sql.exec, with: {SQL: '${event.data.sql}'}}"), []string{"spec.steps[0].with.SQL"}},
	{"expression around sql", on("- {name: a, handler: sql.exec, with: '${event.data}'}"), []string{"spec.steps[0].with"}},
	{"sql for each", on("- {name: a, forEach: '${[1]}', handler: sql.exec, with: {sql: 'delete from ${item}'}}"), []string{"spec.steps[0].with.sql"}},

	// Steps.
	{"step without name", on("- {set: 1}"), []string{"spec.steps[0].name"}},
	{"bad step name", on("- {name: Log_It, set: 1}"), []string{"spec.steps[0].name"}},
	{"step without action", on("- {name: a}"), []string{"spec.steps[0]"}},
	{"step with two actions", on("- {name: a, sleep: 1s, set: 1}"), []string{"spec.steps[0]"}},
	{"with without handler", on("- {name: a, set: 1, with: {}}"), []string{"spec.steps[0].with"}},
	{"maxParallel without forEach", on("- {name: a, set: 1, maxParallel: 2}"), []string{"spec.steps[0].maxParallel"}},
	{"maxParallel out of bounds", on("- {name: a, set: 1, forEach: '${[1]}', maxParallel: 1001}"), []string{"spec.steps[0].maxParallel"}},
	{"waits without handler", on("- {name: a, set: 1, waits: [{event: b}]}"), []string{"spec.steps[0].waits"}},
	{"waits", on("- {name: a, handler: audit.log, waits: [{event: 'a b'}, {event: b, match: data..id}, {event: c}, {event: c}]}"),
		[]string{"spec.steps[0].waits[0].event", "spec.steps[0].waits[1].match", "spec.steps[0].waits[3]"}},
	{"too many waits", on("- {name: a, handler: audit.log, waits: [" + manyWaits(17) + "]}"), []string{"spec.steps[0].waits"}},
	{"bad handler name", on("- {name: a, handler: Audit.Log}"), []string{"spec.steps[0].handler"}},
	{"onError", on("- {name: a, set: 1, onError: Ignore}"), []string{"spec.steps[0].onError"}},
	{"no sleep", on("- {name: a, sleep: 0s}"), []string{"spec.steps[0].sleep"}},
	{"sleepUntil no time", on("- {name: a, sleepUntil: tomorrow}"), []string{"spec.steps[0].sleepUntil"}},
	{"sleepUntil a number", on("- {name: a, sleepUntil: '${5}'}"), []string{"spec.steps[0].sleepUntil"}},
	{"wait without timeout", on("- {name: a, waitForEvent: {event: b}}"), []string{"spec.steps[0].waitForEvent.timeout"}},
	{"wait for nothing", on("- {name: a, waitForEvent: {timeout: 1h}}"), []string{"spec.steps[0].waitForEvent.event"}},
	{"bad match", on("- {name: a, waitForEvent: {event: b, timeout: 1h, match: event.data.x}}"), []string{"spec.steps[0].waitForEvent.match"}},
	{"match below id", on("- {name: a, waitForEvent: {event: b, timeout: 1h, match: id.x}}"), []string{"spec.steps[0].waitForEvent.match"}},
	{"match all data", on("- {name: a, waitForEvent: {event: b, timeout: 1h, match: data}}"), []string{"spec.steps[0].waitForEvent.match"}},
	{"send nothing", on("- {name: a, sendEvent: []}"), []string{"spec.steps[0].sendEvent"}},
	{"send without name", on("- {name: a, sendEvent: [{data: {}}]}"), []string{"spec.steps[0].sendEvent[0].name"}},
	{"send a list", on("- {name: a, sendEvent: [{name: b, data: [1]}, {name: b, data: text}, {name: b, data: '${1}'}]}"),
		[]string{"spec.steps[0].sendEvent[0].data", "spec.steps[0].sendEvent[1].data", "spec.steps[0].sendEvent[2].data"}},
	{"invoke nothing", on("- {name: a, invoke: {timeout: 0s}}"), []string{"spec.steps[0].invoke.function", "spec.steps[0].invoke.timeout"}},
	{"invoke a bad name", on("- {name: a, invoke: {function: Send_Mail}}"), []string{"spec.steps[0].invoke.function"}},
	{"assert nothing", on("- {name: a, assert: []}"), []string{"spec.steps[0].assert"}},
	{"assert without that", on("- {name: a, assert: [{message: oh}]}"), []string{"spec.steps[0].assert[0].that"}},
	{"forEach no list", on("- {name: a, set: 1, forEach: '${event.id}'}\n- {name: b, set: 1, forEach: a-b-c}\n- {name: c, set: 1, forEach: 'x ${event.data.list}'}"),
		[]string{"spec.steps[0].forEach", "spec.steps[1].forEach", "spec.steps[2].forEach"}},

	// Graph.
	{"name twice", on("- {name: a, set: 1}\n- {name: a, set: 1}\nonFailure:\n- {name: a, set: 1}"), []string{"spec.steps[1].name", "spec.onFailure[0].name"}},
	{"unknown need", on("- {name: create, set: 1}\n- {name: b, set: 1, needs: [craete]}"), []string{"spec.steps[1].needs[0]"}},
	{"need twice", on("- {name: a, set: 1}\n- {name: b, set: 1, needs: [a, a]}"), []string{"spec.steps[1].needs[1]"}},
	{"need itself", on("- {name: a, set: 1, needs: [a]}"), []string{"spec.steps[0].needs[0]"}},
	{"circle", on("- {name: x, set: 1, needs: []}\n- {name: a, set: 1, needs: [x, c]}\n- {name: b, set: 1, needs: [a]}\n- {name: c, set: 1, needs: [b]}"), []string{"spec.steps[1].needs"}},
	{"need across", on("- {name: a, set: 1, needs: [f]}\nonFailure:\n- {name: f, set: 1, needs: [a]}"), []string{"spec.steps[0].needs[0]", "spec.onFailure[0].needs[0]"}},
	{"read an unknown step", on("- {name: create, set: 1}\n- {name: b, set: '${steps.craete.output}'}"), []string{"spec.steps[1].set"}},
	{"read itself", on("- {name: a, set: '${steps.a.output}'}"), []string{"spec.steps[0].set"}},
	{"read a later step", on("- {name: a, set: '${steps.b.output}'}\n- {name: b, set: 1}"), []string{"spec.steps[0].set"}},
	{"read beside", on("- {name: a, set: 1, needs: []}\n- {name: b, set: 1, needs: []}\n- {name: c, needs: [a], set: '${steps.a.output + steps.b.output}'}"), []string{"spec.steps[2].set"}},
	{"read onFailure", on("- {name: a, set: '${steps.f.output}'}\nonFailure:\n- {name: f, set: 1}\n- {name: g, set: '${[steps.a.output, steps.f.output, steps.h.output]}'}\n- {name: h, set: 1}\noutput: '${steps.f.output}'"),
		[]string{"spec.steps[0].set", "spec.onFailure[1].set", "spec.output"}},
	{"read steps in a whole", on("- {name: a, set: 1}\n- {name: b, set: '${steps}'}\n- {name: c, set: '${steps[event.id].output}'}\n- {name: d, if: \"'a' in steps\", set: 1}"),
		[]string{"spec.steps[1].set", "spec.steps[2].set", "spec.steps[3].if"}},
	{"step after a dot", on("- {name: log-registration, set: 1}\n- {name: b, set: '${steps.log-registration.output}'}\n- {name: c, set: \"${'steps.x-y' + steps.log-in.output}\"}"),
		[]string{"spec.steps[1].set", "spec.steps[2].set"}},

	// Variables.
	{"item without forEach", on("- {name: a, set: '${item.z}'}"), []string{"spec.steps[0].set"}},
	{"item in if and forEach", on("- {name: a, set: '${item}', if: item.z == 1, forEach: '${item.list}'}"), []string{"spec.steps[0].if", "spec.steps[0].forEach"}},
	{"error outside onFailure", on("- {name: a, set: '${error.message}'}\noutput: {e: '${error.message}'}"), []string{"spec.steps[0].set", "spec.output.e"}},
	{"async outside wait", on("- {name: a, if: async.id == '', waitForEvent: {event: b, timeout: 1h, if: async.bogus == 1}}"), []string{"spec.steps[0].if", "spec.steps[0].waitForEvent.if"}},
	{"steps before a run", "triggers: [{event: a, if: steps.a.output == 1}]\nconcurrency: [{limit: 1, key: run.id}]\nthrottle: {limit: 1, period: 1m, key: item}\nidempotency: {key: error.message}\nsteps: [{name: a, set: 1}]",
		[]string{"spec.triggers[0].if", "spec.concurrency[0].key", "spec.throttle.key", "spec.idempotency.key"}},
	{"unknown variable", do(`{a: "${evnt.data.x}"}`), []string{"spec.steps[1].with.a"}},
	{"unknown fields", do(`{a: "${event.userId}", b: "${run.name}", c: "${steps.first.outputs}", d: "${steps['first'].err}"}`),
		[]string{"spec.steps[1].with.a", "spec.steps[1].with.b", "spec.steps[1].with.c", "spec.steps[1].with.d"}},
	{"unknown field of error", on("- {name: a, set: 1}\nonFailure: [{name: f, set: '${error.msg}'}]"), []string{"spec.onFailure[0].set"}},

	// Types.
	{"if no condition", on("- {name: a, set: 1, if: event.id}\n- {name: b, assert: [{that: '1'}]}"), []string{"spec.steps[0].if", "spec.steps[1].assert[0].that"}},
	{"key no scalar", "concurrency: [{limit: 1, key: '[1]'}, {limit: 1, key: \"{'a': 1}\"}]\nidempotency: {key: 'null'}\n" + on("- {name: a, set: 1}"),
		[]string{"spec.concurrency[0].key", "spec.concurrency[1].key", "spec.idempotency.key"}},
	{"types that do not fit", do(`{a: "${event.id > 5}", b: "${!event.id}", c: "${event.id[0]}", d: "${event.id.size(1)}", e: "${event.id in 'x'}", f: "${event.id ? 1 : 2}", g: "${steps.first.error == null}"}`),
		[]string{"spec.steps[1].with.a", "spec.steps[1].with.b", "spec.steps[1].with.c", "spec.steps[1].with.d", "spec.steps[1].with.e", "spec.steps[1].with.f", "spec.steps[1].with.g"}},
	{"unknown function", do(`{a: "${now()}", b: "${event.id.shout()}"}`), []string{"spec.steps[1].with.a", "spec.steps[1].with.b"}},
	{"bad constants", do(`{a: "${event.id.matches('(')}", b: "${timestamp('tomorrow')}", c: "${duration('1 day')}"}`),
		[]string{"spec.steps[1].with.a", "spec.steps[1].with.b", "spec.steps[1].with.c"}},
	{"object of a named type", do(`{a: "${wildout.Run{id: 'x'}}"}`), []string{"spec.steps[1].with.a"}},

	// Syntax.
	{"syntax", do(`{a: "${event.data.x = 1}", b: "${event.data.x == }", c: "${event.data.x and true}", d: "${f(}", e: "${event.data['x'}", f: "${event.data.user-id}", g: "${if}", h: "${has(event)}", i: "${a & b}", j: "${1 1}", k: "${#}"}`),
		[]string{"spec.steps[1].with.a", "spec.steps[1].with.b", "spec.steps[1].with.c", "spec.steps[1].with.d", "spec.steps[1].with.e", "spec.steps[1].with.f", "spec.steps[1].with.g", "spec.steps[1].with.h", "spec.steps[1].with.i", "spec.steps[1].with.j", "spec.steps[1].with.k"}},
	{"open quote", "triggers: [{event: a, if: \"event.id == 'x\"}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].if"}},
	{"template", do(`{a: "Dear ${event.data.name", b: "empty ${ }", "c ${x}": 1, details: {list: [a, b, "${nope}"], "a b": "${nope}"}}`),
		[]string{"spec.steps[1].with.a", "spec.steps[1].with.b", "spec.steps[1].with", `spec.steps[1].with.details["a b"]`, "spec.steps[1].with.details.list[2]"}},
	{"long template", do(`{text: "Dear reader, this is a long text, and it goes on and on before there is an expression: ${evnt.data.name}, and then it goes on after it for some time, too."}`),
		[]string{"spec.steps[1].with.text"}},
	{"many lines", on("- name: a\n  if: |\n    event.id != '' &&\n      evnt.type != ''\n  set: 1"), []string{"spec.steps[0].if"}},
	{"wide characters", do(`{text: "Grüße, ${'ü' + evnt.id}"}`), []string{"spec.steps[1].with.text"}},
	{"nested too deep", do(`{a: "${` + strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300) + `}"}`), []string{"spec.steps[1].with.a"}},
	{"too long", "triggers: [{event: a, if: '" + strings.Repeat(" ", 2048) + "true'}]\nsteps: [{name: a, set: 1}]", []string{"spec.triggers[0].if"}},
	{"long id", on("- {name: a, sendEvent: [{name: b, id: " + strings.Repeat("x", 4097) + "}]}"), []string{"spec.steps[0].sendEvent[0].id"}},
	{"long message", on("- {name: a, assert: [{that: 'true', message: " + strings.Repeat("x", 1025) + "}]}"), []string{"spec.steps[0].assert[0].message"}},
}

func TestFaults(t *testing.T) {
	var golden strings.Builder
	for _, tc := range faultCases {
		t.Run(tc.name, func(t *testing.T) {
			errs := faults(t, tc.spec)
			var paths []string
			for _, e := range errs {
				paths = append(paths, e.Path)
			}
			if got, want := strings.Join(paths, "\n"), strings.Join(tc.paths, "\n"); got != want {
				t.Errorf("paths of the faults:\n%s\nwant:\n%s\nerror:\n%v", got, want, errs)
			}
			golden.WriteString("# " + tc.name + "\n" + errs.Error() + "\n\n")
		})
	}
	compareGolden(t, "faults.golden", golden.String())
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the new text and run with -update when it is better. Got:\n%s", path, got)
	}
}
