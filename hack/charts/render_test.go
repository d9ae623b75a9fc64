package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestLint(t *testing.T) {
	for _, c := range allCharts {
		for _, values := range c.values {
			for _, helm := range helms {
				if _, err := execute(t, helm, append([]string{"lint", "--strict", "--kube-version", kubeVersion}, c.args(values)...)...); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// Helm 3 and 4 make the same of a chart.
func TestBothVersionsOfHelm(t *testing.T) {
	for _, c := range allCharts {
		for _, values := range c.values {
			t.Run(c.name+"/"+values, func(t *testing.T) {
				three, four := render(t, "helm3", c, values), render(t, "helm4", c, values)
				equal(t, "the list of objects with Helm 4", ids(four), ids(three))
				for _, o := range three {
					equal(t, o.id()+" with Helm 4", find(t, four, o.id()), o)
				}
			})
		}
	}
}

// everything are values that turn on what there is.
var everything = []string{
	"--set", "redis.embedded.enabled=true,redis.ca=false", "--set", "console.enabled=true,console.tlsSecretName=tls", "--set", "migrations.enabled=true",
	"--set", "gateway.ingress.enabled=true,console.ingress.enabled=true,gateway.httpRoute.enabled=true,console.httpRoute.enabled=true",
	"--set-json", `gateway.httpRoute.parentRefs=[{"name":"public"}]`, "--set-json", `console.httpRoute.parentRefs=[{"name":"public"}]`,
	"--set", "gateway.autoscaling.enabled=true,gateway.tlsSecretName=tls,gateway.strict=true,manager.replicas=2",
	"--set", "monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true,monitoring.prometheusRule.enabled=true,monitoring.dashboard.enabled=true",
	"--set-json", `gateway.senders=[{"name":"shop","keysSecret":"shop-keys","serviceAccounts":["shop/api"],"eventTypes":["order/*"],"rate":{"limit":100,"period":"1s"}}]`,
	"--set-json", `gateway.webhooks=[{"name":"github","verify":{"scheme":"github","secret":{"name":"github-hook","keys":["old","new"]}},"eventTypes":["github/*"],"events":[{"if":"body.ok","type":"github/push","data":{"a":"${body.a}"}}]}]`,
	"--set-json", `pods={"annotations":{"a":"b"},"labels":{"team":"events"},"nodeSelector":{"disk":"ssd"},"tolerations":[{"key":"batch","operator":"Exists"}],"affinity":{"nodeAffinity":{}},"priorityClassName":"high"}`,
	"--set", "image.pullSecrets={registry},image.digests.manager=sha256:" + strings.Repeat("0", 64),
	"--set", "labels.owner=events",
}

// What the operator makes is not in a chart: two owners would fight.
func TestNothingThatAControllerOwns(t *testing.T) {
	for _, o := range render(t, "helm4", allCharts[0], "", everything...) {
		if group, _, _ := strings.Cut(text(o, "apiVersion"), "/"); group == "wildout.dev" {
			t.Errorf("%s would be applied before its definition is known: it belongs to another chart", o.id())
		}
		if o.id() == "ConfigMap/wildout-event-types" {
			t.Errorf("%s is the operator's", o.id())
		}
		if text(o, "metadata", "labels", "app.kubernetes.io/managed-by") == "wildout" {
			t.Errorf("%s has the label of what the operator makes", o.id())
		}
		if o.id() == "Deployment/wildout-gateway" && at(o, "spec", "replicas") != nil {
			t.Error("the replicas of the gateway are the HorizontalPodAutoscaler's, and are set")
		}
	}
}

// Every setting gets somewhere.
func TestPodsAreAsTheValuesSay(t *testing.T) {
	workloads := 0
	for _, o := range render(t, "helm4", allCharts[0], "", everything...) {
		if text(o, "metadata", "labels", "owner") != "events" && o.kind() != "CustomResourceDefinition" {
			t.Errorf("%s lacks a label that all have", o.id())
		}
		spec := podSpec(o)
		if spec == nil {
			continue
		}
		workloads++
		metadata := at(o, "spec", "template", "metadata")
		if text(metadata, "annotations", "a") != "b" || text(metadata, "labels", "team") != "events" || text(spec, "nodeSelector", "disk") != "ssd" ||
			text(spec, "tolerations", 0, "key") != "batch" || at(spec, "affinity", "nodeAffinity") == nil || text(spec, "priorityClassName") != "high" ||
			text(spec, "imagePullSecrets", 0, "name") != "registry" {
			t.Errorf("%s does not follow the values: %v", o.id(), o)
		}
		if at(spec, "containers", 0, "resources", "limits", "memory") == nil {
			t.Errorf("%s has no limit of memory", o.id())
		}
		version := text(o, "metadata", "labels", "app.kubernetes.io/version")
		if o.id() == "Deployment/wildout-manager" && !strings.HasSuffix(text(spec, "containers", 0, "image"), "wildout/manager:"+version+"@sha256:"+strings.Repeat("0", 64)) {
			t.Errorf("its image is %s", text(spec, "containers", 0, "image"))
		}
	}
	if workloads != 7 { // manager, gateway, console, Redis, migrations, prepare, uninstall
		t.Errorf("there are %d workloads", workloads)
	}
}

func TestCustomResourceDefinitions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, "config", "crd", "wildout.dev_*.yaml"))
	if err != nil || len(files) != 2 {
		t.Fatalf("there are %v (%v)", files, err)
	}
	for keep, want := range map[string]any{"true": "keep", "false": nil} {
		objects := render(t, "helm4", allCharts[0], "", "--set", "crds.keep="+keep)
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			crd := decode(t, string(content))[0]
			rendered := find(t, objects, crd.id())
			const policy = "helm.sh/resource-policy"
			if got := at(rendered, "metadata", "annotations", policy); got != want {
				t.Errorf("with crds.keep=%s %s has %s: %v", keep, crd.id(), policy, got)
			}
			delete(at(rendered, "metadata", "annotations").(map[string]any), policy)
			equal(t, crd.id(), rendered, crd)
		}
	}
	for _, o := range render(t, "helm4", allCharts[0], "", "--set", "crds.enabled=false") {
		if o.kind() == "CustomResourceDefinition" {
			t.Errorf("with crds.enabled=false there is %s", o.id())
		}
	}
}

