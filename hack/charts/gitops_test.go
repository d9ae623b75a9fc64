package main

import (
	"slices"
	"strings"
	"testing"
)

// rendered is `helm template` as a controller of GitOps runs it: without a
// cluster, and without values in place of what would be made.
func rendered(t *testing.T, helm string, c chart, values string, more ...string) string {
	t.Helper()
	args := append([]string{"template", c.name}, c.args(values, more...)...)
	return mustExecute(t, helm, append(args, "--namespace", "shop", "--kube-version", kubeVersion)...)
}

// What is rendered twice is the same: no sync changes a password or a key.
func TestRenderedTwice(t *testing.T) {
	for _, c := range allCharts {
		for _, values := range c.values {
			for _, helm := range helms {
				if first, second := rendered(t, helm, c, values), rendered(t, helm, c, values); first != second {
					t.Errorf("%s with %q renders to something else the second time (%s)", c.name, values, helm)
				}
			}
		}
	}
	if first, second := rendered(t, "helm4", allCharts[0], "", everything...), rendered(t, "helm4", allCharts[0], "", everything...); first != second {
		t.Error("with everything the chart renders to something else the second time")
	}
}

// A Job makes the texts that nobody has given, before anything mounts them, and
// may do nothing else. What is given is no work for it.
func TestPrepare(t *testing.T) {
	objects := decode(t, rendered(t, "helm4", allCharts[0], "values-dev.yaml"))
	for _, o := range objects {
		if o.kind() == "Secret" {
			t.Errorf("%s has a text that nobody has given", o.id())
		}
	}
	job := find(t, objects, "Job/wildout-prepare")
	equal(t, "its hook", at(job, "metadata", "annotations", "helm.sh/hook"), "pre-install,pre-upgrade")
	equal(t, "its arguments", at(podSpec(job), "containers", 0, "args"), []any{"prepare", "--namespace=shop",
		"--redis=wildout-redis,wildout-redis.shop.svc:6379", "--secret=wildout-gateway-key,key", "--secret=wildout-console-tokens,tokens", "--statefulset=wildout-redis"})
	equal(t, "its rights", at(find(t, objects, "Role/wildout-prepare"), "rules"), []any{
		map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "verbs": []any{"create"}},
		map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "resourceNames": []any{"wildout-redis", "wildout-gateway-key", "wildout-console-tokens"}, "verbs": []any{"get", "patch"}},
		map[string]any{"apiGroups": []any{"apps"}, "resources": []any{"statefulsets"}, "resourceNames": []any{"wildout-redis"}, "verbs": []any{"get", "delete"}},
	})
	for _, deployment := range []string{"gateway", "console"} {
		for _, v := range items(podSpec(find(t, objects, "Deployment/wildout-"+deployment)), "volumes") {
			name := text(v, "secret", "secretName")
			known := slices.ContainsFunc(items(podSpec(job), "containers", 0, "args"), func(arg any) bool { return strings.Contains(arg.(string), "="+name+",") })
			if name != "" && !known {
				t.Errorf("nobody makes the Secret %s of the %s", name, deployment)
			}
		}
	}
	for _, values := range allCharts[0].values[2:] { // they have a Redis and keys of their own
		for _, o := range render(t, "helm4", allCharts[0], values) {
			if strings.HasSuffix(o.id(), "-prepare") {
				t.Errorf("with %s there is %s", values, o.id())
			}
		}
	}
}

// A pod that is not ready stands in the way of no drain, and one that is alone
// neither.
func TestDisruptionBudgets(t *testing.T) {
	budgets := func(more ...string) (all []string) {
		for _, o := range render(t, "helm4", allCharts[0], "", more...) {
			if o.kind() == "PodDisruptionBudget" {
				all = append(all, o.name())
				equal(t, "the policy of "+o.id(), at(o, "spec", "unhealthyPodEvictionPolicy"), "AlwaysAllow")
			}
		}
		return all
	}
	equal(t, "the budgets", budgets(), []any{"wildout-gateway", "wildout-manager"})
	equal(t, "those of one of each", budgets("--set", "gateway.replicas=1,manager.replicas=1"), nil)
	equal(t, "those of a gateway that is scaled", budgets("--set", "gateway.replicas=1,manager.replicas=1,gateway.autoscaling.enabled=true"), []any{"wildout-gateway"})
	for _, o := range build(t, "default") {
		if o.kind() == "PodDisruptionBudget" {
			equal(t, "the policy of config/default", at(o, "spec", "unhealthyPodEvictionPolicy"), "AlwaysAllow")
		}
	}
}

// A pod of the embedded Redis whose image cannot be had is replaced by the next
// upgrade.
func TestRedisIsMended(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "values-dev.yaml")
	equal(t, "the way pods are replaced", at(find(t, objects, "StatefulSet/wildout-redis"), "spec", "podManagementPolicy"), "Parallel")
}

// OpenShift chooses users, and workload identities need link-local addresses.
func TestOtherClusters(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "values-dev.yaml", "--set", "pods.user=0,redis.embedded.user=0,networkPolicy.linkLocal=true,image.pullSecrets={registry},image.pullPolicy=Always",
		"--set", "manager.maxRollouts=3,manager.runnerMetadata={example.com/},manager.runnerCSIDrivers={secrets-store.csi.k8s.io}")
	for _, o := range objects {
		if spec := podSpec(o); spec != nil && (at(spec, "securityContext", "runAsUser") != nil || at(spec, "securityContext", "fsGroup") != nil || at(spec, "securityContext", "runAsNonRoot") != true) {
			t.Errorf("%s chooses its user: %v", o.id(), at(spec, "securityContext"))
		}
		if o.kind() == "NetworkPolicy" && strings.Contains(o.String(), "169.254") {
			t.Errorf("%s keeps from link-local addresses", o.id())
		}
	}
	args := items(podSpec(find(t, objects, "Deployment/wildout-manager")), "containers", 0, "args")
	for _, want := range []string{"--runner-user=0", "--runner-link-local=true", "--runner-pull-secrets=registry", "--runner-pull-policy=Always", "--max-rollouts=3",
		"--runner-metadata=example.com/", "--runner-csi-drivers=secrets-store.csi.k8s.io"} {
		if !slices.Contains(args, any(want)) {
			t.Errorf("the manager runs with %v, want %s", args, want)
		}
	}
}
