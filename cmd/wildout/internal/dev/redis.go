package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// redisServer is where the events are kept.
type redisServer struct {
	url   string
	about string // for people
	stop  func()
}

// startRedis finds a Redis: the one of the URL, a child process when the
// program is installed, else the one that is built in.
func startRedis(ctx context.Context, o *Options) (*redisServer, error) {
	if o.RedisURL != "" {
		return &redisServer{url: o.RedisURL, about: "the one of --redis", stop: func() {}}, nil
	}
	if !o.EmbeddedRedis {
		program, version := findRedis(ctx)
		if program != "" {
			return startChild(ctx, program, version, o)
		}
	}
	return startEmbedded(o.Listen)
}

// freeAddr returns a free address of loopback: the port after that of HTTP,
// so that it is the same tomorrow, else any.
func freeAddr(listen string) (string, error) {
	addrs := []string{"127.0.0.1:0"}
	if _, text, err := net.SplitHostPort(listen); err == nil {
		if port, err := strconv.Atoi(text); err == nil && port > 0 && port < 65535 {
			addrs = []string{"127.0.0.1:" + strconv.Itoa(port+1), "127.0.0.1:0"}
		}
	}
	var failure error
	for _, addr := range addrs {
		listener, err := net.Listen("tcp", addr)
		if err == nil {
			return listener.Addr().String(), listener.Close()
		}
		failure = err
	}
	return "", fmt.Errorf("find a free port: %w", failure)
}

// startEmbedded starts the server that is built in.
func startEmbedded(listen string) (*redisServer, error) {
	addr, err := freeAddr(listen)
	if err != nil {
		return nil, err
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("start the built-in Redis: %w", err)
	}
	done := make(chan struct{})
	go func() {
		// Its keys do not expire by themselves.
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				server.FastForward(100 * time.Millisecond)
			case <-done:
				return
			}
		}
	}()
	return &redisServer{
		url:   "redis://" + server.Addr() + "/0",
		about: "redis://" + addr + "/0, built in: events and runs are lost when this ends (install redis-server to keep them)",
		stop:  func() { close(done); server.Close() },
	}, nil
}

// minRedis is the oldest major version whose streams do what we need.
const minRedis = 7

var redisVersion = regexp.MustCompile(`v=((\d+)[0-9.]*)`)

// findRedis returns the program redis-server, "" when there is none that is
// new enough.
func findRedis(ctx context.Context) (program, version string) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", ""
	}
	output, err := exec.CommandContext(ctx, program, "--version").Output()
	match := redisVersion.FindSubmatch(output)
	if err != nil || match == nil {
		return "", ""
	}
	if major, err := strconv.Atoi(string(match[2])); err != nil || major < minRedis {
		return "", ""
	}
	return program, string(match[1])
}

// startChild runs redis-server on loopback, with its data in a folder.
func startChild(ctx context.Context, program, version string, o *Options) (*redisServer, error) {
	dir := filepath.Join(o.DataDir, "redis")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for Redis: %w", err)
	}
	folder, err := filepath.Abs(dir) // it changes into the folder before it opens its log
	if err != nil {
		return nil, fmt.Errorf("folder for Redis: %w", err)
	}
	logFile := filepath.Join(folder, "redis.log")
	var failure error
	for range 3 { // somebody else may take the port first
		addr, err := freeAddr(o.Listen)
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(addr)
		// stop ends it, not ctx: the workers have something to write at the end.
		start := func() (*child, error) {
			cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
				"--appendfsync", "everysec", "--dir", folder, "--logfile", logFile, "--daemonize", "no")
			c, err := startProcess(cmd)
			if err != nil {
				return nil, fmt.Errorf("start %s: %w", program, err)
			}
			return c, nil
		}
		c, err := listening(ctx, start, addr)
		if failure = err; failure == nil {
			again := func() (*child, error) { return listening(context.WithoutCancel(ctx), start, addr) }
			return &redisServer{
				url:   "redis://" + addr + "/0",
				about: fmt.Sprintf("redis://%s/0, redis-server %s with its data in %s", addr, version, dir),
				stop:  keep(c, again, o.Logger, logFile).stop,
			}, nil
		}
	}
	return nil, fmt.Errorf("redis-server does not start: %w; %s says why, --embedded-redis does without it", failure, logFile)
}

// child is a process that ends with this one.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func startProcess(cmd *exec.Cmd) (*child, error) {
	// A group of its own: Ctrl-C reaches us alone, and Redis ends after us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux signals the child when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // we know why it ended, or its log does
		}
	}()
	return c, <-started
}

func (c *child) awaitPort(ctx context.Context, addr string) error {
	deadline := time.After(20 * time.Second) // it may have much to load
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.done:
			return errors.New("it ended at once")
		case <-deadline:
			return fmt.Errorf("it does not listen: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the child in order, or after a few seconds by force.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.done:
		return
	case <-time.After(5 * time.Second):
	}
	_ = c.cmd.Process.Kill()
	<-c.done
}
