package router

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/subdomain"
)

// How long it is remembered whose a host is.
const (
	hostLife   = 60 * time.Second
	absentLife = 10 * time.Second
	maxHosts   = 20_000
	keepKnown  = 10 * time.Minute // past its life, while tenants does not answer
)

var errHost = errs.New(errs.NotFound, "unknown_host", "This host serves nothing.")

// hosts tells which tenant a request's host belongs to.
type hosts struct {
	base  string
	plain map[string]bool
	known *cache.Local[string, ids.ID] // Nil: nobody's
	ask   func(ctx context.Context, host string) (ids.ID, error)
	// misses bounds the questions that one network can make us ask with
	// invented hosts.
	misses *ratelimit.Memory
}

var missPolicy = ratelimit.Policy{Name: "hosts", Limit: 120, Window: time.Minute}

func newHosts(cfg Config, m *ratelimit.Memory, ask func(context.Context, string) (ids.ID, error)) *hosts {
	h := &hosts{base: cfg.BaseDomain, plain: map[string]bool{}, misses: m, ask: ask,
		known: cache.NewLocal[string, ids.ID](cache.LocalConfig{Size: maxHosts, KeepStale: keepKnown})}
	for _, p := range cfg.PlainHosts {
		h.plain[p] = true
	}
	return h
}

// tenant gives the host's tenant, ids.Nil for hosts that carry none, and
// errHost for hosts that are nobody's.
func (h *hosts) tenant(ctx context.Context, host string, client netip.Addr) (ids.ID, error) {
	name, question, ok := h.classify(host)
	switch {
	case !ok:
		return ids.Nil, errHost
	case question == "":
		return ids.Nil, nil
	}
	if _, known := h.known.Peek(name); !known {
		d := h.misses.Take(ratelimit.Bucket{Policy: missPolicy, Key: ratelimit.AddressKey(client)})
		if !d.Allowed {
			return ids.Nil, errs.New(errs.TooMany, "rate_limited", "Too many requests.").WithRetry(d.RetryAfter())
		}
	}
	id, err := h.known.Get(ctx, name, func(ctx context.Context) (ids.ID, time.Duration, error) {
		id, err := h.ask(ctx, question)
		if errors.Is(err, errs.ErrNotFound) {
			id, err = ids.Nil, nil // nobody's, and that is an answer
		}
		if id == ids.Nil {
			return ids.Nil, absentLife, err
		}
		return id, hostLife, err
	})
	if err == nil && id == ids.Nil {
		err = errHost
	}
	return id, err
}

// classify names the host and says what to ask tenants about it: a subdomain's
// label, a whole domain, or nothing.
func (h *hosts) classify(host string) (name, question string, ok bool) {
	name, ok = hostName(host)
	if !ok {
		return "", "", false
	}
	if name == h.base || h.plain[name] {
		return name, "", true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return name, "", true
	}
	if label, under := strings.CutSuffix(name, "."+h.base); under {
		// A label that nobody can have needs no question.
		if strings.IndexByte(label, '.') >= 0 || subdomain.Fault(label) != "" {
			return name, "", false
		}
		return name, label, true
	}
	// One label alone is no domain; the last one of a domain is no number.
	last := name[strings.LastIndexByte(name, '.')+1:]
	if len(last) == len(name) || strings.Trim(last, "0123456789") == "" {
		return name, "", false
	}
	return name, name, true
}

// hostName gives the name of a Host header: without its port, in lower case,
// without a root dot. Everything but letters, digits, "-" and "." is refused,
// and so is a name that RFC 1035 §2.3.4 finds too long. An IPv6 address comes
// without its brackets.
func hostName(host string) (string, bool) {
	if strings.HasPrefix(host, "[") {
		address, port, ok := strings.Cut(host[1:], "]")
		a, err := netip.ParseAddr(address)
		if !ok || err != nil || !a.Is6() || a.Zone() != "" || port != "" && (port[0] != ':' || !validPort(port[1:])) {
			return "", false
		}
		return a.String(), true
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		if !validPort(host[i+1:]) {
			return "", false
		}
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if len(host) == 0 || len(host) > 253 {
		return "", false
	}
	lower, label := true, 0
	for i := 0; i <= len(host); i++ {
		if i == len(host) || host[i] == '.' {
			if label == 0 || label > 63 || host[i-1] == '-' {
				return "", false
			}
			label = 0
			continue
		}
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c >= 'A' && c <= 'Z':
			lower = false
		case c == '-' && label > 0:
		default:
			return "", false
		}
		label++
	}
	if !lower {
		host = strings.ToLower(host)
	}
	return host, true
}

func validPort(p string) bool {
	if len(p) > 5 {
		return false
	}
	for _, c := range []byte(p) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

var errMismatch = errs.New(errs.Forbidden, "tenant_mismatch", "The host or the X-Tenant-ID header names another tenant than the access token.")

// agree refuses a request whose host or X-Tenant-ID names another tenant than
// its token. Whether an operation needs a tenant is the function's to say.
func agree(h http.Header, host, token ids.ID) error {
	if host != ids.Nil && host != token {
		return errMismatch
	}
	for _, named := range h["X-Tenant-Id"] {
		if named == "" {
			continue
		}
		id, err := ids.Parse(strings.TrimSpace(named))
		if err != nil || id != token || token == ids.Nil {
			return errMismatch
		}
	}
	return nil
}
