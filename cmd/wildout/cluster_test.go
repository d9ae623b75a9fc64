package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/cmd/wildout/internal/describe"
	"github.com/wildout/wildout/internal/servicetest"
)

// cluster is a real API server, and people with a kubeconfig for it.
type testCluster struct {
	*servicetest.Kubernetes
	dir string
}

func startCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{servicetest.StartKubernetes(t), t.TempDir()}
	for _, name := range []string{"wildout.dev_wildoutfunctions.yaml", "wildout.dev_wildouteventtypes.yaml"} {
		text, err := os.ReadFile("../../config/crd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		c.create(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", string(text))
	}
	text, err := os.ReadFile("../../config/rbac/users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range strings.Split(string(text), "\n---\n") {
		c.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
	}
	c.create(t, "/api/v1/namespaces", `{metadata: {name: shop}}`)
	for _, kind := range []string{"wildoutfunctions", "wildouteventtypes"} {
		eventually(t, kind+" are served", func() bool {
			code, _ := c.Call(http.MethodGet, "/apis/wildout.dev/v1alpha1/namespaces/shop/"+kind, nil)
			return code == http.StatusOK
		})
	}
	return c
}

// call sends YAML, and wants to succeed.
func (c *testCluster) call(t *testing.T, method, path, object string) map[string]any {
	t.Helper()
	var content, answer map[string]any
	if err := yaml.Unmarshal([]byte(object), &content); err != nil {
		t.Fatal(err)
	}
	code, text := c.Call(method, path, content)
	if err := json.Unmarshal(text, &answer); err != nil || code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, code, text)
	}
	return answer
}

func (c *testCluster) create(t *testing.T, path, object string) map[string]any {
	t.Helper()
	return c.call(t, http.MethodPost, path, object)
}

// withStatus creates an object that has a status.
func (c *testCluster) withStatus(t *testing.T, path, object, status string) (uid string) {
	t.Helper()
	made := c.create(t, path, object)
	metadata := made["metadata"].(map[string]any)
	var content any
	if err := yaml.Unmarshal([]byte(status), &content); err != nil {
		t.Fatal(err)
	}
	made["status"] = content
	text, err := yaml.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	c.call(t, http.MethodPut, path+"/"+metadata["name"].(string)+"/status", string(text))
	return metadata["uid"].(string)
}

