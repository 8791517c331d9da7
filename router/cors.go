package router

import "net/http"

const (
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Tenant-ID, X-Request-Id, traceparent"
	corsExposed = "ETag, Location, Link, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Idempotent-Replayed"
)

var (
	exposed = []string{corsExposed}
	yes     = []string{"true"}
)

// cors lets the configured origins read our answers. The origin is compared
// whole: a prefix, a suffix or "null" is another's.
func (a *App) cors(h http.Header, r *http.Request) (allowed bool) {
	h["Vary"] = varyOrigin // also where there is none: caches must not mix them
	origin := r.Header["Origin"]
	if len(origin) != 1 || !a.origins[origin[0]] {
		return false
	}
	h["Access-Control-Allow-Origin"] = origin
	h["Access-Control-Allow-Credentials"] = yes
	h["Access-Control-Expose-Headers"] = exposed
	return true
}

// preflight answers OPTIONS for a path that has methods. An origin that is not
// ours gets the methods and no leave.
func preflight(h http.Header, r *http.Request, allow string, allowed bool) {
	h.Set("Allow", allow)
	if allowed && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", "600")
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	}
}
