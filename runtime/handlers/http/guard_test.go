package http

import (
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
)

func TestGuard(t *testing.T) {
	cluster := guard{allow: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}}
	tests := map[string]struct {
		addr                       string
		public, private, inCluster bool // allowed by
	}{
		"public":              {"93.184.215.14", true, true, true},
		"public IPv6":         {"2606:2800:21f:cb07:6820:80da:af6b:8b2c", true, true, true},
		"public over NAT64":   {"64:ff9b::5db8:d70e", true, true, true},
		"loopback":            {"127.0.0.1", false, true, false},
		"loopback, other":     {"127.8.9.1", false, true, false},
		"loopback IPv6":       {"::1", false, true, false},
		"loopback mapped":     {"::ffff:127.0.0.1", false, true, false},
		"loopback over NAT64": {"64:ff9b::7f00:1", false, true, false},
		"RFC 1918":            {"192.168.1.1", false, true, false},
		"service network":     {"10.96.0.10", false, true, true},
		"mapped service":      {"::ffff:10.96.0.10", false, true, true},
		"unique local":        {"fd12:3456::1", false, true, false},
		"carrier":             {"100.64.0.1", false, true, false},
		"metadata":            {"169.254.169.254", false, false, false},
		"metadata mapped":     {"::ffff:169.254.169.254", false, false, false},
		"metadata over NAT64": {"64:ff9b::a9fe:a9fe", false, false, false},
		"metadata IPv6":       {"fd00:ec2::254", false, false, false},
		"metadata in CGNAT":   {"100.100.100.200", false, false, false},
		"Azure wire server":   {"168.63.129.16", false, false, false},
		"link-local IPv6":     {"fe80::1", false, false, false},
		"link-local and zone": {"fe80::1%eth0", false, false, false},
		"unspecified":         {"0.0.0.0", false, false, false},
		"unspecified IPv6":    {"::", false, false, false},
		"this network":        {"0.1.2.3", false, false, false},
		"multicast":           {"224.0.0.251", false, false, false},
		"multicast IPv6":      {"ff02::1", false, false, false},
		"broadcast":           {"255.255.255.255", false, false, false},
		"IPv4-compatible":     {"::7f00:1", false, false, false},
		"6to4":                {"2002:7f00:1::", false, false, false},
		"Teredo":              {"2001:0:53aa:64c:0:fbff:80ff:fffe", false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			addr := netip.MustParseAddr(tt.addr)
			for config, pair := range map[string]struct {
				guard guard
				want  bool
			}{
				"default":       {guard{}, tt.public},
				"private":       {guard{allowPrivate: true}, tt.private},
				"cluster CIDR":  {cluster, tt.inCluster},
				"its own /32":   {guard{allow: []netip.Prefix{netip.PrefixFrom(plain(addr), plain(addr).BitLen())}}, true},
				"another's /32": {guard{allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}, tt.public},
			} {
				if err := pair.guard.check(addr); (err == nil) != pair.want {
					t.Errorf("%s: got %v, want allowed = %t", config, err, pair.want)
				}
			}
		})
	}
}

// plain is the address that an operator would write.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// TestGuardAtDial: names and redirects lead to the same check.
func TestGuardAtDial(t *testing.T) {
	reached := false
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { reached = true })
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"} {
		_, err := newClient(t, Options{}).Do(attempt(), Request{URL: "http://" + host + ":" + port})
		if err == nil || reached {
			t.Errorf("%s was reached", host)
		}
		// The last is no address for Go, and no name that resolves.
		if host != "2130706433" && !wildout.IsNonRetriable(err) {
			t.Errorf("%s: %v can be retried", host, err)
		}
	}
	// The first hop is allowed by its address, the second is another one.
	outside := httptest.NewUnstartedServer(nethttp.RedirectHandler("http://127.0.0.2:"+port, nethttp.StatusTemporaryRedirect))
	outside.Start()
	defer outside.Close()
	client := newClient(t, Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	_, err := client.Do(attempt(), Request{URL: outside.URL})
	if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), "127.0.0.2 is loopback") || reached {
		t.Errorf("redirect: got %v", err)
	}
}

func TestIgnoresProxies(t *testing.T) {
	proxied := false
	proxy := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { proxied = true })
	t.Setenv("HTTP_PROXY", proxy.URL)
	_, err := newClient(t, Options{}).Do(attempt(), Request{URL: "http://169.254.169.254/latest/meta-data"})
	if !wildout.IsNonRetriable(err) || proxied {
		t.Errorf("got %v, proxied = %t", err, proxied)
	}
}
