package describe_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/cmd/wildout/internal/describe"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 3, 13, 8, 0, 0, 0, time.UTC)

// Fixed objects give the same picture, and no line of it is wider than the
// terminal.
func TestTree(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no objects", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f describe.Function
		if err := yaml.UnmarshalStrict(text, &f); err != nil {
			t.Fatal(file, err)
		}
		for width, suffix := range map[int]string{0: "", 40: ".40", 80: ".80", 160: ".160"} {
			t.Run(name+suffix, func(t *testing.T) {
				style := term.Style{Width: width}
				var got strings.Builder
				if err := style.Tree(&got, f.Tree(style, now)); err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(got.String()) {
					if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 0 && n > width {
						t.Errorf("a line has %d characters: %s", n, line)
					}
				}
				golden(t, "testdata/"+name+suffix+".golden", got.String())
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the new text and run with -update when it is better. Got:\n%s", file, got)
	}
}
