package tests

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/functions/membersync"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/tests/platform"
)

// guarded gives an operation of each function that demands a right in the
// tenant, one that reads where there is one.
func guarded(t *testing.T) (out []api.Operation) {
	t.Helper()
	for _, f := range all.Functions() {
		var found *api.Operation
		for i, op := range f.Operations {
			if identity.Known(op.Permission) && (found == nil || found.Method != http.MethodGet && op.Method == http.MethodGet) {
				found = &f.Operations[i]
			}
		}
		if found != nil {
			out = append(out, *found)
		}
	}
	if len(out) < 6 {
		t.Fatalf("only %d functions demand a right", len(out))
	}
	return out
}

// losses are the ways to take rights from somebody, and what they then hear.
var losses = map[string]struct {
	take func(t *testing.T, p *platform.Platform, owner, who functest.Person, role string)
	code string
}{
	"removed": {func(t *testing.T, p *platform.Platform, owner, who functest.Person, _ string) {
		t.Helper()
		p.Send(t, functest.Request{Method: http.MethodDelete, Path: "/api/v1/users/" + who.UserID.String() + "/", Token: owner.Token}).Want(t, http.StatusNoContent)
	}, "not_a_member"},
	"deactivated": {func(t *testing.T, p *platform.Platform, owner, who functest.Person, _ string) {
		t.Helper()
		p.Send(t, functest.Request{
			Method: http.MethodPatch, Path: "/api/v1/users/" + who.UserID.String() + "/", Token: owner.Token, Body: map[string]any{"is_active": false},
		}).Want(t, http.StatusOK)
	}, "not_a_member"},
	"given another role": {func(t *testing.T, p *platform.Platform, owner, who functest.Person, _ string) {
		t.Helper()
		p.Send(t, functest.Request{
			Method: http.MethodPatch, Path: "/api/v1/users/" + who.UserID.String() + "/", Token: owner.Token, Body: map[string]any{"role": "nothing"},
		}).Want(t, http.StatusOK)
	}, "permission_denied"},
	"in a role that was edited": {func(t *testing.T, p *platform.Platform, owner, _ functest.Person, role string) {
		t.Helper()
		p.Send(t, functest.Request{
			Method: http.MethodPut, Path: role, Token: owner.Token, Body: map[string]any{"name": "powerless " + ids.New().String(), "permissions": []string{}},
		}).Want(t, http.StatusOK)
	}, "permission_denied"},
}

// powerful makes somebody with a role of their own that gives everything, and
// tells where the role is.
func (s *scene) powerful(t *testing.T, p *platform.Platform) (who functest.Person, role string) {
	t.Helper()
	name := "everything " + ids.New().String()
	made := p.Send(t, functest.Request{
		Method: http.MethodPost, Path: "/api/v1/roles/", Token: s.owner.Token, Body: map[string]any{"name": name, "permissions": identity.All().Strings()},
	}).Want(t, http.StatusCreated)
	return p.Member(t, s.owner.TenantID, name), made.Header.Get("Location")
}

// TestLostRightsAreLostEverywhere takes rights away in every way there is, at
// one instance of the platform, and finds them gone at every function of
// another within five seconds.
func TestLostRightsAreLostEverywhere(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	here, there := platform.Mount(t, e, nil), platform.Mount(t, e, nil)
	home := stage(t, here)
	e.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, home.owner.TenantID) // whose limits allow to look that often
	var requests []functest.Request
	for _, op := range guarded(t) {
		requests = append(requests, home.request(t, op))
	}
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, role := home.powerful(t, here)
			for _, in := range requests {
				in.Token = who.Token
				if r := there.Send(t, in); r.Status == http.StatusForbidden {
					t.Fatalf("%s %s: %s before anything was taken", in.Method, in.Path, r.Body)
				}
			}
			loss.take(t, here, home.owner, who, role)
			deadline, tick := time.Now().Add(5*time.Second), time.NewTicker(20*time.Millisecond)
			defer tick.Stop()
			for _, in := range requests {
				in.Token = who.Token
				for {
					late := time.Now().After(deadline) // what is asked then must be refused
					r := there.Send(t, in)
					if r.Status == http.StatusForbidden {
						r.WantCode(t, http.StatusForbidden, loss.code)
						break
					}
					if late {
						t.Fatalf("%s %s answers %d after five seconds", in.Method, in.Path, r.Status)
					}
					<-tick.C
				}
			}
		})
	}
}

// TestLostRightsAreToldByMessage takes rights away at an instance that cannot
// reach Redis. Whoever looks there then still finds what was, until the message
// that was left with the change has been heard; and it is left.
func TestLostRightsAreToldByMessage(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	home := stage(t, &platform.Platform{Env: e})
	e.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, home.owner.TenantID)
	cutOff := platform.Mount(t, e, func(vars map[string]string) { vars["REDIS_URL"] = "redis://127.0.0.1:1/0" })
	listener := e.Open(t, membersync.Open)
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			who, role := home.powerful(t, cutOff)
			e.Redis.FlushAll()
			list := functest.Request{Method: http.MethodGet, Path: "/api/v1/tasks/", Token: who.Token}
			platform.Mount(t, e, nil).Send(t, list).Want(t, http.StatusOK) // Redis knows them now
			loss.take(t, cutOff, home.owner, who, role)
			if r := platform.Mount(t, e, nil).Send(t, list); r.Status != http.StatusOK {
				t.Fatalf("%d: Redis was told after all, and the test proves nothing", r.Status)
			}
			hear(t, e, listener)
			platform.Mount(t, e, nil).Send(t, list).WantCode(t, http.StatusForbidden, loss.code)
		})
	}
}

// hear delivers the messages of changed rights that wait.
func hear(t *testing.T, e *functest.Env, listener http.Handler) {
	t.Helper()
	var waiting []byte
	e.Scan(t, `select coalesce(json_agg(json_build_object('version', $1::int, 'kind', kind, 'id', id, 'tenant_id', tenant_id, 'key', key, 'created_at', created_at, 'payload', payload)), '[]')
		from app.outbox where kind = 'access.changed' and done_at is null`, []any{queue.Version}, &waiting)
	var messages []queue.Envelope
	if err := json.Unmarshal(waiting, &messages); err != nil || len(messages) == 0 {
		t.Fatalf("%d messages: %v", len(messages), err)
	}
	for _, m := range messages {
		e.Publish(t, listener, "membersync", m, 1).Want(t, http.StatusOK)
	}
}
