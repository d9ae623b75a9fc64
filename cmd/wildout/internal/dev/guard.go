package dev

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/console/web"
)

// guard stands before everything that this server answers. It asks nobody who
// they are, so it must not be what the browser of its developer can be talked
// into: a page of somebody else that has given this machine a name of its own
// (DNS rebinding), or that posts to it. Programs send no Origin and none of
// the Sec-Fetch headers; pages of this machine, such as an application under
// development, may do what they like.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !web.KnownHost(r.Host, s.opts.Hosts):
			refuse(w, http.StatusMisdirectedRequest, "this server is not known by the name "+r.Host+": ask for localhost, or start it with --allow-host and this name")
		case !s.fromHere(r):
			refuse(w, http.StatusForbidden, "this request comes from a page of another site, and `wildout dev` asks nobody who they are; --allow-host admits the pages of a host")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// fromHere reports whether a request comes from a program, from a page of this
// machine, or from a link that somebody followed.
func (s *Server) fromHere(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		page, err := url.Parse(origin)
		return err == nil && s.trusted(page.Hostname(), r.Host)
	}
	if r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return true
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	return safe && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// trusted reports whether pages of a host may ask: those of this machine, those
// of the host that was asked, whatever their port, and those that were allowed.
func (s *Server) trusted(name, asked string) bool {
	if host, _, err := net.SplitHostPort(asked); err == nil {
		asked = host
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.IsLoopback() {
		return true
	}
	return name != "" && (name == strings.Trim(asked, "[]") || name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(s.opts.Hosts, name))
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": text, "status": status}) // the client may be gone
}
