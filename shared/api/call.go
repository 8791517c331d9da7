package api

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/page"
)

// call is one request on its way through the chain. Only [Handler] makes one.
type call struct {
	w  http.ResponseWriter
	r  *http.Request
	d  *Deps
	op *served
	// ctx outlives the request's deadline: what answers and logs uses it.
	ctx context.Context //nolint:containedctx // a call is one request's

	requestID string
	caller    identity.Caller
	client    netip.Addr
	// admitted is set by the permission check and demanded by the operation,
	// so that a chain without the check serves nothing.
	admitted bool
	body     []byte
	nulls    []errs.Field
	query    url.Values    // of the URL, once checkQuery has read it
	bound    *page.Binding // see binding
	tracker  *outbox.Tracker

	failure  error
	answer   *answer
	replayed bool
	sent     bool
	status   int
}

type callKey struct{}

// callContext finds the call of a request with one look-up and no allocation
// per value: of the attributes of log lines none either, as long as nothing is
// logged.
type callContext struct {
	context.Context
	call *call
}

func (c callContext) Value(key any) any {
	if _, ours := key.(callKey); ours {
		return c.call
	}
	if logs.Asked(key) {
		return logs.With(c.Context, c.call.who()...).Value(key)
	}
	return c.Context.Value(key)
}

// who is what every log line of the request tells of it and of its caller.
func (c *call) who() []slog.Attr {
	who := append(make([]slog.Attr, 0, 3), slog.String("request_id", c.requestID))
	if c.caller.UserID != ids.Nil {
		who = append(who, slog.String("user_id", c.caller.UserID.String()))
	}
	if c.caller.HasTenant() {
		who = append(who, slog.String("tenant_id", c.caller.TenantID.String()))
	}
	return who
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// RequestID is the id of the request served under ctx, or empty.
func RequestID(ctx context.Context) string {
	if c := callOf(ctx); c != nil {
		return c.requestID
	}
	return ""
}

// refuse records why the request failed and gives huma something that stops it.
func (c *call) refuse(err error) error {
	if c != nil {
		c.failure = err
	}
	return &refused{}
}

// binding ties cursors to this list: its tenant, its operation and every
// parameter that chooses or sorts rows.
func (c *call) binding() page.Binding {
	if c.bound == nil {
		c.bound = &page.Binding{Operation: c.op.ID, Filters: c.filters(), Tenant: c.caller.TenantID}
		if !c.op.needsTenant() {
			c.bound.User = c.caller.UserID
		}
	}
	return *c.bound
}

func (c *call) filters() string {
	h := sha256.New()
	h.Write([]byte(canonical(c.r.URL.Path)))
	names := make([]string, 0, len(c.query))
	for name := range c.query {
		if name != "cursor" && name != "page_size" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		h.Write([]byte("\x00" + name + "\x00" + c.query.Get(name)))
	}
	return string(h.Sum(nil))
}

func (c *call) decodeCursor(text string) (page.Cursor, error) {
	if c.d.Cursors == nil {
		return page.Cursor{}, errMissing("Cursors")
	}
	return c.d.Cursors.Decode(c.r.Context(), c.binding(), text)
}

// pageURL is the address of the page beyond at: this request's, with another
// cursor, relative to the host.
func (c *call) pageURL(at page.Cursor) (string, error) {
	if c.d.Cursors == nil {
		return "", errMissing("Cursors")
	}
	text, err := c.d.Cursors.Encode(c.r.Context(), c.binding(), at)
	if err != nil {
		return "", err
	}
	query := url.Values{}
	maps.Copy(query, c.query)
	query.Set("cursor", text)
	return (&url.URL{Path: canonical(c.r.URL.Path), RawQuery: query.Encode()}).String(), nil
}

// canonical is the path with its trailing slash.
func canonical(path string) string {
	if strings.HasSuffix(path, "/") {
		return path
	}
	return path + "/"
}

// huma writes into the call as if it were the response: nothing of it is sent,
// since the answer is ours to send.

// Header implements http.ResponseWriter for huma.
func (c *call) Header() http.Header { return http.Header{} }

// Write implements http.ResponseWriter for huma.
func (c *call) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter for huma.
func (c *call) WriteHeader(int) {}

func errMissing(dep string) error {
	return errs.Wrap(missing(dep), errs.Internal, "internal", "Something went wrong on our side.")
}

// missing is a part of Deps that is nil. What needs it fails closed.
type missing string

func (m missing) Error() string { return "api: Deps." + string(m) + " is nil" }
