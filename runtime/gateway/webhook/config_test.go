package webhook_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/webhook"
	"github.com/wildout/wildout/runtime/plan"
)

// readConfig reads a list of webhooks in YAML.
func readConfig(t testing.TB, text string) (webhooks []webhook.Config) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &webhooks); err != nil {
		t.Fatal(err)
	}
	return webhooks
}

func TestFaultsOfTheConfiguration(t *testing.T) {
	const none = "{name: a, verify: {scheme: none}, events: [{type: a}]}"
	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"nothing": {"- {}", []string{
			"webhooks[0].name: is missing", `webhooks[0].verify.scheme: is "", want standardWebhooks, github, stripe or none`, "webhooks[0].events: has 0 entries, want 1 to 64"}},
		"two of a name":      {"- " + none + "\n- " + none, []string{`webhooks[1].name: there is another webhook "a"`}},
		"a name of a path":   {strings.Replace("- "+none, "name: a", "name: a/b", 1), []string{`webhooks[0].name: "a/b" is no name`}},
		"a long name":        {strings.Replace("- "+none, "name: a", "name: "+strings.Repeat("a", 64), 1), []string{"webhooks[0].name: "}},
		"no secret":          {"- {name: a, verify: {scheme: github}, events: [{type: a}]}", []string{"webhooks[0].verify.secretFiles: has 0 entries"}},
		"an empty path":      {"- {name: a, verify: {scheme: github, secretFiles: ['']}, events: [{type: a}]}", []string{"webhooks[0].verify.secretFiles[0]: is empty"}},
		"a secret for none":  {"- {name: a, verify: {scheme: none, secretFiles: [x]}, events: [{type: a}]}", []string{"webhooks[0].verify: has the scheme none beside secretFiles"}},
		"a time for GitHub":  {"- {name: a, verify: {scheme: github, secretFiles: [x], tolerance: 1m}, events: [{type: a}]}", []string{"webhooks[0].verify.tolerance: has no meaning for github"}},
		"a long tolerance":   {"- {name: a, verify: {scheme: stripe, secretFiles: [x], tolerance: 25h}, events: [{type: a}]}", []string{"webhooks[0].verify.tolerance: is 25h, want 1s to 24h"}},
		"no duration":        {"- {name: a, verify: {scheme: stripe, secretFiles: [x], tolerance: soon}, events: [{type: a}]}", []string{"webhooks[0].verify.tolerance: "}},
		"a bad pattern":      {"- {name: a, verify: {scheme: none}, eventTypes: ['a b'], events: [{type: a}]}", []string{`webhooks[0].eventTypes[0]: "a b" is no pattern`}},
		"a bad rate":         {"- {name: a, verify: {scheme: none}, rate: {limit: 0, period: '', burst: -1}, events: [{type: a}]}", []string{"webhooks[0].rate.limit: is 0", "webhooks[0].rate.burst: is -1", "webhooks[0].rate.period: is missing"}},
		"a rate beyond all":  {"- {name: a, verify: {scheme: none}, rate: {limit: 2000000, period: 1s}, events: [{type: a}]}", []string{"webhooks[0].rate.limit: 2000000 in 1s is more than one event in a microsecond"}},
		"a period of days":   {"- {name: a, verify: {scheme: none}, rate: {limit: 1, period: never}, events: [{type: a}]}", []string{"webhooks[0].rate.period: "}},
		"faults of mappings": {"- {name: a, verify: {scheme: none}, events: [{type: a}, {type: 'a${bdy.x}', if: event.type == 'a'}]}", []string{"webhooks[0].events[1].if: event does not exist here", "webhooks[0].events[1].type: unknown name bdy; here there are body, headers, query, name\n    a${bdy.x}\n       ^"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := webhook.Validate("webhooks", readConfig(t, c.config))
			var faults plan.Errors
			if !errors.As(err, &faults) {
				t.Fatalf("error %v, want plan.Errors", err)
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(faults, func(e *plan.Error) bool { return strings.HasPrefix(e.Error(), want) }) {
					t.Errorf("no fault %q in:\n%v", want, err)
				}
			}
			if len(faults) != len(c.want) {
				t.Errorf("%d faults, want %d:\n%v", len(faults), len(c.want), err)
			}
		})
	}
}

