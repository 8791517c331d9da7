package projects_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/functions/projects"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/trips"
)

// page reads a list at an instance, and tells whether the database was asked.
func (f *fixture) page(t *testing.T, h http.Handler, who functest.Person, query string) (body string, asked bool) {
	t.Helper()
	ctx, count := trips.Count(t.Context())
	r := f.Do(t, h, functest.Request{Method: http.MethodGet, Path: base + query, Token: who.Token, Context: ctx}).Want(t, http.StatusOK)
	return string(r.Body), count.Postgres() > 0
}

// TestListsAreRemembered holds that a page is remembered for a minute, and that
// every write of a project is seen at once, at every instance.
func TestListsAreRemembered(t *testing.T) {
	f := setup(t)
	there := f.Open(t, projects.Open)
	id := f.create(t, f.owner, "Apollo").String(t, "id")
	first, _ := f.page(t, f.handler, f.owner, "")
	f.page(t, there, f.owner, "") // which learns what the owner may do
	for range 2 {
		for _, h := range []http.Handler{f.handler, there} {
			if body, asked := f.page(t, h, f.owner, ""); asked || body != first {
				t.Errorf("not remembered (asked: %v): %s", asked, body)
			}
		}
	}
	if ttl := f.Redis.TTL("list:projects:" + f.owner.TenantID.String()); ttl <= 0 || ttl > 60e9 {
		t.Errorf("remembered for %s", ttl)
	}
	for name, write := range map[string]func() functest.Response{
		"patch": func() functest.Response {
			return f.do(t, f.owner, http.MethodPatch, base+id+"/", map[string]any{"name": ids.New().String()})
		},
		"put": func() functest.Response {
			return f.do(t, f.owner, http.MethodPut, base+id+"/", map[string]any{"name": ids.New().String()})
		},
		"create": func() functest.Response {
			return f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "Gemini"})
		},
		"keyed": func() functest.Response {
			return f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "Mercury"}, "Idempotency-Key", "k")
		},
		"delete":  func() functest.Response { return f.do(t, f.owner, http.MethodDelete, base+id+"/", nil) },
		"restore": func() functest.Response { return f.do(t, f.owner, http.MethodPost, base+id+"/restore/", nil) },
	} {
		if name == "restore" {
			f.SQL(t, `update app.projects set deleted_at = now(), deletion_id = $1 where id = $1`, id)
		} else {
			f.SQL(t, `update app.projects set deleted_at = null, deletion_id = null where id = $1`, id)
		}
		f.Redis.FlushAll()
		before, _ := f.page(t, there, f.owner, "")
		f.page(t, f.handler, f.owner, "")
		if r := write(); r.Status/100 != 2 {
			t.Fatalf("%s: %d %s", name, r.Status, r.Body)
		}
		for _, h := range []http.Handler{there, f.handler} {
			if after, _ := f.page(t, h, f.owner, ""); after == before {
				t.Errorf("%s is not seen: %s", name, after)
			}
		}
	}
}

