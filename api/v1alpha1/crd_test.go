package v1alpha1_test

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
)

func TestOurManifestsAreAccepted(t *testing.T) {
	server := newAPIServer(t)
	for _, folder := range []string{sampleFolder, "../../config/functions", "../../config/event-types"} {
		for name, sample := range readManifests(t, folder) {
			t.Run(filepath.Base(folder)+"/"+name, func(t *testing.T) {
				if errs := server.admit(sample.manifest, nil); len(errs) > 0 {
					t.Error(errs.ToAggregate())
				}
			})
		}
	}
}

func TestWrongManifestsAreRefused(t *testing.T) {
	server := newAPIServer(t)
	for name, wrong := range readManifests(t, invalidFolder) {
		t.Run(name, func(t *testing.T) {
			errs := server.admit(wrong.manifest, oldManifest(t, wrong))
			expected := wrong.directives["expect"]
			for _, expect := range expected {
				if !contains(errs, expect) {
					t.Errorf("no error %q in: %v", expect, errs.ToAggregate())
				}
			}
			if len(expected)+len(wrong.directives["expect-plan"]) == 0 {
				t.Error("the file does not say what is wrong with it: # expect: <field>: <part of the message>")
			}
			if len(expected) == 0 && len(errs) > 0 {
				t.Errorf("the API server refuses it too, say so with # expect: %v", errs.ToAggregate())
			}
		})
	}
}

// Every rule has a manifest that breaks it.
func TestEveryRuleIsTested(t *testing.T) {
	server := newAPIServer(t)
	var messages strings.Builder
	for _, wrong := range readManifests(t, invalidFolder) {
		for _, err := range server.admit(wrong.manifest, oldManifest(t, wrong)) {
			messages.WriteString(err.Error() + "\n")
		}
	}
	for _, k := range server {
		visit(k.schema, k.name, func(path string, s *schema.Structural) {
			for _, rule := range s.XValidations {
				if !strings.Contains(messages.String(), rule.Message) {
					t.Errorf("%s: no manifest in %s breaks the rule %q", path, invalidFolder, rule.Message)
				}
			}
		})
	}
}

// Every field appears in a sample: what nobody can show, nobody can use.
func TestSamplesShowEveryField(t *testing.T) {
	server := newAPIServer(t)
	shown := map[string]bool{}
	for _, sample := range readManifests(t, sampleFolder) {
		collectPaths(sample.manifest, sample.manifest["kind"].(string), shown)
	}
	for _, k := range server {
		visit(k.schema, k.name, func(path string, _ *schema.Structural) {
			// A failure has the same steps, and they show them.
			if !shown[path] && !ofStatus(path) && !strings.Contains(path, ".onFailure[].") && !strings.Contains(path, ".steps[].retryPolicy.") {
				t.Errorf("no sample in %s shows %s", sampleFolder, path)
			}
		})
	}
}

// Every list and every string has a bound: the API server keeps each object
// in memory, and CEL counts the cost of a rule from these bounds.
func TestEverythingIsBounded(t *testing.T) {
	for _, k := range newAPIServer(t) {
		visit(k.schema, k.name, func(path string, s *schema.Structural) {
			v := s.ValueValidation
			switch {
			case path == k.name+".apiVersion" || path == k.name+".kind":
			case s.Type == "array" && (v == nil || v.MaxItems == nil):
				t.Errorf("%s has no maxItems", path)
			case ofStatus(path) && (s.Type == "integer" || v != nil && v.Format == "date-time"):
				// The operator alone writes them.
			case s.Type == "string" && (v == nil || v.MaxLength == nil && len(v.Enum) == 0):
				t.Errorf("%s has no maxLength", path)
			case s.Type == "integer" && (v == nil || v.Minimum == nil || v.Maximum == nil):
				t.Errorf("%s has no minimum and maximum", path)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	server := newAPIServer(t)
	for name, test := range map[string]struct{ given, want string }{
		"function": {
			given: `{kind: WildoutFunction, spec: {steps: [{name: a, set: 1}]}}`,
			want: `{kind: WildoutFunction, spec: {steps: [{name: a, set: 1, onError: Fail}],
				suspend: false, versioning: Pinned, startFrom: Now, history: {limit: 1000}, deletionPolicy: Delete}, status: {observedGeneration: -1}}`,
		},
		"policies": {
			given: `{kind: WildoutFunction, spec: {rateLimit: {limit: 1}, idempotency: {}, retryPolicy: {maxAttempts: 2}, history: {}}}`,
			want: `{kind: WildoutFunction, status: {observedGeneration: -1},
				spec: {suspend: false, versioning: Pinned, startFrom: Now, history: {limit: 1000}, deletionPolicy: Delete,
				rateLimit: {limit: 1, burst: 1}, idempotency: {ttl: 24h},
				retryPolicy: {maxAttempts: 2, initialInterval: 1s, multiplier: "2", maxInterval: 10m, jitter: "0.2"}}}`,
		},
		"event type": {
			given: `{kind: WildoutEventType, spec: {type: a/b}}`,
			want:  `{kind: WildoutEventType, spec: {type: a/b, retention: {period: 72h}}, status: {observedGeneration: -1}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var given, want manifest
			decode(t, []byte(test.given), &given)
			decode(t, []byte(test.want), &want)
			server.admit(given, nil)
			if !reflect.DeepEqual(given, want) {
				t.Errorf("with its defaults it is\n%v, want\n%v", given, want)
			}
		})
	}
}

// The Go types know every field of the CRD, and the other way round.
func TestGoTypesKeepWhatASampleSays(t *testing.T) {
	for name, sample := range readManifests(t, sampleFolder) {
		t.Run(name, func(t *testing.T) {
			var object any = &v1alpha1.WildoutFunction{}
			if sample.manifest["kind"] == "WildoutEventType" {
				object = &v1alpha1.WildoutEventType{}
			}
			if err := yaml.UnmarshalStrict(sample.content, object); err != nil {
				t.Fatal(err)
			}
			content, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			var again manifest
			decode(t, content, &again)
			dropFalse(sample.manifest)
			if !reflect.DeepEqual(again, sample.manifest) {
				t.Errorf("through the Go types it becomes\n%v, want\n%v", again, sample.manifest)
			}
		})
	}
}

// contains reports whether errs has an error for the field with that part of
// a message: "<field>: <part>", or "<part>" for the object as a whole.
func contains(errs field.ErrorList, expect string) bool {
	path, part, ok := strings.Cut(expect, ": ")
	if !ok {
		path, part = "<nil>", expect // what field.Path prints for the root
	}
	return slices.ContainsFunc(errs, func(err *field.Error) bool {
		return err.Field == path && strings.Contains(err.ErrorBody(), part)
	})
}

// visit calls fn for s and everything in it, with paths such as
// WildoutFunction.spec.steps[].name.
func visit(s *schema.Structural, path string, fn func(path string, s *schema.Structural)) {
	fn(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		visit(&property, path+"."+name, fn)
	}
	if s.Items != nil {
		visit(s.Items, path+"[]", fn)
	}
}

// ofStatus reports whether the operator writes the field, and no user.
func ofStatus(path string) bool {
	_, rest, _ := strings.Cut(path, ".")
	return rest == "status" || strings.HasPrefix(rest, "status.")
}

func collectPaths(value any, path string, into map[string]bool) {
	into[path] = true
	switch value := value.(type) {
	case manifest:
		for name, element := range value {
			collectPaths(element, path+"."+name, into)
		}
	case []any:
		for _, element := range value {
			collectPaths(element, path+"[]", into)
		}
	}
}
