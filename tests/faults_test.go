package tests

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// eventually waits for what must come about within a bound.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), within)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, within)
		case <-tick.C:
		}
	}
}

// TestRedisDown kills Redis under a working platform: people go on working,
// sign-in limits hold, sessions that ended stay ended, and health says
// degraded.
func TestRedisDown(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, func(vars map[string]string) { vars["REDIS_TIMEOUT"] = "200ms" })
	home := stage(t, p)
	ended := p.Member(t, home.owner.TenantID, "member")
	read := functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/" + home.project.String() + "/", Token: home.owner.Token}
	p.Send(t, read).Want(t, http.StatusOK)
	p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/logout/", Token: ended.Token, Body: map[string]any{}}).Want(t, http.StatusNoContent)

	p.Redis.Close()
	p.Send(t, read).Want(t, http.StatusOK)
	p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/projects/", Token: home.owner.Token, Body: map[string]any{"name": "x"}}).Want(t, http.StatusCreated)
	p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: ended.Token}).Want(t, http.StatusUnauthorized)
	health := p.Send(t, functest.Request{Method: http.MethodGet, Path: "/health/"}).Want(t, http.StatusOK)
	if health.String(t, "redis") != "degraded" || health.String(t, "database") != "ok" {
		t.Errorf("health is %s", health.Body)
	}
	// A session that ends now ends, too: the database is the truth.
	other := p.Member(t, home.owner.TenantID, "member")
	in := functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: other.Token}
	p.Send(t, in).Want(t, http.StatusOK)
	p.SQL(t, `update app.sessions set revoked_at = now() where user_id = $1`, other.UserID)
	eventually(t, "a session that ended is refused", 8*time.Second, func() bool { return p.Send(t, in).Status == http.StatusUnauthorized })

	login := functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/login/", Body: map[string]any{"email": home.owner.Email, "password": "wrong password"}}
	limited := false
	for range 12 {
		r := p.Send(t, login)
		if r.Status == http.StatusTooManyRequests {
			limited = r.Header.Get("Retry-After") != ""
			break
		}
		r.WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	}
	if !limited {
		t.Error("without Redis passwords can be guessed without limit")
	}
}

// TestDatabaseDown cuts the way to the database under a working platform, and
// mends it: 503 with a time to come back, then service, with no restart.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	link := newLink(t, e.Database.URL)
	p := platform.Mount(t, e, func(vars map[string]string) {
		vars["DATABASE_URL"] = link.url
		vars["DATABASE_ACQUIRE_TIMEOUT"] = "1s"
		vars["DATABASE_CONNECT_TIMEOUT"] = "1s"
	})
	home := stage(t, p)
	read := functest.Request{Method: http.MethodGet, Path: "/api/v1/tasks/", Token: home.owner.Token}
	p.Send(t, read).Want(t, http.StatusOK)

	link.cut()
	r := p.Send(t, read).WantCode(t, http.StatusServiceUnavailable, "unavailable")
	if r.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if body := string(r.Body); strings.Contains(body, "127.0.0.1") || strings.Contains(body, "connect") {
		t.Errorf("the answer tells of the inside: %s", body)
	}
	p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/projects/", Token: home.owner.Token, Body: map[string]any{"name": "lost?"}}).
		Want(t, http.StatusServiceUnavailable)
	health := p.Send(t, functest.Request{Method: http.MethodGet, Path: "/health/"}).Want(t, http.StatusServiceUnavailable)
	if health.String(t, "status") != "unhealthy" {
		t.Errorf("health is %s", health.Body)
	}
	p.Send(t, functest.Request{Method: http.MethodGet, Path: "/livez"}).Want(t, http.StatusOK)

	link.mend()
	eventually(t, "service is back", 15*time.Second, func() bool { return p.Send(t, read).Status == http.StatusOK })
	eventually(t, "health is back", 15*time.Second, func() bool {
		return p.Send(t, functest.Request{Method: http.MethodGet, Path: "/health/"}).Status == http.StatusOK
	})
	// What was refused was not half done.
	var n int
	e.Scan(t, `select count(*) from app.projects where tenant_id = $1 and name = 'lost?'`, []any{home.owner.TenantID}, &n)
	if n != 0 {
		t.Errorf("%d projects were created by a request that was refused", n)
	}
}

// TestIdempotencyThroughTheRouter sends one creation many times at once.
func TestIdempotencyThroughTheRouter(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home := stage(t, p)
	in := functest.Request{
		Method: http.MethodPost, Path: "/api/v1/projects/", Token: home.owner.Token,
		Body: map[string]any{"name": "once"}, Header: map[string]string{"Idempotency-Key": ids.New().String()},
	}
	answers := make(chan functest.Response, 20)
	for range cap(answers) {
		go func() { answers <- p.Send(t, in) }()
	}
	made := map[string]int{}
	for range cap(answers) {
		r := <-answers
		switch r.Status {
		case http.StatusCreated:
			made[r.String(t, "id")]++
		case http.StatusConflict:
			r.WantCode(t, http.StatusConflict, "idempotency_in_progress")
		default:
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	if len(made) != 1 {
		t.Errorf("one key made %d projects", len(made))
	}
	again := p.Send(t, in).Want(t, http.StatusCreated)
	if again.Header.Get("Idempotent-Replayed") != "true" || made[again.String(t, "id")] == 0 {
		t.Errorf("the repeat is %v %s", again.Header, again.Body)
	}
}
