package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/store"
)

// command sends one command to Redis, in its simplest form.
func command(t *testing.T, redis *servicetest.Redis, line string) {
	t.Helper()
	conn, err := net.Dial("tcp", redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\n", line)
	if reply, err := bufio.NewReader(conn).ReadString('\n'); err != nil || strings.HasPrefix(reply, "-") {
		t.Fatalf("%s: %q, %v", line, reply, err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const thing = `{"name":"any/thing","data":{}}`

func TestEventsAreRefusedBeforeRedisIsFull(t *testing.T) {
	redis := servicetest.StartRedis(t, servicetest.MaxMemory("20mb"))
	r := newRig(t, redis, func(o *gateway.Options) { o.MemoryThreshold = 0.7 })
	r.watch()
	eventually(t, "a first look", func() bool { return r.post(thing).Status == http.StatusOK })
	large := `{"name":"any/thing","data":{"text":"` + strings.Repeat("x", 50_000) + `"}}`
	var refused answer
	accepted := 1
	for refused.Status == 0 && accepted < 1000 {
		if a := r.post(large); a.Status != http.StatusOK {
			refused = a
		} else {
			accepted++
		}
		time.Sleep(5 * time.Millisecond) // at this pace half a second is 5 MB
	}
	if refused.Status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") != "5" || !strings.Contains(refused.Error, "no room") {
		t.Fatalf("after %d events: %+v", accepted, refused)
	}
	if memory, err := r.store.Memory(t.Context()); err != nil || memory.Used > memory.Max*95/100 {
		t.Errorf("Redis uses %d of %d bytes: it was refused too late (%v)", memory.Used, memory.Max, err)
	}
	if n := len(r.stream("any/thing")); n < accepted {
		t.Errorf("%d events in the stream, %d were accepted", n, accepted)
	}
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "raise maxmemory") {
		t.Errorf("ready says %v", err)
	}
	command(t, redis, "FLUSHALL")
	eventually(t, "room again", func() bool { return r.post(thing).Status == http.StatusOK })
	if log := r.log.String(); !strings.Contains(log, "events are refused") || !strings.Contains(log, "events are taken again") || strings.Contains(log, "OOM") {
		t.Errorf("log:\n%s", log)
	}
}

func TestWhatRedisRefusesForWantOfMemory(t *testing.T) {
	redis := servicetest.StartRedis(t, servicetest.MaxMemory("20mb"))
	r := newRig(t, redis) // nobody watches
	command(t, redis, "CONFIG SET maxmemory 100kb")
	a := r.post(thing)
	if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Error, "no room") || a.header.Get("Retry-After") == "" {
		t.Errorf("answer %+v", a)
	}
	// It is known now, without another question.
	if err := r.Ready(); err == nil {
		t.Error("the gateway says that it is ready")
	}
}

func TestSettingsOfRedisThatLoseEvents(t *testing.T) {
	redis := servicetest.StartRedis(t, servicetest.MaxMemory("20mb"))
	command(t, redis, "CONFIG SET maxmemory-policy allkeys-lru")
	r := newRig(t, redis)
	r.watch()
	eventually(t, "a warning", func() bool { return strings.Contains(r.log.String(), "set maxmemory-policy to noeviction") })
	command(t, redis, "CONFIG SET maxmemory 0")
	eventually(t, "another warning", func() bool { return strings.Contains(r.log.String(), "set maxmemory, and allow INFO") })
}

// While Redis does not answer, requests are bounded in number and in time, and
// nothing that was accepted is lost.
func TestRedisThatDoesNotAnswer(t *testing.T) {
	redis := servicetest.StartRedis(t)
	const most = 8
	backend := &counted{}
	r := newRig(t, redis, func(o *gateway.Options) {
		backend.Backend = o.Backend
		o.Backend, o.MaxRequests, o.PublishTimeout = backend, most, 500*time.Millisecond
	})
	if a := r.post(thing); a.Status != http.StatusOK {
		t.Fatalf("answer %+v", a)
	}
	redis.Pause()
	began := time.Now()
	var busy, late atomic.Int64
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			a, err := r.try(http.MethodPost, "/e/k", thing)
			switch {
			case err != nil || a.Status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "":
				t.Errorf("answer %+v, error %v", a, err)
			case strings.Contains(a.Error, "too many requests"):
				busy.Add(1)
			default:
				late.Add(1)
			}
		})
	}
	clients.Wait()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the answers took %s", took)
	}
	if busy.Load() < 50 || late.Load() < most {
		t.Errorf("%d were refused at once, %d were late", busy.Load(), late.Load())
	}
	if n := backend.most.Load(); n > 3 {
		t.Errorf("%d round trips at a time, want 3 at most", n)
	}
	redis.Resume()
	eventually(t, "another event", func() bool { return r.post(thing).Status == http.StatusOK })
}

