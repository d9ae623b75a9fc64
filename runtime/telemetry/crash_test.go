package telemetry_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/telemetry"
	"github.com/wildout/wildout/runtime/worker"
)

// victimRedis makes the test program a runner that will be killed.
const victimRedis = "TELEMETRY_TEST_VICTIM_REDIS"

const victimSpec = `
    triggers: [{event: a}]
    steps:
    - {name: first, handler: ok}
    - {name: second, handler: stay}`

func TestOneTraceAcrossACrash(t *testing.T) {
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimRedis+"="+r.redis.URL())
	victim.Stderr = os.Stderr
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	dead := false
	t.Cleanup(func() {
		if !dead {
			_ = victim.Process.Kill()
			_ = victim.Wait()
		}
	})
	r.send(event.Event{Type: "a"})
	first := c.await("step first", 1)[0]
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	dead = true
	wildout.Add(r.handlers, "stay", func(context.Context, any) (string, error) { return "went on", nil })
	r.start("survivor", "f", victimSpec)
	run, second := c.await("run f", 1)[0], c.await("step second", 1)[0]
	if first.trace() != run.trace() || first.parent() != run.id() || second.parent() != run.id() {
		t.Errorf("first is %s below %s, second below %s, the run is %s, %s", first.trace(), first.parent(), second.parent(), run.trace(), run.id())
	}
	if first.resource["service.instance.id"] != "victim" || run.resource["service.instance.id"] != "survivor" {
		t.Errorf("sent by %v and %v", first.resource, run.resource)
	}
	if n := len(c.all()); n != 3 {
		t.Errorf("%d spans, want the run, first and second", n)
	}
}

// runVictim runs the function until the process is killed.
func runVictim(url string) {
	s, err := store.Open(store.Options{URL: url, Namespace: "t"})
	if err != nil {
		panic(err)
	}
	handlers := &wildout.Registry{}
	wildout.Add(handlers, "ok", func(context.Context, any) (string, error) { return "fine", nil })
	wildout.Add(handlers, "stay", func(ctx context.Context, _ any) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	tracing := telemetry.Start(context.Background(), telemetry.Options{Service: "f", Instance: "victim"})
	p, err := compileSpec("f", victimSpec)
	if err != nil {
		panic(err)
	}
	w, err := worker.New(worker.Options{Store: worker.OnRedis(runs.New(s)), Plan: p, Handlers: handlers, Name: "victim",
		Created: time.Unix(1, 0), // its events may come before a runner does
		Lease:   500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Tracing: tracing})
	if err != nil {
		panic(err)
	}
	_ = w.Run(context.Background())
}
