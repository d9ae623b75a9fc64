package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// conforms checks objects with kubeconform against the schemas that the API
// server publishes.
func (c *cluster) conforms(t *testing.T, objects []object) {
	t.Helper()
	if files, err := os.ReadDir(c.schemas); err != nil || len(files) == 0 {
		c.writeSchemas(t, c.schemas)
	}
	var all bytes.Buffer
	for _, o := range objects {
		if o.kind() != "CustomResourceDefinition" { // its schema refers to itself, which kubeconform cannot follow
			fmt.Fprintf(&all, "---\n%s\n", o)
		}
	}
	cmd := exec.Command(tool(t, "kubeconform"), "-strict", "-summary", "-schema-location", filepath.Join(c.schemas, "{{.ResourceKind}}{{.KindSuffix}}.json"))
	cmd.Stdin = &all
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("kubeconform: %v\n%s", err, out)
	}
}

// writeSchemas writes a file for each kind that the API server knows.
func (c *cluster) writeSchemas(t *testing.T, folder string) {
	t.Helper()
	var document struct{ Definitions map[string]map[string]any }
	c.wait(t, "schema of a WildoutFunction", func() bool { // it follows the definition after a while
		code, answer := c.Call(http.MethodGet, "/openapi/v2", nil)
		if code != http.StatusOK {
			t.Fatalf("%d %s", code, answer)
		}
		if err := json.Unmarshal(answer, &document); err != nil {
			t.Fatal(err)
		}
		return document.Definitions["dev.wildout.v1alpha1.WildoutFunction"] != nil
	})
	for _, definition := range document.Definitions {
		closeSchema(definition)
	}
	write := func(name string, content any) {
		encoded, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), encoded, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("definitions.json", map[string]any{"definitions": document.Definitions})
	for name, definition := range document.Definitions {
		for _, kind := range items(definition, "x-kubernetes-group-version-kind") {
			group, _, _ := strings.Cut(text(kind, "group"), ".") // as kubeconform has it
			suffix := "-" + text(kind, "version")
			if group != "" {
				suffix = "-" + group + suffix
			}
			write(strings.ToLower(text(kind, "kind"))+strings.ToLower(suffix)+".json", map[string]any{"$ref": "definitions.json#/definitions/" + name})
		}
	}
}

// closeSchema makes a definition of OpenAPI a strict JSON schema.
func closeSchema(schema map[string]any) {
	if schema["format"] == "int-or-string" || schema["x-kubernetes-int-or-string"] == true {
		delete(schema, "type")
		delete(schema, "format")
	}
	if strings.Contains(fmt.Sprint(schema["description"]), "fixed-point representation of a number") { // a quantity
		schema["type"] = []string{"string", "number"}
	}
	_, open := schema["additionalProperties"]
	if schema["properties"] != nil && !open && schema["x-kubernetes-preserve-unknown-fields"] != true {
		schema["additionalProperties"] = false
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, below := range append(slices.Collect(maps.Values(properties)), schema["items"], schema["additionalProperties"]) {
		if s, ok := below.(map[string]any); ok {
			closeSchema(s)
		}
	}
}
