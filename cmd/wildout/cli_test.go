package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp asks every command for its help: what it is for, and an example
// that begins with the command itself.
func TestHelp(t *testing.T) {
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		switch {
		case cmd.Name() == "help", strings.Contains(path, "completion"):
			return // cobra's own
		case cmd.Short == "":
			t.Errorf("%s does not say what it is for", path)
		case cmd.Name() != "version" && !strings.Contains(cmd.Example, path):
			t.Errorf("%s has no example", path)
		}
		out, _, err := cli(t, append(strings.Fields(path)[1:], "--help")...)
		if err != nil || !strings.Contains(out, cmd.Short) && !strings.Contains(out, cmd.Long) || !strings.Contains(out, "Usage:") {
			t.Errorf("%s --help prints (%v):\n%s", path, err, out)
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(root())
}

func TestCompletion(t *testing.T) {
	out, _, err := cli(t, "completion", "bash")
	if err != nil || !strings.Contains(out, "wildout") {
		t.Errorf("%v: %.100s", err, out)
	}
}

func TestVersion(t *testing.T) {
	out, _, err := cli(t, "version")
	if err != nil || !strings.HasPrefix(out, "wildout ") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, args := range [][]string{{"sned"}, {"runs", "lsit"}} {
		if _, _, err := cli(t, args...); err == nil || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%v: error %v", args, err)
		}
	}
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	broken := file("broken.yaml", strings.ReplaceAll(strings.ReplaceAll(small, "event.data.name}", "event.dota.name}"), "that: has(", "that: hass("))
	twin := file("twin.yaml", small)
	other := file("other.yaml", strings.ReplaceAll(small, "HELLO", "Hi"))
	schema := file("type.yaml", "apiVersion: wildout.dev/v1alpha1\nkind: WildoutEventType\nmetadata: {name: t}\nspec: {type: t, schema: {type: strng}}\n")
	for name, c := range map[string]struct {
		paths  []string
		stdout string
		stderr []string // status 1
		fails  string
	}{
		"the site":       {site, "10 functions and 6 event types are valid\n", nil, ""},
		"one":            {[]string{twin}, "1 function and 0 event types are valid\n", nil, ""},
		"two faults":     {[]string{broken}, "", []string{broken + ": function greet: spec.steps[0].assert[0].that:", broken + ": function greet: spec.steps[1].set:", "^"}, ""},
		"a name twice":   {[]string{twin, other}, "", []string{"there is a function greet in"}, ""},
		"a bad schema":   {[]string{schema}, "", []string{"type.yaml: spec.schema: the schema cannot be used"}, ""},
		"nothing there":  {[]string{filepath.Join(dir, "none")}, "", nil, "no manifests"},
		"nothing inside": {[]string{t.TempDir()}, "", nil, "there is no manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"validate"}
			for _, path := range c.paths {
				args = append(args, "-f", path)
			}
			stdout, stderr, err := cli(t, args...)
			if stdout != c.stdout {
				t.Errorf("printed %q, want %q", stdout, c.stdout)
			}
			for _, want := range c.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in:\n%s", want, stderr)
				}
			}
			if (len(c.stderr) > 0) != errors.Is(err, errShown) || c.fails != "" && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMigrate(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "site.db")
	for range 2 { // what is up to date stays as it is
		if out, _, err := cli(t, "migrate", "--database", url); err != nil || out != "the tables are up to date\n" {
			t.Errorf("%v: %s", err, out)
		}
	}
	if _, _, err := cli(t, "migrate", "--database", "mysql://x"); err == nil || !strings.Contains(err.Error(), "no scheme that is known") {
		t.Errorf("error %v", err)
	}
	t.Setenv("WILDOUT_DATABASE_URL", "")
	if _, _, err := cli(t, "migrate"); err == nil || !strings.Contains(err.Error(), "no database: set --database or $WILDOUT_DATABASE_URL") {
		t.Errorf("error %v", err)
	}
	t.Setenv("WILDOUT_DATABASE_URL", url)
	if _, _, err := cli(t, "migrate"); err != nil {
		t.Errorf("error %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	env, err := environment([]string{"HOME=/root", "WILDOUT_ENV_A=1", "WILDOUT_ENV_B=x=y"}, []string{"A=2"})
	if err != nil || len(env) != 2 || env["A"] != "2" || env["B"] != "x=y" {
		t.Errorf("%v (%v)", env, err)
	}
	if _, err := environment(nil, []string{"A"}); err == nil {
		t.Error("a name without a value is accepted")
	}
}
