package servicetest

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKubernetes(t *testing.T) {
	k := StartKubernetes(t)
	const maps = "/api/v1/namespaces/default/configmaps"
	code, answer := k.Call(http.MethodPost, maps, map[string]any{"metadata": map[string]any{"name": "kept"}})
	if code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, answer)
	}
	k.Kill()
	if listening(strings.TrimPrefix(k.URL, "https://")) {
		t.Fatal("it still listens")
	}
	k.Start()
	if code, answer := k.Call(http.MethodGet, maps+"/kept", nil); code != http.StatusOK {
		t.Errorf("get after the restart: %d %s", code, answer)
	}
	if code, _ := k.Call(http.MethodGet, maps+"/none", nil); code != http.StatusNotFound {
		t.Errorf("get what is not there: %d", code)
	}

	// With what it exports, kubectl of the same folder can talk to it.
	programs, err := findKubernetes()
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(filepath.Join(programs, "kubectl"), "get", "configmap", "kept",
		"--server", k.URL, "--certificate-authority", k.CAFile, "--token", k.Token).CombinedOutput()
	if err != nil {
		t.Errorf("kubectl: %v\n%s", err, output)
	}

	readyz := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return expectOK(ctx, k.client, k.URL+"/readyz", k.Token)
	}
	k.Pause()
	if readyz() == nil {
		t.Error("a paused server answers")
	}
	k.Resume()
	if err := readyz(); err != nil {
		t.Errorf("a resumed server does not answer: %v", err)
	}
}

func TestMissingKubernetes(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := findKubernetes()
	for _, want := range []string{"lacks one of kube-apiserver etcd kubectl", "run 'make envtest'"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
