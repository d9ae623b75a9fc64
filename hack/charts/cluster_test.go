package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
)

// cluster is a real API server. The namespace shop takes only pods within the
// restricted standard.
type cluster struct {
	*servicetest.Kubernetes
	kubectl string
	// schemas is a folder with those of all kinds, once they are asked for.
	schemas string
}

const namespace = "shop"

// foreign are the kinds of others that the charts know: resources by group.
var foreign = map[string][]string{
	"monitoring.coreos.com/v1":     {"ServiceMonitor", "PodMonitor", "PrometheusRule"},
	"gateway.networking.k8s.io/v1": {"HTTPRoute"},
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	folder, err := exec.Command(filepath.Join(repository, "hack", "envtest.sh"), "--installed").Output()
	if err != nil {
		t.Fatalf("Kubernetes is not installed: run make envtest: %v", err)
	}
	c := &cluster{Kubernetes: servicetest.StartKubernetes(t), kubectl: filepath.Join(strings.TrimSpace(string(folder)), "kubectl"), schemas: t.TempDir()}
	c.create(t, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{
		"name": namespace, "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"},
	}})
	// A controller makes it, where there are any.
	c.create(t, "/api/v1/namespaces/"+namespace+"/serviceaccounts", map[string]any{"metadata": map[string]any{"name": "default"}})
	for groupVersion, kinds := range foreign {
		group, version, _ := strings.Cut(groupVersion, "/")
		for _, kind := range kinds {
			c.define(t, group, version, kind)
		}
	}
	return c
}

func (c *cluster) create(t *testing.T, path string, o any) {
	t.Helper()
	if code, answer := c.Call(http.MethodPost, path, o); code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, answer)
	}
}

// define makes a kind whose objects may have any field.
func (c *cluster) define(t *testing.T, group, version, kind string) {
	t.Helper()
	plural := strings.ToLower(kind) + "s"
	schema := map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	c.create(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + group, "annotations": map[string]any{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"}},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced", "names": map[string]any{"kind": kind, "plural": plural, "singular": strings.ToLower(kind)},
			"versions": []any{map[string]any{"name": version, "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": schema}}},
		},
	})
	c.wait(t, "kind "+kind, func() bool {
		code, _ := c.Call(http.MethodGet, fmt.Sprintf("/apis/%s/%s/%s", group, version, plural), nil)
		return code == http.StatusOK
	})
}

func (c *cluster) wait(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 30 s there is no %s", what)
		}
	}
}

// helm runs Helm as the administrator, in the namespace.
func (c *cluster) helm(t *testing.T, helm string, args ...string) string {
	t.Helper()
	return mustExecute(t, helm, append(args, "--namespace", namespace, "--kube-apiserver", c.URL, "--kube-ca-file", c.CAFile, "--kube-token", c.Token)...)
}

