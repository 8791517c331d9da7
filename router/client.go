package router

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientIP is the address of who called, past hops proxies of ours. Each proxy
// appends whom it saw to X-Forwarded-For, so the entry that our outermost one
// wrote is the hops-th from the right; everything left of it is the client's
// own invention. A list that is too short did not come through our proxies.
func clientIP(r *http.Request, hops int) netip.Addr {
	direct := netip.Addr{}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		direct = ap.Addr().Unmap()
	} else if a, err := netip.ParseAddr(r.RemoteAddr); err == nil {
		direct = a.Unmap()
	}
	if hops == 0 {
		return direct
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for {
			cut := strings.LastIndexByte(rest, ',')
			if hops--; hops == 0 {
				if a, ok := forwarded(strings.TrimSpace(rest[cut+1:])); ok {
					return a
				}
				return direct
			}
			if cut < 0 {
				break
			}
			rest = rest[:cut]
		}
	}
	return direct
}

// forwarded reads an entry, which some proxies write with a port.
func forwarded(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
