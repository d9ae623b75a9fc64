package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// build is `kustomize build` of a folder of config/.
func build(t *testing.T, folder string) []object {
	t.Helper()
	return decode(t, mustExecute(t, "kustomize", "build", filepath.Join(repository, "config", folder)))
}

func TestEveryFolderBuilds(t *testing.T) {
	for _, folder := range []string{"crd", "rbac", "manager", "default", "functions", "event-types", "samples"} {
		if objects := build(t, folder); len(objects) == 0 {
			t.Errorf("config/%s builds nothing", folder)
		}
	}
}

// The chart installs the operator that config/default does.
func TestChartIsConfigDefault(t *testing.T) {
	want := build(t, "default")
	got := decode(t, mustExecute(t, "helm4", "template", "wildout", allCharts[0].folder(), "--namespace", "wildout-system", "--kube-version", kubeVersion,
		"--set", "crds.keep=false,gateway.enabled=false"))
	for _, o := range want {
		if o.kind() == "Namespace" { // helm install --create-namespace
			continue
		}
		rendered := find(t, got, o.id())
		switch o.kind() {
		case "ClusterRole", "Role":
			equal(t, "the rules of "+o.id(), rendered["rules"], o["rules"])
		case "ClusterRoleBinding", "RoleBinding":
			equal(t, "the role of "+o.id(), rendered["roleRef"], o["roleRef"])
			equal(t, "the subjects of "+o.id(), rendered["subjects"], o["subjects"])
		case "Deployment":
			for _, d := range []object{o, rendered} {
				withoutTags(podSpec(d))
			}
		}
		includes(t, o.id(), rendered, o)
	}
	for _, o := range got {
		// What only the chart has: for Prometheus, and to uninstall it.
		if isHook(o) {
			continue
		}
		if !slices.Contains([]string{"Service/wildout-manager-metrics", "Lease/wildout-operator"}, o.id()) {
			find(t, want, o.id())
		}
	}
}

// withoutTags removes the tags of the images, which the chart has of its own.
func withoutTags(spec map[string]any) {
	tag := regexp.MustCompile(`(wildout/\w+):\S+`)
	container := items(spec, "containers")[0].(map[string]any)
	container["image"] = tag.ReplaceAllString(text(container, "image"), "$1")
	for _, variable := range items(container, "env") {
		variable.(map[string]any)["value"] = tag.ReplaceAllString(text(variable, "value"), "$1")
	}
}

// ofItsOwn are fields of which the chart has other values: its labels, and it
// has the namespace of the release.
var ofItsOwn = []string{"selector", "matchLabels", "app.kubernetes.io/name", "namespace"}

// includes checks that got has whatever want has.
func includes(t *testing.T, path string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case object:
		includes(t, path, got, map[string]any(want))
	case map[string]any:
		for name, value := range want {
			if !slices.Contains(ofItsOwn, name) {
				includes(t, path+"."+name, at(got, name), value)
			}
		}
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			t.Errorf("%s is %v, want %v", path, got, want)
			return
		}
		for i := range want {
			includes(t, fmt.Sprintf("%s[%d]", path, i), list[i], want[i])
		}
	default:
		if !reflect.DeepEqual(normal(t, got), normal(t, want)) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

