package importrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/wildout/wildout"
	root   = "../.."
)

// What only some rooms may link, as prefixes of import paths.
var (
	redisClient = []string{"github.com/redis/go-redis"}
	operator    = []string{
		"sigs.k8s.io/controller-runtime", "k8s.io/client-go",
		"k8s.io/apiserver", "k8s.io/apiextensions-apiserver",
	}
	operatorAndRedis = slices.Concat(operator, redisClient)
	// The ways in from outside: what serves people and applications.
	frontDoor = []string{module + "/runtime/console", module + "/runtime/gateway"}
	// A runner is multiplied by the number of functions and stays small. gRPC has
	// pages in html/template, which keep every method of everything in a program.
	notOfRunners = slices.Concat(operator, frontDoor, []string{"google.golang.org/grpc"})
	// The operator serves nobody's events.
	notOfTheManager = []string{module + "/runtime/gateway"}
)

// room is a folder with everything below it, down to the next room.
type room struct {
	path string // below the module
	// direct is what its code may import of this repository, besides itself;
	// nil: anything.
	direct []string
	// outside is what its code may import of other modules, as prefixes;
	// nil: anything.
	outside []string
	// unlinked is what must not come in at all, not even through others.
	unlinked []string
	// pure rooms reach nothing outside the process by themselves. What they
	// import may: the types of Kubernetes alone link net/http.
	pure bool
	// planned rooms need not exist yet.
	planned bool
}

// outward is what a pure room does not import of the standard library.
var outward = []string{"context", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}

// none allows nothing: nil would allow everything.
var none = []string{}

