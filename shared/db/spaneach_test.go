package db_test

import (
	"errors"
	"testing"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/trips"
)

// Several tenants and the person change together or not at all, in one
// exchange, each with its own activity and messages and none with another's rows
// in sight.
func TestSpanEach(t *testing.T) {
	f := setup(t)
	tenants := []ids.ID{f.by.TenantID, f.Tenant(t).TenantID}
	for _, tenant := range tenants[1:] {
		f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, is_active, joined_at) values ($1, $2, $3, 'member', true, now())`, tenant, f.by.UserID, f.by.Email)
	}
	run := func(each, last func(*db.Tx) error) error {
		return db.SpanEach(t.Context(), f.db, db.SpanDelete, f.by, tenants, each, last)
	}
	change := func(tx *db.Tx) error {
		// Without a tenant in the statement: the policy holds it to one.
		db.Exec(tx, `update app.memberships set first_name = 'Changed' where user_id = $1`, tx.User())
		tx.Record(activity.Updated("Membership", tx.User(), activity.Changes{"first_name": {New: "Changed"}}))
		tx.Enqueue(outbox.New("test", "", nil))
		return nil
	}
	person := func(tx *db.Tx) error {
		if tx.Tenant() != ids.Nil {
			t.Error("the person's part acts in a tenant")
		}
		tx.RecordUser("changed", activity.Changes{})
		return nil
	}
	stop := errors.New("stop")
	for name, tc := range map[string]struct{ each, last func(*db.Tx) error }{
		"a tenant refuses": {func(tx *db.Tx) error {
			_ = change(tx)
			if tx.Tenant() == tenants[1] {
				return stop
			}
			return nil
		}, person},
		"the person refuses":      {change, func(*db.Tx) error { return stop }},
		"a tenant is not told":    {func(*db.Tx) error { return nil }, person},
		"a statement breaks last": {change, func(tx *db.Tx) error { db.Exec(tx, `select 1 / 0`); return nil }},
	} {
		if err := run(tc.each, tc.last); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
	if f.rows(t, "activity") != 0 || f.rows(t, "outbox") != 0 || f.rows(t, "user_events") != 0 {
		t.Fatal("a refused change left something")
	}
	ctx, counter := trips.Count(t.Context())
	if err := db.SpanEach(ctx, f.db, db.SpanDelete, f.by, tenants, change, person); err != nil {
		t.Fatal(err)
	}
	if counter.Postgres() != 1 {
		t.Errorf("%d round trips", counter.Postgres())
	}
	for _, tenant := range tenants {
		var changed, told, messages int
		f.Scan(t, `select (select count(*) from app.memberships where tenant_id = $1 and first_name = 'Changed'),
			(select count(*) from app.activity where tenant_id = $1), (select count(*) from app.outbox where tenant_id = $1)`, []any{tenant}, &changed, &told, &messages)
		if changed != 1 || told != 1 || messages != 1 {
			t.Errorf("%d changed, %d told, %d messages", changed, told, messages)
		}
	}
	if f.rows(t, "user_events") != 1 {
		t.Error("the person's part is missing")
	}
	if err := db.SpanEach(t.Context(), f.db, db.SpanDelete, identity.Principal{}, nil, change, person); err == nil || errs.KindOf(err) != errs.Internal {
		t.Errorf("for nobody: %v", err)
	}
}
