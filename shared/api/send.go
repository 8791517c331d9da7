package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/telemetry"
)

// headerRequestID carries the request's id both ways.
const headerRequestID = "X-Request-Id"

// maxRequestID bounds what is taken from a client into every log line.
const maxRequestID = 128

// requestID takes the client's id when it is 1–128 safe characters, else makes
// one.
func requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID)
	if len(id) == 0 || len(id) > maxRequestID {
		return ids.New().String()
	}
	for i := range len(id) {
		c := id[i]
		safe := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_' || c == '.'
		if !safe {
			return ids.New().String()
		}
	}
	return id
}

func answering(d *Deps, next handle) handle {
	return func(c *call) error {
		c.requestID = requestID(c.r)
		ctx, tracker := outbox.Track(telemetry.Extract(c.r.Context(), c.r.Header))
		c.tracker, c.ctx = tracker, callContext{ctx, c}
		err := next(c)
		if d.CheckResponses && c.op != nil {
			if breach := c.breach(err); breach != nil {
				err = breach
			}
		}
		c.send(err)
		c.log(d.Logger, err)
		return err
	}
}

func recovering(_ *Deps, next handle) handle {
	return func(c *call) (err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler || c.sent { //nolint:errorlint // the very value is the signal
				panic(http.ErrAbortHandler) // a truncated answer must not look whole
			}
			err = &panicked{value: v, stack: debug.Stack()}
		}()
		return next(c)
	}
}

// panicked is the error that a panic becomes.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprint("panic: ", p.value) }

// send writes the answer, or the problem that err is.
func (c *call) send(err error) {
	a := c.answer
	if err != nil || a == nil {
		a = c.refusal(err)
	}
	h := newHeaders(c.w.Header())
	maps.Copy(h.to, a.header)
	h.set(headerRequestID, c.requestID)
	h.set("Content-Type", a.contentType)
	h.set("Etag", a.etag)
	h.set("Location", a.location)
	h.set("Link", a.link)
	h.set("X-Content-Type-Options", "nosniff")
	switch {
	case c.op != nil && c.op.Public && !c.op.Sealed && c.r.Method == http.MethodGet && a.status == http.StatusOK:
	case c.op != nil && !c.op.Sealed && a.etag != "" && (a.status == http.StatusOK || a.status == http.StatusNotModified):
		h.set("Cache-Control", "private, no-cache") // kept by the client, asked about each time
	default:
		h.set("Cache-Control", "no-store")
	}
	if c.replayed {
		h.set("Idempotent-Replayed", "true")
	}
	if c.tracker.Count() > 0 {
		h.set("X-Coditect-Outbox", "1")
	}
	c.status, c.sent = a.status, true
	if a.stream != nil && err == nil {
		c.stream(a)
		return
	}
	if a.status != http.StatusNotModified && a.status != http.StatusNoContent {
		h.set("Content-Length", strconv.Itoa(len(a.body)))
	}
	c.w.WriteHeader(a.status)
	if c.r.Method != http.MethodHead && len(a.body) > 0 {
		_, _ = c.w.Write(a.body) // the client has gone: nobody is left to tell
	}
	a.release()
}

// headers sets fields of an answer. Names are in canonical form; the values of
// all share one array, as one each is most of what an answer allocates.
type headers struct {
	to     http.Header
	values []string
}

func newHeaders(to http.Header) headers { return headers{to, make([]string, 0, 10)} }

func (h *headers) set(name, value string) {
	if value == "" {
		return
	}
	h.values = append(h.values, value)
	n := len(h.values)
	h.to[name] = h.values[n-1 : n : n]
}

func (c *call) stream(a *answer) {
	c.w.WriteHeader(a.status)
	if c.r.Method == http.MethodHead {
		return
	}
	if err := a.stream(c.ctx, io.Writer(c.w)); err != nil {
		c.d.Logger.LogAttrs(c.ctx, slog.LevelError, "stream broke off", c.attrs(slog.String("error", err.Error()))...)
		panic(http.ErrAbortHandler)
	}
}

// refusal renders an error as the answer it is.
func (c *call) refusal(err error) *answer {
	if err == nil {
		err = errors.New("api: no answer")
	}
	a := &answer{header: http.Header{}}
	problem.Headers(a.header, err)
	p := problem.New(err, c.r.URL.Path, c.requestID)
	a.status = p.Status
	if a.status == http.StatusNotModified {
		return a
	}
	a.contentType = problem.MediaType
	a.body, _ = json.Marshal(p) // strings and numbers always marshal
	return a
}

// response is the part of the answer that is kept for a repeat.
func (a *answer) response() idempotency.Response {
	r := idempotency.Response{Status: a.status, Header: http.Header{}, Body: a.body}
	for name, value := range map[string]string{"Content-Type": a.contentType, "Etag": a.etag, "Location": a.location} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

func replay(r idempotency.Response) *answer {
	return &answer{
		status: r.Status, body: r.Body,
		contentType: r.Header.Get("Content-Type"), etag: r.Header.Get("ETag"), location: r.Header.Get("Location"),
	}
}

// log writes the line of a request that failed on our side; what a client did
// wrong is counted by the edge.
func (c *call) log(l *slog.Logger, err error) {
	ctx := c.ctx
	level := slog.LevelDebug
	if c.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := c.attrs(slog.Int("status", c.status))
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	var p *panicked
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	l.LogAttrs(ctx, level, "request", attrs...)
}

// attrs is what the context's own attributes (see shared/logs) do not tell.
func (c *call) attrs(more ...slog.Attr) []slog.Attr {
	out := append(make([]slog.Attr, 0, 8),
		slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path))
	if c.op != nil {
		out = append(out, slog.String("operation", c.op.ID))
	}
	return append(out, more...)
}

func deadline(d *Deps, next handle) handle {
	return func(c *call) error {
		ctx, stop := context.WithTimeout(c.ctx, d.Timeout)
		defer stop()
		// The answer is sent after the work, outside its deadline.
		outer := c.r
		defer func() { c.r = outer }()
		c.r = c.r.WithContext(ctx)
		return next(c)
	}
}
