package store

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/internal/servicetest"
)

// What real servers answer, and what the way to them does: each fault is made.
func TestFaultsOfServers(t *testing.T) {
	for name, tc := range map[string]struct {
		want  Fault
		fault func(t *testing.T) error
	}{
		"nobody listens": {Away, func(t *testing.T) error {
			return pingAt(t, Options{URL: "redis://127.0.0.1:1"})
		}},
		"no such host": {Away, func(t *testing.T) error {
			return pingAt(t, Options{URL: "redis://redis.invalid:6379"})
		}},
		"paused": {Slow, func(t *testing.T) error {
			r := servicetest.StartRedis(t)
			r.Pause()
			t.Cleanup(r.Resume)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			return openAt(t, Options{URL: r.URL()}).Ping(ctx)
		}},
		"no TLS there": {Slow, func(t *testing.T) error { // it waits for the end of a line
			r := servicetest.StartRedis(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			return openAt(t, Options{URL: "rediss://" + r.Addr}).Ping(ctx)
		}},
		"no place for another client": {Away, func(t *testing.T) error { // it says so and hangs up before it is asked
			r := servicetest.StartRedis(t)
			told(t, r, "CONFIG", "SET", "maxclients", "1")
			holder := redis.NewClient(&redis.Options{Addr: r.Addr, PoolSize: 1})
			t.Cleanup(func() { _ = holder.Close() })
			if err := until(t, NoFault, func() error { return holder.Ping(t.Context()).Err() }); err != nil {
				t.Fatal(err)
			}
			return until(t, Away, func() error { return pingAt(t, Options{URL: r.URL()}) })
		}},
		"TLS is wanted": {Away, func(t *testing.T) error {
			r := servicetest.StartRedis(t, servicetest.TLS(t, servicetest.NewAuthority(t, "a")))
			return pingAt(t, Options{URL: "redis://" + r.Addr})
		}},
		"an authority that nobody trusts": {Untrusted, func(t *testing.T) error {
			r := servicetest.StartRedis(t, servicetest.TLS(t, servicetest.NewAuthority(t, "a")))
			return pingAt(t, Options{URL: r.URL()})
		}},
		"no password": {Unauthenticated, func(t *testing.T) error {
			r := servicetest.StartRedis(t, servicetest.Password("right"))
			return pingAt(t, Options{URL: "redis://" + r.Addr})
		}},
		"a wrong password": {Unauthenticated, func(t *testing.T) error {
			r := servicetest.StartRedis(t, servicetest.Password("right"))
			return pingAt(t, Options{URL: strings.Replace(r.URL(), "right", "wrong", 1)})
		}},
		"a user who may not": {Forbidden, func(t *testing.T) error {
			r := servicetest.StartRedis(t)
			told(t, r, "ACL", "SETUSER", "u", "on", ">p", "~other:*", "+@all")
			return openAt(t, Options{URL: "redis://u:p@" + r.Addr}).rdb.Set(t.Context(), "wo:x", 1, 0).Err()
		}},
		"full": {Full, func(t *testing.T) error {
			return set(t, "maxmemory", "1mb").Set(t.Context(), "x", strings.Repeat("x", 1<<21), 0).Err()
		}},
		"no disk": {Unsaved, func(t *testing.T) error {
			rdb := set(t, "save", "3600 1")
			if err := os.RemoveAll(rdb.ConfigGet(t.Context(), "dir").Val()["dir"]); err != nil {
				t.Fatal(err)
			}
			return until(t, Unsaved, func() error {
				_ = rdb.BgSave(t.Context()).Err() // it fails once it is under way
				return rdb.Set(t.Context(), "x", 1, 0).Err()
			})
		}},
		"a replica": {ReadOnly, func(t *testing.T) error {
			return set(t, "replicaof", "127.0.0.1 1").Set(t.Context(), "x", 1, 0).Err()
		}},
		"a replica that has lost its primary": {Starting, func(t *testing.T) error {
			return set(t, "replica-serve-stale-data", "no", "replicaof", "127.0.0.1 1").Get(t.Context(), "x").Err()
		}},
		"too few replicas": {Busy, func(t *testing.T) error {
			return set(t, "min-replicas-to-write", "1").Set(t.Context(), "x", 1, 0).Err()
		}},
		"a script without an end": {Busy, func(t *testing.T) error {
			rdb := set(t, "busy-reply-threshold", "1")
			go func() { _ = rdb.Eval(context.Background(), "while true do end", nil).Err() }()
			err := until(t, Busy, func() error { return rdb.Set(t.Context(), "x", 1, 0).Err() })
			_ = rdb.ScriptKill(t.Context()).Err()
			return err
		}},
		"a cluster without its slots": {Starting, func(t *testing.T) error {
			r := servicetest.StartRedis(t, servicetest.Cluster())
			rdb := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
			t.Cleanup(func() { _ = rdb.Close() })
			told(t, r, "CLUSTER", "DELSLOTSRANGE", "0", "16383")
			return until(t, Starting, func() error { return rdb.Set(t.Context(), "x", 1, 0).Err() })
		}},
		"keys at two nodes": {Refused, func(t *testing.T) error {
			r := servicetest.StartRedis(t, servicetest.Cluster())
			rdb := redis.NewClient(&redis.Options{Addr: r.Addr})
			t.Cleanup(func() { _ = rdb.Close() })
			return rdb.MGet(t.Context(), "x", "y").Err()
		}},
		"another type": {WrongType, func(t *testing.T) error {
			rdb := set(t)
			rdb.Set(t.Context(), "x", 1, 0)
			return rdb.XLen(t.Context(), "x").Err()
		}},
		"another type in a script": {WrongType, func(t *testing.T) error {
			rdb := set(t)
			rdb.Set(t.Context(), "x", 1, 0)
			return rdb.Eval(t.Context(), "return redis.call('XLEN', KEYS[1])", []string{"x"}).Err()
		}},
		"full in a script": {Full, func(t *testing.T) error {
			rdb := set(t, "maxmemory", "1mb")
			return rdb.Eval(t.Context(), "return redis.call('SET', KEYS[1], ARGV[1])", []string{"x"}, strings.Repeat("x", 1<<21)).Err()
		}},
		"no script": {NoScript, func(t *testing.T) error {
			return set(t).EvalSha(t.Context(), strings.Repeat("0", 40), nil).Err()
		}},
		"no group": {NoGroup, func(t *testing.T) error {
			return set(t).XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "f", Consumer: "r", Streams: []string{"x", ">"}, Block: -1}).Err()
		}},
		"no stream": {NoGroup, func(t *testing.T) error { return set(t).XInfoGroups(t.Context(), "x").Err() }},
		"a group that is there": {GroupExists, func(t *testing.T) error {
			rdb := set(t)
			_ = rdb.XGroupCreateMkStream(t.Context(), "x", "f", "0").Err()
			return rdb.XGroupCreateMkStream(t.Context(), "x", "f", "0").Err()
		}},
		"a script of ours that refuses": {Fenced, func(t *testing.T) error {
			return set(t).Eval(t.Context(), "return redis.error_reply('FENCED no')", nil).Err()
		}},
		"a command that there is not": {Refused, func(t *testing.T) error { return set(t).Do(t.Context(), "NONSENSE").Err() }},
		"a client that is closed": {Stopped, func(t *testing.T) error {
			rdb := set(t)
			_ = rdb.Close()
			return rdb.Ping(t.Context()).Err()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.fault(t)
			if got := FaultOf(err); got != tc.want {
				t.Errorf("FaultOf(%v) = %q, want %q", err, got, tc.want)
			}
			if traits[tc.want].general && tc.want != Stopped && Advice(Explain(err)) == "" {
				t.Errorf("nobody is told what to do about %v", err)
			}
		})
	}
}