func TestManyMappingsAndFiles(t *testing.T) {
	files, mappings := make([]string, 17), make([]webhook.Mapping, 65)
	for i := range files {
		files[i] = "x"
	}
	for i := range mappings {
		mappings[i].Type = "a"
	}
	err := webhook.Validate("w", []webhook.Config{{Name: "a", Verify: webhook.Verify{Scheme: webhook.GitHub, SecretFiles: files}, Events: mappings}})
	for _, want := range []string{"w[0].verify.secretFiles: has 17 entries, want 1 to 16", "w[0].events: has 65 entries, want 1 to 64"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestSecretsThatCannotBeUsed stops the start, and shows no secret.
func TestSecretsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absent := filepath.Join(dir, "absent")
	for name, c := range map[string]struct {
		scheme webhook.Scheme
		files  []string
		want   string // empty: it can be used
	}{
		"absent":               {webhook.GitHub, []string{absent}, "webhooks[0].verify: secretFiles: there is no secret: " + absent + " is not there"},
		"empty":                {webhook.GitHub, []string{file("empty", "\n \n")}, "there is no secret: " + filepath.Join(dir, "empty") + " is empty"},
		"a folder":             {webhook.Stripe, []string{dir}, "secretFiles[0]: "},
		"large":                {webhook.Stripe, []string{file("large", strings.Repeat("x", 65<<10))}, "which is more than secrets have"},
		"no base64":            {webhook.StandardWebhooks, []string{file("no64", "whsec_b3RoZXI=\nhunter2!\n")}, "secretFiles[0]: the secret in line 2 of " + filepath.Join(dir, "no64") + " is not base64 after whsec_"},
		"a prefix alone":       {webhook.StandardWebhooks, []string{file("prefix", "whsec_")}, "in line 1 of " + filepath.Join(dir, "prefix") + " is empty"},
		"one of two is absent": {webhook.GitHub, []string{absent, file("there", "s3cret")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webhook.New(webhook.Options{Gateway: &gateway.Gateway{}, Webhooks: []webhook.Config{{
				Name: "a", Verify: webhook.Verify{Scheme: c.scheme, SecretFiles: c.files}, Events: []webhook.Mapping{{Type: "a"}}}}})
			switch {
			case c.want == "" && err != nil:
				t.Errorf("error %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	if _, err := webhook.New(webhook.Options{}); err == nil || !strings.Contains(err.Error(), "no gateway") {
		t.Errorf("error %v, want one about the gateway", err)
	}
	if _, err := webhook.New(webhook.Options{Gateway: &gateway.Gateway{}, Path: "p", Webhooks: []webhook.Config{{}}}); err == nil || !strings.Contains(err.Error(), "p[0].name") {
		t.Errorf("error %v, want one with the path", err)
	}
}

// TestFormOfTheConfiguration keeps the names of the fields.
func TestFormOfTheConfiguration(t *testing.T) {
	const text = `[{"name":"a","verify":{"scheme":"stripe","secretFiles":["x"],"tolerance":"1m"},"eventTypes":["a/*"],"rate":{"limit":1,"period":"1s","burst":2},"events":[{"if":"true","forEach":"${body}","type":"a","id":"b","subject":"c","data":{"d":1}}]}]`
	encoded, err := json.Marshal(readConfig(t, text))
	if err != nil || string(encoded) != text {
		t.Errorf("%s, %v; want %s", encoded, err, text)
	}
}

// TestDocs compiles what docs/gateway-webhooks.md shows, and makes the error
// that it shows.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/gateway-webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, rest, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	var file struct {
		Webhooks []webhook.Config `json:"webhooks"`
	}
	if err := yaml.UnmarshalStrict([]byte(example), &file); err != nil {
		t.Fatal(err)
	}
	if err := webhook.Validate("webhooks", file.Webhooks); err != nil {
		t.Error(err)
	}
	_, rest, _ = strings.Cut(rest, "```\n")
	shown, _, _ := strings.Cut(rest, "```")
	file.Webhooks[0].Events[0].If = "headers.x-github-event == 'push'"
	if err := webhook.Validate("webhooks", file.Webhooks); err == nil || err.Error() != strings.TrimSpace(shown) {
		t.Errorf("the error is\n%v\nand the docs show\n%s", err, shown)
	}
}
