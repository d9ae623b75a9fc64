package scenarios_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/scenarios"
	"github.com/wildout/wildout/runtime/plan"
)

// manifests reads the functions that are shipped, changed, by name.
func manifests(c scenarios.Changes) (map[string]*v1alpha1.WildoutFunctionSpec, error) {
	files, err := filepath.Glob("../../config/functions/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the manifests: %w", err)
	}
	specs := map[string]*v1alpha1.WildoutFunctionSpec{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a manifest: %w", err)
		}
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		functions, _, err := plan.ReadManifests(file, text)
		if err != nil {
			return nil, err
		}
		for _, f := range functions {
			if err := c.Apply(&f.Spec); err != nil {
				return nil, fmt.Errorf("change %s for the test: %w", f.Name, err)
			}
			specs[f.Name] = &f.Spec
		}
	}
	if len(specs) != len(scenarios.Triggers) {
		return nil, fmt.Errorf("there are %d functions in config/functions, the scenarios know %d", len(specs), len(scenarios.Triggers))
	}
	return specs, nil
}

func TestChangesKeepProportions(t *testing.T) {
	before, err := manifests(scenarios.Changes{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := manifests(scenarios.Changes{Faster: 60})
	if err != nil {
		t.Fatal(err)
	}
	mail := after["enhanced-email-processor"]
	if mail.Throttle.Period != "1000ms" || mail.Throttle.Limit != before["enhanced-email-processor"].Throttle.Limit {
		t.Errorf("the throttle is %+v, want that of the manifest with a period of 1000ms", mail.Throttle)
	}
	periods := 0
	for _, step := range mail.Steps {
		var in struct {
			Period string
			Total  struct{ Period string }
		}
		if step.With != nil && json.Unmarshal(step.With.Raw, &in) == nil && in.Period != "" {
			if periods++; in.Period != "60000ms" {
				t.Errorf("the recipient's period in step %s is %s, want 60000ms", step.Name, in.Period)
			}
			if step.Name == "send" && in.Total.Period != "1000ms" {
				t.Errorf("the period of all mails in step send is %q, want 1000ms", in.Total.Period)
			}
		}
	}
	if periods != 2 {
		t.Errorf("%d steps have a recipient's limit, want 2", periods)
	}
	if sleeps, err := manifests(scenarios.Changes{Sleep: "20s"}); err != nil || sleeps["user-registration-workflow"].Steps[3].Sleep != "20s" {
		t.Errorf("the sleep was not replaced (%v)", err)
	}
}
