package servicetest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
)

// Ginkgo's stand-in works wherever a *testing.T does.
var _ func() testing.TB = func() testing.TB { return ginkgo.GinkgoTB() }

// The folders in which this program, started by TestServersDieWithTheirProcess,
// starts servers; it then says where they listen.
const (
	childRedis    = "SERVICETEST_CHILD_REDIS"
	childPostgres = "SERVICETEST_CHILD_POSTGRES"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childRedis); dir != "" {
		if err := startAndWait(dir, os.Getenv(childPostgres)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(Main(m))
}

func startAndWait(redisDir, postgresDir string) error {
	redis, err := startRedis(redisDir, redisConfig{appendFsync: "no"})
	if err != nil {
		return err
	}
	postgres, err := startCluster(postgresDir, postgresConfig{})
	if err != nil {
		return err
	}
	fmt.Println(address(redis.port), address(postgres.server.port))
	time.Sleep(time.Minute) // to be killed
	return nil
}

func TestServersDieWithTheirProcess(t *testing.T) {
	postgresDir, err := clusterFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(postgresDir)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childRedis+"="+t.TempDir(), childPostgres+"="+postgresDir)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	addresses := strings.Fields(line)
	for _, addr := range addresses {
		if !listening(addr) {
			t.Errorf("nobody listens on %s before the kill", addr)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for _, addr := range addresses {
		awaitSilence(t, addr)
	}
}

func TestFreePort(t *testing.T) {
	port := FreePort(t)
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		t.Fatalf("port %d is not free: %v", port, err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func awaitSilence(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !listening(addr) {
			return
		}
	}
	t.Errorf("somebody still listens on %s", addr)
}