// One setting of kustomize changes all images, also of what is built on
// config/default; all have the name of a registry, as some nodes want it.
func TestImagesOfKustomize(t *testing.T) {
	folder, err := os.MkdirTemp(filepath.Join(repository, "config"), "overlay-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	const overlay = `resources: [../default]
images:
  - {name: docker.io/wildout/manager, newName: registry.example.com/wildout/manager, newTag: "7"}
  - {name: docker.io/wildout/runner, newName: registry.example.com/wildout/runner, newTag: "7"}
`
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	container := at(podSpec(find(t, build(t, filepath.Base(folder)), "Deployment/wildout-manager")), "containers", 0)
	equal(t, "the image of the manager", text(container, "image"), "registry.example.com/wildout/manager:7")
	equal(t, "that of the runner", text(container, "env", 0, "value"), "registry.example.com/wildout/runner:7")
}

// The functions and event types of the chart are those of config/.
func TestFunctionsAreThoseOfConfig(t *testing.T) {
	want := slices.Concat(build(t, "functions"), build(t, "event-types"))
	for _, helm := range helms {
		got := render(t, helm, allCharts[1], "")
		equal(t, "the list of objects", ids(got), ids(want))
		for _, o := range want {
			equal(t, o.id(), at(find(t, got, o.id()), "spec"), at(o, "spec"))
		}
	}
}

// The settings go where they belong, and nowhere else.
func TestSettingsOfFunctions(t *testing.T) {
	plain := render(t, "helm4", allCharts[1], "")
	got := render(t, "helm4", allCharts[1], "", "--set", "siteName=Site,mail.limits.perRecipient.limit=3,mail.limits.total.period=5m,maintenance.timeZone=Europe/Berlin,alerts.contacts={a@example.com,b@example.com}",
		"--set-json", `functions={"send-welcome-email":{"spec":{"suspend":true,"concurrency":[{"limit":3}],"runner":{"replicas":4}}},"event-creation-workflow":{"enabled":false}}`,
		"--set-json", `eventTypes={"audit-log":{"spec":{"retention":{"period":"30d"}}}}`, "--set-json", `runner={"resources":{"requests":{"cpu":"10m"}},"env":[{"name":"A","value":"1"}]}`)
	if len(got) != len(plain)-1 {
		t.Errorf("there are %v", ids(got))
	}
	mail := at(find(t, got, "WildoutFunction/enhanced-email-processor"), "spec", "steps")
	equal(t, "the limit of a recipient", at(mail, 1, "with", "limit"), 3)
	equal(t, "the limit of a recipient when sent", at(mail, 3, "with", "limit"), 3)
	equal(t, "the limit of all mails", at(mail, 3, "with", "total"), map[string]any{"limit": 100, "period": "5m"})
	equal(t, "the cron trigger", at(find(t, got, "WildoutFunction/maintenance-workflow"), "spec", "triggers", 1), map[string]any{"cron": "0 3 * * *", "timeZone": "Europe/Berlin"})
	welcome := at(find(t, got, "WildoutFunction/send-welcome-email"), "spec")
	equal(t, "suspend", at(welcome, "suspend"), true)
	equal(t, "concurrency", at(welcome, "concurrency"), []any{map[string]any{"limit": 3}})
	equal(t, "replicas", at(welcome, "runner", "replicas"), 4)
	equal(t, "resources", at(welcome, "runner", "resources"), map[string]any{"requests": map[string]any{"cpu": "10m"}})
	equal(t, "retention", at(find(t, got, "WildoutEventType/audit-log"), "spec", "retention"), map[string]any{"period": "30d"})
	values := map[string]string{}
	for _, v := range items(at(find(t, got, "WildoutFunction/process-audit-log"), "spec", "runner", "env")) {
		values[text(v, "name")] = text(v, "value")
	}
	for name, want := range map[string]string{"WILDOUT_ENV_SITE_NAME": "Site", "WILDOUT_ENV_SECURITY_CONTACTS": "a@example.com,b@example.com", "A": "1"} {
		if values[name] != want {
			t.Errorf("%s is %q, want %q", name, values[name], want)
		}
	}
	for _, o := range got {
		if at(o, "spec", "runner", "replicas") != nil && o.name() != "send-welcome-email" {
			t.Errorf("%s was changed too: %v", o.id(), o)
		}
	}
}

// What signs and whom to trust is mounted as the values say, beside the volumes
// that all functions have.
func TestFilesOfFunctions(t *testing.T) {
	const more = `runner={"volumes":[{"name":"own","emptyDir":{}}],"volumeMounts":[{"name":"own","mountPath":"/own"}]}`
	for name, c := range map[string]struct {
		set     string
		volumes []any
		env     map[string]string
	}{
		"both":    {"alerts.webhookSecret=a,listings.webhookSecret=b", []any{"signing", "ca", "own"}, map[string]string{"WILDOUT_SIGNING_SECRETS_DIR": "/etc/wildout-signing", "SSL_CERT_DIR": "/etc/wildout-ca", "WILDOUT_ENV_SECURITY_WEBHOOK_SIGN": "a", "WILDOUT_ENV_EVENTS_WEBHOOK_SIGN": "b"}},
		"neither": {"signing.secretName=,ca.configMapName=", []any{"own"}, map[string]string{"WILDOUT_SIGNING_SECRETS_DIR": "", "SSL_CERT_DIR": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range render(t, "helm4", allCharts[1], "", "--set", c.set, "--set-json", more) {
				runner := at(o, "spec", "runner")
				if runner == nil {
					continue
				}
				values, volumes, mounts := map[string]string{}, []any{}, []any{}
				for _, v := range items(runner, "env") {
					values[text(v, "name")] = text(v, "value")
				}
				for i, v := range items(runner, "volumes") {
					volumes, mounts = append(volumes, text(v, "name")), append(mounts, text(runner, "volumeMounts", i, "name"))
				}
				equal(t, "the volumes of "+o.id(), volumes, c.volumes)
				equal(t, "what "+o.id()+" mounts", mounts, c.volumes)
				for name, want := range c.env {
					if values[name] != want {
						t.Errorf("%s: %s is %q, want %q", o.id(), name, values[name], want)
					}
				}
			}
		})
	}
}
