package tests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// atATime is how many operations of the platform are tried beside each other.
const atATime = 8

// TestStatementsHoldWithoutRowSecurity runs every operation of one tenant as a
// role that bypasses row-level security, with the ids of another: what keeps
// them apart then is what the statements say, and nothing else.
func TestStatementsHoldWithoutRowSecurity(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	e.SQL(t, `grant execute on all functions in schema app to coditect_system`)
	p := platform.Mount(t, e, func(vars map[string]string) { vars["DATABASE_URL"] = e.Database.SystemURL })
	home, foreign := stage(t, p), stage(t, p)
	before := foreign.rows(t)
	intrude := func(in functest.Request, op api.Operation) {
		r := p.Send(t, in)
		if tells(r, foreign) {
			t.Errorf("%s %s told of a foreign row: %d %s", op.Method, op.Path, r.Status, r.Body)
		}
		if strings.Contains(op.Path, "{id}") && r.Status != http.StatusNotFound {
			t.Errorf("%s %s with a foreign id: %d %s", op.Method, op.Path, r.Status, r.Body)
		}
	}
	var wg sync.WaitGroup
	turns := make(chan struct{}, atATime)
	var tries, last []func()
	for _, op := range public(t) {
		if op.Public {
			continue
		}
		if slices.Contains(endings, op.ID) {
			last = append(last, func() { intrude(intrusion(t, stage(t, p), foreign, op), op) })
			continue
		}
		as := *home
		as.signIn(t)                         // a session of its own, as some operations end theirs
		in := intrusion(t, &as, foreign, op) // which may make rows for it
		tries = append(tries, func() { intrude(in, op) })
	}
	for _, try := range tries {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			try()
		})
	}
	wg.Wait()
	for _, do := range last {
		do()
	}
	compare(t, before, foreign.rows(t))
}

// endings are the operations after which their caller, or all their sessions,
// can do nothing more: they have an intruder of their own.
var endings = []string{"revoke-sessions", "change-password", "delete-me", "leave-tenant", "transfer-tenant", "delete-tenant", "confirm-email-change"}

// TestRowSecurityHoldsWithoutStatements runs every statement of every
// operation with the parameters of one tenant and person under the setting of
// another: a proxy before PgBouncer changes what app.set_tenant and
// app.set_user are given. What keeps them apart then is the policies, and
// nothing else.
func TestRowSecurityHoldsWithoutStatements(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	stranger, bystander := e.Tenant(t), e.Person(t)
	proxy := newSettingProxy(t, e.Database.URL, stranger.TenantID, bystander.UserID)
	victim := stage(t, &platform.Platform{Env: e})
	vars := e.Vars
	vars["DATABASE_URL"] = proxy.url
	apps, err := all.Open(context.Background(), config.Map(vars))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apps.Close(context.Background()) })
	// What the victim may do is known already, so that their operations run.
	rights, _ := identity.Builtin(identity.RoleOwner)
	member, _ := json.Marshal(map[string]any{"role": "owner", "permissions": rights.Strings()})
	tenant, _ := json.Marshal(map[string]any{"status": "active", "plan": "free"})
	if err := e.Redis.Set("acc:"+victim.owner.TenantID.String()+":"+victim.owner.UserID.String(), string(member)); err != nil {
		t.Fatal(err)
	}
	if err := e.Redis.Set("ten:"+victim.owner.TenantID.String(), string(tenant)); err != nil {
		t.Fatal(err)
	}
	var attempts []func()
	for _, f := range all.Functions() {
		for _, op := range f.Operations {
			if op.Public || op.Permission == identity.Internal {
				continue
			}
			handler, in := apps.Handler(f.Name), victim.request(t, op) // which may make rows for it
			attempts = append(attempts, func() {
				r := e.Do(t, handler, in)
				if tells(r, victim) {
					t.Errorf("%s %s: row security let a row through: %d %s", op.Method, op.Path, r.Status, r.Body)
				}
			})
		}
	}
	before := victim.rows(t)
	var wg sync.WaitGroup
	turns := make(chan struct{}, atATime)
	for _, attempt := range attempts {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			attempt()
		})
	}
	wg.Wait()
	if proxy.changed.Load() == 0 {
		t.Fatal("the proxy changed no setting: the test proved nothing")
	}
	compare(t, before, victim.rows(t))
}

