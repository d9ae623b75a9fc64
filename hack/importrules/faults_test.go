package importrules

import (
	"strings"
	"testing"
)

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		pkg  pkg
		want string // part of the only fault; empty: none
	}{
		"a room may import what its row says": {
			pkg: pkg{ImportPath: module + "/runtime/plan", Imports: []string{"time", module + "/api/v1alpha1", "cel.dev/cel-go/cel"}},
		},
		"and itself": {
			pkg: pkg{ImportPath: module + "/runtime/handlers/email", Imports: []string{module + "/runtime/handlers/http"}},
		},
		"and nothing else of the repository": {
			pkg:  pkg{ImportPath: module + "/runtime/engine", Imports: []string{module + "/runtime/store"}},
			want: "imports " + module + "/runtime/store",
		},
		"not the room around it either": {
			pkg:  pkg{ImportPath: module + "/runtime/event", Imports: []string{module + "/runtime"}},
			want: "imports " + module + "/runtime;",
		},
		"nor another module": {
			pkg:  pkg{ImportPath: module + "/api/v1alpha1", Imports: []string{"k8s.io/apimachinery/pkg/runtime", "k8s.io/apimachineryx"}},
			want: "imports k8s.io/apimachineryx",
		},
		"nor by way of others": {
			pkg:  pkg{ImportPath: module + "/cmd/runner", Deps: []string{"fmt", "k8s.io/client-go/rest"}},
			want: "links k8s.io/client-go/rest",
		},
		"a runner has no console": {
			pkg:  pkg{ImportPath: module + "/runtime/runner", Deps: []string{module + "/runtime/store", module + "/runtime/console"}},
			want: "links " + module + "/runtime/console",
		},
		"nor a part of the gateway": {
			pkg:  pkg{ImportPath: module + "/cmd/runner", Deps: []string{module + "/runtime/gateway/webhook"}},
			want: "links " + module + "/runtime/gateway/webhook",
		},
		"nor has the manager": {
			pkg:  pkg{ImportPath: module + "/cmd/manager", Deps: []string{module + "/runtime/gateway/config"}},
			want: "links " + module + "/runtime/gateway/config",
		},
		"a pure room reaches nothing": {
			pkg:  pkg{ImportPath: module + "/controllers/health", Imports: []string{"net/url", "net/http"}},
			want: "imports net/http; controllers/health is pure",
		},
		"nor does it by way of others": {
			pkg:  pkg{ImportPath: module + "/controllers/desired", Deps: []string{"net/http", "github.com/redis/go-redis/v9"}},
			want: "links github.com/redis/go-redis/v9",
		},
		"a Redis client belongs to the store": {
			pkg: pkg{ImportPath: module + "/runtime/store", Imports: []string{"github.com/redis/go-redis/v9"}},
		},
		"not to a program": {
			pkg:  pkg{ImportPath: module + "/cmd/wildout", Imports: []string{"github.com/redis/go-redis/v9"}},
			want: "only runtime/store may",
		},
		"not to another room's tests": {
			pkg:  pkg{ImportPath: module + "/runtime/worker", XTestImports: []string{"github.com/redis/go-redis/v9"}},
			want: "only runtime/store may",
		},
		"tests start servers": {
			pkg: pkg{ImportPath: module + "/runtime/worker", TestImports: []string{module + "/internal/servicetest"}},
		},
		"so does what is there for tests": {
			pkg: pkg{ImportPath: module + "/runtime/handlers/http/handlertest", Imports: []string{module + "/internal/servicetest"}},
		},
		"programs do not": {
			pkg:  pkg{ImportPath: module + "/cmd/wildout", Imports: []string{module + "/internal/servicetest"}},
			want: "which is for tests",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, ok := roomOf(test.pkg.path())
			if !ok {
				t.Fatalf("%s is in no room", test.pkg.ImportPath)
			}
			found := faults(r, test.pkg)
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("faults %q, want none", found)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)):
				t.Errorf("faults %q, want one with %q", found, test.want)
			}
		})
	}
}

func TestPackagesOutsideTheRoomsAreFound(t *testing.T) {
	for _, path := range []string{"", "runtimes", "hack", "pkg/util"} {
		if r, ok := roomOf(path); ok {
			t.Errorf("%q counts as part of room %q", path, r.path)
		}
	}
}
