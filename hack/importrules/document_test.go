package importrules

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write what rooms may import into "+document+"; the sentence about a new one is yours")

// document is where people read about the rooms.
const document = "docs/architecture.md"

var (
	// row is a line of a table whose first cell is a folder: folder, sentence, imports.
	row    = regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\| (.+) \\| (.+) \\|$")
	quoted = regexp.MustCompile("`([^`\n]+)`")
	// inside is a path below one of our folders.
	inside = regexp.MustCompile(`^(api|charts|cmd|config|controllers|docs|hack|internal|runtime|site)(/[a-z0-9_.-]+)*/?$`)
)

func readDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every room has its row in the document, every row is a room, and says of it
// what the table above holds the code to.
func TestDocument(t *testing.T) {
	if *write {
		writeImports(t)
	}
	documented := map[string]string{}
	for _, cells := range row.FindAllStringSubmatch(readDocument(t), -1) {
		if _, twice := documented[cells[1]]; twice {
			t.Errorf("%s has two rows for %s", document, cells[1])
		}
		documented[cells[1]] = cells[3]
	}
	for _, r := range rooms {
		imports, found := documented[r.path]
		delete(documented, r.path)
		if want := importsCell(r); !found || !sameImports(imports, r.direct) {
			t.Errorf("%s: want the row\n| `%s` | what it is, in a sentence | %s |\ngo test ./hack/importrules -write writes its last cell", document, r.path, want)
		}
	}
	for path := range documented {
		t.Errorf("%s has a row for %s, which is no room: take it out, or add the room to the table in hack/importrules", document, path)
	}
}

// writeImports writes the last cell of each row anew.
func writeImports(t *testing.T) {
	t.Helper()
	text := row.ReplaceAllStringFunc(readDocument(t), func(line string) string {
		cells := row.FindStringSubmatch(line)
		for _, r := range rooms {
			if r.path == cells[1] && !sameImports(cells[3], r.direct) {
				return strings.TrimSuffix(line, cells[3]+" |") + importsCell(r) + " |"
			}
		}
		return line
	})
	if err := os.WriteFile(filepath.Join(root, document), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// importsCell is the last cell of the row of a room.
func importsCell(r room) string {
	switch {
	case r.direct == nil:
		return "anything"
	case len(r.direct) == 0:
		return "nothing"
	}
	return "`" + strings.Join(r.direct, "`, `") + "`"
}

// sameImports reports whether a cell names the same rooms, in whatever order.
func sameImports(cell string, direct []string) bool {
	if len(direct) == 0 {
		return cell == importsCell(room{direct: direct})
	}
	var named []string
	for _, name := range quoted.FindAllStringSubmatch(cell, -1) {
		named = append(named, name[1])
	}
	slices.Sort(named)
	return slices.Equal(named, slices.Sorted(slices.Values(direct)))
}

// A file that the document names is there.
func TestDocumentNamesFilesThatAreThere(t *testing.T) {
	for _, name := range quoted.FindAllStringSubmatch(readDocument(t), -1) {
		if !inside.MatchString(name[1]) {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, name[1])); err != nil {
			t.Errorf("%s names %s: %v", document, name[1], err)
		}
	}
}
