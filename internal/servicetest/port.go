package servicetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Below the range from which Linux takes the ports of outgoing connections
// (32768 and up): a stopped server finds its port free when it comes back.
const (
	firstPort = 20000
	lastPort  = 32767
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. It is not
// reserved: start the listener soon.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func freePort() (int, error) {
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("release port %d: %w", port, err)
		}
		return port, nil
	}
	return 0, errors.New("no free TCP port on 127.0.0.1 after 200 tries; see what listens there (ss -ltn)")
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