var rooms = []room{
	{path: "api", direct: none, outside: []string{"k8s.io/apimachinery"}, unlinked: operatorAndRedis},
	{path: "runtime", direct: []string{"runtime/event", "runtime/strictjson"}, outside: none},
	{path: "runtime/event", direct: []string{"runtime/strictjson"}, outside: none},
	{path: "runtime/run", direct: []string{"runtime/event"}, outside: none},
	{path: "runtime/intake", direct: []string{"runtime/event", "runtime/strictjson"}, outside: []string{"github.com/santhosh-tekuri/jsonschema/v6", "golang.org/x/text"}, unlinked: operatorAndRedis},
	{path: "runtime/plan", direct: []string{"api", "runtime/event", "runtime/strictjson"}, unlinked: operatorAndRedis},
	{path: "runtime/engine", direct: []string{"runtime", "runtime/run", "runtime/plan", "runtime/event", "runtime/intake"}, unlinked: operatorAndRedis},
	{path: "runtime/admission", direct: []string{"runtime/run", "runtime/plan", "runtime/event"}, unlinked: operatorAndRedis},
	// The connection, and a room for each who asks: who looks, who asks for
	// something, who keeps order, and the runners.
	{path: "runtime/store", direct: []string{"runtime/event"}, unlinked: operator},
	{path: "runtime/store/inspect", direct: []string{"runtime/store", "runtime/event", "runtime/run"}, unlinked: operator},
	{path: "runtime/store/acts", direct: []string{"runtime/store", "runtime/store/inspect", "runtime/event", "runtime/run"}, unlinked: operator},
	{path: "runtime/store/upkeep", direct: []string{"runtime/run", "runtime/store"}, unlinked: operator},
	{path: "runtime/store/runs", direct: []string{"runtime/store", "runtime/store/acts", "runtime/store/upkeep", "runtime/event", "runtime/run"}, unlinked: operator},
	{path: "runtime/telemetry", direct: []string{"api", "runtime", "runtime/event", "runtime/store", "runtime/store/inspect"}, unlinked: operator},
	{path: "runtime/worker", direct: []string{"runtime", "runtime/admission", "runtime/engine", "runtime/run", "runtime/store", "runtime/store/runs", "runtime/plan", "runtime/event", "runtime/telemetry", "api"}, unlinked: operator},
	{path: "runtime/worker/storetest", direct: []string{"runtime/worker", "runtime/store", "runtime/store/runs", "runtime/store/inspect", "runtime/store/acts", "runtime/run", "runtime/event"}, unlinked: operator},
	{path: "runtime/gateway", direct: []string{"runtime/store", "runtime/event", "runtime/intake", "runtime/strictjson"}, unlinked: operator},
	// The one reading of JSON of others. Everything may import it; the library
	// that reads is known here alone, so that a handler's author gets no other.
	{path: "runtime/strictjson", direct: none, outside: []string{"github.com/go-json-experiment/json"}},
	{path: "runtime/gateway/config", direct: []string{"runtime/gateway", "runtime/gateway/webhook", "runtime/plan", "api"}, unlinked: operator},
	{path: "runtime/gateway/files", direct: none, unlinked: operatorAndRedis},
	{path: "runtime/gateway/server", direct: none, unlinked: operatorAndRedis},
	{path: "runtime/gateway/cloudevents", direct: []string{"runtime/gateway", "runtime/event", "runtime/strictjson"}, unlinked: operator},
	// Its mappings are the expressions of functions, with other variables.
	{path: "runtime/gateway/webhook", direct: []string{"runtime/gateway", "runtime/plan", "runtime/event", "api", "runtime/strictjson"}, unlinked: operator},
	{path: "runtime/console", direct: []string{"api", "runtime/plan", "runtime/run", "runtime/store", "runtime/store/inspect", "runtime/store/acts", "runtime/event", "runtime/strictjson"}, unlinked: operator},
	{path: "runtime/handlers", direct: []string{"runtime", "runtime/strictjson"}, unlinked: operatorAndRedis},
	{path: "runtime/runner", direct: []string{"runtime", "runtime/plan", "runtime/store", "runtime/store/runs", "runtime/telemetry", "runtime/worker", "api"}, unlinked: notOfRunners},
	{path: "site", direct: []string{"runtime", "runtime/handlers", "runtime/strictjson"}, unlinked: operatorAndRedis},
	{path: "internal/standard", direct: []string{"runtime", "runtime/handlers", "site"}, unlinked: operatorAndRedis},
	{path: "docs/examples", direct: []string{"runtime", "runtime/runner"}, unlinked: notOfRunners},
	{path: "internal/mailsink", direct: none, unlinked: operatorAndRedis},
	{path: "internal/crashtest", direct: none, unlinked: operatorAndRedis},
	{path: "internal/servicetest", direct: none, unlinked: operatorAndRedis},
	{path: "internal/scenarios", direct: []string{"api", "runtime/event", "runtime/run", "internal/mailsink", "internal/scenarios/outside", "internal/standard", "runtime/store", "runtime/store/inspect"}, unlinked: operator},
	{path: "internal/scenarios/outside", direct: []string{"internal/mailsink"}, unlinked: operatorAndRedis},
	{path: "controllers", direct: []string{
		"api", "controllers/view", "controllers/observe", "controllers/desired", "controllers/scaling", "controllers/health", "controllers/survey",
		"runtime/plan", "runtime/intake",
	}, unlinked: notOfTheManager},
	{path: "controllers/view", pure: true, direct: none, outside: none, unlinked: operatorAndRedis},
	{path: "controllers/observe", direct: []string{"api", "controllers/desired", "runtime/plan"}, unlinked: redisClient},
	// Its apply configurations can also be made from live objects, and link the
	// client of client-go for that.
	{
		path: "controllers/desired", pure: true, direct: []string{"api", "controllers/view"},
		outside:  []string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go/applyconfigurations", "sigs.k8s.io/yaml"},
		unlinked: slices.Concat(redisClient, []string{"sigs.k8s.io/controller-runtime", "k8s.io/client-go/kubernetes/typed"}),
	},
	{path: "controllers/scaling", pure: true, direct: []string{"api", "controllers/view"}, outside: none, unlinked: operatorAndRedis},
	{
		path: "controllers/health", pure: true, direct: []string{"api", "controllers/view", "runtime/plan"},
		outside: []string{"k8s.io/api", "k8s.io/apimachinery"}, unlinked: operatorAndRedis,
	},
	{path: "controllers/survey", direct: []string{"controllers/view", "runtime/run", "runtime/store", "runtime/store/inspect", "runtime/store/upkeep"}, unlinked: []string{"sigs.k8s.io/controller-runtime", "k8s.io/client-go"}},
	{path: "cmd"},
	{path: "cmd/manager", unlinked: notOfTheManager},
	{path: "cmd/runner", unlinked: notOfRunners},
	{path: "hack/importrules", direct: none, outside: none},
	{path: "hack/charts", direct: none, outside: []string{"go.yaml.in/yaml/v3"}},
}

