package scenarios

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Changes are what a scenario changes in the manifests. The zero value changes
// nothing.
type Changes struct {
	// Faster divides the sleeps, the periods of limits and the windows of
	// rules, all by the same, so that they keep their proportions. 0: as they
	// are. Time-outs and the waits between attempts stay.
	Faster float64
	// Sleep replaces the sleeps; "": they are as Faster has them.
	Sleep v1alpha1.Duration
	// NoRateLimits lifts the throttles of starts, and that of all mails together
	// (not the recipients' limit).
	NoRateLimits bool
	// History is how many finished runs are kept; 0: as it is.
	History int32
}

// Triggers are the event types that start each function.
var Triggers = map[string]string{
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

// Apply changes a function. Its error says where it has what cannot be changed.
func (c Changes) Apply(spec *v1alpha1.WildoutFunctionSpec) error {
	if c.NoRateLimits {
		spec.RateLimit = nil
		spec.Throttle = nil
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
func (c Changes) hasten(spec *v1alpha1.WildoutFunctionSpec) error {
	if spec.RateLimit != nil {
		if err := c.shorten(&spec.RateLimit.Period); err != nil {
			return err
		}
	}
	if spec.Throttle != nil {
		if err := c.shorten(&spec.Throttle.Period); err != nil {
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

func (c Changes) shorten(d *v1alpha1.Duration) error {
	if *d == "" {
		return nil
	}
	long, err := d.Parse()
	*d = v1alpha1.Duration(c.short(long))
	return err
}

// short writes a duration in whole milliseconds, as inputs of steps want it.
func (c Changes) short(d time.Duration) string {
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
func (c Changes) shortenTree(tree any) error {
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
