package survey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/survey/guard"
	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/internal/servicetest"
)

// A server that never answers holds up nobody who uses another: neither when it
// is asked, nor when those who used it go.
func TestOneServerHoldsUpNoOther(t *testing.T) {
	running(t, func(r *rig) {
		slow := newFake()
		r.at["two.example:6379"] = slow
		r.secrets.set("shop/two", "redis://two.example:6379/0")
		stuck := f("stuck")
		stuck.Secret = "two"
		r.Follow(stuck)
		time.Sleep(r.o.Interval)
		synctest.Wait()
		slow.hangs = true
		for i := range 32 {
			r.RemoveFunction(name(fmt.Sprint("gone", i)), "two", nil)
		}
		time.Sleep(time.Second) // it has begun
		synctest.Wait()
		if got := slow.did("uninstall"); len(got) != 1 {
			t.Fatalf("%d removals have begun, want 1", len(got))
		}
		r.redis.of("shop/f").Missing = []string{"a/b"}
		began := time.Now()
		r.Follow(f("f", "a/b"))
		for len(r.redis.did("create")) == 0 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			if time.Since(began) > time.Minute {
				t.Fatal("a healthy one gets no group")
			}
		}
		if took := time.Since(began); took > 2*together {
			t.Errorf("a healthy one gets its group after %s", took)
		}
		r.RemoveFunction(name("f"), "wildout-redis", nil)
		time.Sleep(2 * together)
		synctest.Wait()
		if !r.RemoveFunction(name("f"), "wildout-redis", nil).Done {
			t.Error("a healthy one is not removed")
		}
		// That the server is away is known before all have been tried.
		time.Sleep(3 * r.patience())
		synctest.Wait()
		isTrouble(t, r.Follow(stuck).Trouble, view.Unreachable)
		if got := r.RemoveFunction(name("gone31"), "two", nil); got.Done || got.Err == nil {
			t.Errorf("the last one is %+v", got)
		}
	})
}

// A client that trips over what a server sends takes nobody with it.
func TestPanicIsTrouble(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	s := r.connected()
	r.redis.panics = true
	r.lookAt(s)
	isTrouble(t, r.Follow(f("f")).Trouble, view.Refused)
	if words := r.Follow(f("f")).Trouble.Words; strings.Contains(words, "slice bounds") {
		t.Errorf("it says %s", words)
	}
	r.redis.panics = false
	r.lookAt(s) // no lock is held
	isTrouble(t, r.Follow(f("f")).Trouble, -1)
}

// What answers need be no Redis. Nothing that it says is told, no answer of its
// is kept, and the Redis of others is looked at meanwhile.
func TestHostileServers(t *testing.T) {
	const secret = "s3cret banner"
	for what, test := range map[string]struct {
		sends string
		kind  view.TroubleKind
		words string
	}{
		"2^63-8 bytes":  {"$9223372036854775800\r\n", view.Refused, "larger than the operator reads"},
		"8 GiB":         {"$8589934592\r\nabc", view.Refused, "larger than the operator reads"},
		"endless line":  {"+" + strings.Repeat(secret, 100_000), view.Refused, "larger than the operator reads"},
		"deep arrays":   {strings.Repeat("*1\r\n", 100_000), view.Refused, "larger than the operator reads"},
		"a web server":  {"HTTP/1.1 400 " + secret + "\r\n\r\n", view.Refused, "is no Redis"},
		"a mail server": {"220 " + secret + "\r\n", view.Refused, "is no Redis"},
		"an error":      {strings.Repeat("-ERR "+secret+"\r\n", 8), view.Refused, "the operator's log says"},
		"a refusal":     {strings.Repeat("-NOAUTH "+secret+"\r\n", 8), view.Unauthorized, "asks for a password"},
		"a hang-up":     {"", view.Unreachable, "the connection to Redis broke"},
	} {
		t.Run(what, func(t *testing.T) {
			known := surveyed(t, listen(t, test.sends))
			isTrouble(t, known.Trouble, test.kind)
			if words := known.Trouble.Words; strings.Contains(words, secret) || !strings.Contains(words, test.words) {
				t.Errorf("it says %s, want …%s…", words, test.words)
			}
		})
	}
}

// An address that the operator may not connect to gets no connection.
func TestAddressThatIsNotAllowed(t *testing.T) {
	connected := false
	url := listen(t, "+OK\r\n", func() { connected = true })
	known := surveyed(t, strings.Replace(url, "127.0.0.1", "127.0.0.2", 1), netip.MustParsePrefix("127.0.0.1/32"))
	isTrouble(t, known.Trouble, view.NotAllowed)
	if connected {
		t.Error("it was connected to")
	}
}

// listen is a server, at all addresses of this machine, that answers each request
// with that.
func listen(t *testing.T, sends string, accepted ...func()) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	serve := func(conn net.Conn) {
		defer conn.Close()
		request := make([]byte, 32<<10)
		for {
			_, err := conn.Read(request)
			if err != nil || sends == "" {
				return
			}
			if _, err := conn.Write([]byte(sends)); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			for _, tell := range accepted {
				tell()
			}
			go serve(conn)
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "redis://127.0.0.1:" + port + "/0"
}

// surveyed runs a Poller until it knows a function of the Redis at that URL, and
// one of another namespace with a Redis that is all right.
func surveyed(t *testing.T, url string, allowed ...netip.Prefix) view.Function {
	t.Helper()
	redis := servicetest.StartRedis(t)
	r := newRig(t)
	r.secrets.set("shop/wildout-redis", url)
	r.secrets.set("other/wildout-redis", redis.URL())
	p, err := New(Options{Secrets: r.secrets, Interval: 20 * time.Millisecond, Guard: guard.Options{Addresses: allowed}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	healthy := Function{Name: types.NamespacedName{Namespace: "other", Name: "f"}, Secret: "wildout-redis", Types: []string{"a/b"}}
	ended := make(chan error)
	go func() { ended <- p.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		hostile, other := p.Follow(f("f")), p.Follow(healthy)
		if hostile.Asked && other.Numbers != nil {
			isTrouble(t, other.Trouble, -1)
			return hostile
		}
		if time.Now().After(end) {
			t.Fatalf("known are %+v and %+v", hostile, other)
		}
	}
}
