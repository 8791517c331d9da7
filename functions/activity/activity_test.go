package activity_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/activity"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

const base = "/api/v1/activity/"

type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Open(t, activity.Open), e.Tenant(t)}
}

func (f *fixture) get(t *testing.T, who functest.Person, path string) functest.Response {
	t.Helper()
	return f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: path, Token: who.Token})
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// note writes an entry; label is what the tests know it by.
func (f *fixture) note(t *testing.T, tenant ids.ID, user *ids.ID, label, action, model string, object ids.ID, at time.Time) {
	t.Helper()
	f.SQL(t, `insert into app.activity (tenant_id, id, action, model, object_id, user_id, changes, request_id, created_at)
		values ($1, $2, $3, $4, $5, $6, '{"status":{"old":"todo","new":"done"},"due_date":{"old":null,"new":null}}', $7, $8)`,
		tenant, ids.New(), action, model, object, user, label, at)
}

// labels reads a list, page after page.
func (f *fixture) labels(t *testing.T, who functest.Person, path string) []string {
	t.Helper()
	out := []string{}
	for pages := 0; path != "" && pages < 100; pages++ {
		var list struct {
			Results []struct {
				RequestID string `json:"request_id"`
			}
			Next *string
		}
		f.get(t, who, path).Want(t, http.StatusOK).Into(t, &list)
		for _, r := range list.Results {
			out = append(out, r.RequestID)
		}
		path = ""
		if list.Next != nil {
			path = *list.Next
		}
	}
	return out
}

