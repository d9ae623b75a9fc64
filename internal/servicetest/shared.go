package servicetest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the one piece of state that a test process has in common: a
// cluster that its first user starts and Main stops.
var shared struct {
	sync.Mutex
	open    bool // Main runs
	cluster *cluster
	dir     string
	err     error // why it could not start; the second user need not wait again
}

// Main runs the tests of a package whose tests call SharedPostgres, stops what
// they shared, and returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }
func Main(m interface{ Run() int }) int {
	shared.Lock()
	shared.open = true
	shared.Unlock()
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "servicetest:", err)
		return max(code, 1)
	}
	return code
}

// SharedPostgres returns the server that all tests of this process share; the
// first call starts it. Take a database of your own with NewDatabase, and do
// not stop or pause the server: others use it. It needs Main in TestMain.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.open {
		t.Fatal("SharedPostgres needs: func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }")
	}
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = openShared()
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &Postgres{t: t, cluster: shared.cluster}
}

func openShared() (*cluster, error) {
	dir, err := clusterFolder()
	if err != nil {
		return nil, err
	}
	shared.dir = dir
	return startCluster(dir, postgresConfig{})
}

func closeShared() error {
	shared.Lock()
	defer shared.Unlock()
	shared.open = false
	if shared.dir == "" {
		return nil
	}
	if shared.cluster != nil {
		if err := shared.cluster.server.stop(immediateShutdown); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(shared.dir); err != nil {
		return err
	}
	shared.cluster, shared.dir, shared.err = nil, "", nil
	return nil
}