// One namespace needs no rights in the cluster.
func TestOneNamespace(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "values-dev.yaml", "--set", "scope=Namespace,crds.enabled=false,manager.replicas=2",
		"--set", "monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true")
	for _, o := range objects {
		if strings.HasPrefix(o.kind(), "Cluster") || o.kind() == "CustomResourceDefinition" || o.kind() == "ServiceMonitor" {
			t.Errorf("there is %s", o.id())
		}
		if strings.Contains(o.String(), "namespaceSelector") {
			t.Errorf("%s reaches other namespaces: %v", o.id(), o)
		}
	}
	args := items(find(t, objects, "Deployment/wildout-manager"), "spec", "template", "spec", "containers", 0, "args")
	for _, want := range []any{"--namespaces=shop", "--metrics-bind-address=0"} {
		if !slices.Contains(args, want) {
			t.Errorf("the manager runs with %v, want %s", args, want)
		}
	}
	var resources []any
	for _, rule := range items(find(t, objects, "Role/wildout-manager"), "rules") {
		resources = append(resources, items(rule, "resources")...)
	}
	for resource, want := range map[string]bool{"deployments": true, "leases": true, "wildoutfunctions/status": true, "tokenreviews": false, "subjectaccessreviews": false} {
		if slices.Contains(resources, any(resource)) != want {
			t.Errorf("the Role has the resources %v; %s: want %v", resources, resource, want)
		}
	}
}

