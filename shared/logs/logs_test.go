package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/coditect/platform/shared/config"
)

func traced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}))
}

// line logs once and gives the line, decoded.
func line(t *testing.T, cfg Config, log func(l *slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	log(New(&b, cfg))
	out := map[string]any{}
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	return out
}

func TestCloudLoggingFields(t *testing.T) {
	t.Parallel()
	ctx := With(traced(t.Context()), slog.String("request_id", "r1"), slog.String("tenant", "t1"))
	ctx = With(ctx, slog.String("user", "u1"), slog.String("tenant", "t2"))
	got := line(t, Config{Format: "json", Project: "acme"}, func(l *slog.Logger) {
		l.WarnContext(ctx, "slow", "took", 3*time.Second)
	})
	for key, want := range map[string]any{
		"severity": "WARNING", "message": "slow", "request_id": "r1", "tenant": "t2", "user": "u1",
		"logging.googleapis.com/trace":         "projects/acme/traces/01000000000000000000000000000000",
		"logging.googleapis.com/spanId":        "0200000000000000",
		"logging.googleapis.com/trace_sampled": true,
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"])); err != nil {
		t.Error(err)
	}
	at, _ := got["logging.googleapis.com/sourceLocation"].(map[string]any)
	if at["file"] != "logs_test.go" || !strings.Contains(fmt.Sprint(at["function"]), "TestCloudLoggingFields") || at["line"] == "0" {
		t.Errorf("source %v", at)
	}
	for _, gone := range []string{"level", "msg", "source"} {
		if got[gone] != nil {
			t.Errorf("%s is there", gone)
		}
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{slog.LevelDebug: "DEBUG", slog.LevelInfo: "INFO", slog.LevelWarn: "WARNING", slog.LevelError: "ERROR", slog.LevelError + 4: "ERROR"} {
		got := line(t, Config{Level: slog.LevelDebug}, func(l *slog.Logger) { l.Log(t.Context(), level, "x") })
		if got["severity"] != want {
			t.Errorf("%v is %v", level, got["severity"])
		}
	}
	var b bytes.Buffer
	New(&b, Config{Level: slog.LevelWarn}).Info("x")
	if b.Len() > 0 {
		t.Errorf("below the level: %s", b.String())
	}
}

func TestGroupsLeaveTheTopAlone(t *testing.T) {
	t.Parallel()
	ctx := With(traced(t.Context()), slog.String("tenant", "t1"))
	got := line(t, Config{}, func(l *slog.Logger) {
		l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("").WithGroup("h").With("c", 3).With().InfoContext(ctx, "x", "d", 4)
	})
	if got["tenant"] != "t1" || got[keyTrace] != "01000000000000000000000000000000" || got["a"] != 1.0 {
		t.Errorf("%v", got)
	}
	g, _ := got["g"].(map[string]any)
	h, _ := g["h"].(map[string]any)
	if g["b"] != 2.0 || h["c"] != 3.0 || h["d"] != 4.0 {
		t.Errorf("%v", got)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/api/v1/tasks/?cursor=secret", nil)
	r.Header.Set("User-Agent", "curl")
	got := line(t, Config{}, func(l *slog.Logger) { l.Info("done", Request(r, "203.0.113.9", 200, 12, 1500*time.Millisecond)) })
	req, _ := got["httpRequest"].(map[string]any)
	for key, want := range map[string]any{"requestMethod": "GET", "requestUrl": "/api/v1/tasks/", "status": 200.0, "responseSize": "12",
		"userAgent": "curl", "remoteIp": "203.0.113.9", "latency": "1.500000s", "protocol": "HTTP/1.1"} {
		if req[key] != want {
			t.Errorf("%s is %v, want %v", key, req[key], want)
		}
	}
}

func TestCredentialsAreTakenOut(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
	opaque := "rt_" + strings.Repeat("A", 22) + "." + strings.Repeat("B", 22) + "." + strings.Repeat("C", 43)
	for name, secret := range map[string]string{
		"jwt": jwt, "opaque": opaque, "bearer": "Bearer abcdefgh12345678", "bearer in capitals": "BEARER abcdefgh12345678", "basic": "basic dXNlcjpwYXNz",
		"address": "postgres://app:hunter2secret@db:5432/x", "stripe": "sk_live_51Habcdef", "webhook": "whsec_abcdef",
		"hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", "pem": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
		"hop": "v1.1790000000.ywBxCQ.req-1." + strings.Repeat("s", 43),
	} {
		var b bytes.Buffer
		for _, cfg := range []Config{{}, {Format: "text"}} {
			l := New(&b, cfg)
			l.Info("it was "+secret, "value", secret, "error", errors.New("with "+secret), "any", stringer(secret), slog.Group("in", "x", secret))
		}
		core := secret
		if name == "address" {
			core = "hunter2secret"
		}
		if encoded, _ := json.Marshal(core); strings.Contains(b.String(), core) || strings.Contains(b.String(), strings.Trim(string(encoded), `"`)) {
			t.Errorf("%s: %s", name, b.String())
		}
		if !strings.Contains(b.String(), redacted) {
			t.Errorf("%s: nothing is redacted: %s", name, b.String())
		}
	}
	got := line(t, Config{}, func(l *slog.Logger) {
		l.Info("x", "Password", "p", "token", 7, "raw", []byte("body"), "plain", "kept", "url", "https://example.com/a", "none", nil)
	})
	for key, want := range map[string]any{"Password": redacted, "token": redacted, "raw": redacted, "plain": "kept", "url": "https://example.com/a", "none": nil} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

func TestTextForTerminals(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	New(&b, Config{Format: "text"}).InfoContext(With(traced(t.Context()), slog.String("tenant", "t1")), "ready", "port", 8080)
	for _, want := range []string{"level=INFO", "msg=ready", "port=8080", "tenant=t1", "trace=0100"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s lacks %s", b.String(), want)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c, err := config.Load[Config](config.Map(map[string]string{"LOG_LEVEL": "warn"}))
	if err != nil || c.Level != slog.LevelWarn || c.Format != "json" {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []map[string]string{{"LOG_FORMAT": "xml"}, {"LOG_LEVEL": "loud"}} {
		if _, err := config.Load[Config](config.Map(bad)); err == nil {
			t.Errorf("%v accepted", bad)
		}
	}
}

func BenchmarkAccessLine(b *testing.B) {
	l := New(io.Discard, Config{Project: "acme"})
	ctx := With(traced(context.Background()), slog.String("request_id", "0192f3a4-0000-7000-8000-000000000000"), slog.String("tenant", "t"), slog.String("user", "u"))
	r := httptest.NewRequest("GET", "/api/v1/projects/0192f3a4-0000-7000-8000-000000000000/tasks/", nil)
	b.ReportAllocs()
	for b.Loop() {
		l.LogAttrs(ctx, slog.LevelInfo, "request", Request(r, "203.0.113.9", 200, 1024, time.Millisecond))
	}
}

func BenchmarkBelowLevel(b *testing.B) {
	l := New(io.Discard, Config{Level: slog.LevelWarn})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		l.LogAttrs(ctx, slog.LevelInfo, "request")
	}
}