// onlyStore is who may import a Redis client, in its tests too.
const onlyStore = "runtime/store"

// forTests reports whether a package of ours is there for tests, such as
// servicetest: by its name, as with httptest, or as it is specs. No program may
// carry it.
func forTests(importPath string) bool {
	return isOurs(importPath) && (strings.HasSuffix(importPath, "test") || inModule(importPath) == "internal/scenarios")
}

// pkg is a package as `go list` prints it.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func (p pkg) path() string { return inModule(p.ImportPath) }

// inModule returns the part of an import path below the module.
func inModule(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func TestImportRules(t *testing.T) {
	packages := listPackages(t)
	found := map[string]int{}
	for _, p := range packages {
		r, ok := roomOf(p.path())
		if !ok {
			t.Errorf("%s is in no room: add it to the table above", p.ImportPath)
			continue
		}
		found[r.path]++
		for _, fault := range faults(r, p) {
			t.Error(fault)
		}
	}
	for _, r := range rooms {
		exists := hasCode(t, r.path)
		switch {
		case !exists && !r.planned:
			t.Errorf("there is no code in %s: remove the room from the table, or mark it as planned", r.path)
		case exists && found[r.path] == 0:
			t.Errorf("no package was checked as part of %s", r.path)
		}
	}
}

// faults returns what p does that its room must not.
func faults(r room, p pkg) (found []string) {
	fault := func(format string, args ...any) {
		found = append(found, p.ImportPath+" "+fmt.Sprintf(format, args...))
	}
	for _, imported := range p.Imports {
		target, _ := roomOf(inModule(imported))
		switch {
		case forTests(imported) && !forTests(p.ImportPath):
			fault("imports %s, which is for tests", imported)
		case forTests(imported):
		case isOurs(imported) && r.direct != nil && target.path != r.path && !slices.Contains(r.direct, target.path):
			fault("imports %s; %s may import %v of this repository", imported, r.path, r.direct)
		case !isOurs(imported) && !isStandard(imported) && r.outside != nil && !hasPrefix(imported, r.outside):
			fault("imports %s; %s may import %v of other modules", imported, r.path, r.outside)
		case r.pure && slices.Contains(outward, imported):
			fault("imports %s; %s is pure: it takes values and returns values", imported, r.path)
		}
	}
	for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		if hasPrefix(imported, redisClient) && !hasPrefix(r.path, []string{onlyStore}) {
			fault("imports %s; only %s may, others go through it", imported, onlyStore)
		}
	}
	for _, unlinked := range r.unlinked {
		for _, linked := range p.Deps {
			if hasPrefix(linked, []string{unlinked}) {
				fault("links %s, by itself or through others (go mod why %s says how)", linked, linked)
				break // the rest of the module comes along
			}
		}
	}
	return found
}

// roomOf returns the innermost room that holds the path below the module.
func roomOf(path string) (in room, ok bool) {
	for _, r := range rooms {
		if hasPrefix(path, []string{r.path}) && (!ok || len(r.path) > len(in.path)) {
			in, ok = r, true
		}
	}
	return in, ok
}

// hasPrefix reports whether path is one of the folders or below one.
func hasPrefix(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return path == folder || strings.HasPrefix(path, folder+"/")
	})
}

func isOurs(path string) bool { return hasPrefix(path, []string{module}) }

// isStandard reports whether path is of the standard library, whose first
// elements have no dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func listPackages(t *testing.T) (packages []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = root
	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(output)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// hasCode reports whether the room has Go code of its own. It looks through
// the folders itself: `go test` reuses a result until a file that the test
// looked at has changed, and does not see what `go list` reads.
func hasCode(t *testing.T, path string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, path), func(file string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		r, _ := roomOf(filepath.ToSlash(filepath.Dir(below)))
		found = found || r.path == path && strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
