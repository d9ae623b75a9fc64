// Package http is the handler http.request: one HTTP request, with the step's
// idempotency key, so that the other side can tell a repeated attempt.
//
// Manifests and events choose the URL, so the client refuses addresses that
// only the inside of a network can reach, unless they are allowed. The address
// is checked when the connection is made, after the name was resolved: neither
// a redirect nor a name that changes its address gets past it. For the same
// reason it uses no proxy, which would resolve the name itself. The package
// must not know what the requests are for.
package http
