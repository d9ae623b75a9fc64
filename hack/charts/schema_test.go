package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What is not known is refused, and so is what cannot be, with its path.
func TestSchemaRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		chart chart
		set   string
		want  string // in the error, with Helm 3 and 4
	}{
		"an unknown value":              {allCharts[0], "gatway.enabled=true", "gatway"},
		"an unknown value deep inside":  {allCharts[0], "gateway.service.prot=80", "prot"},
		"a word that is none of few":    {allCharts[0], "scope=cluster", "/scope"},
		"a text for a number":           {allCharts[0], "gateway.replicas=two", "/gateway/replicas"},
		"a number below the least":      {allCharts[0], "manager.replicas=0", "/manager/replicas"},
		"a digest that is none":         {allCharts[0], "image.digests.manager=latest", "/image/digests/manager"},
		"a password that breaks a URL":  {allCharts[0], "redis.embedded.password=a/b@c", "/redis/embedded/password"},
		"a key that is too short":       {allCharts[0], "gateway.defaultSender.key=short", "/gateway/defaultSender/key"},
		"a sender without event types":  {allCharts[0], "gateway.senders[0].name=a", "/gateway/senders/0"},
		"an unknown field of a sender":  {allCharts[0], "gateway.senders[0].keys=a", "/gateway/senders/0"},
		"an unknown scheme":             {allCharts[0], "gateway.webhooks[0].verify.scheme=rot13", "/gateway/webhooks/0/verify/scheme"},
		"a function that is not there":  {allCharts[1], "functions.send-welcome-mail.enabled=false", "send-welcome-mail"},
		"a misspelling in a function":   {allCharts[1], "functions.send-welcome-email.enable=false", "/functions/send-welcome-email"},
		"an event type that is unknown": {allCharts[1], "eventTypes.user.enabled=false", "user"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, helm := range helms {
				_, err := execute(t, helm, "template", "x", c.chart.folder(), "--kube-version", kubeVersion, "--set", c.set)
				path := strings.Trim(strings.ReplaceAll(c.want, "/", "."), ".") // older forms of the message
				if err == nil || !strings.Contains(err.Error(), c.want) && !strings.Contains(err.Error(), path) {
					t.Errorf("%s with %s: error %v, want %q", helm, c.set, err, c.want)
				}
			}
		})
	}
}

// A parent chart gives every chart in it `global`.
func TestSchemaTakesGlobal(t *testing.T) {
	for _, c := range allCharts {
		for _, helm := range helms {
			mustExecute(t, helm, "template", "x", c.folder(), "--kube-version", kubeVersion, "--set", "global.region=eu")
		}
	}
}

// Every value has a type and a description, and nothing is open but what says so.
func TestSchemaIsClosed(t *testing.T) {
	for _, c := range allCharts {
		content, err := os.ReadFile(filepath.Join(c.folder(), "values.schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(content, &schema); err != nil {
			t.Fatal(err)
		}
		content, err = os.ReadFile(filepath.Join(c.folder(), "values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(content, &values); err != nil {
			t.Fatal(err)
		}
		if n := checkClosed(t, c.name, schema, values); n < 20 {
			t.Errorf("%s: only %d values were found", c.name, n)
		}
	}
}

// checkClosed checks an object of a schema and the values below it, and returns
// how many there are.
func checkClosed(t *testing.T, path string, schema, values map[string]any) (n int) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	if open, ok := schema["additionalProperties"]; !ok || open == true && properties != nil {
		t.Errorf("%s takes anything", path)
	}
	for name, v := range values {
		below, ok := properties[name].(map[string]any)
		if !ok {
			if properties != nil {
				t.Errorf("%s.%s is not in the schema", path, name)
			}
			continue
		}
		n++
		if below["description"] == "" || below["description"] == nil || below["type"] == nil {
			t.Errorf("%s.%s has no description or no type", path, name)
		}
		if object, ok := v.(map[string]any); ok {
			n += checkClosed(t, path+"."+name, below, object)
		}
	}
	return n
}

func TestParseFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no comment":               {"a: 1", "line 1: a: there is no comment"},
		"a comment of a section":   {"# A section.\n\na: 1", "line 3: a: there is no comment"},
		"no comment deep inside":   {"# A.\na:\n  b: 1", "a.b: there is no comment"},
		"a list of what":           {"# A.\na: []", "a: it is a list"},
		"an empty mapping":         {"# A.\na: {}", "a: it is empty"},
		"no default":               {"# A.\na: null", "a: it has no default"},
		"a schema that is no YAML": {"# A.\n# @schema {\na: 1", "a: @schema"},
		"no mapping":               {"- a", "it is no mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestSchemaAndTable(t *testing.T) {
	values, err := parse([]byte(`# About the file.

# How many
# there are.
# @schema {minimum: 1}
count: 2
# A group.
group:
  # Words, a|b.
  # @schema
  # items:
  #   enum: [x, y]
  words: []
  # Whatever.
  # @schema {additionalProperties: true}
  open: {a: <1>}
`))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := encodeSchema(values)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(schema, &got); err != nil {
		t.Fatal(err)
	}
	properties := got["properties"].(map[string]any)
	equal(t, "count", properties["count"], map[string]any{"type": "integer", "minimum": 1, "default": 2, "description": "How many there are."})
	equal(t, "group", properties["group"], map[string]any{"type": "object", "additionalProperties": false, "description": "A group.", "properties": map[string]any{
		"words": map[string]any{"type": "array", "items": map[string]any{"enum": []string{"x", "y"}}, "default": []any{}, "description": "Words, a|b."},
		"open":  map[string]any{"type": "object", "additionalProperties": true, "default": map[string]any{"a": "<1>"}, "description": "Whatever."},
	}})
	readme, err := withTable([]byte("before\n"+tableBegins+"old\n"+tableEnds+"\nafter\n"), values)
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + tableBegins + "| value | default | is |\n|---|---|---|\n" +
		"| `count` | `2` | How many there are. |\n| **`group`** | | A group. |\n" +
		"| `group.words` | `[]` | Words, a\\|b. |\n| `group.open` | `{\"a\":\"<1>\"}` | Whatever. |\n" + tableEnds + "\nafter\n"
	if string(readme) != want {
		t.Errorf("the README is\n%s\nwant\n%s", readme, want)
	}
	if _, err := withTable([]byte("no place"), values); err == nil {
		t.Error("a README without a place for the table is taken")
	}
}
