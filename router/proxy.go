package router

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/telemetry"
)

const (
	defaultMaxBody = 1 << 20
	// grace is how far over a route's limit a body is still passed on, so that
	// the function refuses it in the contract's order (permission, type, size).
	grace = 1 << 20
)

var errTooLarge = errs.New(errs.TooLarge, "body_too_large", "The request body is larger than the limit.")

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// proxy passes the request on to its function and the answer back.
func (a *App) proxy(x *exchange, r *http.Request) error {
	if r.ContentLength > x.route.MaxBody+grace {
		return errTooLarge
	}
	at := a.upstreams.address(x.route.Function)
	out := (&http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: at.Scheme, Host: at.Host, Path: x.path, RawQuery: r.URL.RawQuery},
		Host:   at.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: forward(r.Header), ContentLength: r.ContentLength,
	}).WithContext(x.ctx)
	if !x.token {
		delete(out.Header, "Authorization")
	}
	out.Header["X-Request-Id"] = []string{x.id}
	telemetry.Inject(x.ctx, out.Header)
	if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		out.Body = &limited{body: r.Body, left: x.route.MaxBody + grace, due: r.ContentLength}
	}

	resp, err := a.upstreams.send(out, x.route.Function, x.client, x.id)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.Header[hop.Outbox] != nil {
		a.nudge.poke()
	}
	a.learn(x, r.Method, resp.StatusCode)
	answer(x.Header(), resp.Header)
	x.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodHead || resp.ContentLength == 0 {
		return nil
	}
	return a.copy(x, resp)
}

// copy sends the body on. Once its first byte is out there is no other answer:
// a body that breaks off breaks our own off, so that nobody takes it for whole.
func (a *App) copy(x *exchange, resp *http.Response) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	stream := resp.ContentLength < 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, werr := x.Write((*buf)[:n]); werr != nil {
				return errAborted.WithCause(werr)
			}
			if stream {
				_ = http.NewResponseController(x.ResponseWriter).Flush()
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return errAborted.WithCause(err)
		}
	}
}

var errAborted = errs.New(errs.Internal, "aborted", "The answer broke off.")

// learn drops what this process remembers and an answer has made stale, so
// that the instance that changed something sees it at once.
func (a *App) learn(x *exchange, method string, status int) {
	if method == http.MethodGet || method == http.MethodHead {
		return
	}
	switch x.route.Function {
	case "auth", "users":
		a.ended(x, status)
	case "tenants", "billing":
		if status < 300 {
			// Its own, and those that were nobody's: one organization's changes
			// must not make us ask again for everybody's.
			a.hosts.known.DropValues(func(owner ids.ID) bool { return owner == ids.Nil || owner == x.principal.TenantID })
			a.admission.plans.Drop(x.principal.TenantID)
		}
	}
}

// ended forgets the sessions that a request may have ended: the caller's, those
// of the person that the path names, or, where only the function knows whose
// (a password reset, a refresh token used twice), everybody's. That costs each
// a question to Redis and no more.
func (a *App) ended(x *exchange, status int) {
	known := a.admission.sessions
	switch {
	case x.principal.UserID == ids.Nil:
		begins := x.route.OperationID == "login" || x.route.OperationID == "register" || x.route.OperationID == "refresh"
		reused := x.route.OperationID == "refresh" && status == http.StatusUnauthorized
		if status < 300 && !begins || reused {
			known.forgetAll()
		}
	case status < 300:
		known.forget(x.principal.UserID)
		if rest, ok := strings.CutPrefix(x.path, "/api/v1/users/"); ok {
			named, _, _ := strings.Cut(rest, "/")
			if user, err := ids.Parse(named); err == nil {
				known.forget(user)
			}
		}
	}
}

// limited is a body that fails over its limit, and tells failures of the
// client's side from the function's.
type limited struct {
	body io.ReadCloser
	left int64
	// due is what is to come of a body whose length is known, else below 0. Its
	// end is ours to tell: the transport asks for it once more, when the answer
	// may have come and the client's body be closed.
	due int64
	// failure is what the client's side did wrong. net/http cancels the
	// request's context when a body fails, so the trip's own error may say no
	// more than that.
	failure atomic.Pointer[errs.Error]
}

// Read is the transport's.
func (l *limited) Read(p []byte) (int, error) {
	if l.due == 0 {
		return 0, io.EOF
	}
	n, err := l.body.Read(p)
	if l.due > 0 {
		l.due -= int64(n)
	}
	if l.left -= int64(n); l.left < 0 {
		return 0, l.fail(errTooLarge)
	}
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case timedOut(err):
		return n, l.fail(errs.Wrap(err, errs.TooSlow, "body_timeout", "The request body came too slowly."))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, l.fail(errs.Wrap(err, errs.Canceled, "client_closed_request", "The client went away."))
	}
	return n, l.fail(errs.Wrap(err, errs.Malformed, "body_unreadable", "The request body cannot be read."))
}

func (l *limited) fail(err *errs.Error) error {
	l.failure.Store(err)
	return err
}

// Close is the transport's.
func (l *limited) Close() error { return l.body.Close() }
