package importrules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// clocked are the rooms that take the time from a clock that they are given: what
// is due is judged by the clock of Redis, on whatever machine.
var clocked = []string{"runtime/run", "runtime/engine", "runtime/admission", "runtime/store", "runtime/worker"}

// TestClocksAreGiven finds the rooms that look at the clock of the machine by
// themselves. As a default, without a call, it may be named.
func TestClocksAreGiven(t *testing.T) {
	for _, room := range clocked {
		err := filepath.WalkDir(filepath.Join(root, room), func(file string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || forTests(module+"/"+filepath.ToSlash(filepath.Dir(strings.TrimPrefix(file, root+"/")))) {
				return err
			}
			for _, call := range clockCalls(t, file) {
				t.Errorf("%s looks at the clock of the machine: take one as an option", call)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// clockCalls returns where a file calls time.Now and its like.
func clockCalls(t *testing.T, file string) (calls []string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := name.X.(*ast.Ident)
		if ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until"}, name.Sel.Name) {
			calls = append(calls, set.Position(call.Pos()).String())
		}
		return true
	})
	return calls
}
