package tasks_test

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// TestPermissions holds the table of the contract: every operation, every role,
// on one's own task and on another's.
func TestPermissions(t *testing.T) {
	f := setup(t)
	for _, tc := range []struct {
		role           string
		write, deleted int // of another's task
	}{
		{"viewer", 403, 403}, {"member", 200, 403}, {"developer", 200, 403}, {"manager", 200, 204}, {"admin", 200, 204}, {"owner", 200, 204},
	} {
		t.Run(tc.role, func(t *testing.T) {
			t.Parallel()
			who := f.Member(t, f.owner.TenantID, tc.role)
			other := f.create(t, f.owner, "Another's")
			for _, path := range []string{base, f.project, other} {
				f.do(t, who, http.MethodGet, path, nil).Want(t, http.StatusOK)
			}
			f.do(t, who, http.MethodPatch, other, map[string]any{"status": "done"}).Want(t, tc.write)
			f.do(t, who, http.MethodPut, other, map[string]any{"title": "Replaced"}).Want(t, tc.write)
			f.do(t, who, http.MethodDelete, other, nil).Want(t, tc.deleted)
			if tc.deleted == http.StatusNoContent {
				f.do(t, who, http.MethodPost, other+"restore/", nil).Want(t, http.StatusOK)
			} else {
				f.do(t, f.owner, http.MethodDelete, other, nil).Want(t, http.StatusNoContent)
				f.do(t, who, http.MethodPost, other+"restore/", nil).Want(t, http.StatusForbidden)
			}
			if tc.write == http.StatusForbidden {
				f.do(t, who, http.MethodPost, f.project, map[string]any{"title": "x"}).WantCode(t, http.StatusForbidden, "permission_denied")
				return
			}
			own := f.create(t, who, "Mine")
			f.do(t, who, http.MethodDelete, own, nil).Want(t, http.StatusNoContent)
			f.do(t, who, http.MethodPost, own+"restore/", nil).Want(t, http.StatusOK)
		})
	}
}

// TestOwn holds who may delete another's task: who created or owns its project.
func TestOwn(t *testing.T) {
	f := setup(t)
	creator, owner, third := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member")
	f.SQL(t, `update app.projects set created_by = $2, owner_id = $3 where id = $1`, projectID(f.project), creator.UserID, owner.UserID)
	for name, tc := range map[string]struct {
		who    functest.Person
		status int
	}{"the project's creator": {creator, 204}, "its owner": {owner, 204}, "a third": {third, 403}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := f.create(t, f.owner, "Another's")
			got := f.do(t, tc.who, http.MethodDelete, at, nil).Want(t, tc.status)
			if tc.status == http.StatusForbidden {
				got.WantCode(t, http.StatusForbidden, "not_your_own")
				f.do(t, tc.who, http.MethodDelete, at, nil, "If-Match", `"9.x"`).WantCode(t, http.StatusForbidden, "not_your_own")
				return
			}
			f.do(t, tc.who, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
		})
	}
}

