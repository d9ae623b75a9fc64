package scenarios_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/plan"
)

// changes are what a scenario changes in the manifests. The zero value changes
// nothing.
type changes struct {
	// Faster divides the sleeps, the periods of limits and the windows of
	// rules, all by the same, so that they keep their proportions. 0: as they
	// are. Time-outs and the waits between attempts stay.
	Faster float64
	// Sleep replaces the sleeps; "": they are as Faster has them.
	Sleep v1alpha1.Duration
	// NoRateLimits lifts the limits of starts, and that of all mails together
	// (not the recipients' limit).
	NoRateLimits bool
	// History is how many finished runs are kept; 0: as it is.
	History int32
}

// manifests reads the functions that are shipped, changed, by name.
func manifests(c changes) (map[string]*v1alpha1.WildoutFunctionSpec, error) {
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
			if err := c.apply(&f.Spec); err != nil {
				return nil, fmt.Errorf("change %s for the test: %w", f.Name, err)
			}
			specs[f.Name] = &f.Spec
		}
	}
	if len(specs) != len(triggers) {
		return nil, fmt.Errorf("there are %d functions in config/functions, the scenarios know %d", len(specs), len(triggers))
	}
	return specs, nil
}

func (c changes) apply(spec *v1alpha1.WildoutFunctionSpec) error {
	if c.NoRateLimits {
		spec.RateLimit = nil
		for i := range spec.Steps {
			if err := edit(spec.Steps[i].With, liftTotal); err != nil {
				return fmt.Errorf("step %s: %w", spec.Steps[i].Name, err)
			}
		}
	}
	if c.History > 0 {
		spec.History = &v1alpha1.History{Limit: &c.History}
	}
	if c.Sleep != "" {
		for i := range spec.Steps {
			if spec.Steps[i].Sleep != "" {
				spec.Steps[i].Sleep = c.Sleep
			}
		}
	}
	if c.Faster == 0 {
		return nil
	}
	return c.hasten(spec)
}

// hasten divides the durations of a function.
func (c changes) hasten(spec *v1alpha1.WildoutFunctionSpec) error {
	if spec.RateLimit != nil {
		if err := c.shorten(&spec.RateLimit.Period); err != nil {
			return err
		}
	}
	for i := range spec.Steps {
		step := &spec.Steps[i]
		if c.Sleep == "" {
			if err := c.shorten(&step.Sleep); err != nil {
				return err
			}
		}
		if err := edit(step.With, c.shortenTree); err != nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
	}
	return nil
}

func (c changes) shorten(d *v1alpha1.Duration) error {
	if *d == "" {
		return nil
	}
	long, err := d.Parse()
	*d = v1alpha1.Duration(c.short(long))
	return err
}

// short writes a duration in whole milliseconds, as inputs of steps want it.
func (c changes) short(d time.Duration) string {
	return fmt.Sprintf("%dms", max(1, time.Duration(float64(d)/c.Faster).Milliseconds()))
}

// edit changes the input of a step.
func edit(with *v1alpha1.JSON, change func(tree any) error) error {
	if with == nil {
		return nil
	}
	var tree any
	if err := json.Unmarshal(with.Raw, &tree); err != nil {
		return err
	}
	if err := change(tree); err != nil {
		return err
	}
	raw, err := json.Marshal(tree)
	with.Raw = raw
	return err
}

// liftTotal raises the limit of all mails together out of reach.
func liftTotal(tree any) error {
	if input, ok := tree.(map[string]any); ok {
		if total, ok := input["total"].(map[string]any); ok {
			total["limit"] = 1_000_000
		}
	}
	return nil
}

// shortenTree shortens the fields period and window, however deep they are.
func (c changes) shortenTree(tree any) error {
	switch tree := tree.(type) {
	case []any:
		for _, v := range tree {
			if err := c.shortenTree(v); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, v := range tree {
			text, isText := v.(string)
			if !isText || (name != "period" && name != "window") {
				if err := c.shortenTree(v); err != nil {
					return err
				}
				continue
			}
			long, err := v1alpha1.Duration(text).Parse()
			if err != nil {
				return err
			}
			tree[name] = c.short(long)
		}
	}
	return nil
}

// triggers are the event types that start each function.
var triggers = map[string]string{
	"send-welcome-email":         "user/registered",
	"user-registration-workflow": "user/registered",
	"process-new-event":          "event/created",
	"event-creation-workflow":    "event/created",
	"process-audit-log":          "audit/log",
	"enhanced-audit-logger":      "audit/log",
	"batch-email-processor":      "email/send",
	"enhanced-email-processor":   "email/send",
	"notify-security-alert":      "security/alert",
	"maintenance-workflow":       "system/maintenance",
}

func TestChangesKeepProportions(t *testing.T) {
	before, err := manifests(changes{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := manifests(changes{Faster: 60})
	if err != nil {
		t.Fatal(err)
	}
	mail := after["enhanced-email-processor"]
	if mail.RateLimit.Period != "1000ms" || mail.RateLimit.Limit != before["enhanced-email-processor"].RateLimit.Limit {
		t.Errorf("the rate limit is %+v, want that of the manifest with a period of 1000ms", mail.RateLimit)
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
	if sleeps, err := manifests(changes{Sleep: "20s"}); err != nil || sleeps["user-registration-workflow"].Steps[3].Sleep != "20s" {
		t.Errorf("the sleep was not replaced (%v)", err)
	}
}
