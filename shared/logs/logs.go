// Package logs writes the log: one JSON object a line, with the field names
// that Cloud Logging reads (cloud.google.com/logging/docs/structured-logging),
// or plain text for a terminal.
//
// A line has the trace of its context and what [With] put there: the request,
// the tenant, the user. Values that look like credentials are taken out, as the
// second line of defence; the first is that nobody logs bodies, tokens or
// headers. A main makes the logger with [New] and sets it as slog's default;
// everything else calls slog.InfoContext and its like.
package logs

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/coditect/platform/shared/config"
)

// Config says what is logged, and how.
type Config struct {
	// Level is the least that is written: debug, info, warn or error.
	Level slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// Format is json, or text for a terminal.
	Format string `env:"LOG_FORMAT" envDefault:"json"`
	// Project makes trace ids into the names that Cloud Logging links by.
	Project string `env:"GOOGLE_CLOUD_PROJECT"`
}

// Validate refuses formats that there are not.
func (c Config) Validate() error {
	if c.Format != "json" && c.Format != "text" {
		return config.Invalid("LOG_FORMAT", "must be json or text")
	}
	return nil
}

// The names that Cloud Logging gives a meaning.
const (
	keySeverity = "severity"
	keyMessage  = "message"
	keyTrace    = "logging.googleapis.com/trace"
	keySpan     = "logging.googleapis.com/spanId"
	keySampled  = "logging.googleapis.com/trace_sampled"
	keySource   = "logging.googleapis.com/sourceLocation"
	keyRequest  = "httpRequest"
)

// New makes a logger that writes to w.
func New(w io.Writer, cfg Config) *slog.Logger {
	h := &handler{}
	opts := &slog.HandlerOptions{Level: cfg.Level, ReplaceAttr: replace}
	if cfg.Format == "text" {
		opts.ReplaceAttr = replaceText
		h.inner = slog.NewTextHandler(w, opts)
		return slog.New(h)
	}
	h.cloud = true
	h.inner = slog.NewJSONHandler(w, opts)
	if cfg.Project != "" {
		h.tracePrefix = "projects/" + cfg.Project + "/traces/"
	}
	return slog.New(h)
}

type contextKey struct{}

// With gives every line of the returned context attrs, besides those that ctx
// already gives. A later attribute of the same name replaces the earlier.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	have := carried(ctx)
	all := make([]slog.Attr, 0, len(have)+len(attrs))
	for _, old := range have {
		replaced := false
		for _, a := range attrs {
			replaced = replaced || a.Key == old.Key
		}
		if !replaced {
			all = append(all, old)
		}
	}
	return context.WithValue(ctx, contextKey{}, append(all, attrs...))
}

// Asked reports whether a look-up in a context is for the attributes of its
// lines. A context of another package's answers it with what [With], over what
// it knows, puts there: attributes that few requests log are then made by those
// few alone.
func Asked(key any) bool { _, ok := key.(contextKey); return ok }

func carried(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(contextKey{}).([]slog.Attr)
	return attrs
}

// handler adds what belongs to the context and the place, at the top of the line
// whatever groups are open: Cloud Logging looks for its names only there.
type handler struct {
	inner       slog.Handler
	cloud       bool
	tracePrefix string
	// scopes are the groups and attributes that WithGroup and WithAttrs opened,
	// kept here rather than in inner so that the top of the line stays reachable.
	scopes []scope
}

// scope is a group, or the attributes added inside the one before.
type scope struct {
	group string
	attrs []slog.Attr
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.inner.Enabled(ctx, l) }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	c := *h
	if len(h.scopes) == 0 {
		c.inner = h.inner.WithAttrs(attrs) // formatted once, not at each line
		return &c
	}
	c.scopes = append(h.scopes[:len(h.scopes):len(h.scopes)], scope{attrs: attrs})
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.scopes = append(h.scopes[:len(h.scopes):len(h.scopes)], scope{group: name})
	return &c
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if len(h.scopes) > 0 {
		r = h.nest(r)
	}
	r.AddAttrs(carried(ctx)...)
	sc := trace.SpanContextFromContext(ctx)
	switch {
	case sc.HasTraceID() && h.cloud:
		r.AddAttrs(slog.String(keyTrace, h.tracePrefix+sc.TraceID().String()), slog.String(keySpan, sc.SpanID().String()), slog.Bool(keySampled, sc.IsSampled()))
	case sc.HasTraceID():
		r.AddAttrs(slog.String("trace", sc.TraceID().String()))
	}
	// Finding the place costs more than the rest of a line, so it is kept to the
	// lines that someone will act on.
	if h.cloud && r.Level >= slog.LevelWarn && r.PC != 0 {
		at, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		r.AddAttrs(slog.Attr{Key: keySource, Value: slog.GroupValue(slog.String("file", at.File[strings.LastIndexByte(at.File, '/')+1:]),
			slog.String("line", strconv.Itoa(at.Line)), slog.String("function", at.Function))})
	}
	return h.inner.Handle(ctx, r)
}

// nest moves the record's attributes into the open groups.
func (h *handler) nest(r slog.Record) slog.Record {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	for i := len(h.scopes) - 1; i >= 0; i-- {
		if s := h.scopes[i]; s.group != "" {
			attrs = []slog.Attr{{Key: s.group, Value: slog.GroupValue(attrs...)}}
		} else {
			attrs = append(s.attrs[:len(s.attrs):len(s.attrs)], attrs...)
		}
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	out.AddAttrs(attrs...)
	return out
}

func replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		switch a.Key {
		case slog.LevelKey:
			if level, ok := a.Value.Any().(slog.Level); ok {
				return slog.String(keySeverity, severity(level))
			}
		case slog.MessageKey:
			return slog.String(keyMessage, Redact(a.Value.String()))
		case slog.TimeKey:
			return a
		}
	}
	return redactAttr(a)
}

func replaceText(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
	}
	return redactAttr(a)
}

func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// Request is the attribute that Cloud Logging shows as the request of a line.
// Its URL has no query: queries hold cursors, codes and states. Bytes is the
// size of the response.
func Request(r *http.Request, clientIP string, status int, bytes int64, took time.Duration) slog.Attr {
	return slog.Attr{Key: keyRequest, Value: slog.GroupValue(
		slog.String("requestMethod", r.Method),
		slog.String("requestUrl", r.URL.EscapedPath()),
		slog.Int("status", status),
		slog.String("responseSize", strconv.FormatInt(bytes, 10)),
		slog.String("userAgent", r.UserAgent()),
		slog.String("remoteIp", clientIP),
		slog.String("protocol", r.Proto),
		slog.String("latency", strconv.FormatFloat(took.Seconds(), 'f', 6, 64)+"s"),
	)}
}
