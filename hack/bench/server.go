package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// startWithin is how long redis-server may take to answer its first PING.
const startWithin = 10 * time.Second

// A server is a redis-server of our own, on a free port of the loopback
// interface with its files in a temporary folder.
type server struct {
	Addr    string
	Version string

	cmd *exec.Cmd
	dir string
	rdb *redis.Client // for INFO and FLUSHALL, apart from every system's
}

// startServer starts the server and returns when it answers. The caller
// closes it.
func startServer(ctx context.Context, binary, appendFsync string) (_ *server, err error) {
	dir, err := os.MkdirTemp("", "wildout-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for redis-server: %w", err)
	}
	s := &server{dir: dir}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.cmd = exec.CommandContext(ctx, binary, serverArgs(port, dir, appendFsync)...)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w; install Redis 7 or name its binary with --redis-server", binary, err)
	}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 1, DisableIdentity: true})
	if err := s.waitUntilUp(ctx); err != nil {
		return nil, err
	}
	info, err := s.info(ctx, "server")
	if err != nil {
		return nil, err
	}
	s.Version = info["redis_version"]
	return s, nil
}

// serverArgs are the server's settings. Snapshots and rewrites of the
// append-only file are off: a fork in the middle of one measurement would
// be in that one only. So are the latency histograms and the slow log: their
// memory, a few 10 KB the first time a command is used, is not the runs'.
func serverArgs(port int, dir, appendFsync string) []string {
	args := []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--logfile", filepath.Join(dir, "redis.log"), "--loglevel", "warning",
		"--save", "", "--maxmemory-policy", "noeviction", "--auto-aof-rewrite-percentage", "0",
		"--latency-tracking", "no", "--slowlog-log-slower-than", "-1",
	}
	if appendFsync == fsyncNone {
		return append(args, "--appendonly", "no")
	}
	return append(args, "--appendonly", "yes", "--appendfsync", appendFsync)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port for redis-server: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *server) waitUntilUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		err := s.rdb.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "redis.log"))
			return fmt.Errorf("redis-server did not answer on %s within %v: %w; its log: %s", s.Addr, startWithin, err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Empty removes all keys.
func (s *server) Empty(ctx context.Context) error {
	if err := s.rdb.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty the server: %w", err)
	}
	return nil
}

// Close kills the server and removes its files.
func (s *server) Close() error {
	var errs []error
	if s.rdb != nil {
		errs = append(errs, s.rdb.Close())
	}
	if s.cmd != nil && s.cmd.Process != nil {
		errs = append(errs, s.cmd.Process.Kill())
		_ = s.cmd.Wait() // says "killed", as intended
	}
	errs = append(errs, os.RemoveAll(s.dir))
	return errors.Join(errs...)
}
