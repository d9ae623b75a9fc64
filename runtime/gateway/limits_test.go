package gateway_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/gateway"
)

func events(n int) []*event.Event {
	all := make([]*event.Event, n)
	for i := range all {
		all[i] = &event.Event{Type: "any/thing", Data: []byte(`{}`)}
	}
	return all
}

// Several gateways together keep a rate, and ask Redis far less often than
// there are requests.
func TestRateOverAllGateways(t *testing.T) {
	redis := servicetest.StartRedis(t)
	namespace := fmt.Sprint("g", namespaces.Add(1))
	backends := make([]*counted, 3)
	gateways := make([]*rig, len(backends))
	for i := range gateways {
		gateways[i] = newRigIn(t, redis, namespace, func(o *gateway.Options) {
			backends[i] = &counted{Backend: o.Backend}
			o.Backend = backends[i]
		})
		gateways[i].watch()
	}
	sender := &gateway.Sender{Name: "shop", Types: []string{"*"}, Rate: &gateway.Rate{Limit: 1000, Period: time.Second, Burst: 400}}
	var accepted, refused atomic.Int64
	began := time.Now()
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			for time.Since(began) < time.Second || accepted.Load() < 1200 && time.Since(began) < 30*time.Second {
				err := gateways[i%len(gateways)].Accept(t.Context(), sender, events(1))
				if err == nil {
					accepted.Add(1)
					continue
				}
				refused.Add(1)
				if r := gateway.AsRefusal(err); r.Status != http.StatusTooManyRequests || r.RetryAfter <= 0 {
					t.Errorf("refusal %+v", r)
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	clients.Wait()
	most := int64(400 + 1000*time.Since(began).Seconds())
	if n := accepted.Load(); n > most || n < 1200 {
		t.Errorf("%d events in %s, want %d at most and 1,200 at least", n, time.Since(began), most)
	}
	asked := int64(0)
	for _, b := range backends {
		asked += b.takes.Load()
	}
	if requests := accepted.Load() + refused.Load(); asked > requests/5 {
		t.Errorf("Redis was asked %d times for %d requests", asked, requests)
	}
	t.Logf("%d accepted of %d allowed, %d refused, Redis asked %d times", accepted.Load(), most, refused.Load(), asked)
}

func TestWhatIsNotUsedGoesBack(t *testing.T) {
	backend := &counted{}
	r := newRig(t, servicetest.StartRedis(t), func(o *gateway.Options) {
		backend.Backend = o.Backend
		o.Backend = backend
	})
	r.watch()
	sender := &gateway.Sender{Name: "shop", Types: []string{"*"}, Rate: &gateway.Rate{Limit: 50, Period: time.Second, Burst: 80}}
	if err := r.Accept(t.Context(), sender, events(1)); err != nil {
		t.Fatal(err)
	}
	// 20 ms are between two events: five in advance.
	eventually(t, "the advance", func() bool { return backend.returned.Load() == 5 })
	if err := r.Accept(t.Context(), sender, events(80)); err != nil {
		t.Error(err)
	}
}

func TestABatchCountsAsItsEvents(t *testing.T) {
	r := newRig(t, servicetest.StartRedis(t))
	sender := &gateway.Sender{Name: "shop", Types: []string{"*"}, Rate: &gateway.Rate{Limit: 10, Period: time.Hour, Burst: 10}}
	for i, c := range []struct{ n, status int }{{4, 200}, {7, 429}, {6, 200}, {1, 429}} {
		err := r.Accept(t.Context(), sender, events(c.n))
		if status := gateway.AsRefusal(err).Status; err != nil && status != c.status || err == nil && c.status != 200 {
			t.Errorf("request %d of %d events: %v, want %d", i, c.n, err, c.status)
		}
	}
	if n := len(r.stream("any/thing")); n != 10 {
		t.Errorf("%d events, want 10", n)
	}
	// A rate that was changed counts at once.
	sender = &gateway.Sender{Name: "shop", Types: []string{"*"}}
	if err := r.Accept(t.Context(), sender, events(100)); err != nil {
		t.Error(err)
	}
}
