package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"
)

func TestCallOf(t *testing.T) {
	const apply = "application/apply-patch+yaml"
	for name, test := range map[string]struct {
		method, path, contentType string
		want                      call
		write                     bool
	}{
		"list":           {"GET", "/api/v1/pods?limit=500", "", call{"list", "pods"}, false},
		"watch":          {"GET", "/apis/apps/v1/deployments?watch=true", "", call{"watch", "deployments"}, false},
		"get":            {"GET", "/api/v1/namespaces/a/secrets/wildout-redis", "", call{"get", "secrets"}, false},
		"list in one":    {"GET", "/apis/wildout.dev/v1alpha1/namespaces/a/wildoutfunctions", "", call{"list", "wildoutfunctions"}, false},
		"a namespace":    {"GET", "/api/v1/namespaces/a", "", call{"get", "namespaces"}, false},
		"status":         {"PATCH", "/apis/wildout.dev/v1alpha1/namespaces/a/wildoutfunctions/f/status", apply, call{"apply", "wildoutfunctions/status"}, true},
		"merge":          {"PATCH", "/apis/wildout.dev/v1alpha1/namespaces/a/wildoutfunctions/f", "application/merge-patch+json", call{"patch", "wildoutfunctions"}, true},
		"create":         {"POST", "/apis/events.k8s.io/v1/namespaces/a/events", "", call{"create", "events"}, true},
		"delete":         {"DELETE", "/apis/apps/v1/namespaces/a/deployments/d", "", call{"delete", "deployments"}, true},
		"lease":          {"PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "", call{"update", "leases"}, false},
		"who reads":      {"POST", "/apis/authentication.k8s.io/v1/tokenreviews", "", call{"create", "tokenreviews"}, false},
		"discovery":      {"GET", "/apis/apps/v1", "", call{Verb: "get"}, false},
		"more discovery": {"GET", "/api", "", call{Verb: "get"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, test.path, http.NoBody)
			request.Header.Set("Content-Type", test.contentType)
			if got := callOf(request); got != test.want || got.write() != test.write {
				t.Errorf("got %+v, write %t, want %+v, %t", got, got.write(), test.want, test.write)
			}
		})
	}
}

// The tally passes on what it counts, with the token of who asks.
func TestTallyPassesOn(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization")+" "+r.URL.Path)
	}))
	defer server.Close()
	counter, err := newTally(&rest.Config{Host: server.URL, BearerToken: "ours", TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer counter.close()
	client, err := rest.HTTPClientFor(&rest.Config{Host: counter.URL, BearerToken: "theirs", TLSClientConfig: rest.TLSClientConfig{CAData: counter.CA}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(counter.URL + "/api/v1/namespaces/a/pods/p")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); string(text) != "Bearer theirs /api/v1/namespaces/a/pods/p" {
		t.Errorf("got %q", text)
	}
	if got := counter.snapshot(); got.total() != 1 || got[call{"get", "pods"}] != 1 || got.writes() != 0 {
		t.Errorf("counted %v", got)
	}
	before := counter.snapshot()
	counter.count(call{"apply", "pods"}, counter.lastOf(call{"get", "pods"}))
	if got := counter.snapshot().since(before); got.total() != 1 || got.writes() != 1 {
		t.Errorf("counted %v since", got)
	}
}