// person is a ServiceAccount with the roles in the namespace shop, and the path
// of its kubeconfig.
func (c *testCluster) person(t *testing.T, name string, roles ...string) string {
	t.Helper()
	c.create(t, "/api/v1/namespaces/shop/serviceaccounts", fmt.Sprintf("{metadata: {name: %s}}", name))
	for _, role := range roles {
		c.create(t, "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", fmt.Sprintf(
			`{metadata: {name: %q}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %q}, subjects: [{kind: ServiceAccount, name: %s, namespace: shop}]}`,
			name+"-"+strings.ReplaceAll(role, ":", "-"), role, name))
	}
	token := c.create(t, "/api/v1/namespaces/shop/serviceaccounts/"+name+"/token", `{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, spec: {}}`)
	file := filepath.Join(c.dir, name)
	write(t, file, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: shop,
clusters: [{name: test, cluster: {server: "%s", certificate-authority: "%s"}}, {name: away, cluster: {server: "https://127.0.0.1:1"}}],
users: [{name: me, user: {token: "%s"}}],
contexts: [{name: shop, context: {cluster: test, user: me, namespace: shop}}, {name: default, context: {cluster: test, user: me}}, {name: away, context: {cluster: away, user: me}}]}`,
		c.URL, c.CAFile, token["status"].(map[string]any)["token"]))
	return file
}

// as runs `kubectl wildout` with a kubeconfig.
func as(t *testing.T, kubeconfig string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := program(t, pluginName, args...)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	return printed(t, cmd)
}

// Who may view a namespace may describe its functions; what somebody may not
// read is noted, and the rest shown.
func TestDescribe(t *testing.T) {
	c := startCluster(t)
	now := time.Now().UTC().Format(time.RFC3339)
	functions, apps := "/apis/wildout.dev/v1alpha1/namespaces/shop/wildoutfunctions", "/apis/apps/v1/namespaces/shop"
	uid := c.withStatus(t, functions, `{apiVersion: wildout.dev/v1alpha1, kind: WildoutFunction, metadata: {name: greet},
spec: {triggers: [{event: user/registered}, {event: user/gone}], steps: [{name: a, handler: log.write}]}}`,
		fmt.Sprintf(`{observedGeneration: 1, triggers: "user/registered,user/gone", version: v1, replicas: 1, backlog: 3, runs: {inFlight: 1, waiting: 2, succeeded: 5, failed: 0, byVersion: {v1: 2}},
conditions: [{type: Ready, status: "False", reason: CrashLoop, message: the runner ended 3 times, observedGeneration: 1, lastTransitionTime: "%s"}]}`, now))
	c.create(t, functions, `{apiVersion: wildout.dev/v1alpha1, kind: WildoutFunction, metadata: {name: other}, spec: {triggers: [{cron: "0 3 * * *"}], steps: [{name: a, handler: log.write}]}}`)
	c.withStatus(t, "/apis/wildout.dev/v1alpha1/namespaces/shop/wildouteventtypes", `{apiVersion: wildout.dev/v1alpha1, kind: WildoutEventType, metadata: {name: u}, spec: {type: user/registered}}`,
		`{observedGeneration: 1, stream: {length: 7, bytes: 900}}`)
	const meta = `labels: {wildout.dev/function: greet, a: b}`
	const pod = `spec: {containers: [{name: runner, image: i}]}`
	deployment := c.withStatus(t, apps+"/deployments", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: greet-runner, `+meta+`}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, `+pod+`}}}`,
		`{observedGeneration: 1, replicas: 1, updatedReplicas: 1}`)
	owner := func(kind, name, uid string) string {
		return fmt.Sprintf("ownerReferences: [{apiVersion: apps/v1, kind: %s, name: %s, uid: %s}]", kind, name, uid)
	}
	set := c.withStatus(t, apps+"/replicasets", `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: greet-runner-1, `+meta+`, `+owner("Deployment", "greet-runner", deployment)+`}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, `+pod+`}}}`,
		`{replicas: 1}`)
	c.create(t, "/api/v1/namespaces/shop/serviceaccounts", "{metadata: {name: default}}")
	c.withStatus(t, "/api/v1/namespaces/shop/pods", `{apiVersion: v1, kind: Pod, metadata: {name: greet-runner-1-x, `+meta+`, `+owner("ReplicaSet", "greet-runner-1", set)+`}, `+pod+`}`,
		`{phase: Running, containerStatuses: [{name: runner, image: i, imageID: i, restartCount: 3, ready: false, state: {waiting: {reason: CrashLoopBackOff, message: wait}}, lastState: {terminated: {exitCode: 1, reason: Error, message: no such table}}}]}`)
	c.create(t, "/api/v1/namespaces/shop/configmaps", `{metadata: {name: greet-1, labels: {wildout.dev/function: greet, wildout.dev/version: v1}}}`)
	for name, of := range map[string]string{"mine": uid, "of-one-before": "another"} {
		c.create(t, "/apis/events.k8s.io/v1/namespaces/shop/events", fmt.Sprintf(`{metadata: {name: %s}, eventTime: %q, action: Check, reason: CrashLoop, type: Warning, note: "note %s", reportingController: w/o, reportingInstance: i, regarding: {kind: WildoutFunction, name: greet, namespace: shop, uid: %q}}`,
			name, strings.TrimSuffix(now, "Z")+".000000Z", name, of))
	}

	viewer := c.person(t, "viewer", "system:aggregate-to-view", "wildout-view")
	out, stderr, status := as(t, viewer, "describe", "function", "greet")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"shop/greet", "✗ Ready CrashLoop", "the runner ended 3 times", "✓ user/registered  trigger · 7 events, 900B", "– user/gone", "nobody declares it",
		"Deployment greet-runner  0 of 1 ready", "ReplicaSet greet-runner-1  1 pod", "✗ Pod greet-runner-1-x  CrashLoopBackOff · 3 restarts", "no such table",
		"v1  new runs get it · ConfigMap greet-1", "2 runs waiting", "1 in flight", "3 in the backlog", "note mine"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not tell %q:\n%s", want, out)
		}
	}
	for _, never := range []string{"note of-one-before", "not shown", "\x1b"} {
		if strings.Contains(out, never) {
			t.Errorf("it tells %q:\n%s", never, out)
		}
	}
	if all, _, _ := as(t, viewer, "describe", "fn"); !strings.HasPrefix(all, "shop/greet  ") || !strings.Contains(all, "\n\nshop/other  ") {
		t.Errorf("all of the namespace:\n%s", all)
	}
	if names, _, _ := as(t, viewer, "describe", "function", "-o", "name"); names != "greet\nother\n" {
		t.Errorf("the names: %s", names)
	}
	for _, format := range []string{"json", "yaml"} {
		out, _, _ := as(t, viewer, "describe", "function", "greet", "-o", format)
		var f describe.Function
		if err := yaml.Unmarshal([]byte(out), &f); err != nil || f.Function.Name != "greet" || len(f.Pods) != 1 || len(f.Events) != 1 {
			t.Errorf("as %s (%v):\n%s", format, err, out)
		}
	}

	stranger := c.person(t, "stranger")
	novice := c.person(t, "novice", "wildout-view")
	if out, _, status := as(t, novice, "describe", "function", "greet"); status != 0 || !strings.Contains(out, "✗ Ready CrashLoop") || !strings.Contains(out, "you may not read pods in the namespace shop") {
		t.Errorf("who may only see functions sees (status %d):\n%s", status, out)
	}
	for name, test := range map[string]struct {
		kubeconfig, args string
		status           int
		says             string
	}{
		"no such function":  {viewer, "describe function grete", exitNo, "there is no wildoutfunctions grete in the namespace shop"},
		"may not":           {stranger, "describe function greet", exitRefused, "you may not read wildoutfunctions greet in the namespace shop"},
		"another namespace": {viewer, "describe function greet --context default", exitRefused, "in the namespace default"},
		"nobody answers":    {viewer, "describe function greet --context away", exitUnreachable, "does not answer"},
		"no such context":   {viewer, "describe function greet --context none", exitUnreachable, "kubectl config get-contexts"},
		"no kubeconfig":     {"", "describe function greet --kubeconfig /no/such", exitUnreachable, "no cluster"},
		"no console":        {viewer, "runs list", exitNo, "kubectl wildout: there is no console in the namespace shop: install it"},
		"no gateway":        {viewer, "send a", exitNo, "there is no gateway in the namespace shop: install it"},
		"two places":        {viewer, "runs list -n shop --url http://127.0.0.1:1", exitUsage, "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := as(t, test.kubeconfig, strings.Fields(test.args)...)
			if status != test.status || !strings.Contains(stderr, test.says) {
				t.Errorf("status %d, printed %s, want %d and %q", status, stderr, test.status, test.says)
			}
		})
	}
	if out, _, _ := printed(t, completing(t, viewer, "describe", "function", "gr")); !strings.HasPrefix(out, "greet\n") {
		t.Errorf("it completes: %s", out)
	}
}

