package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/gateway/config"
)

// The gateway reads the configuration that the chart writes, with the Secrets
// where the chart mounts them.
func TestConfigurationOfTheGateway(t *testing.T) {
	objects := render(t, "helm4", allCharts[0], "", everything...)
	content := text(find(t, objects, "ConfigMap/wildout-gateway"), "data", "gateway.yaml")
	spec := podSpec(find(t, objects, "Deployment/wildout-gateway"))
	// The files of the Secrets that the values name.
	keys := map[string][]string{"wildout-gateway-key": {"key"}, "shop-keys": {"one", "two"}, "github-hook": {"old", "new"}}
	root := t.TempDir()
	for _, mount := range items(spec, "containers", 0, "volumeMounts") {
		i := slices.IndexFunc(items(spec, "volumes"), func(v any) bool { return text(v, "name") == text(mount, "name") })
		if i < 0 {
			t.Fatalf("there is no volume %s", text(mount, "name"))
		}
		for _, key := range keys[text(items(spec, "volumes")[i], "secret", "secretName")] {
			file := filepath.Join(root, text(mount, "mountPath"), key)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text(mount, "name")+"-0123456789-"+key), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(root, "gateway.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(content, "/etc/wildout/", root+"/etc/wildout/")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	for credential, want := range map[string]string{"default-sender-0123456789-key": "default", "sender-0-0123456789-two": "shop"} {
		if sender, err := c.Authenticate(t.Context(), credential); err != nil || sender.Name != want {
			t.Errorf("the key %s is that of %v (%v), want %s", credential, sender, err, want)
		}
	}
	if c.Account("shop", "api") == nil || c.Senders[1].Rate == nil {
		t.Errorf("the sender shop is %+v", c.Senders[1])
	}
	hook := c.Webhooks[0].Verify
	for i, name := range []string{"old", "new"} {
		if content, err := os.ReadFile(hook.SecretFiles[i]); err != nil || string(content) != "webhook-0-0123456789-"+name {
			t.Errorf("the secret of the webhook is in %s: %q (%v)", hook.SecretFiles[i], content, err)
		}
	}
}

// flagsOf are where a program defines its flags, and how.
var flagsOf = map[string]struct{ file, pattern string }{
	"manager": {"cmd/manager/options.go", `flags\.\w+\((?:&[\w.]+, )?"([a-z-]+)"`},
	"gateway": {"cmd/wildout/gateway.go", `Flag: "([a-z-]+)"`},
	"console": {"cmd/wildout/console.go", `Flag: "([a-z-]+)"`},
}

// The programs have the flags and the variables that the chart sets.
func TestPrograms(t *testing.T) {
	for _, o := range render(t, "helm4", allCharts[0], "", append(everything, "--set", "console.trustedProxies={10.0.0.1},console.tokensSecret=t,console.actionUsers={a},console.actionGroups={b},console.allowActions=true")...) {
		source, ok := flagsOf[strings.TrimPrefix(o.id(), "Deployment/wildout-")]
		if !ok {
			continue
		}
		content, err := os.ReadFile(filepath.Join(repository, source.file))
		if err != nil {
			t.Fatal(err)
		}
		var known []string
		for _, match := range regexp.MustCompile(source.pattern).FindAllStringSubmatch(string(content), -1) {
			known = append(known, match[1])
		}
		container := at(podSpec(o), "containers", 0)
		for _, arg := range items(container, "args") {
			name, _, isFlag := strings.Cut(strings.TrimPrefix(arg.(string), "--"), "=")
			if isFlag && !slices.Contains(known, name) {
				t.Errorf("%s has no flag --%s: %v", o.id(), name, known)
			}
		}
		for _, v := range items(container, "env") {
			name := strings.TrimSuffix(strings.TrimPrefix(text(v, "name"), "WILDOUT_"), "_FILE")
			if !slices.Contains(known, strings.ToLower(strings.ReplaceAll(name, "_", "-"))) {
				t.Errorf("%s reads no %s: %v", o.id(), text(v, "name"), known)
			}
		}
	}
}

// The Lease of the managers is the chart's, so that uninstall removes it.
func TestLease(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(repository, "cmd", "manager", "operator.go"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`leaseName = "(.*)"`).FindStringSubmatch(string(content))
	if name == nil {
		t.Fatal("the operator has no name of its Lease any more")
	}
	lease := find(t, render(t, "helm4", allCharts[0], ""), "Lease/"+name[1])
	if lease["spec"] != nil {
		t.Errorf("what is in the Lease is the managers': %v", lease)
	}
}
