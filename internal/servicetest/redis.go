package servicetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a Redis server of its own for one test.
type Redis struct {
	// Addr is its address, host:port.
	Addr string

	t        testing.TB
	server   *server
	password string
	tls      bool
}

type redisConfig struct {
	appendFsync string // "no": no persistence
	password    string
	maxMemory   string // empty: no limit
	cluster     bool
	// With TLS: the certificate and its key, and the authority that signed it.
	certFile, keyFile string
	ca                []byte
}

// RedisOption changes how a Redis server is set up.
type RedisOption func(*redisConfig)

// AppendFsync sets how durable a write is: "always" (on disk before the
// answer), "everysec" (within a second), both with the append-only file, or
// "no" (the default): memory only, a restart starts empty.
func AppendFsync(policy string) RedisOption {
	return func(c *redisConfig) { c.appendFsync = policy }
}

// Password makes the server ask for a password (of the user default).
func Password(password string) RedisOption {
	return func(c *redisConfig) { c.password = password }
}

// MaxMemory limits the memory, such as "10mb"; the server then refuses writes
// and evicts nothing.
func MaxMemory(limit string) RedisOption {
	return func(c *redisConfig) { c.maxMemory = limit }
}

// Cluster makes the server a cluster of one node, that has all slots.
func Cluster() RedisOption { return func(c *redisConfig) { c.cluster = true } }

// TLS makes the server speak TLS alone, with a certificate of the authority.
func TLS(t testing.TB, a *Authority) RedisOption {
	t.Helper()
	certFile, keyFile := a.Certificate(t)
	return func(c *redisConfig) { c.certFile, c.keyFile, c.ca = certFile, keyFile, a.CA }
}

// StartRedis starts a Redis server that is stopped when the test ends.
func StartRedis(t testing.TB, opts ...RedisOption) *Redis {
	t.Helper()
	config := redisConfig{appendFsync: "no"}
	for _, opt := range opts {
		opt(&config)
	}
	s, err := startRedis(t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Addr: address(s.port), t: t, server: s, password: config.password, tls: config.ca != nil}
	t.Cleanup(r.Kill) // nobody reads its data again
	return r
}

func startRedis(dir string, config redisConfig) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("Redis is not installed (%w): run `make services`", err)
	}
	s := &server{
		name:    "redis-server",
		logFile: filepath.Join(dir, "server.log"),
		onDeath: syscall.SIGKILL,
		family:  func(int) ([]int, error) { return nil, nil },
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(program, config.args(s.port)...)
		cmd.Dir = dir // where it keeps its append-only file
		return cmd
	}
	s.ready = func(ctx context.Context) error { return pingRedis(ctx, address(s.port), &config) }
	if err := s.startAnywhere(); err != nil {
		return nil, err
	}
	return s, nil
}

func (c redisConfig) args(port int) []string {
	args := []string{"--bind", "127.0.0.1", "--save", ""}
	if c.ca == nil {
		args = append(args, "--port", strconv.Itoa(port))
	} else {
		args = append(args, "--port", "0", "--tls-port", strconv.Itoa(port), "--tls-cert-file", c.certFile, "--tls-key-file", c.keyFile, "--tls-auth-clients", "no")
	}
	if c.appendFsync != "no" {
		args = append(args, "--appendonly", "yes", "--appendfsync", c.appendFsync)
	}
	if c.password != "" {
		args = append(args, "--requirepass", c.password)
	}
	if c.cluster {
		args = append(args, "--cluster-enabled", "yes")
	}
	if c.maxMemory != "" {
		args = append(args, "--maxmemory", c.maxMemory, "--maxmemory-policy", "noeviction")
	}
	return args
}

// URL returns the address as redis://[:password@]host:port/0, rediss:// with TLS.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", Host: r.Addr, Path: "/0"}
	if r.tls {
		u.Scheme = "rediss"
	}
	if r.password != "" {
		u.User = url.UserPassword("", r.password)
	}
	return u.String()
}

// Start starts the server again after Stop or Kill, on the same port and with
// the data that the append-only file has.
func (r *Redis) Start() {
	r.t.Helper()
	r.check(r.server.start())
}

// Stop ends the server in order (SIGTERM).
func (r *Redis) Stop() {
	r.t.Helper()
	r.check(r.server.stop(syscall.SIGTERM))
}

// Kill ends the server at once (SIGKILL).
func (r *Redis) Kill() {
	r.t.Helper()
	r.check(r.server.stop(syscall.SIGKILL))
}

// Pause freezes the server: connections stay open and nothing answers.
func (r *Redis) Pause() {
	r.t.Helper()
	r.check(r.server.pause())
}

// Resume lets a paused server go on.
func (r *Redis) Resume() {
	r.t.Helper()
	r.check(r.server.resume())
}

func (r *Redis) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// pingRedis says why the server does not take commands yet. It speaks the
// protocol itself, so that this package needs no Redis client.
func pingRedis(ctx context.Context, addr string, config *redisConfig) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := dialRedis(ctx, addr, config.ca)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	replies := bufio.NewReader(conn)
	command := func(words ...string) error {
		var request strings.Builder
		fmt.Fprintf(&request, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := conn.Write([]byte(request.String())); err != nil {
			return err
		}
		reply, err := replies.ReadString('\n')
		if err == nil && !strings.HasPrefix(reply, "+") {
			err = fmt.Errorf("%s: %s", words[0], strings.TrimSpace(reply))
		}
		return err
	}
	if config.password != "" {
		if err := command("AUTH", config.password); err != nil {
			return err
		}
	}
	if config.cluster {
		if err := command("CLUSTER", "ADDSLOTSRANGE", "0", "16383"); err != nil && !strings.Contains(err.Error(), "already busy") {
			return err
		}
		return command("SET", "ready", "") // it takes a moment until it has a state
	}
	return command("PING")
}

func dialRedis(ctx context.Context, addr string, ca []byte) (net.Conn, error) {
	if ca == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return (&tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", addr)
}