// counted counts the calls of Accept that are under way.
type counted struct {
	gateway.Backend
	now, most, takes, returned atomic.Int64
}

func (c *counted) Accept(ctx context.Context, batches ...*store.Batch) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	c.Backend.Accept(ctx, batches...)
}

func (c *counted) TakeEvents(ctx context.Context, r store.SenderRate, n int) (int, time.Duration, error) {
	c.takes.Add(1)
	return c.Backend.TakeEvents(ctx, r, n)
}

func (c *counted) ReturnEvents(ctx context.Context, r store.SenderRate, n int) error {
	c.returned.Add(int64(n))
	return c.Backend.ReturnEvents(ctx, r, n)
}

func TestWatchKnowsThatRedisIsAway(t *testing.T) {
	redis := servicetest.StartRedis(t)
	r := newRig(t, redis)
	r.watch()
	redis.Kill()
	eventually(t, "a refusal without a try", func() bool {
		began := time.Now()
		a := r.post(thing)
		return a.Status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "2" && time.Since(began) < 200*time.Millisecond
	})
	redis.Start()
	eventually(t, "events again", func() bool { return r.post(thing).Status == http.StatusOK })
}

func TestTooManyBytesAtATime(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t), func(o *gateway.Options) { o.MaxBodyBytes, o.MaxRequestBytes = 64<<10, 64<<10 })
	large := `{"name":"any/thing","data":{"text":"` + strings.Repeat("x", 40_000) + `"}}`
	var slow net.Conn
	eventually(t, "a refusal", func() bool {
		// One that is slow holds most of the bytes, unless the next comes first.
		if slow != nil {
			slow.Close()
		}
		var err error
		if slow, err = net.Dial("tcp", strings.TrimPrefix(r.url, "http://")); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(slow, "POST /e/k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large[:len(large)-1])
		time.Sleep(50 * time.Millisecond)
		a := r.post(large)
		return a.Status == http.StatusServiceUnavailable && strings.Contains(a.Error, "too many requests")
	})
	if a := r.post(thing); a.Status != http.StatusOK {
		t.Errorf("a small one beside it: %+v", a)
	}
	slow.Close()
	eventually(t, "room again", func() bool { return r.post(large).Status == http.StatusOK })
}

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, servicetest.StartRedis(t))
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	fmt.Fprint(conn, "POST /e/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	go func() {
		for { // a byte now and then, for ever
			time.Sleep(100 * time.Millisecond)
			if _, err := conn.Write([]byte(" ")); err != nil {
				return
			}
		}
	}()
	_ = conn.SetReadDeadline(began.Add(15 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if took := time.Since(began); response.StatusCode != http.StatusRequestTimeout || took < 4*time.Second || took > 30*time.Second {
		t.Errorf("status %d after %s", response.StatusCode, took)
	}
}

// What was answered with 200 is there, though Redis was killed.
func TestAcceptedIsDurable(t *testing.T) {
	redis := servicetest.StartRedis(t, servicetest.AppendFsync("always"))
	namespace := fmt.Sprint("g", namespaces.Add(1))
	r := newRigIn(t, redis, namespace, func(o *gateway.Options) { o.PublishTimeout = 500 * time.Millisecond })
	var accepted, refused atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := r.try(http.MethodPost, "/e/k", thing)
				switch {
				case err != nil:
					t.Errorf("error %v", err)
					return
				case a.Status == http.StatusOK:
					accepted.Add(1)
				default:
					refused.Add(1)
				}
			}
		})
	}
	for range 3 {
		before := accepted.Load()
		eventually(t, "more events", func() bool { return accepted.Load() > before+20 })
		redis.Kill()
		time.Sleep(50 * time.Millisecond)
		redis.Start()
	}
	close(stop)
	clients.Wait()
	// The connections of the first one need a moment to believe that Redis is back.
	r = newRigIn(t, redis, namespace)
	if n := int64(len(r.stream("any/thing"))); n < accepted.Load() || refused.Load() == 0 {
		t.Errorf("%d events in the stream, %d were accepted, %d refused", n, accepted.Load(), refused.Load())
	}
}
