package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// session has the processes that are measured.
type session struct {
	options
	dir     string
	redis   string // address
	rdb     *redis.Client
	running []*exec.Cmd
}

func newSession(ctx context.Context, o options) (*session, error) {
	dir, err := os.MkdirTemp("", "wildout-load-")
	if err != nil {
		return nil, err
	}
	s := &session{options: o, dir: dir}
	if s.redis, err = freeAddr(); err != nil {
		return s, err
	}
	_, port, _ := net.SplitHostPort(s.redis)
	args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--maxmemory", "4gb", "--maxmemory-policy", "noeviction"}
	if o.fsync != "no" {
		args = append(args, "--appendonly", "yes", "--appendfsync", o.fsync)
	}
	if err := s.start(ctx, s.redis, "redis-server", args...); err != nil {
		return s, err
	}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.redis, DisableIdentity: true, ReadTimeout: time.Minute})
	return s, nil
}

// start starts a program and returns when it listens at addr.
func (s *session) start(ctx context.Context, addr, program string, args ...string) error {
	log, err := os.Create(filepath.Join(s.dir, filepath.Base(program)+strconv.Itoa(len(s.running))+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	s.running = append(s.running, cmd)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%s does not listen on %s: %s", program, addr, text)
		}
	}
}

// stopLast ends the process that was started last.
func (s *session) stopLast() {
	last := s.running[len(s.running)-1]
	s.running = s.running[:len(s.running)-1]
	_ = last.Process.Signal(syscall.SIGTERM)
	_ = last.Wait()
}

func (s *session) close() {
	for len(s.running) > 0 {
		s.stopLast()
	}
	if s.rdb != nil {
		_ = s.rdb.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// bare starts the bare handler and returns its URL for events.
func (s *session) bare(ctx context.Context) (string, error) {
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return "http://" + addr + "/", s.start(ctx, addr, self, "--bare", addr, "--redis", s.redis)
}

const (
	namespace = "load"
	key       = "key-of-the-load-test"
	eventType = "user/registered"
)

// gatewayOptions say how a gateway is started.
type gatewayOptions struct {
	rate    int  // of the sender, in events a second; 0: none
	oneCore bool // it may use only the first core
}

// gateway starts a gateway and returns its URL for events.
func (s *session) gateway(ctx context.Context, o gatewayOptions) (string, error) {
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	probes, err := freeAddr()
	if err != nil {
		return "", err
	}
	sender := "{name: load, keys: keys, eventTypes: [user/*]}"
	if o.rate > 0 {
		sender = fmt.Sprintf("{name: load, keys: keys, eventTypes: [user/*], rate: {limit: %d, period: 1s}}", o.rate)
	}
	for name, text := range map[string]string{"keys/key": key, "gateway.yaml": "senders: [" + sender + "]\n", "types/registered.yaml": schema} {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	args := []string{"gateway", "--redis-url", "redis://" + s.redis + "/0", "--namespace", namespace, "--config", filepath.Join(s.dir, "gateway.yaml"),
		"--event-types", filepath.Join(s.dir, "types"), "--listen", addr, "--listen-probes", probes, "--drain", "0s"}
	program := s.wildout
	if o.oneCore {
		program, args = "taskset", append([]string{"-c", "0", s.wildout}, args...)
	}
	return "http://" + addr + "/e/" + key, s.start(ctx, addr, program, args...)
}

// schema is that of the events that are sent.
const schema = `
apiVersion: wildout.dev/v1alpha1
kind: WildoutEventType
metadata: {name: user-registered}
spec:
  type: user/registered
  schema:
    type: object
    required: [userId, email]
    properties: {userId: {type: string, minLength: 1}, email: {type: string, format: email}, plan: {enum: [free, paid]}}
`

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
