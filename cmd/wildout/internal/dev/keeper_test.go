package dev

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/crashtest"
)

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestRedisThatEndsComesBack: with its data, at the same address, and it is told.
func TestRedisThatEndsComesBack(t *testing.T) {
	program, version := findRedis(t.Context())
	if program == "" {
		t.Fatal("no redis-server: hack/services.sh installs it")
	}
	said := &lines{}
	o := &Options{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(said, nil))}
	server, err := startChild(t.Context(), program, version, o)
	if err != nil {
		t.Fatal(err)
	}
	stopped := sync.OnceFunc(server.stop)
	defer stopped()
	addr := strings.TrimSuffix(strings.TrimPrefix(server.url, "redis://"), "/0")
	ask := func(args ...any) (any, error) {
		c, err := crashtest.Dial(addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.Do(args...)
	}
	if _, err := ask("SET", "kept", "yes"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, _ = ask("SHUTDOWN") // the answer is the end of the connection
	for {
		if kept, err := ask("GET", "kept"); err == nil && kept == "yes" {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("it does not come back; said:\n%s", said)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, want := range []string{"has ended by itself", "runs again"} {
		for !strings.Contains(said.String(), want) {
			if ctx.Err() != nil {
				t.Fatalf("nobody said that it %s:\n%s", want, said)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	stopped()
	if _, err := ask("PING"); err == nil {
		t.Error("it runs on after the end")
	}
}