// TestAssignee holds who may be given tasks, when a task is created, replaced
// and changed.
func TestAssignee(t *testing.T) {
	f := setup(t)
	tenant := f.owner.TenantID
	member := func(role, then string) ids.ID {
		p := f.Member(t, tenant, role)
		if then != "" {
			f.SQL(t, `update app.memberships set `+then+` where tenant_id = $1 and user_id = $2`, tenant, p.UserID)
		}
		return p.UserID
	}
	f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, 'readers', '{tasks:read}'), ($1, $3, 'writers', '{tasks:read,tasks:write}')`, tenant, ids.New(), ids.New())
	stranger := f.Tenant(t)
	for name, tc := range map[string]struct {
		id   ids.ID
		well bool
	}{
		"a member":                         {member("member", ""), true},
		"a developer":                      {member("developer", ""), true},
		"a manager":                        {member("manager", ""), true},
		"an admin":                         {member("admin", ""), true},
		"the owner":                        {f.owner.UserID, true},
		"a role with tasks:write":          {member("writers", ""), true},
		"a viewer":                         {member("viewer", ""), false},
		"a role without tasks:write":       {member("readers", ""), false},
		"an inactive member":               {member("member", "is_active = false"), false},
		"one who left":                     {member("member", "is_active = false, left_at = now()"), false},
		"one who has not come yet":         {member("member", "is_active = false, joined_at = null"), false},
		"an inactive owner":                {member("owner", "is_active = false"), false},
		"a member of another tenant":       {stranger.UserID, false},
		"a person without an organization": {f.Person(t).UserID, false},
		"nobody":                           {ids.New(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := f.create(t, f.owner, "Land")
			for _, op := range []struct {
				method, path string
				body         map[string]any
				status       int
			}{
				{http.MethodPost, f.project, map[string]any{"title": "x", "assignee_id": tc.id}, 201},
				{http.MethodPut, at, map[string]any{"title": "x", "assignee_id": tc.id}, 200},
				{http.MethodPatch, at, map[string]any{"assignee_id": nil}, 200},
				{http.MethodPatch, at, map[string]any{"assignee_id": tc.id}, 200},
			} {
				if !tc.well && op.body["assignee_id"] != nil {
					got := f.do(t, f.owner, op.method, op.path, op.body).WantCode(t, http.StatusUnprocessableEntity, "not_assignable")
					if got.String(t, "errors.0.location") != "body.assignee_id" {
						t.Errorf("%s: %s", op.method, got.Body)
					}
					continue
				}
				got := f.do(t, f.owner, op.method, op.path, op.body).Want(t, op.status)
				if op.body["assignee_id"] != nil && got.String(t, "assignee.id") != tc.id.String() {
					t.Errorf("%s: %s", op.method, got.Body)
				}
			}
		})
	}
}

// TestAssigneeWhoMayNoLonger holds that a task stays with who it was given to,
// and that other changes of it do not ask anew.
func TestAssigneeWhoMayNoLonger(t *testing.T) {
	f := setup(t)
	who := f.Member(t, f.owner.TenantID, "member")
	at := f.create(t, f.owner, "Land")
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"assignee_id": who.UserID}).Want(t, http.StatusOK)
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, who.UserID)
	got := f.do(t, f.owner, http.MethodPatch, at, map[string]any{"title": "Land softly", "assignee_id": who.UserID}).Want(t, http.StatusOK)
	if got.String(t, "assignee.email") != who.Email {
		t.Errorf("the assignee was lost: %s", got.Body)
	}
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"assignee_id": f.owner.UserID}).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"assignee_id": who.UserID}).WantCode(t, http.StatusUnprocessableEntity, "not_assignable")
}

// TestAssigneeIsTold holds that an assignment leaves a message, once, and that
// nothing else does.
func TestAssigneeIsTold(t *testing.T) {
	f := setup(t)
	who := f.Member(t, f.owner.TenantID, "member")
	told := func() int {
		return f.count(t, `select count(*) from app.outbox where kind = 'mail.task_assigned' and payload->>'user_id' = $1`, who.UserID.String())
	}
	made := f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "x", "assignee_id": who.UserID}).Want(t, http.StatusCreated)
	if told() != 1 || made.Header.Get("X-Coditect-Outbox") != "1" {
		t.Errorf("creating left %d messages, header %q", told(), made.Header.Get("X-Coditect-Outbox"))
	}
	at := made.Header.Get("Location")
	for _, body := range []map[string]any{{"assignee_id": who.UserID}, {"title": "y", "assignee_id": who.UserID}, {"status": "done"}, {"assignee_id": nil}} {
		if got := f.do(t, f.owner, http.MethodPatch, at, body).Want(t, http.StatusOK); got.Header.Get("X-Coditect-Outbox") != "" {
			t.Errorf("%v left a message", body)
		}
	}
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"assignee_id": who.UserID}).Want(t, http.StatusOK)
	if told() != 2 {
		t.Errorf("%d messages after a second assignment", told())
	}
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"assignee_id": ids.New()}).Want(t, http.StatusUnprocessableEntity)
	if n := f.count(t, `select count(*) from app.outbox`); n != 2 {
		t.Errorf("a refused assignment left a message: %d", n)
	}
	if n := f.count(t, `select count(*) from app.outbox where payload ?| array['title','email']`); n != 0 {
		t.Error("messages hold more than ids")
	}
}
