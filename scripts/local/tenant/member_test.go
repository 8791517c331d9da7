package tenant_test

import (
	"testing"

	"github.com/coditect/platform/scripts/local/tenant"
	"github.com/coditect/platform/shared/functest"
)

func TestPlanAndMembers(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	owner, joiner := e.Tenant(t), e.Person(t)
	var subdomain string
	e.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{owner.TenantID}, &subdomain)
	do := func(words ...string) (tenant.Outcome, error) {
		return tenant.Do(t.Context(), e.Database.SystemURL, append([]string{words[0], subdomain}, words[1:]...))
	}
	count := func() (n int) {
		e.Scan(t, `select count(*) from app.activity where tenant_id = $1 and user_id is null`, []any{owner.TenantID}, &n)
		return n
	}
	for i, step := range []struct {
		words         []string
		before, after string
		rows          int
	}{
		{[]string{"plan", "enterprise"}, "free", "enterprise", 1},
		{[]string{"plan", "enterprise"}, "enterprise", "enterprise", 1},
		{[]string{"add", joiner.Email, "developer"}, "", "developer", 2},
		{[]string{"add", joiner.Email, "admin"}, "developer", "developer", 2},
		{[]string{"add", owner.Email, "viewer"}, "owner", "owner", 2},
	} {
		done, err := do(step.words...)
		if err != nil || done.Before != step.before || done.After != step.after || count() != step.rows {
			t.Errorf("%d %v: %+v, %v, %d rows", i, step.words, done, err, count())
		}
	}
	var plan, role string
	var sides int
	e.Scan(t, `select plan from app.organizations where tenant_id = $1`, []any{owner.TenantID}, &plan)
	e.Scan(t, `select r.name from app.memberships m join app.roles r on r.tenant_id = m.tenant_id and r.id = m.custom_role_id where m.user_id = $1`, []any{joiner.UserID}, &role)
	e.Scan(t, `select count(*) from app.user_tenants where user_id = $1 and tenant_id = $2`, []any{joiner.UserID, owner.TenantID}, &sides)
	var told int
	e.Scan(t, `select count(*) from app.outbox where tenant_id = $1 and kind = 'access.changed' and (payload->>'user_id' is null or payload->>'user_id' = $2)`,
		[]any{owner.TenantID, joiner.UserID.String()}, &told)
	if told != 2 {
		t.Errorf("%d messages tell of the changes", told)
	}
	if plan != "enterprise" || role != "developer" || sides != 1 {
		t.Errorf("plan %s, role %s, %d", plan, role, sides)
	}
	left := e.Member(t, owner.TenantID, "member")
	e.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, left.UserID)
	closed := e.Person(t)
	e.SQL(t, `update app.users set is_active = false where user_id = $1`, closed.UserID)
	for _, words := range [][]string{
		{"plan", "gold"}, {"add", "nobody@example.com", "member"}, {"add", joiner.Email, "king"}, {"add", joiner.Email, "owner"},
		{"add", left.Email, "member"}, {"add", closed.Email, "member"},
	} {
		if done, err := do(words...); err == nil {
			t.Errorf("%v: %+v", words, done)
		}
	}
	e.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, owner.TenantID)
	for _, words := range [][]string{{"plan", "pro"}, {"add", joiner.Email, "member"}} {
		if done, err := do(words...); err == nil {
			t.Errorf("%v of a deleted organization: %+v", words, done)
		}
	}
	if count() != 2 {
		t.Errorf("refused commands left activity: %d rows", count())
	}
	redis := "redis://" + e.Redis.Addr()
	key := "acc:" + owner.TenantID.String() + ":" + joiner.UserID.String()
	if err := e.Redis.Set(key, "old"); err != nil {
		t.Fatal(err)
	}
	if err := tenant.Forget(t.Context(), redis, tenant.Outcome{TenantID: owner.TenantID, UserID: joiner.UserID}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Redis.Get(key); err == nil && got == "old" {
		t.Error("Redis still holds what the member could do")
	}
}
