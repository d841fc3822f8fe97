package listen

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ParseProxies reads a list of addresses and networks such as
// "10.0.0.0/8,192.0.2.7"; "" is none.
func ParseProxies(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for one := range strings.SplitSeq(s, ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			continue
		}
		p, err := netip.ParsePrefix(one)
		if err != nil {
			ip, ipErr := netip.ParseAddr(one)
			if ipErr != nil {
				return nil, errors.New("must be addresses or networks, separated by commas, such as 10.0.0.0/8,192.0.2.7")
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// isProxy reports whether the address is one of the named proxies.
func (c *Config) isProxy(ip netip.Addr) bool {
	return slices.ContainsFunc(c.Proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// limited returns for whom a connection counts: one IPv4 address, or the network
// of an IPv6 host, which has a whole one to connect from. It is not valid if it
// counts for nobody: loopback, a named proxy, a socket.
func (c *Config) limited(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	switch {
	case !ip.IsValid() || ip.IsLoopback() || c.isProxy(ip):
		return netip.Prefix{}
	case ip.Is6():
		bits = 64
	}
	p, _ := ip.Prefix(bits) // Both fit their kind of address.
	return p
}

// client is who has made the request, as host:port. Behind named proxies it is the
// last address in X-Forwarded-For that is not one of them, without its port.
func (c *Config) client(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !c.isProxy(peer.Addr().Unmap()) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		ip, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break // Nothing before it can be believed.
		}
		if ip = ip.Unmap(); !c.isProxy(ip) {
			return net.JoinHostPort(ip.WithZone("").String(), "0")
		}
	}
	return r.RemoteAddr
}
