package front_test

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wildout/wildout/cmd/wildout/internal/front"
	"github.com/wildout/wildout/internal/servicetest"
)

var (
	//go:embed testdata/contract.mjs
	contractScript string
	//go:embed testdata/dev.mjs
	devScript string
)

// outcome is what a part of the script reports.
type outcome struct {
	Result struct{ IDs []string }
	Error  string
}

// flaky stands before a gateway: it breaks the first connection after the
// gateway has answered, and puts an error of its own in place of the second
// answer.
func flaky(t *testing.T, behind string) (address string, requests *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	requests = &atomic.Int64{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(response *http.Response) error {
			switch requests.Add(1) {
			case 1:
				panic(http.ErrAbortHandler)
			case 2:
				response.StatusCode, response.Status = http.StatusBadGateway, "502 Bad Gateway"
				response.Body, response.ContentLength = http.NoBody, 0
				response.Header.Set("Content-Length", "0")
			}
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL, requests
}

// The official Inngest client, as npm has it, is sent through all it does with
// the event API.
func TestInngestClient(t *testing.T) {
	redis := servicetest.StartRedis(t)
	r := start(t, redis)
	anyone := start(t, redis, func(o *front.Options) { o.Config = "" })
	flakyURL, requests := flaky(t, r.events)
	cmd := servicetest.NodeCommand(t, contractScript)
	cmd.Env = append(os.Environ(), "INNGEST_BASE_URL="+r.events, "INNGEST_EVENT_KEY="+shopKey, "FLAKY="+flakyURL, "ANYONE="+anyone.events)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("the client failed: %v", err)
	}
	var report map[string]outcome
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for name, want := range map[string]struct {
		ids    int
		err    string
		stream string // that has want.ids events then, or what it has is not looked at
	}{
		"one":               {1, "", "shop/one"},
		"no data":           {1, "", "shop/no-data"},
		"many":              {3, "", "shop/many"},
		"5000":              {5000, "", "shop/lots"},
		"5001":              {0, "the array has more than 5000 events", "shop/too-many"},
		"first with an id":  {1, "", "shop/id"},
		"second with an id": {1, "", "shop/id"},
		"unicode":           {1, "", "shop/unicode"},
		"big":               {1, "", "shop/big"},
		"too big":           {0, "the limit is 1048576", "shop/too-big"},
		"bad data":          {0, "event 1: data.email is missing", "user/registered"},
		"reserved":          {0, "is reserved for what the system sends itself", ""},
		"forbidden":         {0, `shop may not send events of the type "bank/transfer"`, "bank/transfer"},
		"wrong key":         {0, "Event key not found", ""},
		"broken":            {2, "", "shop/broken"},
		"branch":            {1, "", "shop/branch"},
		"explicit dev":      {1, "", "dev/one"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := report[name]
			if !ok {
				t.Fatal("the script reports nothing of it")
			}
			if len(got.Result.IDs) != want.ids || (want.err == "") != (got.Error == "") || !strings.Contains(got.Error, want.err) {
				t.Errorf("%d ids, error %q, want %d, %q", len(got.Result.IDs), got.Error, want.ids, want.err)
			}
			if want.stream == "" {
				return
			}
			events := r.stream(want.stream)
			if len(events) != want.ids {
				t.Fatalf("%d events in the stream, want %d", len(events), want.ids)
			}
			for i, e := range events {
				if e.ID != got.Result.IDs[i] {
					t.Errorf("event %d has the id %s, the client was told %s", i, e.ID, got.Result.IDs[i])
				}
			}
		})
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("the client sent %d requests through the flaky proxy, want 3", n)
	}
	if e := r.stream("shop/id")[0]; string(e.Data) != `{"n":1}` || e.ID != "order-7" {
		t.Errorf("of two events with one id %+v is left, want the first", e)
	}
	if data := string(r.stream("shop/unicode")[0].Data); !strings.Contains(data, "ключ") || !strings.Contains(data, "🦦") {
		t.Errorf("data %s", data)
	}
}

func TestInngestClientInDevMode(t *testing.T) {
	r := start(t, servicetest.StartRedis(t), func(o *front.Options) { o.Config = "" })
	cmd := servicetest.NodeCommand(t, devScript)
	cmd.Env = append(os.Environ(), "INNGEST_DEV="+r.events)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("the client failed: %v", err)
	}
	var sent struct{ IDs []string }
	if err := json.Unmarshal(output, &sent); err != nil || len(sent.IDs) != 1 || len(r.stream("dev/two")) != 1 {
		t.Errorf("output %s, error %v, %d events", output, err, len(r.stream("dev/two")))
	}
}
