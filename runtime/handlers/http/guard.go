package http

import (
	"fmt"
	"net/netip"
	"syscall"
)

// guard decides which addresses a connection may go to.
type guard struct {
	allowPrivate bool
	allow        []netip.Prefix
}

// special is an address range that is not the public internet.
type special struct {
	prefix netip.Prefix
	name   string
	// inside: Options.AllowPrivate allows it.
	inside bool
}

// specials are the ranges of IANA's special-purpose registries (RFC 6890) that
// are not globally reachable, and what clouds serve metadata from. The first
// that contains an address decides.
var specials = []special{
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (cloud metadata)", false},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata", false},
	{netip.MustParsePrefix("100.100.100.200/32"), "cloud metadata", false},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "cloud metadata", false},
	{netip.MustParsePrefix("fd20:ce::254/128"), "cloud metadata", false},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", true},
	{netip.MustParsePrefix("::1/128"), "loopback", true},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", true},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", true},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", true},
	{netip.MustParsePrefix("fc00::/7"), "private", true},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT", true},
	{netip.MustParsePrefix("fe80::/10"), "link-local", false},
	{netip.MustParsePrefix("fec0::/10"), "site-local", false},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified", false},
	{netip.MustParsePrefix("::/128"), "unspecified", false},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", false},
	{netip.MustParsePrefix("ff00::/8"), "multicast", false},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved", false},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking", false},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation", false},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation", false},
	{netip.MustParsePrefix("100::/64"), "discard", false},
	// These carry an IPv4 address that a gateway would unpack.
	{netip.MustParsePrefix("::/96"), "IPv4-compatible", false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64", false},
	{netip.MustParsePrefix("2001::/32"), "Teredo", false},
	{netip.MustParsePrefix("2002::/16"), "6to4", false},
}

// nat64 is the well-known prefix of RFC 6052: its last four bytes are the IPv4
// address that is meant, and networks without IPv4 reach the internet by it.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// forbiddenError is a connection that the guard refused.
type forbiddenError struct {
	addr netip.Addr
	kind string
}

func (e *forbiddenError) Error() string {
	return fmt.Sprintf("the address %s is %s, which requests may not reach: allow its CIDR in the runner's configuration if it is meant", e.addr, e.kind)
}

// control is a net.Dialer.Control: it sees the resolved address before the
// connection is made.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("check the address %s: %w", address, err)
	}
	return g.check(target.Addr())
}

func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, prefix := range g.allow {
		if prefix.Contains(addr) {
			return nil
		}
	}
	for _, s := range specials {
		if !s.prefix.Contains(addr) {
			continue
		}
		if s.inside && g.allowPrivate {
			return nil
		}
		return &forbiddenError{addr, s.name}
	}
	return nil
}
