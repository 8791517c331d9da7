package functest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/serve"
)

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Type", r.Header.Get("Content-Type"))
	w.Header().Set("X-Token", r.Header.Get("Authorization"))
	w.Header().Set("X-Hop", r.Header.Get(hop.Header))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(body)
}

func TestEnv(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	closed := false
	t.Run("opens and closes", func(t *testing.T) {
		h := e.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
			if v, ok := lookup("DATABASE_URL"); !ok || v != e.Database.URL {
				t.Error("the environment does not reach the function")
			}
			return &serve.App{Handler: http.HandlerFunc(echo), Close: func(context.Context) error { closed = true; return nil }}, nil
		})
		got := e.Do(t, h, functest.Request{Method: http.MethodPost, Path: "/x", Token: "t", Body: map[string]any{"a": []any{map[string]any{"b": "c"}}}, Internal: true, Context: t.Context()}).Want(t, http.StatusAccepted)
		if got.String(t, "a.0.b") != "c" || got.Header.Get("X-Type") != "application/json" || got.Header.Get("X-Token") != "Bearer t" {
			t.Errorf("%v %s", got.Header, got.Body)
		}
		if !strings.HasPrefix(got.Header.Get("X-Hop"), "v1.") {
			t.Errorf("hop %q", got.Header.Get("X-Hop"))
		}
		raw := e.Do(t, h, functest.Request{Method: http.MethodPost, Path: "/x", Body: `{"code":"x"}`, Header: map[string]string{"Content-Type": "text/plain"}}).WantCode(t, http.StatusAccepted, "x")
		if raw.Header.Get("X-Type") != "text/plain" || raw.Header.Get("X-Hop") != "" {
			t.Errorf("%v", raw.Header)
		}
	})
	if !closed {
		t.Error("the function stayed open")
	}
}

// TestPeople holds that those whom tests act as are as the product makes them.
func TestPeople(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	owner := e.Tenant(t)
	for _, role := range []string{"viewer", "admin", "developer"} {
		p := e.Member(t, owner.TenantID, role)
		var stored, custom string
		e.Scan(t, `select m.role, coalesce(r.name, '') from app.memberships m left join app.roles r on r.tenant_id = m.tenant_id and r.id = m.custom_role_id where m.user_id = $1`, []any{p.UserID}, &stored, &custom)
		if stored != role && (stored != "custom" || custom != role) {
			t.Errorf("%s is %s %s", role, stored, custom)
		}
		if p.TenantID != owner.TenantID || p.Token == "" {
			t.Errorf("%+v", p)
		}
	}
	if p := e.Person(t); p.HasTenant() || p.Email == owner.Email {
		t.Errorf("%+v", p)
	}
	var members, roles int
	e.Scan(t, `select (select count(*) from app.memberships), (select count(*) from app.roles)`, nil, &members, &roles)
	if members != 4 || roles != len(identity.SeedRoles()) {
		t.Errorf("%d members, %d roles", members, roles)
	}
}
