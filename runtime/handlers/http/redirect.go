package http

import (
	"errors"
	"fmt"
	nethttp "net/http"
)

const maxRedirects = 5

// redirectError is a redirect that is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// portable are the headers that may follow a redirect to another host. All
// others may hold a secret meant for the first one.
var portable = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Content-Type": true,
	"Idempotency-Key": true, "Traceparent": true, "Tracestate": true, "User-Agent": true,
}

// checkRedirect is an http.Client.CheckRedirect. The addresses of a redirect
// are checked by the guard, like all others.
func checkRedirect(next *nethttp.Request, via []*nethttp.Request) error {
	first, last := via[0], via[len(via)-1]
	switch {
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("more than %d redirects: set url to the final address", maxRedirects)}
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return &redirectError{fmt.Sprintf("a redirect leads to the scheme %q, want http or https", next.URL.Scheme)}
	case last.URL.Scheme == "https" && next.URL.Scheme == "http":
		return &redirectError{"a redirect leads from https to http, which would send the request in the clear"}
	case next.Method != last.Method && next.Response.StatusCode != nethttp.StatusSeeOther:
		// Browsers turn POST into GET here: the body would be lost and the
		// page that comes back taken for a success.
		return &redirectError{fmt.Sprintf("status %d redirects a %s to %s, which would lose its body: set url to the final address",
			next.Response.StatusCode, last.Method, next.URL.Host)}
	}
	if next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme {
		for name := range next.Header {
			if !portable[name] {
				next.Header.Del(name)
			}
		}
	}
	return nil
}

// permanent reports whether err comes from a rule of this client, which a
// retry would meet again.
func permanent(err error) bool {
	var redirect *redirectError
	var forbidden *forbiddenError
	return errors.As(err, &redirect) || errors.As(err, &forbidden)
}
