// Command charts writes the parts of the Helm charts that come from elsewhere,
// so that each has one source: the schema and the table of the values, from the
// comments of values.yaml, and copies of what is in config/, as Helm reads
// nothing outside a chart. It must not know what a value means.
//
// Its tests are those of the charts themselves: rendered with Helm 3 and 4, held
// against config/, and installed on a real API server.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// copies are the files of config/ that a chart has too, as patterns below the
// repository, with the folder of the copies.
var copies = []struct{ from, to string }{
	{"config/crd/wildout.dev_*.yaml", "charts/wildout/files/crds"},
	{"config/rbac/role.yaml", "charts/wildout/files/rbac"},
	{"config/rbac/users.yaml", "charts/wildout/files/rbac"},
	{"config/rbac/metrics_reader.yaml", "charts/wildout/files/rbac"},
	{"config/monitoring/dashboard.json", "charts/wildout/files/monitoring"},
	{"config/monitoring/rules.yaml", "charts/wildout/files/monitoring"},
	{"config/functions/*.yaml", "charts/wildout-functions/files/functions"},
	{"config/event-types/*.yaml", "charts/wildout-functions/files/event-types"},
}

var charts = []string{"charts/wildout", "charts/wildout-functions"}

func main() {
	out := flag.String("o", ".", "folder that stands for the repository: what is written goes below it")
	flag.Parse()
	if err := generate(".", *out); err != nil {
		fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}

// generate reads the repository at root and writes below out.
func generate(root, out string) error {
	for _, c := range copies {
		if err := copyAll(root, out, c.from, c.to); err != nil {
			return err
		}
	}
	for _, chart := range charts {
		if err := describe(filepath.Join(root, chart), filepath.Join(out, chart)); err != nil {
			return fmt.Errorf("%s: %w", chart, err)
		}
	}
	return nil
}

func copyAll(root, out, pattern, to string) error {
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		return fmt.Errorf("%s: %w", pattern, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("there is no %s", pattern)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "kustomization") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(out, to, filepath.Base(file)), text); err != nil {
			return err
		}
	}
	return nil
}

// describe writes the schema and the table of a chart's values.
func describe(chart, out string) error {
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	values, err := parse(text)
	if err != nil {
		return fmt.Errorf("values.yaml: %w", err)
	}
	schema, err := encodeSchema(values)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(out, "values.schema.json"), schema); err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(chart, "README.md"))
	if err != nil {
		return err
	}
	if readme, err = withTable(readme, values); err != nil {
		return fmt.Errorf("README.md: %w", err)
	}
	return write(filepath.Join(out, "README.md"), readme)
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
