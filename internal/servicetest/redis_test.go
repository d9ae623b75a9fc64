package servicetest

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func TestRedisKeepsItsDataWhenAsked(t *testing.T) {
	for name, test := range map[string]struct {
		policy string
		end    func(*Redis)
		want   string
	}{
		"always, killed":    {"always", (*Redis).Kill, "$1"},
		"everysec, stopped": {"everysec", (*Redis).Stop, "$1"},
		"no, stopped":       {"no", (*Redis).Stop, "$-1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := StartRedis(t, AppendFsync(test.policy))
			if reply := ask(t, r, "SET k v"); reply != "+OK" {
				t.Fatalf("SET: %s", reply)
			}
			test.end(r)
			if listening(r.Addr) {
				t.Fatal("it still listens")
			}
			r.Start()
			if reply := ask(t, r, "GET k"); reply != test.want {
				t.Errorf("GET after the restart: %s, want %s", reply, test.want)
			}
		})
	}
}

func TestRedisOptions(t *testing.T) {
	r := StartRedis(t, Password("a b"), MaxMemory("100kb"))
	if want := "redis://:a%20b@" + r.Addr + "/0"; r.URL() != want {
		t.Errorf("URL %s, want %s", r.URL(), want)
	}
	if reply := ask(t, r, "PING"); !strings.HasPrefix(reply, "-NOAUTH") {
		t.Errorf("PING without the password: %s", reply)
	}
	if err := pingRedis(context.Background(), r.Addr, &redisConfig{password: "wrong"}); err == nil {
		t.Error("a wrong password is taken")
	}
	if reply := ask(t, r, `AUTH "a b"`, "SET k v"); !strings.HasPrefix(reply, "-OOM") {
		t.Errorf("SET above the memory limit: %s", reply)
	}
}

func TestRedisPause(t *testing.T) {
	r := StartRedis(t)
	r.Pause()
	if err := pingRedis(context.Background(), r.Addr, &redisConfig{}); err == nil {
		t.Error("a paused server answers")
	}
	r.Resume()
	if err := pingRedis(context.Background(), r.Addr, &redisConfig{}); err != nil {
		t.Errorf("a resumed server does not answer: %v", err)
	}
	r.Pause()
	r.Stop() // ends a paused server too
	if listening(r.Addr) {
		t.Error("it still listens")
	}
}

// ask sends lines on a connection of their own and returns the first line of
// the last reply.
func ask(t *testing.T, r *Redis, lines ...string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies := bufio.NewReader(conn)
	var reply string
	for _, line := range lines {
		if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
			t.Fatal(err)
		}
		if reply, err = replies.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return strings.TrimSpace(reply)
}

func TestRedisWithTLS(t *testing.T) {
	authority := NewAuthority(t, "ours")
	r := StartRedis(t, TLS(t, authority), Password("a"))
	if want := "rediss://:a@" + r.Addr + "/0"; r.URL() != want {
		t.Errorf("URL %s, want %s", r.URL(), want)
	}
	for name, test := range map[string]struct {
		config redisConfig
		says   string
	}{
		"with its authority": {redisConfig{password: "a", ca: authority.CA}, ""},
		"with another one":   {redisConfig{password: "a", ca: NewAuthority(t, "another").CA}, "unknown authority"},
		"in the clear":       {redisConfig{password: "a"}, "EOF"},
	} {
		err := pingRedis(t.Context(), r.Addr, &test.config)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) && !strings.Contains(err.Error(), "reset")) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}
