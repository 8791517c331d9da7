package router

import (
	"net/http"
	"strings"
)

// passed are the request headers that functions see. It is a list of what is
// let through, not of what is held back: whatever identity, forwarding or
// rewriting header somebody invents next is already dropped. A function that
// needs another one is given it here.
var passed = set(
	"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Content-Encoding", "Content-Type", "Cookie",
	"Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Unmodified-Since", "Origin", "Prefer", "Range", "Referer",
	"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Stripe-Signature", "User-Agent",
)

// held are the response headers that clients do not see: the hop's own (RFC
// 9110 §7.6.1), what names the software, and what the router alone decides.
var held = set(
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Server", "Via", "X-Powered-By", "X-Cloud-Trace-Context", "Alt-Svc", "X-Request-Id", "Traceparent", "Tracestate",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
	"Access-Control-Expose-Headers", "Access-Control-Max-Age", "Strict-Transport-Security",
)

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, n := range names {
		s[http.CanonicalHeaderKey(n)] = true
	}
	return s
}

// forward copies the headers that functions may see. Values are shared.
func forward(from http.Header) http.Header {
	to := make(http.Header, len(from)+3)
	connection := from["Connection"]
	for name, values := range from {
		if passed[name] && !namedByConnection(connection, name) {
			to[name] = values
		}
	}
	if _, ok := to["User-Agent"]; !ok {
		to["User-Agent"] = noValue // else the client's library would name itself
	}
	return to
}

var noValue = []string{""}

// namedByConnection reports whether Connection makes a header the hop's own.
func namedByConnection(connection []string, name string) bool {
	for _, line := range connection {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), name) {
				return true
			}
		}
	}
	return false
}

// answer copies a function's headers into ours.
func answer(to, from http.Header) {
	connection := from["Connection"]
	for name, values := range from {
		if held[name] || len(name) > 10 && strings.EqualFold(name[:11], "X-Coditect-") || namedByConnection(connection, name) {
			continue
		}
		if name == "Vary" {
			to[name] = append(values[:len(values):len(values)], to[name]...)
			continue
		}
		to[name] = values
	}
}

// Values that are the same on every answer are made once; nobody writes into
// them.
var (
	nosniff    = []string{"nosniff"}
	nothing    = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	deny       = []string{"DENY"}
	hsts       = []string{"max-age=63072000; includeSubDomains"}
	varyOrigin = []string{"Origin"}
)

// secure sets what browsers are told on every answer. A function that serves
// pages overrides the policy with its own.
func (a *App) secure(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = nothing
	h["Referrer-Policy"] = noReferrer
	h["X-Frame-Options"] = deny
	if a.cfg.Environment != "local" {
		h["Strict-Transport-Security"] = hsts
	}
}

// size is what the headers weigh on the wire, about.
func size(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host) + 20
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}
