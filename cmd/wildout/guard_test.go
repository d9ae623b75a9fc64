package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wildout/wildout/cmd/wildout/internal/dev"
)

// TestDevIsNotOpenToPages: what other sites can make a browser send is
// refused, whatever the path; programs and pages of this machine are answered.
func TestDevIsNotOpenToPages(t *testing.T) {
	s := startWith(t, dev.Options{Paths: site, EmbeddedRedis: true, DataDir: t.TempDir(), Hosts: []string{"x.tunnel.example"}})
	const event = `{"name":"email/send","data":{"to":"a@example.com","subject":"STATUS","body":"b"}}`
	evil := map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Content-Type": "text/plain"}
	link := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	for name, c := range map[string]struct {
		method, host, path, body string
		headers                  map[string]string
		status                   int
	}{
		"rebound, mails":         {"GET", "evil.example:8288", "/mail", "", nil, 421},
		"rebound, metrics":       {"GET", "evil.example", "/metrics", "", nil, 421},
		"rebound, health":        {"GET", "evil.example", "/healthz", "", nil, 421},
		"rebound, events":        {"POST", "evil.example", "/e/dev", event, nil, 421},
		"rebound, CloudEvents":   {"POST", "evil.example", "/v1/cloudevents", event, nil, 421},
		"rebound, dev":           {"GET", "evil.example", "/dev", "", nil, 421},
		"rebound, pages":         {"GET", "evil.example", "/", "", nil, 421},
		"rebound with a dot":     {"GET", "localhost.evil.example.", "/mail", "", nil, 421},
		"a form elsewhere":       {"POST", "", "/e/dev", event, evil, 403},
		"a form to the API":      {"POST", "", "/v1/runs/x/cancel", "", evil, 403},
		"a sandboxed page":       {"POST", "", "/e/dev", event, map[string]string{"Origin": "null"}, 403},
		"an old browser":         {"POST", "", "/e/dev", event, map[string]string{"Origin": "http://evil.example"}, 403},
		"a page by address":      {"POST", "", "/e/dev", event, map[string]string{"Origin": "http://203.0.113.9"}, 403},
		"a page of the network":  {"POST", "", "/e/dev", event, map[string]string{"Origin": "http://intranet"}, 403},
		"a picture elsewhere":    {"GET", "", "/metrics", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
		"a frame elsewhere":      {"GET", "", "/mail", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		"a preflight":            {"OPTIONS", "", "/e/dev", "", evil, 403},
		"a posting link":         {"POST", "", "/e/dev", event, link, 403},
		"a link":                 {"GET", "", "/", "", link, 200},
		"a program":              {"POST", "", "/e/dev", event, nil, 200},
		"a program of Node":      {"POST", "", "/e/dev", event, map[string]string{"Sec-Fetch-Mode": "cors"}, 200},
		"by name":                {"POST", "localhost:8288", "/e/dev", event, nil, 200},
		"from a container":       {"POST", "wildout:8288", "/e/dev", event, nil, 200},
		"by IPv6":                {"POST", "[::1]:8288", "/e/dev", event, nil, 200},
		"through a tunnel":       {"POST", "x.tunnel.example", "/e/dev", event, nil, 200},
		"an application here":    {"POST", "localhost:8288", "/e/dev", event, map[string]string{"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 200},
		"one by address":         {"POST", "", "/e/dev", event, map[string]string{"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "cross-site"}, 200},
		"one by IPv6":            {"POST", "", "/e/dev", event, map[string]string{"Origin": "http://[::1]:3000"}, 200},
		"one on another host":    {"POST", "192.0.2.7:8288", "/e/dev", event, map[string]string{"Origin": "http://192.0.2.7:3000"}, 200},
		"the page of the tunnel": {"POST", "", "/e/dev", event, map[string]string{"Origin": "https://x.tunnel.example"}, 200},
		"but not the console":    {"POST", "", "/send", "", map[string]string{"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 403},
		"mails for programs":     {"GET", "", "/mail", "", nil, 200},
		"mails for people":       {"GET", "", "/mail", "", map[string]string{"Accept": "text/html,*/*"}, 303},
		"metrics":                {"GET", "", "/metrics", "", nil, 200},
		"an SDK's question":      {"GET", "", "/dev", "", nil, 200},
		"an application":         {"PUT", "", "/fn/register", "{}", nil, 404},
		"an application, once":   {"POST", "", "/fn/register?deployId=1", "{}", nil, 404},
		"some other API":         {"POST", "", "/v0/gql", "{}", map[string]string{"Content-Type": "application/json"}, 404},
		"another one":            {"GET", "", "/v0/x", "", map[string]string{"Accept": "application/json"}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(c.body, "STATUS", fmt.Sprint(c.status), 1)
			req, err := http.NewRequestWithContext(t.Context(), c.method, s.client.URL+c.path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = c.host
			for k, v := range c.headers {
				req.Header.Set(k, v)
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			answer, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.status {
				t.Errorf("status %d, want %d: %.300s", res.StatusCode, c.status, answer)
			}
			if c.status > 400 && c.path != "/send" && !strings.HasPrefix(string(answer), `{"error":"`) {
				t.Errorf("the refusal is no JSON: %.300s", answer)
			}
		})
	}
	eventually(t, "what was accepted is done", func() bool { return subjects(s)["a@example.com: 200"] == 10 }) // as many as may come in an hour
	for subject := range subjects(s) {
		if subject != "a@example.com: 200" {
			t.Errorf("a mail was sent: %s", subject)
		}
	}
}