func TestEntry(t *testing.T) {
	f := setup(t)
	object := ids.New()
	f.note(t, f.owner.TenantID, &f.owner.UserID, "mine", "updated", "Task", object, start)
	f.note(t, f.owner.TenantID, nil, "the platform's", "deleted", "Task", object, start.Add(-time.Hour))
	gone := f.Member(t, f.owner.TenantID, "member")
	f.note(t, f.owner.TenantID, &gone.UserID, "one who left", "created", "Task", object, start.Add(-2*time.Hour))
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, gone.UserID)
	list := f.get(t, f.owner, base).Want(t, http.StatusOK)
	for path, want := range map[string]any{
		"results.0.action": "updated", "results.0.model": "Task", "results.0.object_id": object.String(), "results.0.request_id": "mine",
		"results.0.user.id": f.owner.UserID.String(), "results.0.user.email": f.owner.Email, "results.0.user.first_name": "Test",
		"results.0.changes.status.old": "todo", "results.0.changes.status.new": "done", "results.0.changes.due_date.old": nil,
		"results.0.created_at": "2026-03-01T12:00:00.123456Z", "results.1.user": nil, "results.2.user.id": gone.UserID.String(),
		"next": nil, "previous": nil,
	} {
		if got := list.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func TestFilters(t *testing.T) {
	f := setup(t)
	ann, tenant := f.Member(t, f.owner.TenantID, "viewer"), f.owner.TenantID
	one, two := ids.New(), ids.New()
	f.note(t, tenant, &f.owner.UserID, "a", "created", "Task", one, start)
	f.note(t, tenant, &ann.UserID, "b", "updated", "Task", one, start.Add(time.Microsecond))
	f.note(t, tenant, &ann.UserID, "c", "deleted", "Project", two, start.Add(2*time.Microsecond))
	f.note(t, tenant, nil, "d", "created", "Project", two, start.Add(time.Hour))
	other := f.Tenant(t)
	f.note(t, other.TenantID, &other.UserID, "foreign", "created", "Task", one, start)
	at := func(d time.Duration) string { return url.QueryEscape(start.Add(d).Format(time.RFC3339Nano)) }
	for query, want := range map[string]string{
		"":                                         "d c b a",
		"ordering=created_at":                      "a b c d",
		"ordering=updated_at":                      "a b c d",
		"ordering=-updated_at":                     "d c b a",
		"model=Task":                               "b a",
		"model=task":                               "",
		"model=Nothing":                            "",
		"action=created":                           "d a",
		"action=%25":                               "",
		"object_id=" + one.String():                "b a",
		"object_id=" + ids.New().String():          "",
		"object_id=" + ids.Nil.String():            "",
		"user=" + ann.UserID.String():              "c b",
		"user=" + other.UserID.String():            "",
		"user=" + ids.Nil.String():                 "",
		"since=" + at(0):                           "d c b a",
		"since=" + at(1000):                        "d c b",
		"until=" + at(0):                           "",
		"until=" + at(1000):                        "a",
		"since=" + at(1000) + "&until=" + at(2000): "b",
		"since=" + url.QueryEscape("2026-03-01T14:00:00.123457+02:00"): "d c b",
		"until=0001-01-01T00:00:00Z":                                   "",
		"since=0001-01-01T00:00:00Z":                                   "d c b a",
		"until=9999-12-31T23:59:59Z":                                   "d c b a",
		"model=Task&action=updated&user=" + ann.UserID.String() + "&object_id=" + one.String() + "&since=" + at(0) + "&until=" + at(time.Hour): "b",
		"model=Task&action=deleted": "",
		"page_size=1&model=Project": "d c",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(f.labels(t, ann, base+"?"+query), " "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	for _, query := range []string{
		"model=", "model=" + strings.Repeat("x", 65), "action=", "action=" + strings.Repeat("x", 65), "object_id=", "object_id=7", "user=", "user=me",
		"user=urn:uuid:" + one.String(), "since=", "since=yesterday", "since=2026-03-01", "until=2026-02-30T00:00:00Z", "until=0000-01-01T00:00:00Z",
		"since=0001-01-01T00:00:00%2B01:00", "ordering=action", "ordering=", "page_size=0", "page_size=201", "cursor=x", "search=x", "request_id=a", "status=todo",
		"since=" + at(0) + "&since=" + at(0),
	} {
		if got := f.get(t, ann, base+"?"+query); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, got.Status, got.Body)
		}
	}
	for _, query := range []string{"model=" + strings.Repeat("x", 64), "action=" + strings.Repeat("é", 64), "page_size=200"} {
		f.get(t, ann, base+"?"+query).Want(t, http.StatusOK)
	}
}

// TestPages goes there and back where many entries share their time, and while
// more are written.
func TestPages(t *testing.T) {
	f := setup(t)
	for i := range 17 {
		f.note(t, f.owner.TenantID, &f.owner.UserID, fmt.Sprint("e", i), "created", "Task", ids.New(), start.Add(time.Duration(i/6)*time.Second))
	}
	for _, order := range []string{"created_at", "-created_at", "updated_at", "-updated_at"} {
		direction := "asc"
		if strings.HasPrefix(order, "-") {
			direction = "desc"
		}
		var want []string
		f.Scan(t, `select array_agg(request_id order by created_at `+direction+`, id `+direction+`) from app.activity`, nil, &want)
		for _, size := range []int{1, 5, 17, 200} {
			path := fmt.Sprintf("%s?ordering=%s&page_size=%d", base, order, size)
			if got := f.labels(t, f.owner, path); !slices.Equal(got, want) {
				t.Errorf("%s %d: %v, want %v", order, size, got, want)
			}
		}
	}
	second := f.get(t, f.owner, base+"?page_size=5").Want(t, http.StatusOK).String(t, "next")
	f.note(t, f.owner.TenantID, &f.owner.UserID, "late", "created", "Task", ids.New(), start.Add(time.Hour))
	page := f.get(t, f.owner, second).Want(t, http.StatusOK)
	first := f.get(t, f.owner, page.String(t, "previous")).Want(t, http.StatusOK)
	if got := first.String(t, "results.0.request_id"); got != "e16" {
		t.Errorf("the way back begins with %s", got)
	}
	if got := f.get(t, f.owner, first.String(t, "previous")).Want(t, http.StatusOK).String(t, "results.0.request_id"); got != "late" {
		t.Errorf("what was written meanwhile is not before the first page, but %s", got)
	}
	f.get(t, f.Tenant(t), second).WantCode(t, http.StatusBadRequest, "invalid_cursor")
	f.get(t, f.owner, second+"&model=Task").WantCode(t, http.StatusBadRequest, "invalid_cursor")
}

func TestPermissions(t *testing.T) {
	f := setup(t)
	for _, role := range []string{"viewer", "member", "developer", "manager", "admin", "owner"} {
		f.get(t, f.Member(t, f.owner.TenantID, role), base).Want(t, http.StatusOK)
	}
	f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, 'blind', '{tasks:read}')`, f.owner.TenantID, ids.New())
	f.get(t, f.Member(t, f.owner.TenantID, "blind"), base).WantCode(t, http.StatusForbidden, "permission_denied")
	f.get(t, f.Person(t), base).WantCode(t, http.StatusForbidden, "no_tenant")
	f.get(t, functest.Person{}, base).Want(t, http.StatusUnauthorized)
	// Append-only: no other method is there, and the product's role could not use one.
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		got := f.Do(t, f.handler, functest.Request{Method: method, Path: base, Token: f.owner.Token}).Want(t, http.StatusMethodNotAllowed)
		if !strings.Contains(got.Header.Get("Allow"), http.MethodGet) {
			t.Errorf("Allow: %s", got.Header.Get("Allow"))
		}
	}
}
