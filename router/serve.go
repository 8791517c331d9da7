package router

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/telemetry"
)

const (
	maxHeaders       = 16 << 10
	maxAuthorization = identity.MaxToken + len("Bearer ")
)

var (
	errRoute  = errs.New(errs.NotFound, "not_found", "There is no such resource.")
	errMethod = errs.New(errs.MethodUnknown, "method_not_allowed", "This resource does not take that method.")
)

// exchange is one request on its way through, and the writer of its answer.
type exchange struct {
	http.ResponseWriter
	ctx       context.Context
	id        string
	path      string // canonical
	client    netip.Addr
	route     *Route
	pattern   string // for the log: of the route or of a document of ours
	principal identity.Principal
	// token tells whether Authorization is passed on.
	token bool
	// uncounted is a request that is refused because the month is used up: nobody
	// pays for being refused.
	uncounted bool
	// last tells that the request goes last in the traffic.
	last   bool
	status int
	bytes  int64
}

var exchanges = sync.Pool{New: func() any { return &exchange{} }}

// WriteHeader notes the status for the log.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts what is sent.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what the writer below can do.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// serve takes a request through the edge, in the order of the contract:
// route, method, identity, tenant, budget, month; the function checks the rest.
func (a *App) serve(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	a.traffic.enter()
	last := false
	defer func() { a.traffic.leave(last) }()

	x := exchanges.Get().(*exchange)
	*x = exchange{ResponseWriter: w, client: clientIP(r, a.cfg.TrustedHops)}
	x.id = requestID(r.Header["X-Request-Id"])
	ctx := r.Context()
	if !a.telemetry.On() { // else the span around us has the trace
		ctx = telemetry.Extract(ctx, r.Header)
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeouts.Total)
	defer cancel()
	x.ctx = ctx

	h := w.Header()
	h["X-Request-Id"] = []string{x.id}
	a.secure(h)
	if a.draining.Load() {
		h.Set("Connection", "close")
	}

	whole := false // until the handler returns: a panic passes through
	defer func() {
		if !whole {
			if fault := recover(); fault != nil && fault != http.ErrAbortHandler { //nolint:errorlint // The value itself is compared, as net/http does.
				a.log.ErrorContext(ctx, "panic", slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))
				if x.status == 0 {
					problem.Write(x, r, x.id, errs.New(errs.Internal, "internal", "Something went wrong on our side."))
				}
			}
		}
		a.finish(x, r, begun)
		aborted := x.status < 0
		last = x.last
		*x = exchange{}
		exchanges.Put(x)
		if aborted {
			panic(http.ErrAbortHandler) // the only way to break a connection off
		}
	}()
	if err := a.handle(x, r); err != nil {
		a.refuse(x, r, err)
	}
	whole = true
}

func (a *App) handle(x *exchange, r *http.Request) error {
	h := x.Header()
	allowed := a.cors(h, r)
	path, ok := canonical(r.URL)
	if !ok || r.Method == http.MethodConnect {
		return errRoute
	}
	x.path = path
	if d := a.documents[bare(path)]; d != nil {
		x.pattern = d.pattern
		return d.serve(a, x, r, allowed)
	}
	if size(r) > maxHeaders+len(r.Header.Get("Authorization")) {
		return errHeaders
	}
	if x.route = a.table.find(r.Method, path); x.route == nil {
		return a.noRoute(x, r, allowed)
	}
	x.pattern = x.route.Path
	host, err := a.hosts.tenant(x.ctx, r.Host, x.client)
	if err != nil {
		return err
	}
	if x.route.Public {
		err = a.public(x, r)
	} else {
		err = a.identified(x, r, host)
	}
	if err != nil {
		return err
	}
	return a.proxy(x, r)
}

