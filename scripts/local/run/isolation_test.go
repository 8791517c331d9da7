package run

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/coditect/platform/shared/dbtest"
)

func TestIsolationOfADatabaseThatWasChanged(t *testing.T) {
	t.Parallel()
	db := dbtest.New(t)
	owner := db.Owner(t)
	if err := CheckIsolation(t.Context(), db.URL); err != nil {
		t.Fatalf("a database as migrated: %v", err)
	}
	_, err := owner.Exec(t.Context(), `insert into app.organizations (tenant_id, name, subdomain) values ($1, 'Acme', 'acme')`, uuid.New())
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckIsolation(t.Context(), db.URL); err != nil {
		t.Fatalf("a database with a tenant: %v", err)
	}
	for _, c := range []struct{ name, do, undo, want string }{
		{
			"row policies off", `alter table app.tasks disable row level security`, `alter table app.tasks enable row level security`,
			"row-level security off",
		},
		{
			"a policy that lets all through", `create policy leak on app.organizations for select using (true)`, `drop policy leak on app.organizations`,
			"sees the organizations of others",
		},
	} {
		if _, err := owner.Exec(t.Context(), c.do); err != nil {
			t.Fatal(err)
		}
		if err := CheckIsolation(t.Context(), db.URL); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := owner.Exec(t.Context(), c.undo); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckIsolation(t.Context(), db.URL); err != nil {
		t.Errorf("set right again: %v", err)
	}
}
