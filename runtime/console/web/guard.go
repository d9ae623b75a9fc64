package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy lets a page load its own files only. What a page shows came from
// outside: nothing of it may run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard wraps every answer: headers, the host that was asked for, and who may
// post. A POST must come from a page of the same origin (Sec-Fetch-Site, or
// Origin), which is what keeps other sites from acting in somebody's name.
func (s *Site) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, http.StatusForbidden, "This form was sent from a page of another site, so nothing was done. Open the page here and send it again.")
	}))
	next = sameOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		if !s.opts.AnyHost && !KnownHost(r.Host, s.opts.Hosts) {
			s.refuse(w, r, http.StatusMisdirectedRequest, "This server is not known by the name "+r.Host+". Ask for localhost, or for 127.0.0.1.")
			return
		}
		if s.opts.LocalOnly && !local(r.RemoteAddr) {
			s.refuse(w, r, http.StatusForbidden, "This console asks nobody who they are, so it answers its own machine only. `wildout console` is for others.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local reports whether an address is that of this machine.
func local(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// KnownHost reports whether a host, with or without a port, is one that nobody
// else can give to this machine: an address, a name without a dot (localhost,
// a container's), or one of the names that the site goes by.
func KnownHost(host string, names []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return !strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost") || slices.Contains(names, name)
}
