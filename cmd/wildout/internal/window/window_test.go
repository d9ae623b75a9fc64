package window_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/cmd/wildout/internal/window"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/console/web"
)

const token = "a-token-of-the-console"

const eventType = "apiVersion: wildout.dev/v1alpha1\nkind: WildoutEventType\nmetadata: {name: order}\n" +
	"spec: {type: shop/order, description: Somebody bought, schema: {type: object, required: [number], properties: {number: {type: integer}}}}\n"

type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// rig is a console that runs.
type rig struct {
	t              *testing.T
	dir            string
	people, probes string
}

func start(t *testing.T, redis *servicetest.Redis, change func(*window.Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	r.write("types/order.yaml", eventType)
	r.write("tokens", token)
	out := &log{}
	o := window.Options{RedisURL: redis.URL(), Namespace: "shop", EventTypes: []string{filepath.Join(r.dir, "types")}, Listen: "127.0.0.1:0", Probes: "127.0.0.1:0",
		Access: web.Access{TokenFile: filepath.Join(r.dir, "tokens")}, Logger: slog.New(slog.NewTextHandler(out, nil))}
	listening := make(chan struct{})
	o.Listening = func(people, probes string) {
		r.people, r.probes = "http://"+people, "http://"+probes
		close(listening)
	}
	if change != nil {
		change(&o)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- window.Run(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the console ended with: %v", err)
		}
		if strings.Contains(out.text.String(), token) {
			t.Error("the log has a token")
		}
	})
	select {
	case <-listening:
	case err := <-ended:
		t.Fatal(err)
	}
	return r
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) do(method, address, form string, header ...string) (status int, text string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, address, strings.NewReader(form))
	if err != nil {
		r.t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

const bearer = "Authorization: Bearer " + token

func TestReadOnlyUnlessTold(t *testing.T) {
	r := start(t, servicetest.StartRedis(t), nil)
	if status, _ := r.do("GET", r.people+"/functions", ""); status != 303 {
		t.Errorf("a stranger: %d", status)
	}
	status, page := r.do("GET", r.people+"/send", "", bearer)
	if status != 200 || !strings.Contains(page, "Events cannot be sent from here") || !strings.Contains(page, "read-only") {
		t.Errorf("the form: %d %s", status, page)
	}
	for path, body := range map[string]string{"/send": "type=shop/order&data={}", "/runs/x/cancel": "", "/runs/x/replay": "", "/v1/runs/x/cancel": "{}", "/v1/runs/x/replay": "{}"} {
		if status, text := r.do("POST", r.people+path, body, bearer); status != 403 {
			t.Errorf("POST %s: %d %s", path, status, text)
		}
	}
	if status, _ := r.do("GET", r.people+"/mails", "", bearer); status != 404 {
		t.Errorf("a cluster has no mails: %d", status)
	}
	if status, text := r.do("GET", r.probes+"/metrics", ""); status != 200 || !strings.Contains(text, "go_goroutines") {
		t.Errorf("metrics: %d", status)
	}
}

func TestSendIsChecked(t *testing.T) {
	r := start(t, servicetest.StartRedis(t), func(o *window.Options) { o.Access.AllowActions = true })
	form := func(data string) string { return url.Values{"type": {"shop/order"}, "data": {data}}.Encode() }
	if status, page := r.do("GET", r.people+"/send?type=shop/order", "", bearer); status != 200 || !strings.Contains(page, "Somebody bought") || !strings.Contains(page, "&#34;number&#34;: 1") {
		t.Errorf("the form: %d %s", status, page)
	}
	if status, page := r.do("POST", r.people+"/send", form(`{"number":"one"}`), bearer); status != 400 || !strings.Contains(page, "<code>data.number</code>") {
		t.Errorf("a fault: %d %s", status, page)
	}
	if status, page := r.do("POST", r.people+"/send", form(`{"number":1}`), bearer); status != 303 {
		t.Errorf("a good one: %d %s", status, page)
	}
	if status, page := r.do("GET", r.people+"/events", "", bearer); status != 200 || !strings.Contains(page, "shop/order") {
		t.Errorf("events: %d", status)
	}
	// Another schema counts without a restart.
	r.write("types/order.yaml", strings.ReplaceAll(eventType, "integer", "string"))
	deadline := time.Now().Add(10 * time.Second)
	for {
		if status, _ := r.do("POST", r.people+"/send", form(`{"number":"one"}`), bearer); status == 303 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new schema does not count")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestWithoutRedis(t *testing.T) {
	redis := servicetest.StartRedis(t)
	r := start(t, redis, nil)
	redis.Stop()
	if status, page := r.do("GET", r.people+"/runs", "", bearer); status != 503 || !strings.Contains(page, "Redis does not answer") || !strings.Contains(page, "Try again") {
		t.Errorf("%d %s", status, page)
	}
	if status, _ := r.do("GET", r.probes+"/readyz", ""); status != 503 {
		t.Errorf("ready without Redis: %d", status)
	}
	if status, _ := r.do("GET", r.probes+"/healthz", ""); status != 200 {
		t.Errorf("not healthy without Redis: %d; a restart would not mend it", status)
	}
	redis.Start()
}

func TestFaultsAtTheStart(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		options window.Options
		want    string
	}{
		"nobody":       {window.Options{RedisURL: "redis://127.0.0.1:1"}, "nobody could look"},
		"Redis":        {window.Options{RedisURL: "http://x", Access: proxy()}, "Redis"},
		"event types":  {window.Options{RedisURL: "redis://127.0.0.1:1", Access: proxy(), EventTypes: []string{filepath.Join(dir, "none")}}, "no manifests"},
		"certificate":  {window.Options{RedisURL: "redis://127.0.0.1:1", Access: proxy(), TLSCert: "none.crt", TLSKey: "none.key"}, "none.crt"},
		"the address":  {window.Options{RedisURL: "redis://127.0.0.1:1", Access: proxy(), Listen: "256.0.0.1:1"}, "--listen takes another"},
		"of the probe": {window.Options{RedisURL: "redis://127.0.0.1:1", Access: proxy(), Listen: "127.0.0.1:0", Probes: "256.0.0.1:1"}, "--listen-probes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Namespace, c.options.Logger = "shop", slog.New(slog.DiscardHandler)
			if err := window.Run(t.Context(), c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func proxy() web.Access {
	return web.Access{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, UserHeaders: []string{"X-User"}}
}
