package http

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
)

func TestRedirects(t *testing.T) {
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var n, status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &status, &n); err != nil || n == 0 {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Method, body)
			return
		}
		w.Header().Set("Location", fmt.Sprintf("/%d/%d", status, n-1))
		w.WriteHeader(status)
	})
	tests := map[string]struct {
		method, path, want, err string
	}{
		"five":          {method: "GET", path: "/302/5", want: "GET "},
		"six":           {method: "GET", path: "/302/6", err: "more than 5 redirects"},
		"307 keeps":     {method: "POST", path: "/307/2", want: "POST 1"},
		"308 keeps":     {method: "PUT", path: "/308/1", want: "PUT 1"},
		"303 is a GET":  {method: "POST", path: "/303/1", want: "GET "},
		"302 would too": {method: "POST", path: "/302/1", err: "lose its body"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request := Request{Method: tt.method, URL: server.URL + tt.path}
			if tt.method != "GET" {
				request.Body = json.RawMessage("1")
			}
			response, err := inside(t).Do(attempt(), request)
			if tt.err != "" {
				if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want a non-retriable error with %q", err, tt.err)
				}
				return
			}
			if err != nil || response.Body != tt.want {
				t.Errorf("got %v, %v; want %q", response.Body, err, tt.want)
			}
		})
	}
}

func TestRedirectToAnotherHostTakesNoSecrets(t *testing.T) {
	var header nethttp.Header
	second := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) { header = r.Header })
	first := serve(t, nethttp.RedirectHandler(second.URL, nethttp.StatusTemporaryRedirect).ServeHTTP)
	_, err := inside(t).Do(attempt(), Request{URL: first.URL, Headers: map[string]string{
		"Authorization": "Bearer x", "X-Api-Key": "x", "Accept": "text/plain",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if header.Get("Authorization") != "" || header.Get("X-Api-Key") != "" {
		t.Errorf("the second host got %v", header)
	}
	if header.Get("Accept") != "text/plain" || header.Get("Idempotency-Key") != "run1/call" {
		t.Errorf("the second host misses headers: %v", header)
	}
}

func TestRedirectOutOfTLS(t *testing.T) {
	plain := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { t.Error("the request was sent in the clear") })
	encrypted := httptest.NewTLSServer(nethttp.RedirectHandler(plain.URL, nethttp.StatusTemporaryRedirect))
	defer encrypted.Close()
	pool := x509.NewCertPool()
	pool.AddCert(encrypted.Certificate())
	client := newClient(t, Options{AllowPrivate: true, RootCAs: pool})
	_, err := client.Do(attempt(), Request{URL: encrypted.URL})
	if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("got %v", err)
	}
}