// check lets the API server judge manifests, unknown fields included.
func (c *cluster) check(t *testing.T, objects []object) {
	t.Helper()
	var all bytes.Buffer
	for _, o := range objects {
		fmt.Fprintf(&all, "---\n%s\n", o)
	}
	cmd := exec.Command(c.kubectl, "apply", "--server-side", "--dry-run=server", "--validate=strict", "--namespace", namespace, "-f", "-",
		"--server", c.URL, "--certificate-authority", c.CAFile, "--token", c.Token, "--kubeconfig", os.DevNull, "--cache-dir", t.TempDir())
	cmd.Stdin = &all
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// checkPods creates the pods of the workloads, in a dry run: the restricted
// standard is enforced on pods alone.
func (c *cluster) checkPods(t *testing.T, objects []object) {
	t.Helper()
	for _, o := range objects {
		spec := podSpec(o)
		if spec == nil {
			continue
		}
		if o.kind() == "Deployment" || o.kind() == "StatefulSet" {
			spec["restartPolicy"] = "Always"
		}
		// What the StatefulSet adds by itself, and admission here looks for.
		for _, claim := range items(o, "spec", "volumeClaimTemplates") {
			spec["volumes"] = append(items(spec, "volumes"), map[string]any{"name": text(claim, "metadata", "name"), "emptyDir": map[string]any{}})
		}
		delete(spec, "serviceAccountName")
		delete(spec, "priorityClassName")
		pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": "try-"}, "spec": spec}
		if code, answer := c.Call(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All&fieldValidation=Strict", pod); code != http.StatusCreated {
			t.Errorf("the pods of %s are refused: %s", o.id(), answer)
		}
	}
}

// left are the objects of the namespace that a release has left behind.
func (c *cluster) left(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(c.kubectl, "get", "all,secrets,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,ingresses,leases,clusterroles,clusterrolebindings",
		"--namespace", namespace, "--selector", "app.kubernetes.io/part-of=wildout", "--output", "name",
		"--server", c.URL, "--certificate-authority", c.CAFile, "--token", c.Token, "--kubeconfig", os.DevNull, "--cache-dir", t.TempDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// Every rendering passes a real API server, the restricted standard, and
// kubeconform; installed, it says what to do next.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	for _, values := range allCharts[0].values {
		t.Run("release/"+values, func(t *testing.T) { c.lives(t, values) })
	}
	// With the definitions that the releases have left.
	t.Run("everything", func(t *testing.T) {
		objects := render(t, "helm4", allCharts[0], "", everything...)
		c.check(t, objects)
		c.checkPods(t, objects)
		c.conforms(t, objects)
	})
	t.Run("one namespace", func(t *testing.T) {
		objects := render(t, "helm4", allCharts[0], "values-dev.yaml", "--set", "scope=Namespace,crds.enabled=false")
		c.check(t, objects)
		c.checkPods(t, objects)
	})
	t.Run("some namespaces", func(t *testing.T) {
		c.create(t, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": "orders"}})
		objects := render(t, "helm4", allCharts[0], "values-dev.yaml", "--set", "crds.enabled=false,manager.namespaces={orders,shop}")
		c.conforms(t, objects)
		for _, helm := range helms {
			c.helm(t, helm, append([]string{"install", "wildout"}, allCharts[0].args("values-dev.yaml", "--no-hooks", "--set", "crds.enabled=false,manager.namespaces={orders,shop}")...)...)
			c.helm(t, helm, "uninstall", "wildout", "--no-hooks")
		}
		if code, answer := c.Call(http.MethodGet, "/apis/rbac.authorization.k8s.io/v1/namespaces/orders/roles", nil); !bytes.Contains(answer, []byte(`"items":[]`)) {
			t.Errorf("the release has left behind: %d %s", code, answer)
		}
	})
	t.Run("wildout-functions", func(t *testing.T) {
		c.functions(t)
	})
}

// lives goes through the life of a release: Helm 3 installs and upgrades it,
// Helm 4 upgrades and uninstalls it.
func (c *cluster) lives(t *testing.T, values string) {
	objects := render(t, "helm4", allCharts[0], values)
	c.check(t, objects)
	c.checkPods(t, objects)
	// Nothing runs here, and hooks would be waited for.
	args := allCharts[0].args(values, "--no-hooks")
	out := c.helm(t, "helm3", append([]string{"install", "wildout"}, args...)...)
	checkNotes(t, out, objects)
	c.conforms(t, objects)
	for _, helm := range helms {
		c.helm(t, helm, append([]string{"upgrade", "wildout"}, args...)...)
	}
	c.helm(t, "helm4", "uninstall", "wildout", "--no-hooks")
	if left := c.left(t); left != "" {
		t.Errorf("the release has left behind:\n%s", left)
	}
	for _, o := range objects {
		if o.kind() != "CustomResourceDefinition" {
			continue
		}
		if code, answer := c.Call(http.MethodGet, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+o.name(), nil); code != http.StatusOK {
			t.Errorf("%s was to be kept: %d %s", o.id(), code, answer)
		}
	}
}

var (
	named = regexp.MustCompile(`\b(deployment|statefulset|service|secret)[/ ]([a-z-]*wildout[a-z-]*)`)
	kinds = map[string]string{"deployment": "Deployment", "statefulset": "StatefulSet", "service": "Service", "secret": "Secret"}
)

// checkNotes: the next three commands name what there is.
func checkNotes(t *testing.T, out string, objects []object) {
	t.Helper()
	_, notes, _ := strings.Cut(out, "NOTES:")
	for _, want := range []string{"\n1. ", "\n2. ", "\n3. ", "kubectl --namespace shop rollout status", "helm install wildout-functions", "curl http"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, out)
		}
	}
	for _, match := range named.FindAllStringSubmatch(notes, -1) {
		find(t, objects, kinds[match[1]]+"/"+match[2])
	}
}

func (c *cluster) functions(t *testing.T) {
	functions := allCharts[1]
	objects := render(t, "helm4", functions, "", "--set", "mail.from=site@example.com,adminEmail=a@example.com,alerts.contacts={a@example.com},runner.image=example/runner:1,runner.replicas=2,redisSecretName=other")
	c.check(t, objects)
	c.conforms(t, objects)
	for _, helm := range helms {
		out := c.helm(t, helm, append([]string{"install", functions.name}, functions.args("")...)...)
		for _, want := range []string{"secret generic wildout-database", "kubectl --namespace shop wait --for=condition=Ready wildoutfunctions --all", "adminEmail is not set", "nobody would hear of a security alert"} {
			if !strings.Contains(out, want) {
				t.Errorf("the notes lack %q:\n%s", want, out)
			}
		}
		c.helm(t, helm, "uninstall", functions.name)
	}
}