// Some namespaces: a Role in each, with the rules of config/rbac but for what
// only metrics need, and nothing of the cluster.
func TestSomeNamespaces(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "values-dev.yaml", "--set", "crds.enabled=false,manager.namespaces={orders,billing}",
		"--set", "monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true")
	var want, own []any
	for _, o := range build(t, "rbac") {
		for _, rule := range items(o, "rules") {
			switch group := text(rule, "apiGroups", 0); {
			case o.id() == "ClusterRole/wildout-manager" && group != "authentication.k8s.io" && group != "authorization.k8s.io":
				want = append(want, rule)
			case o.id() == "Role/wildout-manager":
				own = append(own, rule)
			}
		}
	}
	roles := map[string]any{}
	for _, o := range objects {
		if strings.HasPrefix(o.kind(), "Cluster") || o.kind() == "CustomResourceDefinition" || o.kind() == "ServiceMonitor" {
			t.Errorf("there is %s", o.id())
		}
		if isHook(o) { // TestUninstall
			continue
		}
		place := text(o, "metadata", "namespace") + "/" + o.name()
		switch o.kind() {
		case "Role":
			roles[place] = o["rules"]
		case "RoleBinding":
			equal(t, "the role of "+place, text(o, "roleRef", "name"), o.name())
			equal(t, "the subjects of "+place, o["subjects"], []any{map[string]any{"kind": "ServiceAccount", "name": "wildout-manager", "namespace": "shop"}})
		}
	}
	equal(t, "the Roles", roles, map[string]any{"orders/shop-wildout-manager-functions": want, "billing/shop-wildout-manager-functions": want, "/wildout-manager": own})
	args := items(find(t, objects, "Deployment/wildout-manager"), "spec", "template", "spec", "containers", 0, "args")
	for _, want := range []any{"--namespaces=billing,orders", "--metrics-bind-address=0"} {
		if !slices.Contains(args, want) {
			t.Errorf("the manager runs with %v, want %s", args, want)
		}
	}
	equal(t, "whose runners reach Redis", at(find(t, objects, "NetworkPolicy/wildout-redis"), "spec", "ingress", 0, "from", 1, "namespaceSelector"),
		map[string]any{"matchExpressions": []any{map[string]any{"key": "kubernetes.io/metadata.name", "operator": "In", "values": []any{"billing", "orders", "shop"}}}})
	equal(t, "whose runners are measured", at(find(t, objects, "PodMonitor/wildout-runners"), "spec", "namespaceSelector"), map[string]any{"matchNames": []any{"billing", "orders"}})
}

// What runs when the release is uninstalled may do what it needs, where the
// operator was at work, and goes with Helm's hooks.
func TestUninstall(t *testing.T) {
	rules := []any{map[string]any{"apiGroups": []any{"wildout.dev"}, "resources": []any{"wildoutfunctions", "wildouteventtypes"}, "verbs": []any{"get", "list", "patch", "delete"}}}
	for name, c := range map[string]struct {
		set   string
		hook  string
		args  []any
		roles []any
	}{
		"functions stay":  {"crds.keep=true", "post-delete", []any{"uninstall"}, []any{"ClusterRole /wildout-uninstall"}},
		"functions go":    {"crds.keep=false", "pre-delete", []any{"uninstall", "--delete"}, []any{"ClusterRole /wildout-uninstall"}},
		"one namespace":   {"crds.enabled=false,scope=Namespace", "post-delete", []any{"uninstall", "--namespaces=shop"}, []any{"Role shop/wildout-uninstall"}},
		"some namespaces": {"crds.enabled=false,manager.namespaces={b,a}", "post-delete", []any{"uninstall", "--namespaces=a,b"}, []any{"Role a/shop-wildout-uninstall", "Role b/shop-wildout-uninstall"}},
		"no operator":     {"manager.enabled=false", "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var roles, args []any
			for _, o := range render(t, "helm4", allCharts[0], "", "--set", c.set) {
				if !isHook(o) {
					continue
				}
				equal(t, "when "+o.id()+" is made", text(o, "metadata", "annotations", "helm.sh/hook"), c.hook)
				switch o.kind() {
				case "ClusterRole", "Role":
					roles = append(roles, o.kind()+" "+text(o, "metadata", "namespace")+"/"+o.name())
					equal(t, "the rules of "+o.id(), o["rules"], rules)
				case "Job":
					args = items(podSpec(o), "containers", 0, "args")
				}
			}
			equal(t, "the roles", roles, c.roles)
			equal(t, "the arguments", args, c.args)
		})
	}
}

// `kubectl wildout` finds the console and the gateway by these labels, ports and
// volumes (cmd/wildout/internal/cluster).
func TestWhatThePluginLooksFor(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "values-dev.yaml")
	for component, volume := range map[string]string{"console": "tokens", "gateway": "default-sender"} {
		service := find(t, objects, "Service/wildout-"+component)
		for label, want := range map[string]string{"component": component, "part-of": "wildout"} {
			if got := text(service, "metadata", "labels", "app.kubernetes.io/"+label); got != want {
				t.Errorf("%s has the label %s %q, want %q", service.id(), label, got, want)
			}
		}
		pod := podSpec(find(t, objects, "Deployment/wildout-"+component))
		port := text(service, "spec", "ports", 0, "targetPort")
		if text(pod, "containers", 0, "ports", 0, "name") != port || port == "" {
			t.Errorf("the pods of the %s have no port %s", component, port)
		}
		found := false
		for _, v := range items(pod, "volumes") {
			found = found || text(v, "name") == volume && find(t, objects, "Secret/"+text(v, "secret", "secretName")) != nil
		}
		if !found {
			t.Errorf("the pods of the %s have no volume %s: %v", component, volume, pod["volumes"])
		}
	}
}

