package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/internal/servicetest"
)

// With --namespaces the operator needs no more than a Role in each, and the one
// of its Lease: functions there become Ready, and those elsewhere it does not
// see.
func TestSomeNamespaces(t *testing.T) {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(t.Output(), nil)))
	k := servicetest.StartKubernetes(t)
	redis := servicetest.StartRedis(t, servicetest.AppendFsync("everysec"))
	install(t, k, "../../config/crd")
	for _, name := range []string{"a", "b", "elsewhere"} {
		create(t, k, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": name}})
		create(t, k, "/api/v1/namespaces/"+name+"/secrets", map[string]any{"metadata": map[string]any{"name": "wildout-redis"}, "stringData": map[string]any{"url": redis.URL()}})
		create(t, k, functions(name), map[string]any{"apiVersion": "wildout.dev/v1alpha1", "kind": "WildoutFunction", "metadata": map[string]any{"name": "f"},
			"spec": map[string]any{"triggers": []any{map[string]any{"event": "a/b"}}, "steps": []any{map[string]any{"name": "s", "handler": "log.write"}}}})
	}
	for _, r := range roles(t) {
		if r.Kind == "Role" {
			bind(t, k, r, r.Metadata.Namespace)
			continue
		}
		r.Rules = slices.DeleteFunc(r.Rules, func(rule map[string]any) bool { // for the metrics, which there are none of
			group := rule["apiGroups"].([]any)[0]
			return group == "authentication.k8s.io" || group == "authorization.k8s.io"
		})
		bind(t, k, r, "a")
		bind(t, k, r, "b")
	}
	m := startOperator(t, k, account(t, k), "--namespaces=a,b", "--metrics-bind-address=0", "--poll-interval=250ms", "--secret-interval=250ms", "--status-interval=1s")
	for _, namespace := range []string{"a", "b"} {
		runs(t, k, namespace)
		becomes(t, k, namespace, "Ready", "True")
	}
	if f := read(t, k, "elsewhere"); len(f.Metadata.Finalizers) > 0 || f.Status.ObservedGeneration != -1 {
		t.Errorf("a function of a namespace that is not looked after is touched: %+v", f)
	}
	m.stop(t)
}

func functions(namespace string) string {
	return "/apis/wildout.dev/v1alpha1/namespaces/" + namespace + "/wildoutfunctions"
}

type function struct {
	Metadata struct{ Finalizers []string }
	Status   struct {
		ObservedGeneration int64
		Conditions         []struct{ Type, Status, Message string }
	}
}

func read(t *testing.T, k *servicetest.Kubernetes, namespace string) (f function) {
	t.Helper()
	code, answer := k.Call(http.MethodGet, functions(namespace)+"/f", nil)
	if err := yaml.Unmarshal(answer, &f); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, answer)
	}
	return f
}

// runs does what the Deployment controller would: all runners are there.
func runs(t *testing.T, k *servicetest.Kubernetes, namespace string) {
	t.Helper()
	path := fmt.Sprintf("/apis/apps/v1/namespaces/%s/deployments/f-runner", namespace)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var deployment map[string]any
		code, answer := k.Call(http.MethodGet, path, nil)
		if err := yaml.Unmarshal(answer, &deployment); err != nil {
			t.Fatal(err)
		}
		if code == http.StatusOK {
			deployment["status"] = map[string]any{"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
			if code, _ = k.Call(http.MethodPut, path+"/status", deployment); code == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("there is no Deployment in %s: %+v", namespace, read(t, k, namespace))
		}
	}
}

func becomes(t *testing.T, k *servicetest.Kubernetes, namespace, kind, status string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		f := read(t, k, namespace)
		for _, c := range f.Status.Conditions {
			if c.Type == kind && c.Status == status {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("in %s it is not %s=%s: %+v", namespace, kind, status, f)
		}
	}
}