// TestTrapT9PagesAreTheirOwn holds that a remembered page is given for the same
// question in the same organization, and to nobody who may not see it.
func TestTrapT9PagesAreTheirOwn(t *testing.T) {
	f := setup(t)
	other, viewer, admin := f.Tenant(t), f.Member(t, f.owner.TenantID, "viewer"), f.Member(t, f.owner.TenantID, "admin")
	gone := f.create(t, f.owner, "gone").Header.Get("Location")
	f.do(t, f.owner, http.MethodDelete, gone, nil).Want(t, http.StatusNoContent)
	for i := range 5 {
		f.create(t, f.owner, fmt.Sprint("p", i))
	}
	f.create(t, other, "theirs")
	queries := []string{
		"", "?include_deleted=true", "?include_deleted=false", "?status=active", "?status=archived", "?status=deleted", "?owner=" + f.owner.UserID.String(), "?owner=" + viewer.UserID.String(),
		"?owner=" + ids.Nil.String(), "?search=p1", "?search=gone", "?search=gone&include_deleted=true", "?page_size=2", "?page_size=3", "?ordering=created_at", "?ordering=updated_at", "?search=active", "?search=",
	}
	want := map[string]string{}
	for _, who := range []functest.Person{admin, other} {
		for _, q := range queries {
			f.Redis.FlushAll()
			want[who.TenantID.String()+q], _ = f.page(t, f.handler, who, q)
		}
	}
	f.Redis.FlushAll()
	stripped := func(body string) string { // cursors are signed anew each second
		before, _, _ := strings.Cut(body, `"next"`)
		return before
	}
	for range 2 {
		for _, who := range []functest.Person{admin, other} {
			for _, q := range queries {
				if got, _ := f.page(t, f.handler, who, q); stripped(got) != stripped(want[who.TenantID.String()+q]) {
					t.Errorf("%s in %s: %s", q, who.TenantID, got)
				}
			}
		}
	}
	for _, q := range []string{"?include_deleted=true", "?status=deleted", "?search=gone&include_deleted=true"} {
		f.do(t, viewer, http.MethodGet, base+q, nil).WantCode(t, http.StatusForbidden, "permission_denied")
	}
	if body, _ := f.page(t, f.handler, viewer, ""); strings.Contains(body, `"gone"`) {
		t.Errorf("a viewer is shown %s", body)
	}
	// Cursors of a remembered page lead on for whoever got it.
	for _, who := range []functest.Person{admin, viewer} {
		r := f.do(t, who, http.MethodGet, base+"?page_size=2", nil).Want(t, http.StatusOK)
		f.do(t, who, http.MethodGet, r.String(t, "next"), nil).Want(t, http.StatusOK)
	}
	// Who lost the right, or the membership, is not shown what was remembered.
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, viewer.UserID)
	f.Redis.Del("acc:" + f.owner.TenantID.String() + ":" + viewer.UserID.String())
	f.Do(t, f.Open(t, projects.Open), functest.Request{Method: http.MethodGet, Path: base, Token: viewer.Token}).WantCode(t, http.StatusForbidden, "not_a_member")
}

// TestListsSurviveRedis kills Redis under readers and writers: nobody fails, and
// nobody is shown what was before a write of theirs.
func TestListsSurviveRedis(t *testing.T) {
	f := setup(t)
	f.create(t, f.owner, "before")
	f.page(t, f.handler, f.owner, "")
	f.Redis.Close()
	for i := range 8 {
		name := fmt.Sprint("after ", i)
		f.create(t, f.owner, name)
		if body, asked := f.page(t, f.handler, f.owner, ""); !asked || !strings.Contains(body, name) {
			t.Errorf("%s is not in %s", name, body)
		}
	}
}

// TestNobodyReadsTheirOwnPast lets instances read while one writes: whoever
// writes and then reads, wherever, finds what they wrote, with an idempotent
// request too, whose commit comes last.
func TestNobodyReadsTheirOwnPast(t *testing.T) {
	f := setup(t)
	there := f.Open(t, projects.Open)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				f.page(t, there, f.owner, "?ordering=-updated_at")
			}
		})
	}
	for i := range 40 {
		name := fmt.Sprint("project ", i)
		in := functest.Request{Method: http.MethodPost, Path: base, Token: f.owner.Token, Body: map[string]any{"name": name}}
		if i%2 == 0 {
			in.Header = map[string]string{"Idempotency-Key": name}
		}
		made := f.Do(t, f.handler, in).Want(t, http.StatusCreated)
		if body, _ := f.page(t, there, f.owner, "?ordering=-updated_at"); !strings.Contains(body, `"`+name+`"`) {
			t.Errorf("%s is not there", name)
		}
		f.do(t, f.owner, http.MethodPatch, made.Header.Get("Location"), map[string]any{"status": "archived"}).Want(t, http.StatusOK)
	}
	stop()
	readers.Wait()
}
