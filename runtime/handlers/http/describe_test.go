package http

import (
	"fmt"
	nethttp "net/http"
	"strings"
	"testing"
)

func TestReadablePaths(t *testing.T) {
	for path, want := range map[string]string{
		"":                                "",
		"/":                               "/",
		"/v1/orders/42":                   "/v1/orders/42",
		"/api/sendMail":                   "/api/sendMail",
		"/a/line-items.json":              "/a/line-items.json",
		"/2026-03-01/x":                   "/***/x",
		"/services/T012345/B0123/x9Yz8w":  "/services/***/***/***",
		"/bot123456:ABC-DEF1234/send":     "/***/send",
		"/hooks/XXXXXXXXXXXXXXXXXXXXXXXX": "/hooks/***",
		"/hooks/QwErTyUiOpAsDfGhJkLz":     "/hooks/***",
		"/hooks/0123456789abcdef":         "/hooks/***",
		"/u/7d444840-9dc0-11d1-b245-5ffdce74fad2/x":        "/u/***/x",
		"/\x1b]0;title\x07/ü":                              "/***/***",
		"/" + strings.Repeat("abc/", 60):                   ("/" + strings.Repeat("abc/", 60))[:maxPath] + "…",
		"/user@example.org/eyJhbGciOi.eyJzdWIi.SflKxwRJSM": "/***/***",
	} {
		if got := readable(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// TestErrorsShowThePath: which of a host's many addresses failed, and no
// token in it, whatever the server says.
func TestErrorsShowThePath(t *testing.T) {
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/moved" {
			w.Header().Set("Location", "http://user:hunter22@%zz/")
			w.WriteHeader(nethttp.StatusFound)
			return
		}
		w.WriteHeader(nethttp.StatusNotFound)
		fmt.Fprintf(w, "no %s", r.URL)
	})
	_, err := inside(t).Do(attempt(), Request{URL: server.URL + "/v1/hooks/T0K3N-x9y8z7?q=100%&z=s3cret-z", Query: Query{"k": {"s3cret & more"}}})
	if text := fmt.Sprint(err); !strings.Contains(text, "/v1/hooks/***: status 404") {
		t.Errorf("%v does not show the path", err)
	}
	_, moved := inside(t).Do(attempt(), Request{URL: server.URL + "/moved"})
	if text := fmt.Sprint(moved); !strings.Contains(text, "/moved: a redirect leads") {
		t.Errorf("got %v", moved)
	}
	server.Close()
	_, refused := inside(t).Do(attempt(), Request{URL: server.URL + "/v1/hooks/T0K3N-x9y8z7"})
	if text := fmt.Sprint(refused); !strings.Contains(text, "/v1/hooks/***: ") {
		t.Errorf("%v does not show the path", refused)
	}
	for _, err := range []error{err, refused, moved} {
		for _, secret := range []string{"T0K3N", "s3cret", "hunter22"} {
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%v shows %s", err, secret)
			}
		}
	}
}

// TestQueryOfTheURLIsKept: as it is, though it be no list of name=value.
func TestQueryOfTheURLIsKept(t *testing.T) {
	var got string
	server := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) { got = r.RequestURI })
	for given, want := range map[string]string{
		"":                  "/?n=1",
		"?":                 "/?n=1",
		"?b=2&a=1;c=3&flag": "/?b=2&a=1;c=3&flag&n=1",
		"?q=100%&z=1":       "/?q=100%&z=1&n=1",
		"?n=0":              "/?n=0&n=1",
		"?a=%7B%20+":        "/?a=%7B%20+&n=1",
		"?a=1#part":         "/?a=1&n=1",
	} {
		if _, err := inside(t).Do(attempt(), Request{URL: server.URL + "/" + given, Query: Query{"n": {"1"}}}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