// The operator may read the Secrets that it is told of, and lists none.
func TestSecretsOfTheOperator(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "", "--set", "redis.secretName=events-redis,manager.redisSecrets={orders-redis}")
	found := false
	for _, o := range objects {
		for _, rule := range items(o, "rules") {
			if slices.Contains(items(rule, "resources"), any("secrets")) {
				found = true
				equal(t, "the rule", rule, map[string]any{"apiGroups": []string{""}, "resources": []string{"secrets"}, "verbs": []string{"get"}, "resourceNames": []string{"events-redis", "orders-redis"}})
			}
		}
	}
	if !found {
		t.Error("the operator may not read the Secret with the URL of Redis")
	}
}

// A ServiceAccount as a sender needs a token and a right; nobody else has one.
func TestTokenOfTheGateway(t *testing.T) {
	sender := []string{"--set-json", `gateway.senders=[{"name":"api","serviceAccounts":["shop/api"],"eventTypes":["*"]}]`}
	for name, c := range map[string]struct {
		values        []string
		token, rights bool
	}{
		"keys":               {nil, false, false},
		"a ServiceAccount":   {sender, true, true},
		"bound by others":    {append(sender, "--set", "gateway.tokenReviewBinding=false"), true, false},
		"one namespace":      {append(sender, "--set", "scope=Namespace,gateway.tokenReviewBinding=false"), true, false},
		"without a gateway":  {append(sender, "--set", "gateway.enabled=false"), false, false},
		"several, one known": {append(sender, "--set-json", `gateway.senders=[{"name":"a","keysSecret":"k","eventTypes":["*"]},{"name":"api","serviceAccounts":["shop/api"],"eventTypes":["*"]}]`), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			token, rights := false, false
			for _, o := range render(t, "helm4", allCharts[0], "", c.values...) {
				if o.id() == "Deployment/wildout-gateway" {
					token = at(podSpec(o), "automountServiceAccountToken").(bool)
				}
				rights = rights || o.kind() == "ClusterRoleBinding" && text(o, "roleRef", "name") == "system:auth-delegator"
			}
			if token != c.token || rights != c.rights {
				t.Errorf("token %v, rights %v, want %v, %v", token, rights, c.token, c.rights)
			}
		})
	}
}

// What cannot work is refused with words that help.
func TestRefusedByTheTemplates(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		want   string
	}{
		"a route to nowhere":             {[]string{"--set", "gateway.httpRoute.enabled=true"}, "gateway.httpRoute.parentRefs is empty"},
		"a right of the cluster":         {[]string{"--set", "scope=Namespace", "--set-json", `gateway.senders=[{"name":"api","serviceAccounts":["shop/api"],"eventTypes":["*"]}]`}, "set gateway.tokenReviewBinding to false"},
		"TLS to the Redis that has none": {[]string{"--set", "redis.embedded.enabled=true,redis.ca=true"}, "the embedded Redis has no TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := execute(t, "helm4", append([]string{"template", "wildout", allCharts[0].folder(), "--kube-version", kubeVersion}, c.values...)...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Prometheus and Grafana get what is in config/monitoring.
func TestMonitoring(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "", everything...)
	rules, err := os.ReadFile(filepath.Join(repository, "config", "monitoring", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := yaml.Unmarshal(rules, &want); err != nil {
		t.Fatal(err)
	}
	equal(t, "the PrometheusRule", at(find(t, objects, "PrometheusRule/wildout"), "spec"), want)
	dashboard, err := os.ReadFile(filepath.Join(repository, "config", "monitoring", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := text(find(t, objects, "ConfigMap/wildout-dashboard"), "data", "wildout.json"); strings.TrimSpace(got) != strings.TrimSpace(string(dashboard)) {
		t.Error("the dashboard is another than that of config/monitoring")
	}
}
