package plan

import (
	"errors"
	"strings"
	"testing"
)

const goodManifests = `# What greets people.
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata:
  name: greet
  labels: {app: site}
spec:
  triggers: [{event: user/registered}]
  steps:
  - name: say
    handler: log.write
    with: {text: "--- hello", count: 9007199254740993, nothing: null}
--- # the type
apiVersion: wildout.dev/v1alpha1
kind: WildoutEventType
metadata: {name: user-registered}
spec:
  type: user/registered
  schema: {type: object, required: [userId]}
---
# nothing here
---
{"apiVersion": "wildout.dev/v1alpha1", "kind": "WildoutFunction", "metadata": {"name": "other"}, "spec": {"triggers": [{"event": "a"}], "steps": [{"name": "a", "needs": [], "set": ""}]}}
`

func TestReadManifests(t *testing.T) {
	functions, eventTypes, err := ReadManifests("good.yaml", []byte(goodManifests))
	if err != nil {
		t.Fatal(err)
	}
	if len(functions) != 2 || functions[0].Name != "greet" || functions[1].Name != "other" || functions[0].Labels["app"] != "site" {
		t.Fatalf("functions: %+v", functions)
	}
	if with := string(functions[0].Spec.Steps[0].With.Raw); with != `{"count":9007199254740993,"nothing":null,"text":"--- hello"}` {
		t.Errorf("with: %s", with)
	}
	if functions[1].Spec.Steps[0].Needs == nil {
		t.Error("an empty list of needs was lost")
	}
	if len(eventTypes) != 1 || eventTypes[0].Spec.Type != "user/registered" || eventTypes[0].Spec.Retention.Period != "72h" {
		t.Fatalf("event types: %+v", eventTypes)
	}
}

// badManifests are files with faults; what is printed is in
// testdata/manifests.golden.
var badManifests = []struct {
	name, text string
	paths      []string // of the faults that have a field
}{
	{"unknown fields", header + "  triggers: [{event: a}]\n  concurency: []\n  steps:\n  - name: a\n    handlr: b\n    retryPolicy: {attempts: 3}\n", []string{"spec.concurency", "spec.steps[0].handlr", "spec.steps[0].retryPolicy.attempts"}},
	{"status and metadata", "apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: a, creationTimestamp: null, label: {}}\nspec: {}\nstatus: {}\n", []string{"metadata.label", "status"}},
	{"wrong types", header + "  triggers: {event: a}\n  suspend: 'yes'\n  concurrency: [{limit: many}, {limit: 1.5}, {limit: 3000000000}]\n  timeout: 10\n  steps:\n  - set: 1\n    name: [a]\n    needs: a\n  - text\n", []string{"spec.concurrency[0].limit", "spec.concurrency[1].limit", "spec.concurrency[2].limit", "spec.steps[0].name", "spec.steps[0].needs", "spec.steps[1]", "spec.suspend", "spec.timeout", "spec.triggers"}},
	{"empty and null", header + "  triggers: [{event: '', if: null}]\n  timeout: ''\n  description: ''\n  steps:\n", []string{"spec.steps", "spec.timeout", "spec.triggers[0].event", "spec.triggers[0].if"}},
	{"a field of earlier builds", header + "  rateLimit: {limit: 1, period: 1m, onLimit: Delay}\n", []string{"spec.rateLimit.onLimit"}},
	{"zeros", header + "  retryPolicy: {maxAttempts: 0}\n  rateLimit: {limit: 1, period: 1m, burst: 0}\n", []string{"spec.rateLimit.burst", "spec.retryPolicy.maxAttempts"}},
	{"key twice", header + "  suspend: true\n  suspend: false\n", nil},
	{"key that is a boolean", header + "  steps:\n  - name: a\n    handler: b\n    with: {n: 1, 'y': 2, inner: [{on: 3}]}\n", nil},
	{"no YAML", header + "  triggers: [{event: a}\n", nil},
	{"tab", header + "\ttriggers: []\n", nil},
	{"text", "hello\n", nil},
	{"other kind", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", []string{"kind"}},
	{"no kind", "metadata: {name: a}\n", []string{"kind"}},
	{"other version", "apiVersion: wildout.dev/v2\nkind: WildoutFunction\nmetadata: {name: a}\n", []string{"apiVersion"}},
	{"names", strings.Replace(header, "greet", "Greet", 1) + "  suspend: true\n---\n" + strings.Replace(header, "name: greet", "", 1) + "  suspend: true\n---\n" + strings.Replace(header, "greet", strings.Repeat("x", 53), 1) + "  suspend: true\n", []string{"metadata.name", "metadata.name", "metadata.name"}},
	{"name twice", header + "  suspend: true\n---\n" + header + "  suspend: true\n", []string{"metadata.name"}},
	{"event type", "apiVersion: wildout.dev/v1alpha1\nkind: WildoutEventType\nmetadata: {name: a_b}\nspec:\n  type: a b\n  schema: [1]\n  retention: {period: 0s, maxBytes: 1 GB}\n", []string{"metadata.name", "spec.type", "spec.schema", "spec.retention.period", "spec.retention.maxBytes"}},
	{"second document", goodManifests + "---\n" + header + "  tirggers: []\n", []string{"spec.tirggers"}},
}

func TestBadManifests(t *testing.T) {
	var golden strings.Builder
	for _, tc := range badManifests {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := ReadManifests("bad.yaml", []byte(tc.text))
			if err == nil {
				t.Fatal("read without a fault")
			}
			var paths []string
			for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
				var place *ManifestError
				if !errors.As(one, &place) || place.Source != "bad.yaml" || place.Document == 0 {
					t.Errorf("%v does not say where it is", one)
				}
				var fault *Error
				if errors.As(one, &fault) {
					paths = append(paths, fault.Path)
				}
			}
			if got, want := strings.Join(paths, "\n"), strings.Join(tc.paths, "\n"); got != want {
				t.Errorf("paths:\n%s\nwant:\n%s\nerror:\n%v", got, want, err)
			}
			golden.WriteString("# " + tc.name + "\n" + err.Error() + "\n\n")
		})
	}
	compareGolden(t, "manifests.golden", golden.String())
}

// TestGoodBesideBad proves that one bad document does not hide the others.
func TestGoodBesideBad(t *testing.T) {
	functions, eventTypes, err := ReadManifests("bad.yaml", []byte(goodManifests+"---\nkind: Deployment\n"))
	if err == nil || len(functions) != 2 || len(eventTypes) != 1 {
		t.Errorf("got %d functions, %d event types, %v", len(functions), len(eventTypes), err)
	}
}
