package front_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wildout/wildout/cmd/wildout/internal/front"
	"github.com/wildout/wildout/internal/servicetest"
)

func TestSendersKeysAndTypes(t *testing.T) {
	r := start(t, servicetest.StartRedis(t))
	r.expect(200, shopKey, "shop/order")
	r.expect(403, shopKey, "site/visit")
	r.expect(401, "key-of-nobody-at-all", "shop/order")
	r.expect(401, "", "shop/order")
	r.expect(400, shopKey, "user/registered")
	const body = `{"name":"shop/order","data":{}}`
	for _, path := range []string{"/e", "/e/", "/e/unknown"} {
		if status, text, _ := r.post(path, body, "Authorization: Bearer "+shopKey); status != 200 {
			t.Errorf("%s with a bearer token: %d %s", path, status, text)
		}
	}
	status, text, header := r.post("/e/unknown", body)
	if status != 401 || header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(text, `"error":"Event key not found"`) {
		t.Errorf("%d %s %v", status, text, header)
	}
	if strings.Contains(r.log.String(), shopKey) {
		t.Error("the log has a key")
	}
}

func TestOtherWaysIn(t *testing.T) {
	r := start(t, servicetest.StartRedis(t))
	event := []string{"Ce-Specversion: 1.0", "Ce-Type: shop/cloud", "Ce-Id: 1", "Ce-Source: /test", "Content-Type: application/json", "Authorization: Bearer " + shopKey}
	for _, path := range []string{"/cloudevents", "/"} {
		if status, text, _ := r.post(path, `{"n":1}`, event...); status != http.StatusAccepted {
			t.Errorf("CloudEvent at %s: %d %s", path, status, text)
		}
	}
	if n := len(r.stream("shop/cloud")); n != 1 {
		t.Errorf("%d events of two with one id", n)
	}
	if status, text, _ := r.post("/webhooks/open", `{"n":1}`); status != 200 || len(r.stream("open/hook")) != 1 {
		t.Errorf("webhook: %d %s", status, text)
	}
	if status, _, _ := r.post("/webhooks/other", `{}`); status != 404 {
		t.Errorf("another webhook: %d", status)
	}
}

func TestEverythingIsReplacedWhileItRuns(t *testing.T) {
	r := start(t, servicetest.StartRedis(t), func(o *front.Options) { o.Strict = true })
	try := func(key, eventType, data string) int {
		status, _, _ := r.post("/e/"+key, fmt.Sprintf(`{"name":%q,"data":%s}`, eventType, data))
		return status
	}
	// A second key, then without the first.
	const next = "another-key-of-the-shop"
	write(t, r.dir, map[string]string{"keys/shop/2": next})
	const good = `{"userId":"u","email":"u@x.example"}`
	eventually(t, "the second key", func() bool { return try(next, "user/registered", good) == 200 })
	if status := try(shopKey, "user/registered", good); status != 200 {
		t.Errorf("the first key beside the second: %d", status)
	}
	if err := os.Remove(filepath.Join(r.dir, "keys", "shop", "1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the first key", func() bool { return try(shopKey, "user/registered", good) == 401 })
	// Another sender, by the configuration.
	write(t, r.dir, map[string]string{"keys/bank/1": siteKey + "-of-the-bank", "gateway.yaml": senders + "\n"})
	write(t, r.dir, map[string]string{"gateway.yaml": strings.Replace(senders, "webhooks:", "- {name: bank, keys: keys/bank, eventTypes: ['*']}\nwebhooks:", 1)})
	eventually(t, "another sender", func() bool { return try(siteKey+"-of-the-bank", "user/registered", good) == 200 })
	// A configuration with a fault changes nothing, and is said.
	write(t, r.dir, map[string]string{"gateway.yaml": "senders: [{name: shop, key: x}]"})
	eventually(t, "a word about the fault", func() bool { return strings.Contains(r.log.String(), "senders[0].key") })
	if status := try(next, "user/registered", good); status != 200 {
		t.Errorf("after a bad configuration: %d", status)
	}
	if _, text := r.get("/metrics"); !strings.Contains(text, "wildout_gateway_config_stale 1") {
		t.Error("no metric says that the configuration is stale")
	}
	// Event types.
	if status := try(next, "shop/new", `{}`); status != 400 {
		t.Errorf("a type that nobody declared: %d", status)
	}
	write(t, r.dir, map[string]string{"types/new.yaml": "apiVersion: wildout.dev/v1alpha1\nkind: WildoutEventType\nmetadata: {name: new}\nspec: {type: shop/new}\n"})
	eventually(t, "a new event type", func() bool { return try(next, "shop/new", `{}`) == 200 })
	write(t, r.dir, map[string]string{"types/new.yaml": "apiVersion: wildout.dev/v1alpha1\nkind: WildoutEventType\nmetadata: {name: new}\nspec: {tipe: shop/new}\n"})
	eventually(t, "a word about the event type", func() bool { return strings.Contains(r.log.String(), "the last good ones stay") })
	if status := try(next, "shop/new", `{}`); status != 200 {
		t.Errorf("after a bad event type: %d", status)
	}
}

func TestRatesHoldOverAllGateways(t *testing.T) {
	redis := servicetest.StartRedis(t)
	gateways := []*rig{start(t, redis), start(t, redis)}
	accepted := 0
	var last http.Header
	for i := range 12 {
		status, text, header := gateways[i%2].post("/e/"+siteKey, `{"name":"site/visit"}`)
		switch status {
		case 200:
			accepted++
		case 429:
			last = header
		default:
			t.Fatalf("status %d: %s", status, text)
		}
	}
	if accepted != 5 || len(gateways[0].stream("site/visit")) != 5 {
		t.Errorf("%d accepted, %d in the stream, want 5", accepted, len(gateways[0].stream("site/visit")))
	}
	if wait := last.Get("Retry-After"); wait != "1800" {
		t.Errorf("Retry-After %s, want half an hour", wait)
	}
	gateways[0].expect(200, shopKey, "shop/order") // others are not concerned
	status, text, _ := gateways[0].post("/e/"+siteKey, `[`+strings.Repeat(`{"name":"site/visit"},`, 5)+`{"name":"site/visit"}]`)
	if status != 413 || !strings.Contains(text, "site may send 5 at once") {
		t.Errorf("%d %s", status, text)
	}
}

func TestProbes(t *testing.T) {
	redis := servicetest.StartRedis(t)
	r := start(t, redis)
	eventually(t, "ready", func() bool { status, _ := r.get("/readyz"); return status == 200 })
	redis.Stop()
	eventually(t, "not ready without Redis", func() bool {
		status, text := r.get("/readyz")
		return status == 503 && strings.Contains(text, "nothing listens")
	})
	if status, _ := r.get("/healthz"); status != 200 {
		t.Errorf("not healthy without Redis: %d; a restart would not mend it", status)
	}
	status, text, header := r.post("/e/"+shopKey, `{"name":"shop/order"}`)
	if status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", status, text, header)
	}
	redis.Start()
	eventually(t, "ready again", func() bool { status, _ := r.get("/readyz"); return status == 200 })
	r.expect(200, shopKey, "shop/order")
}