// openAt opens a connection for a test.
func openAt(t *testing.T, o Options) *Conn {
	t.Helper()
	o.Namespace = "n"
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// pingAt says why there is no answer.
func pingAt(t *testing.T, o Options) error {
	t.Helper()
	return openAt(t, o).Ping(t.Context())
}

// told sends a command that must succeed.
func told(t *testing.T, r *servicetest.Redis, command ...any) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr})
	defer rdb.Close()
	if err := rdb.Do(t.Context(), command...).Err(); err != nil {
		t.Fatal(err)
	}
}

// set starts a server with those settings, names and values.
func set(t *testing.T, settings ...string) redis.UniversalClient {
	t.Helper()
	c := openAt(t, Options{URL: servicetest.StartRedis(t).URL()})
	for i := 0; i < len(settings); i += 2 {
		var err error
		if settings[i] == "replicaof" {
			host, port, _ := strings.Cut(settings[i+1], " ")
			err = c.rdb.Do(t.Context(), "REPLICAOF", host, port).Err()
		} else {
			err = c.rdb.ConfigSet(t.Context(), settings[i], settings[i+1]).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c.rdb
}

// until calls again and again, for up to 30 s, until the fault is that one.
func until(t *testing.T, want Fault, call func() error) error {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := call()
		if FaultOf(err) == want || time.Since(began) > 30*time.Second {
			return err
		}
	}
}
