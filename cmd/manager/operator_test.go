package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/internal/servicetest"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct{ args, want string }{
		"no image":      {"", "runner image"},
		"bad Secret":    {"--runner-image=r --redis-secret=A_b", "A_b"},
		"bad namespace": {"--runner-image=r --namespaces=a,B", `"B"`},
		"bad address":   {"--runner-image=r --redis-addresses=10.0.0.0/8,redis", `"redis"`},
		"bad time":      {"--runner-image=r --poll-interval=-1s", "poll interval"},
		"bad shutdown":  {"--runner-image=r --graceful-shutdown-timeout=0s", "--graceful-shutdown-timeout"},
		"bad qps":       {"--runner-image=r --kube-api-qps=0", "--kube-api-qps"},
		"bad level":     {"--runner-image=r --log-level=loud", "loud"},
		"no metrics":    {"--runner-image=r --metrics-bind-address=0 --metrics-cert-dir=/c", "--metrics-cert-dir"},
		"argument":      {"--runner-image=r run", `"run"`},
		"all right":     {"--runner-image=r --namespaces=a,b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parse(strings.Fields(test.args), io.Discard)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want == "" && (len(o.namespaces) != 2 || o.Workers != 8):
				t.Errorf("got %+v", o)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want …%s…", err, test.want)
			}
		})
	}
}

func TestRedisAddresses(t *testing.T) {
	o, err := parse([]string{"--runner-image=r", "--redis-addresses=10.1.2.3/8, 192.0.2.7,2001:db8::1/32"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(o.RedisAddresses); got != "[10.0.0.0/8 192.0.2.7/32 2001:db8::/32]" {
		t.Errorf("got %s", got)
	}
	o, err = parse([]string{"--runner-image=r"}, io.Discard)
	if err != nil || len(o.RedisAddresses) > 0 {
		t.Errorf("without: %v, %v", o.RedisAddresses, err)
	}
}

// Two operators: one leads, the other takes over when it ends; both are ready,
// and tell their metrics to nobody who may not see them.
func TestTwoOperators(t *testing.T) {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(t.Output(), nil)))
	k := servicetest.StartKubernetes(t)
	install(t, k, "../../config/crd")
	for _, o := range roles(t) {
		bind(t, k, o, o.Metadata.Namespace)
	}
	token := account(t, k)
	first, second := startOperator(t, k, token), startOperator(t, k, token)
	holder := leader(t, k, "")
	if got := status(t, first, "/metrics", ""); got != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %d, want 401", got)
	}
	if got := status(t, first, "/metrics", k.Token); got != http.StatusOK {
		t.Errorf("metrics for an administrator: %d", got)
	}
	// client-go makes an Event of it, of the old kind, in the background.
	told := false
	for end := time.Now().Add(10 * time.Second); !told && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		_, answer := k.Call(http.MethodGet, "/api/v1/namespaces/wildout-system/events", nil)
		told = strings.Contains(string(answer), "became leader")
	}
	if !told {
		t.Error("no Event says who leads: may the operator not make it?")
	}
	first.stop(t)
	second.stop(t)
	third := startOperator(t, k, token)
	if leader(t, k, holder) == holder {
		t.Error("nobody took over")
	}
	third.stop(t)
}

type running struct {
	metrics, probes int
	cancel          context.CancelFunc
	ended           chan error
}

func startOperator(t *testing.T, k *servicetest.Kubernetes, token string, args ...string) *running {
	t.Helper()
	r := &running{metrics: servicetest.FreePort(t), probes: servicetest.FreePort(t), ended: make(chan error, 1)}
	o, err := parse(append([]string{"--runner-image=r", "--leader-election-namespace=wildout-system",
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", r.metrics), fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", r.probes)}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	// Two operators in one process: the names of controllers are taken once.
	o.shareProcess = true
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	config := &rest.Config{Host: k.URL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: k.CAFile}}
	mgr, err := newOperator(ctx, config, o, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- mgr.Start(ctx) }()
	deadline := time.Now().Add(20 * time.Second)
	for {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", r.probes))
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return r
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v %v", response, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(40 * time.Second):
		t.Fatal("it does not end")
	}
}

func status(t *testing.T, r *running, path, token string) int {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // self-signed
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d%s", r.metrics, path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		response, err := c.Do(request)
		if err == nil {
			response.Body.Close()
			return response.StatusCode
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// leader waits for a holder of the Lease other than that.
func leader(t *testing.T, k *servicetest.Kubernetes, other string) string {
	t.Helper()
	var lease struct {
		Spec struct {
			HolderIdentity string `json:"holderIdentity"`
		} `json:"spec"`
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, answer := k.Call(http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/wildout-system/leases/"+leaseName, nil)
		if err := yaml.Unmarshal(answer, &lease); err == nil && lease.Spec.HolderIdentity != "" && lease.Spec.HolderIdentity != other {
			return lease.Spec.HolderIdentity
		}
	}
	return other
}

// role is one of config/rbac/role.yaml.
type role struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []map[string]any
}

func roles(t *testing.T) (all []role) {
	t.Helper()
	text, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "---\n")[1:] {
		var r role
		if err := yaml.Unmarshal([]byte(document), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// bind gives a role to the operator: in a namespace, or everywhere.
func bind(t *testing.T, k *servicetest.Kubernetes, r role, namespace string) {
	t.Helper()
	path, kind := "/apis/rbac.authorization.k8s.io/v1", "ClusterRole"
	if namespace != "" {
		path, kind = path+"/namespaces/"+namespace, "Role"
	}
	create(t, k, path+"/"+strings.ToLower(kind)+"s", map[string]any{"metadata": map[string]any{"name": r.Metadata.Name}, "rules": r.Rules})
	create(t, k, path+"/"+strings.ToLower(kind)+"bindings", map[string]any{"metadata": map[string]any{"name": r.Metadata.Name},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": r.Metadata.Name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "wildout-manager", "namespace": "wildout-system"}}})
}

func create(t *testing.T, k *servicetest.Kubernetes, path string, object any) (answer []byte) {
	t.Helper()
	code, answer := k.Call(http.MethodPost, path, object)
	if code != http.StatusCreated {
		t.Fatalf("create %s: %d %s", path, code, answer)
	}
	return answer
}

// account makes the operator's ServiceAccount, and returns a token of it.
func account(t *testing.T, k *servicetest.Kubernetes) string {
	t.Helper()
	const path = "/api/v1/namespaces/wildout-system/serviceaccounts"
	create(t, k, path, map[string]any{"metadata": map[string]any{"name": "wildout-manager"}})
	var request struct{ Status struct{ Token string } }
	if err := yaml.Unmarshal(create(t, k, path+"/wildout-manager/token", map[string]any{"spec": map[string]any{}}), &request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// install creates the objects of a folder.
func install(t *testing.T, k *servicetest.Kubernetes, folder string) {
	t.Helper()
	k.Call(http.MethodPost, "/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "wildout-system"}})
	paths, err := filepath.Glob(filepath.Join(folder, "wildout.dev_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := yaml.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		if code, answer := k.Call(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", object); code != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, code, answer)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		code, answer := k.Call(http.MethodGet, "/apis/wildout.dev/v1alpha1/wildoutfunctions", nil)
		if code == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the CRDs are not served: %d %s", code, answer)
		}
	}
}
