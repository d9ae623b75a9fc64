package servicetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Kubernetes is an API server with an etcd of its own for one test. It checks,
// keeps and authorizes what it is told; there are no nodes and no controllers,
// so nothing ever runs.
type Kubernetes struct {
	// URL is its address, https://host:port.
	URL string
	// CAFile has the certificate that its own is signed with, in PEM.
	CAFile string
	// Token is the bearer token of an administrator.
	Token string

	t      testing.TB
	server *server
	client *http.Client
}

// StartKubernetes starts an API server that is stopped when the test ends. It
// takes four seconds.
func StartKubernetes(t testing.TB) *Kubernetes {
	t.Helper()
	programs, err := findKubernetes()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	etcd, err := startEtcd(programs, dir)
	if err != nil {
		t.Fatal(err)
	}
	k := &Kubernetes{t: t}
	t.Cleanup(func() { k.check(etcd.stop(syscall.SIGKILL)) })
	if err := k.serve(programs, dir, etcd.port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Kill) // nobody reads its data again
	return k
}

// findKubernetes returns the folder with the programs: $KUBEBUILDER_ASSETS, or
// where `make envtest` put them.
func findKubernetes() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the folder of this module: %w", err)
	}
	script := filepath.Join(filepath.Dir(string(module)), "hack", "envtest.sh")
	folder, err := exec.Command(script, "--installed").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return "", fmt.Errorf("Kubernetes is not installed: %w", err)
	}
	return string(bytes.TrimSpace(folder)), nil
}

func startEtcd(programs, dir string) (*server, error) {
	s := &server{
		name:    "etcd",
		logFile: filepath.Join(dir, "etcd.log"),
		onDeath: syscall.SIGKILL,
		family:  func(int) ([]int, error) { return nil, nil },
	}
	s.command = func() *exec.Cmd {
		url := "http://" + address(s.port)
		return exec.Command(filepath.Join(programs, "etcd"), "--data-dir", filepath.Join(dir, "etcd"),
			"--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", "http://127.0.0.1:0", // one member has no peers
			"--unsafe-no-fsync", "--log-level", "error")
	}
	s.ready = func(ctx context.Context) error {
		return expectOK(ctx, http.DefaultClient, "http://"+address(s.port)+"/readyz", "")
	}
	if err := s.startAnywhere(); err != nil {
		return nil, err
	}
	return s, nil
}

// serve starts the API server and sets what a client needs.
func (k *Kubernetes) serve(programs, dir string, etcdPort int) error {
	access, err := newKubernetesAccess(dir)
	if err != nil {
		return fmt.Errorf("make the keys of the API server: %w", err)
	}
	s := &server{
		name:    "kube-apiserver",
		logFile: filepath.Join(dir, "server.log"),
		onDeath: syscall.SIGKILL,
		family:  func(int) ([]int, error) { return nil, nil },
	}
	s.command = func() *exec.Cmd {
		return exec.Command(filepath.Join(programs, "kube-apiserver"), append(access.flags(),
			"--etcd-servers", "http://"+address(etcdPort),
			"--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
			"--secure-port", strconv.Itoa(s.port),
			"--service-cluster-ip-range", "10.0.0.0/24",
			"--endpoint-reconciler-type", "none", // it would not advertise 127.0.0.1
		)...)
	}
	s.ready = func(ctx context.Context) error {
		url := "https://" + address(s.port)
		return errors.Join(expectOK(ctx, access.client, url+"/readyz", access.token),
			// It makes the namespace a moment after it says that it is ready.
			expectOK(ctx, access.client, url+"/api/v1/namespaces/default", access.token))
	}
	if err := s.startAnywhere(); err != nil {
		return err
	}
	k.URL, k.CAFile, k.Token = "https://"+address(s.port), access.caFile, access.token
	k.server, k.client = s, access.client
	return nil
}

// Call sends object as JSON, or nothing when it is nil, as the administrator,
// and returns the status code and the body of the answer. It fails the test
// when the API server does not answer.
func (k *Kubernetes) Call(method, path string, object any) (code int, answer []byte) {
	k.t.Helper()
	var body io.Reader
	if object != nil {
		content, err := json.Marshal(object)
		k.check(err)
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(k.t.Context(), method, k.URL+path, body)
	k.check(err)
	request.Header.Set("Authorization", "Bearer "+k.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := k.client.Do(request)
	k.check(err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	k.check(err)
	return response.StatusCode, answer
}

// Start starts the API server again after Stop or Kill, on the same port and
// with the same data.
func (k *Kubernetes) Start() {
	k.t.Helper()
	k.check(k.server.start())
}

// Stop ends the API server in order (SIGTERM); etcd stays.
func (k *Kubernetes) Stop() {
	k.t.Helper()
	k.check(k.server.stop(syscall.SIGTERM))
}

// Kill ends the API server at once (SIGKILL); etcd stays.
func (k *Kubernetes) Kill() {
	k.t.Helper()
	k.check(k.server.stop(syscall.SIGKILL))
}

// Pause freezes the API server: connections stay open and nothing answers.
func (k *Kubernetes) Pause() {
	k.t.Helper()
	k.check(k.server.pause())
}

// Resume lets a paused API server go on.
func (k *Kubernetes) Resume() {
	k.t.Helper()
	k.check(k.server.resume())
}

func (k *Kubernetes) check(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}
