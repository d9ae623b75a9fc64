package desired_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/view"
)

// withRunner is the input for a sample with that spec.runner.
func withRunner(t *testing.T, runner string, settings desired.Settings) desired.Input {
	t.Helper()
	in := input(t, "../../config/samples/handler.yaml")
	in.Settings = settings
	in.Function.Spec.Runner = &v1alpha1.Runner{}
	if err := yaml.UnmarshalStrict([]byte(runner), in.Function.Spec.Runner); err != nil {
		t.Fatal(err)
	}
	return in
}

// children are the objects of an input, each as Kubernetes has it.
func children(t *testing.T, in desired.Input) (pod corev1.PodSpec, policy networkingv1.NetworkPolicy, budget *policyv1.PodDisruptionBudget) {
	t.Helper()
	objects, err := desired.Children(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects.All {
		encoded, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		var head struct {
			Kind string
			Spec struct {
				Template struct{ Spec json.RawMessage }
			}
		}
		if err := json.Unmarshal(encoded, &head); err != nil {
			t.Fatal(err)
		}
		switch head.Kind {
		case "Deployment":
			err = json.Unmarshal(head.Spec.Template.Spec, &pod)
		case "NetworkPolicy":
			err = json.Unmarshal(encoded, &policy)
		case "PodDisruptionBudget":
			budget = &policyv1.PodDisruptionBudget{}
			err = json.Unmarshal(encoded, budget)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return pod, policy, budget
}

// A drain waits for no runner that is not ready, and for none that is alone.
func TestDisruptionBudgets(t *testing.T) {
	for runner, want := range map[string]bool{
		"{}": false, "{replicas: 1}": false, "{replicas: 0}": false, "{scaling: {max: 1}}": false,
		"{replicas: 2}": true, "{scaling: {max: 2}}": true,
	} {
		_, _, budget := children(t, withRunner(t, runner, desired.Settings{}))
		if (budget != nil) != want {
			t.Errorf("%s has the budget %v, want one: %t", runner, budget, want)
		}
		if budget != nil && (budget.Spec.UnhealthyPodEvictionPolicy == nil || *budget.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow) {
			t.Errorf("%s: a runner that is not ready stands in the way of a drain", runner)
		}
	}
}

// A pod is killed only after its runs had the time that they were promised, and
// 15 seconds to be handed over.
func TestHowLongARunnerStays(t *testing.T) {
	for name, test := range map[string]struct {
		runner, timeout string // of a step
		pod             int64
		runs            string
	}{
		"nothing said":       {"{}", "", 35, "20s"},
		"said":               {"{terminationGracePeriodSeconds: 120}", "", 120, "1m45s"},
		"a short step":       {"{}", "5s", 35, "20s"},
		"a long step":        {"{}", "3m", 195, "3m0s"},
		"a very long step":   {"{}", "2h", 615, "10m0s"},
		"said, a long step":  {"{terminationGracePeriodSeconds: 60}", "2h", 60, "45s"},
		"by the variable":    {"{env: [{name: WILDOUT_GRACE, value: 90s}]}", "", 105, "90s"},
		"by both":            {"{terminationGracePeriodSeconds: 60, env: [{name: WILDOUT_GRACE, value: 30s}]}", "", 60, "30s"},
		"a faulty variable":  {"{env: [{name: WILDOUT_GRACE, value: forever}]}", "", 35, "forever"},
		"a number that fits": {"{terminationGracePeriodSeconds: 20}", "", 20, "5s"},
	} {
		t.Run(name, func(t *testing.T) {
			in := withRunner(t, test.runner, desired.Settings{})
			in.Function.Spec.Steps[0].Timeout = v1alpha1.Duration(test.timeout)
			pod, _, _ := children(t, in)
			if got := *pod.TerminationGracePeriodSeconds; got != test.pod {
				t.Errorf("the pod is killed after %d s, want %d", got, test.pod)
			}
			if got := variable(pod, "WILDOUT_GRACE"); got != test.runs {
				t.Errorf("runs go on for %s, want %s", got, test.runs)
			}
		})
	}
	in := withRunner(t, "{terminationGracePeriodSeconds: 60, env: [{name: WILDOUT_GRACE, value: 5m}]}", desired.Settings{})
	var fault *desired.FieldError
	if _, err := desired.Children(in); !errors.As(err, &fault) || fault.Path != "spec.runner.env[0]" {
		t.Errorf("more than the pod has: %v", err)
	}
}

func variable(pod corev1.PodSpec, name string) string {
	i := slices.IndexFunc(pod.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == name })
	if i < 0 {
		return "not set"
	}
	return pod.Containers[0].Env[i].Value
}

// A Secret whose keys become variables leads a runner to no other Redis: what
// env has counts more, whatever it is.
func TestNoOtherRedis(t *testing.T) {
	for _, content := range []view.Content{"0123456789", "0123456789-ca"} {
		in := withRunner(t, "{envFrom: [{secretRef: {name: anything}}]}", desired.Settings{})
		in.Content = content
		pod, _, _ := children(t, in)
		for _, name := range []string{"WILDOUT_REDIS_URL", "WILDOUT_REDIS_URL_FILE", "WILDOUT_REDIS_CA", "WILDOUT_REDIS_CA_FILE", "WILDOUT_NAMESPACE", "WILDOUT_MANIFEST", "WILDOUT_LISTEN", "WILDOUT_GRACE"} {
			if variable(pod, name) == "not set" {
				t.Errorf("with %s the Secret may set %s", content, name)
			}
		}
	}
}

// Whoever installs the operator decides what all runners have.
func TestSettings(t *testing.T) {
	settings := desired.Settings{PullPolicy: corev1.PullAlways, PullSecrets: []string{"registry", "own"}, User: 1000, LinkLocal: true}
	pod, policy, _ := children(t, withRunner(t, "{imagePullSecrets: [{name: own}]}", settings))
	if got := pod.Containers[0].ImagePullPolicy; got != corev1.PullAlways {
		t.Errorf("the image is pulled %s", got)
	}
	if got := pod.ImagePullSecrets; !slices.Equal(got, []corev1.LocalObjectReference{{Name: "own"}, {Name: "registry"}}) {
		t.Errorf("it is pulled with %v", got)
	}
	if s := pod.SecurityContext; s.RunAsUser == nil || *s.RunAsUser != 1000 || *s.FSGroup != 1000 || *s.RunAsGroup != 1000 {
		t.Errorf("it runs as %v", s)
	}
	if text := policy.Spec.String(); strings.Contains(text, "169.254") {
		t.Errorf("link-local addresses are out of reach: %s", text)
	}

	pod, policy, _ = children(t, withRunner(t, "{image: own}", desired.Settings{PullPolicy: corev1.PullAlways}))
	if got := pod.Containers[0].ImagePullPolicy; got != "" {
		t.Errorf("an image of the author's is pulled %s", got)
	}
	if s := pod.SecurityContext; s.RunAsUser != nil || s.RunAsGroup != nil || s.FSGroup != nil || !*s.RunAsNonRoot {
		t.Errorf("the cluster is to say as whom it runs: %v", s)
	}
	if text := policy.Spec.String(); !strings.Contains(text, "169.254") {
		t.Errorf("link-local addresses can be reached: %s", text)
	}
}

// Annotations and labels by which something else changes a pod are for whoever
// installs the operator to permit.
func TestMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		runner    string
		permitted []string
		fault     string
	}{
		"names without a domain": {`{podAnnotations: {owner: a}, podLabels: {team: b}}`, nil, ""},
		"harmless domains":       {`{podAnnotations: {prometheus.io/scrape: "true"}, podLabels: {app.kubernetes.io/part-of: shop}}`, nil, ""},
		"a restart by hand":      {`{podAnnotations: {kubectl.kubernetes.io/restartedAt: now}}`, nil, ""},
		"no AppArmor":            {`{podAnnotations: {container.apparmor.security.beta.kubernetes.io/runner: unconfined}}`, nil, "spec.runner.podAnnotations[container.apparmor.security.beta.kubernetes.io/runner]"},
		"a Secret put in":        {`{podAnnotations: {vault.hashicorp.com/agent-inject: "true"}}`, nil, "spec.runner.podAnnotations[vault.hashicorp.com/agent-inject]"},
		"an identity":            {`{podLabels: {azure.workload.identity/use: "true"}}`, nil, "spec.runner.podLabels[azure.workload.identity/use]"},
		"a neighbour":            {`{podLabels: {kubectl.kubernetes.io/other: "true"}}`, nil, "spec.runner.podLabels[kubectl.kubernetes.io/other]"},
		"permitted":              {`{podLabels: {azure.workload.identity/use: "true"}}`, []string{"azure.workload.identity/use"}, ""},
		"a permitted domain":     {`{podLabels: {example.com/a: "true"}}`, []string{"example.com/"}, ""},
		"another than permitted": {`{podLabels: {example.com.evil.org/a: "true"}}`, []string{"example.com/"}, "spec.runner.podLabels[example.com.evil.org/a]"},
		"everything":             {`{podLabels: {example.com/a: "true"}}`, []string{"*"}, ""},
		"nothing":                {`{podAnnotations: {prometheus.io/scrape: "true"}}`, []string{}, "spec.runner.podAnnotations[prometheus.io/scrape]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := desired.Children(withRunner(t, test.runner, desired.Settings{Metadata: test.permitted}))
			var fault *desired.FieldError
			if got := errors.As(err, &fault); got != (test.fault != "") || got && fault.Path != test.fault {
				t.Errorf("got %v, want a fault of %q", err, test.fault)
			}
		})
	}
}