// intrusion is a request of home's owner with everything of foreign's that a
// request can name.
func intrusion(t *testing.T, home, foreign *scene, op api.Operation) functest.Request {
	t.Helper()
	in := home.request(t, op)
	in.Path = foreign.path(t, op)
	query := url.Values{}
	switch op.ID {
	case "list-tasks":
		query.Set("search", "secret")
	case "list-projects":
		query.Set("owner", foreign.owner.UserID.String())
		query.Set("include_deleted", "true")
	case "list-members":
		query.Set("search", "secret")
	case "list-activity":
		query.Set("user", foreign.owner.UserID.String())
		query.Set("object_id", foreign.task.String())
	}
	if len(query) > 0 {
		in.Path += "?" + query.Encode()
	}
	if op.ID == "create-task" {
		in.Body = map[string]any{"title": "x", "assignee_id": foreign.owner.UserID}
	}
	return in
}

// tells reports whether an answer holds anything of the scene that its asker
// has not said themselves.
func tells(r functest.Response, s *scene) bool {
	body := string(r.Body)
	if strings.Contains(body, secretOf(s.owner.TenantID)) || strings.Contains(body, s.owner.Email) && r.Status/100 == 2 {
		return true
	}
	return r.Status/100 == 2 && slices.ContainsFunc([]ids.ID{s.project, s.deletedProject, s.task, s.deletedTask, s.member, s.role, s.invitation}, func(id ids.ID) bool {
		return strings.Contains(body, `"`+id.String()+`"`)
	})
}

// rows is a fingerprint of everything a tenant and its owner have, table by
// table, taken by the tables' owner.
func (s *scene) rows(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for table, group := range migrations.Tables {
		var id ids.ID
		switch group.Key() {
		case "tenant_id":
			id = s.owner.TenantID
		case "user_id":
			id = s.owner.UserID
		default:
			continue
		}
		var all *string
		s.Scan(t, fmt.Sprintf(`select string_agg(r::text, E'\n' order by r::text) from app.%s r where %s = $1`, strings.TrimPrefix(table, "app."), group.Key()), []any{id}, &all)
		if all != nil {
			sum := sha256.Sum256([]byte(*all))
			out[table] = hex.EncodeToString(sum[:8])
		}
	}
	if len(out) < 5 {
		t.Fatalf("only %d tables hold something of the scene", len(out))
	}
	return out
}

func compare(t *testing.T, before, after map[string]string) {
	t.Helper()
	for table, sum := range after {
		if before[table] != sum {
			t.Errorf("rows of %s changed", table)
		}
	}
	for table := range before {
		if _, still := after[table]; !still {
			t.Errorf("rows of %s are gone", table)
		}
	}
}

// TestSettingsDoNotLeak works for many tenants at once over few connections:
// each must see its own rows only, whoever had the connection before.
func TestSettingsDoNotLeak(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, func(vars map[string]string) { vars["DATABASE_MAX_CONNS"] = "3" })
	const tenants, rounds = 12, 10
	scenes := make([]*scene, tenants)
	for i := range scenes {
		scenes[i] = stage(t, p)
	}
	deadline, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var wg sync.WaitGroup
	for i, s := range scenes {
		wg.Go(func() {
			for n := 0; n < rounds && deadline.Err() == nil; n++ {
				r := p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/tasks/", Token: s.owner.Token}).Want(t, http.StatusOK)
				if strings.Count(string(r.Body), "secret of ") != strings.Count(string(r.Body), secretOf(s.owner.TenantID)) {
					t.Errorf("tenant %d was shown another's task: %s", i, r.Body)
				}
				p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/tasks/" + scenes[(i+1)%tenants].task.String() + "/", Token: s.owner.Token}).
					Want(t, http.StatusNotFound)
			}
		})
	}
	wg.Wait()
}