func completing(t *testing.T, kubeconfig string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := program(t, "kubectl_complete-wildout", args...)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	return cmd
}

// `kubectl wildout` finds the console and the gateway of the namespace, goes to
// them through the API server, and takes the credentials from their Secrets, as
// far as this person may.
func TestThroughTheAPIServer(t *testing.T) {
	c := startCluster(t)
	dev := startParcels(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tokens"), "\nthe-token-of-the-first-person\nthe-token-of-the-second\n")
	keys := t.TempDir()
	write(t, filepath.Join(keys, "key"), "the-key-of-the-default-sender")
	write(t, filepath.Join(dir, "gateway.yaml"), "senders: [{name: default, keys: "+keys+", eventTypes: ['*']}]")
	cert, key := servicetest.NewAuthority(t, "nobody that we know").Certificate(t)
	ports := map[string]int{}
	for name, args := range map[string][]string{
		"console": {"--token-file", dir + "/tokens", "--allow-actions", "--tls-cert", cert, "--tls-key", key},
		"gateway": {"--config", dir + "/gateway.yaml"},
	} {
		ports[name] = servicetest.FreePort(t)
		probes := servicetest.FreePort(t)
		server := program(t, "wildout", append([]string{name, "--redis-url", dev.About().Redis, "--listen", fmt.Sprint("127.0.0.1:", ports[name]), "--listen-probes", fmt.Sprint("127.0.0.1:", probes)}, args...)...)
		var said strings.Builder
		server.Stderr = &said
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = server.Process.Kill()
			_ = server.Wait()
			if t.Failed() {
				t.Log(said.String())
			}
		})
		eventually(t, "the "+name+" is ready", func() bool {
			answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", probes))
			if err != nil {
				return false
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusOK
		})
	}
	c.withStatus(t, "/api/v1/nodes", `{apiVersion: v1, kind: Node, metadata: {name: node-a}}`,
		fmt.Sprintf(`{addresses: [{type: InternalIP, address: 127.0.0.1}], daemonEndpoints: {kubeletEndpoint: {Port: %d}}}`, startKubelet(t)))
	c.create(t, "/api/v1/namespaces/shop/serviceaccounts", "{metadata: {name: default}}")
	c.install(t, "console", "pages", "https", ports["console"], "tokens", "{tokens: "+encoded("\nthe-token-of-the-first-person\nthe-token-of-the-second\n")+"}")
	c.install(t, "gateway", "events", "http", ports["gateway"], "default-sender", "{key: "+encoded("the-key-of-the-default-sender")+"}")
	for name, rule := range map[string]string{
		"forward": `{apiGroups: [""], resources: [pods/portforward], verbs: [create, get]}`,
		"secrets": `{apiGroups: [""], resources: [secrets], verbs: [get]}`,
	} {
		c.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterroles", "{metadata: {name: "+name+"}, rules: ["+rule+"]}")
	}
	full := c.person(t, "full", "system:aggregate-to-view", "forward", "secrets")
	looker := c.person(t, "looker", "system:aggregate-to-view", "forward")
	viewer := c.person(t, "viewer", "system:aggregate-to-view")

	out, stderr, status := as(t, full, "send", "order/placed", "--data", `{"nr":3}`, "--wait")
	if status != 0 || !strings.Contains(out, "succeeded") {
		t.Fatalf("sending ends with %d: %s%s", status, out, stderr)
	}
	if out, stderr, _ := as(t, full, "runs", "list", "--function", "order"); !strings.Contains(out, "order/placed") {
		t.Errorf("the runs: %s%s", out, stderr)
	}
	if out, stderr, _ := as(t, looker, "runs", "list", "--token", "the-token-of-the-second", "-o", "name"); out == "" {
		t.Errorf("with a token of one's own: %s%s", out, stderr)
	}
	file := filepath.Join(dir, "many")
	write(t, file, strings.Repeat("{}\n", 5000))
	if out, stderr, _ := as(t, looker, "send", "bulk", "--file", file, "--key", "the-key-of-the-default-sender"); !strings.Contains(out, "sent 5,000 events") {
		t.Errorf("many events, with a key of one's own: %s%s", out, stderr)
	}
	// Not called by kubectl: a flag says that a cluster is meant.
	inCluster := program(t, "wildout", "functions", "-n", "shop", "--kubeconfig", full, "-o", "name")
	if out, stderr, _ := printed(t, inCluster); !strings.Contains(out, "carrier\n") {
		t.Errorf("the functions: %s%s", out, stderr)
	}

	for name, test := range map[string]struct {
		kubeconfig, args string
		status           int
		says             string
	}{
		"no Secret of the console": {looker, "runs list", exitRefused, "you may not read the Secret wildout-console-tokens of the namespace shop: ask for a token"},
		"no Secret of the gateway": {looker, "send a", exitRefused, "you may not read the Secret wildout-gateway-default-sender of the namespace shop: ask for a key"},
		"no way to the pods":       {viewer, "runs list --token x", exitRefused, "you may not connect to pods of the namespace shop"},
		"a wrong token":            {looker, "runs list --token x", exitRefused, "token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := as(t, test.kubeconfig, strings.Fields(test.args)...)
			if status != test.status || !strings.Contains(stderr, test.says) {
				t.Errorf("status %d, printed %s, want %d and %q", status, stderr, test.status, test.says)
			}
		})
	}
	c.call(t, http.MethodDelete, "/api/v1/namespaces/shop/pods/wildout-console?gracePeriodSeconds=0", "{}")
	if _, stderr, status := as(t, full, "runs", "list"); status != exitUnreachable || !strings.Contains(stderr, "no pod of the Service wildout-console is ready") {
		t.Errorf("without a pod: status %d, %s", status, stderr)
	}
}

