package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisServer is a Redis of our own, with persistence as the safety gate wants
// it.
type redisServer struct {
	*process
	addr string
}

func startRedis(ctx context.Context, folder, program string) (*redisServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &redisServer{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	r.process, err = start(folder, "redis", program, []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "",
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"}, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: run `make services`, or name the program with --redis-server", err)
	}
	err = r.until(ctx, 10*time.Second, func() error { _, err := r.info(ctx); return err })
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *redisServer) url() string { return "redis://" + r.addr + "/0" }

// effort is what a Redis has done since it began.
type effort struct {
	Commands float64
	CPU      time.Duration
}

// effort asks the server.
func (r *redisServer) effort(ctx context.Context) (effort, error) {
	info, err := r.info(ctx)
	if err != nil {
		return effort{}, err
	}
	var e effort
	var cpu float64
	for key, into := range map[string]*float64{"total_commands_processed": &e.Commands, "used_cpu_user": &cpu, "used_cpu_sys": &cpu} {
		n, err := strconv.ParseFloat(info[key], 64)
		if err != nil {
			return effort{}, fmt.Errorf("INFO of Redis: %s: %w", key, err)
		}
		*into += n
	}
	e.CPU = time.Duration(cpu * float64(time.Second))
	return e, nil
}

// info is the answer to INFO, in the plain protocol: only runtime/store may
// have a Redis client.
func (r *redisServer) info(ctx context.Context) (map[string]string, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return nil, fmt.Errorf("reach Redis: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	if _, err := io.WriteString(conn, "INFO\r\n"); err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	reply := bufio.NewReader(conn)
	head, err := reply.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read the answer of Redis: %w", err)
	}
	size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil {
		return nil, fmt.Errorf("redis answers %q to INFO", strings.TrimSpace(head))
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(reply, text); err != nil {
		return nil, fmt.Errorf("read the answer of Redis: %w", err)
	}
	info := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	return info, nil
}
