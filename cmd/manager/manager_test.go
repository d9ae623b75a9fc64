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

	"github.com/wildout/wildout/runtime/servicetest"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct{ args, want string }{
		"no image":      {"", "runner image"},
		"bad Secret":    {"--runner-image=r --redis-secret=A_b", "A_b"},
		"bad namespace": {"--runner-image=r --namespaces=a,B", `"B"`},
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

// Two managers: one leads, the other takes over when it ends; both are ready,
// and tell their metrics to nobody who may not see them.
func TestTwoManagers(t *testing.T) {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(t.Output(), nil)))
	k := servicetest.StartKubernetes(t)
	install(t, k, "../../config/crd")
	first, second := startManager(t, k), startManager(t, k)
	holder := leader(t, k, "")
	if got := status(t, first, "/metrics", ""); got != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %d, want 401", got)
	}
	if got := status(t, first, "/metrics", k.Token); got != http.StatusOK {
		t.Errorf("metrics for an administrator: %d", got)
	}
	first.stop(t)
	second.stop(t)
	third := startManager(t, k)
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

func startManager(t *testing.T, k *servicetest.Kubernetes) *running {
	t.Helper()
	r := &running{metrics: servicetest.FreePort(t), probes: servicetest.FreePort(t), ended: make(chan error, 1)}
	o, err := parse([]string{"--runner-image=r", "--leader-election-namespace=wildout-system",
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", r.metrics), fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", r.probes)}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	// Two managers in one process: the names of controllers are taken once.
	o.shareProcess = true
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	config := &rest.Config{Host: k.URL, BearerToken: k.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: k.CAFile}}
	mgr, err := newManager(ctx, config, o, slog.New(slog.NewTextHandler(t.Output(), nil)))
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