// install makes the objects of a component, as the chart wildout does.
func (c *testCluster) install(t *testing.T, name, portName, protocol string, port int, volume, data string) {
	t.Helper()
	labels := fmt.Sprintf("labels: {app.kubernetes.io/name: wildout-%s, app.kubernetes.io/component: %s, app.kubernetes.io/part-of: wildout}", name, name)
	c.create(t, "/api/v1/namespaces/shop/services", fmt.Sprintf(`{metadata: {name: wildout-%s, %s}, spec: {selector: {app.kubernetes.io/name: wildout-%s}, ports: [{name: %s, port: 80, targetPort: %s, appProtocol: %s}]}}`,
		name, labels, name, portName, portName, protocol))
	c.create(t, "/api/v1/namespaces/shop/secrets", fmt.Sprintf("{metadata: {name: wildout-%s-%s}, data: %s}", name, volume, data))
	c.withStatus(t, "/api/v1/namespaces/shop/pods", fmt.Sprintf(`{metadata: {name: wildout-%s, %s}, spec: {nodeName: node-a, automountServiceAccountToken: false, containers: [{name: c, image: i, ports: [{name: %s, containerPort: %d}]}], volumes: [{name: %s, secret: {secretName: wildout-%s-%s}}]}}`,
		name, labels, portName, port, volume, name, volume), `{phase: Running, conditions: [{type: Ready, status: "True"}]}`)
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
