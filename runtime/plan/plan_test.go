package plan

import (
	"encoding/json"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/event"
)

var update = flag.Bool("update", false, "write the golden files")

// header is a manifest up to the content of its spec.
const header = "apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: greet}\nspec:\n"

// readSpec reads the content of a spec; its lines need no indent.
func readSpec(t testing.TB, spec string) *v1alpha1.WildoutFunctionSpec {
	t.Helper()
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ") + "\n"
	functions, _, err := ReadManifests("test.yaml", []byte(header+indented))
	if err != nil {
		t.Fatalf("read the spec: %v", err)
	}
	return &functions[0].Spec
}

func compileSpec(t testing.TB, spec string) *Plan {
	t.Helper()
	p, err := Compile("greet", readSpec(t, spec), Options{})
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return p
}

// faults returns the single faults of a spec that does not compile.
func faults(t testing.TB, spec string) Errors {
	t.Helper()
	_, err := Compile("greet", readSpec(t, spec), Options{})
	if err == nil {
		t.Fatal("compiled, want a fault")
	}
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error is a %T, want Errors: %v", err, err)
	}
	return errs
}

// valueOf compiles a JSON tree as the `set` of a step that comes after the
// steps first and the-second.
func valueOf(t testing.TB, tree string) *Value {
	t.Helper()
	v, err := tryValue(tree)
	if err != nil {
		t.Fatalf("compile %s: %v", tree, err)
	}
	return v
}

func tryValue(tree string) (*Value, error) {
	constant := &v1alpha1.JSON{Raw: json.RawMessage("1")}
	p, err := Compile("greet", &v1alpha1.WildoutFunctionSpec{
		Triggers: []v1alpha1.Trigger{{Event: "user/registered"}},
		Steps: []v1alpha1.Step{
			{Name: "first", Set: constant},
			{Name: "the-second", Set: constant},
			{Name: "value", ForEach: "${[1]}", Set: &v1alpha1.JSON{Raw: json.RawMessage(tree)}},
		},
	}, Options{})
	if err != nil {
		return nil, err
	}
	return p.Steps[2].Action.Input(), nil
}

// exprOf compiles a bare expression in the place of a key.
func exprOf(t testing.TB, source string) *Expr {
	t.Helper()
	p, err := Compile("greet", &v1alpha1.WildoutFunctionSpec{
		Triggers:    []v1alpha1.Trigger{{Event: "user/registered"}},
		Idempotency: &v1alpha1.Idempotency{Key: v1alpha1.Expression(source)},
		Steps:       []v1alpha1.Step{{Name: "first", Sleep: "1s"}},
	}, Options{})
	if err != nil {
		t.Fatalf("compile %s: %v", source, err)
	}
	return p.Idempotency.Key
}

const eventData = `{
  "userId": "u1", "email": "ada@example.com", "count": 120, "price": 1.10, "id": 9007199254740993,
  "huge": 18446744073709551615, "ok": true, "none": null, "quote": "a \"b\" \\ \n ü",
  "list": [1, "two", {"three": 3}], "empty": [], "nested": {"a b": {"c": [10, 20]}}, "when": "2030-01-31T09:00:00Z"
}`

func testScope() *Scope {
	return &Scope{
		Event: &event.Event{
			ID: "e1", Type: "user/registered", Source: "site", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Data: json.RawMessage(eventData),
		},
		Run: RunVar{ID: "r1", Function: "greet", Attempt: 2, StartedAt: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)},
		Step: func(name string) (StepVar, bool) {
			switch name {
			case "first":
				return StepVar{Output: json.RawMessage(`{"y": [1, 2], "name": "x"}`), Attempts: 1}, true
			case "the-second":
				return StepVar{Output: json.RawMessage("null"), Error: "it broke", Attempts: 4}, true
			}
			return StepVar{}, false
		},
		Item: json.RawMessage(`{"z": "item z", "n": 7}`),
		Env:  map[string]string{"REGION": "eu"},
	}
}
