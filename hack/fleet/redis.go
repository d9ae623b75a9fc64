package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a Redis of our own, with persistence as the safety gate wants
// it.
type redisServer struct {
	*process
	addr   string
	client *redis.Client
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
	r.client = redis.NewClient(&redis.Options{Addr: r.addr, PoolSize: 1, DisableIdentity: true})
	err = r.until(ctx, 10*time.Second, func() error { return r.client.Ping(ctx).Err() })
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *redisServer) stop() error { return errors.Join(r.client.Close(), r.process.stop()) }

func (r *redisServer) url() string { return "redis://" + r.addr + "/0" }

// effort is what a Redis has done since it began.
type effort struct {
	Commands float64
	CPU      time.Duration
}

// effort asks the server.
func (r *redisServer) effort(ctx context.Context) (effort, error) {
	info := r.client.InfoMap(ctx, "stats", "cpu")
	if err := info.Err(); err != nil {
		return effort{}, fmt.Errorf("ask Redis what it has done: %w", err)
	}
	var e effort
	var cpu float64
	for key, into := range map[[2]string]*float64{{"Stats", "total_commands_processed"}: &e.Commands, {"CPU", "used_cpu_user"}: &cpu, {"CPU", "used_cpu_sys"}: &cpu} {
		n, err := strconv.ParseFloat(info.Item(key[0], key[1]), 64)
		if err != nil {
			return effort{}, fmt.Errorf("INFO of Redis: %s: %w", key[1], err)
		}
		*into += n
	}
	e.CPU = time.Duration(cpu * float64(time.Second))
	return e, nil
}