// What was answered with 200 is in Redis, though the gateway was asked to stop
// in the middle.
func TestStopLosesNothing(t *testing.T) {
	r := start(t, servicetest.StartRedis(t), func(o *front.Options) { o.Drain = 300 * time.Millisecond })
	var accepted atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				response, err := http.Post(r.events+"/e/"+shopKey, "application/json", strings.NewReader(`{"name":"shop/order"}`))
				if err != nil {
					return // the server is gone
				}
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					accepted.Add(1)
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "not ready while it drains", func() bool { status, _ := r.get("/readyz"); return status != 200 })
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	clients.Wait()
	if n := int64(len(r.stream("shop/order"))); n < accepted.Load() || accepted.Load() < 100 {
		t.Errorf("%d events were accepted, %d are in the stream", accepted.Load(), n)
	}
}

// certificate writes a new certificate for 127.0.0.1.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"gateway"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, pool := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	write(t, dir, map[string]string{"tls.crt": string(cert), "tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))})
	return pool
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	first := certificate(t, dir)
	r := start(t, servicetest.StartRedis(t), func(o *front.Options) {
		o.TLSCert, o.TLSKey = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	})
	try := func(pool *x509.CertPool) error {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "gateway"}}}
		defer client.CloseIdleConnections()
		response, err := client.Post(strings.Replace(r.events, "http:", "https:", 1)+"/e/"+shopKey, "application/json", strings.NewReader(`{"name":"shop/order"}`))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var sent struct{ IDs []string }
		if err := json.NewDecoder(response.Body).Decode(&sent); err != nil || len(sent.IDs) != 1 {
			return fmt.Errorf("answer %+v: %w", sent, err)
		}
		return nil
	}
	if err := try(first); err != nil {
		t.Fatal(err)
	}
	second := certificate(t, dir)
	eventually(t, "another certificate", func() bool { return try(second) == nil })
}

func TestFaultsAtTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"bad.yaml": "senders: [{name: a, keys: none, eventTypes: ['*']}]", "types/bad.yaml": "apiVersion: wildout.dev/v1alpha1\nkind: WildoutEventType\nmetadata: {name: a}\n"})
	for name, c := range map[string]struct {
		change func(*front.Options)
		want   string
	}{
		"no Redis URL":       {func(o *front.Options) { o.RedisURL = "http://x" }, "Redis URL"},
		"no configuration":   {func(o *front.Options) { o.Config = filepath.Join(dir, "none.yaml") }, "none.yaml"},
		"a bad one":          {func(o *front.Options) { o.Config = filepath.Join(dir, "bad.yaml") }, "senders[0].keys"},
		"bad event types":    {func(o *front.Options) { o.EventTypes = []string{filepath.Join(dir, "types")} }, "spec"},
		"no certificate":     {func(o *front.Options) { o.TLSCert, o.TLSKey = "none.crt", "none.key" }, "none.crt"},
		"an address that is": {func(o *front.Options) { o.Listen = "256.0.0.1:1" }, "--listen takes another address"},
	} {
		t.Run(name, func(t *testing.T) {
			o := front.Options{RedisURL: "redis://127.0.0.1:1/0", Namespace: "x", Listen: "127.0.0.1:0", Probes: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
			c.change(&o)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := front.Run(ctx, o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
