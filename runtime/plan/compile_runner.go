package plan

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/wildout/wildout/api/v1alpha1"
)

const (
	maxReplicas      = 1000
	maxTargetBacklog = 1_000_000
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// operatorVariables are what the operator itself tells a runner.
var operatorVariables = []string{"WILDOUT_REDIS_URL", "WILDOUT_REDIS_URL_FILE", "WILDOUT_REDIS_CA_FILE",
	"WILDOUT_NAMESPACE", "WILDOUT_MANIFEST", "WILDOUT_LISTEN"}

// deployment checks what the operator makes of a function besides its runs.
// What is an object of Kubernetes is for the operator to read.
func (c *compiler) deployment(spec *v1alpha1.WildoutFunctionSpec) {
	c.oneOf("spec.deletionPolicy", string(spec.DeletionPolicy), string(v1alpha1.DeletionDelete), string(v1alpha1.DeletionRetain))
	if r := spec.Redis; r != nil && r.SecretName != "" {
		c.secretName("spec.redis.secretName", r.SecretName)
	}
	r := spec.Runner
	if r == nil {
		return
	}
	if r.Replicas != nil {
		c.within("spec.runner.replicas", int64(*r.Replicas), 0, maxReplicas)
	}
	c.scaling(r)
	if r.ServiceAccountName != "" {
		c.secretName("spec.runner.serviceAccountName", r.ServiceAccountName)
	}
	seen := map[string]bool{}
	for i, v := range r.Env {
		path := fmt.Sprintf("spec.runner.env[%d]", i)
		switch {
		case !variableName.MatchString(v.Name):
			c.errorf(path+".name", "%q is no name of a variable: write letters, digits and underscores, such as WILDOUT_SMTP_URL", v.Name)
		case seen[v.Name]:
			c.errorf(path+".name", "%s is set twice", v.Name)
		case slices.Contains(operatorVariables, v.Name):
			c.errorf(path+".name", "%s is set by the operator", v.Name)
		}
		if v.Value != "" && v.ValueFrom != nil {
			c.errorf(path, "has a value and a valueFrom: leave one out")
		}
		seen[v.Name] = true
	}
}

// scaling checks who decides how many runners there are, and within what. A
// target or window that is left out has its default from the API server.
func (c *compiler) scaling(r *v1alpha1.Runner) {
	s := r.Scaling
	if s == nil {
		return
	}
	const path = "spec.runner.scaling"
	if r.Replicas != nil {
		c.errorf("spec.runner.replicas", "scaling decides how many runners there are: leave one of the two out")
	}
	c.within(path+".min", int64(s.Min), 0, maxReplicas)
	c.within(path+".max", int64(s.Max), 1, maxReplicas)
	if s.Min > s.Max && s.Max > 0 {
		c.errorf(path+".min", "is %d, it must be at most max, %d", s.Min, s.Max)
	}
	if s.TargetBacklog != 0 {
		c.within(path+".targetBacklog", int64(s.TargetBacklog), 1, maxTargetBacklog)
	}
	if s.StabilizationWindow != "" {
		c.duration(path+".stabilizationWindow", s.StabilizationWindow)
	}
}

func (c *compiler) secretName(path, name string) {
	c.name(path, name, dnsSubdomain, 253, labelRule+", parts joined by dots", "wildout-redis")
}
