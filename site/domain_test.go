package domain

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/runtime/handlers/http"
	"github.com/wildout/wildout/site/mail/templates"
	"github.com/wildout/wildout/site/schema/schematest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

const manifests = "../config"

// noFallback is never reached: no handler runs here.
type noFallback struct{}

func (noFallback) Append(context.Context, string, []byte) error { return io.ErrClosedPipe }
func (noFallback) Drain(context.Context, int, func(context.Context, []byte) error) (int, error) {
	return 0, io.ErrClosedPipe
}

func registry(t *testing.T) *wildout.Registry {
	t.Helper()
	mailer, err := email.New(email.Options{URL: "smtp://127.0.0.1:1", From: "site@wildout.example", Templates: templates.FS})
	if err != nil {
		t.Fatal(err)
	}
	client, err := http.New(http.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg := &wildout.Registry{}
	email.Register(reg, mailer)
	http.Register(reg, client)
	_, err = Register(reg, Deps{
		DB: schematest.Postgres(t).DB, Mailer: mailer, Fallback: noFallback{},
		Logger: slog.New(slog.DiscardHandler), Stderr: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestRegisterSaysWhatIsMissing(t *testing.T) {
	if _, err := Register(&wildout.Registry{}, Deps{}); err == nil || !strings.Contains(err.Error(), "database") {
		t.Errorf("Register without a database: %v", err)
	}
}

// read decodes a manifest strictly: an unknown field is an error.
func read[T any](t *testing.T, file string) T {
	t.Helper()
	var manifest T
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, &manifest); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	return manifest
}

func functions(t *testing.T) map[string]v1alpha1.WildoutFunction {
	t.Helper()
	all := map[string]v1alpha1.WildoutFunction{}
	files, _ := filepath.Glob(manifests + "/functions/*.yaml")
	for _, file := range files {
		if base := filepath.Base(file); base != "kustomization.yaml" {
			function := read[v1alpha1.WildoutFunction](t, file)
			all[strings.TrimSuffix(base, ".yaml")] = function
			if function.Kind != "WildoutFunction" || function.Name+".yaml" != base {
				t.Errorf("%s holds the %s %q", file, function.Kind, function.Name)
			}
		}
	}
	if len(all) != 10 {
		t.Fatalf("there are %d functions, want the nine and notify-security-alert", len(all))
	}
	return all
}

func TestFunctionsUseHandlersAsTheyAre(t *testing.T) {
	reg := registry(t)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, function := range functions(t) {
		for _, step := range append(function.Spec.Steps, function.Spec.OnFailure...) {
			if step.Handler == "" {
				continue
			}
			handler, ok := reg.Lookup(step.Handler)
			if !ok {
				t.Errorf("%s, step %s: there is no handler %s", name, step.Name, step.Handler)
				continue
			}
			// The handler fails, for it has no time left. The question is
			// whether it got so far as to have its input decoded.
			_, err := handler(wildout.WithInfo(ended, wildout.RunInfo{RunID: "r", IdempotencyKey: "r/s"}, nil), withoutExpressions(t, step.With))
			if err != nil && strings.Contains(err.Error(), "input of handler") {
				t.Errorf("%s, step %s: %v", name, step.Name, err)
			}
		}
	}
}

// withoutExpressions replaces the strings that hold ${expressions} by null,
// which fits every type.
func withoutExpressions(t *testing.T, with *v1alpha1.JSON) json.RawMessage {
	t.Helper()
	if with == nil {
		return nil
	}
	var value any
	if err := json.Unmarshal(with.Raw, &value); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(replaceExpressions(value))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func replaceExpressions(value any) any {
	switch value := value.(type) {
	case string:
		if strings.Contains(value, "${") {
			return nil
		}
	case []any:
		for i := range value {
			value[i] = replaceExpressions(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = replaceExpressions(value[key])
		}
	}
	return value
}

func TestSharedWorkIsTheSameInBothFunctions(t *testing.T) {
	all := functions(t)
	step := func(function, name string) v1alpha1.Step {
		for _, s := range all[function].Spec.Steps {
			if s.Name == name {
				return s
			}
		}
		t.Fatalf("%s has no step %s", function, name)
		return v1alpha1.Step{}
	}
	field := func(s v1alpha1.Step, name string) any {
		var with map[string]any
		if err := json.Unmarshal(s.With.Raw, &with); err != nil {
			t.Fatal(err)
		}
		if with[name] == nil {
			t.Fatalf("step %s has no %s", s.Name, name)
		}
		return with[name]
	}
	for name, same := range map[string][2]any{
		"security rules": {
			field(step("process-audit-log", "security-monitoring"), "rules"),
			field(step("enhanced-audit-logger", "detect-anomalies"), "rules")},
		"compliance actions": {
			field(step("process-audit-log", "compliance-check"), "actions"),
			field(step("enhanced-audit-logger", "track-compliance"), "actions")},
		"validation of a listing": {
			step("process-new-event", "validate-event"), step("event-creation-workflow", "validate-event")},
	} {
		if !reflect.DeepEqual(same[0], same[1]) {
			t.Errorf("%s differ:\n%v\n%v", name, same[0], same[1])
		}
	}
}

// TestLimitsOfTheTable holds the manifests against docs/functions: attempts,
// concurrency, and starts in any minute (GCRA lets limit+burst through at most).
func TestLimitsOfTheTable(t *testing.T) {
	table := map[string]struct{ attempts, concurrency, perMinute int32 }{
		"send-welcome-email":         {4, 10, 50},
		"process-new-event":          {4, 5, 30},
		"process-audit-log":          {5, 20, 200},
		"batch-email-processor":      {4, 5, 100},
		"enhanced-audit-logger":      {4, 20, 200},
		"user-registration-workflow": {4, 10, 50},
		"event-creation-workflow":    {4, 5, 30},
		"enhanced-email-processor":   {4, 5, 100},
		"maintenance-workflow":       {1, 1, 0},
		"notify-security-alert":      {6, 5, 0},
	}
	for name, function := range functions(t) {
		want, ok := table[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		spec := function.Spec
		if got := spec.RetryPolicy.MaxAttempts; got != want.attempts {
			t.Errorf("%s has %d attempts, want %d", name, got, want.attempts)
		}
		if got := spec.Concurrency[0].Limit; got != want.concurrency {
			t.Errorf("%s has concurrency %d, want %d", name, got, want.concurrency)
		}
		switch limit := spec.Throttle; {
		case limit == nil && want.perMinute == 0:
		case limit == nil || limit.Period != "1m" || limit.Limit != want.perMinute || limit.Window != v1alpha1.WindowSliding:
			t.Errorf("%s: throttle %+v is not %d in any minute", name, limit, want.perMinute)
		}
	}
}