func (a *App) noRoute(x *exchange, r *http.Request, allowed bool) error {
	allow := a.table.allow(x.path)
	switch {
	case allow == "":
		return errRoute
	case r.Method == http.MethodOptions:
		a.admission.stranger(x.client).SetHeaders(x.Header())
		preflight(x.Header(), r, allow, allowed)
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
	e := *errMethod
	e.Allow = allow
	return &e
}

// identified admits a request to a route that needs a token.
func (a *App) identified(x *exchange, r *http.Request, host ids.ID) error {
	raw, err := bearer(r.Header)
	if err != nil {
		return err
	}
	if x.principal, err = a.verifier.Verify(x.ctx, raw); err != nil {
		return err
	}
	x.token = true
	if err := agree(r.Header, host, x.principal.TenantID); err != nil {
		return err
	}
	d, err := a.admission.person(x.ctx, &x.principal, x.route)
	caller := holder{user: x.principal.UserID}
	if !x.route.Essential { // what the plan never blocks is not slowed down for the rest
		caller.tenant = x.principal.TenantID
	}
	x.last = a.tarpit.hold(x.ctx, d, err, caller)
	d.SetHeaders(x.Header())
	x.uncounted = errors.Is(err, errQuota)
	return err
}

// public admits a request to a route that needs none. A token is passed on
// only while it holds: the few public operations that look at one then need not
// ask whether its session still lives, and to the others it is no hindrance.
func (a *App) public(x *exchange, r *http.Request) error {
	var who *identity.Principal
	if raw, err := bearer(r.Header); err == nil {
		if p, err := a.verifier.Verify(x.ctx, raw); err == nil {
			who = &p
		}
	}
	d, token, err := a.admission.address(x.ctx, who, x.client)
	x.last = a.tarpit.hold(x.ctx, d, err, a.admission.addressBudget(x.client).Holder)
	x.token = token
	d.SetHeaders(x.Header())
	return err
}

// bearer takes the one token of a request.
func bearer(h http.Header) (string, error) {
	switch lines := h["Authorization"]; {
	case len(lines) == 0:
		return "", identity.ErrTokenMissing
	case len(lines) > 1, len(lines[0]) > maxAuthorization:
		return "", identity.ErrTokenInvalid
	default:
		return identity.Bearer(lines[0]), nil
	}
}

func (a *App) refuse(x *exchange, r *http.Request, err error) {
	if errors.Is(err, errAborted) {
		a.log.WarnContext(x.ctx, "answer broke off", slog.String("request_id", x.id), slog.Any("error", err))
		x.status = -x.status
		return
	}
	h := x.Header()
	if h["Ratelimit"] == nil {
		a.admission.stranger(x.client).SetHeaders(h)
	}
	if k := errs.KindOf(err); k == errs.Internal || k == errs.Unavailable || k == errs.Timeout {
		a.log.WarnContext(x.ctx, "request failed", slog.String("request_id", x.id), slog.String("route", x.pattern), slog.Any("error", err))
	}
	problem.Write(x, r, x.id, err)
}

// finish counts usage and writes the access log: no token, body or query.
func (a *App) finish(x *exchange, r *http.Request, begun time.Time) {
	status := x.status
	if status < 0 {
		status = -status
	}
	if x.principal.HasTenant() && !x.uncounted && status != http.StatusUnauthorized && status != http.StatusTooManyRequests && status < 500 {
		a.usage.add(x.principal.TenantID)
	}
	if a.telemetry.On() {
		if pattern, ok := x.ctx.Value(patternKey{}).(*string); ok {
			*pattern = x.pattern
		}
	}
	if !a.access.Enabled(x.ctx, slog.LevelInfo) {
		return
	}
	var room [9]slog.Attr
	attrs := append(room[:0],
		slog.String("method", method(r.Method)), slog.String("route", x.pattern), slog.Int("status", status),
		slog.Duration("duration", time.Since(begun)), slog.Int64("bytes", x.bytes), slog.String("request_id", x.id))
	if x.principal.UserID != ids.Nil {
		attrs = append(attrs, slog.String("user", x.principal.UserID.String()))
	}
	if x.principal.HasTenant() {
		attrs = append(attrs, slog.String("tenant", x.principal.TenantID.String()))
	}
	if x.status < 0 {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	a.access.LogAttrs(x.ctx, slog.LevelInfo, "request", attrs...)
}

// method keeps invented methods out of the log.
func method(m string) string {
	if len(m) > 16 || strings.ToUpper(m) != m {
		return "OTHER"
	}
	return m
}

// requestID takes the client's id if it is safe, else makes one.
func requestID(given []string) string {
	if len(given) == 1 && hop.ValidRequestID(given[0]) {
		return given[0]
	}
	return ids.New().String()
}

type patternKey struct{}

// traced records each request, under the pattern that is known only after it.
func traced(t *telemetry.Telemetry, next http.Handler) http.Handler {
	recorded := t.Middleware(func(r *http.Request) string {
		if pattern, ok := r.Context().Value(patternKey{}).(*string); ok {
			return *pattern
		}
		return ""
	})(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), patternKey{}, new(string))))
	})
}
