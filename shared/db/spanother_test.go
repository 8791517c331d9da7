package db_test

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/trips"
)

// What is done to somebody else is done by who acts, with the other's rows in
// sight and not one's own, and what it leaves is the other's: but for the
// activity, and from where it was done.
func TestSpanOther(t *testing.T) {
	f := setup(t)
	other := f.Member(t, f.by.TenantID, identity.RoleMember)
	by := f.by
	by.ClientIP, by.RequestID = "192.0.2.1", "r-other"
	var sessions *db.Rows[ids.ID]
	end := func(tx *db.Tx) error {
		if tx.User() != by.UserID || tx.Person() != other.UserID {
			t.Errorf("%s acts on %s", tx.User(), tx.Person())
		}
		// Without a person in the statement: the policy holds it to one.
		sessions = db.Many(tx, pgx.RowTo[ids.ID], `update app.sessions set revoked_at = now() where revoked_at is null returning session_id`)
		tx.Record(activity.Updated("Membership", other.UserID, nil))
		tx.RecordUser("test", nil)
		tx.Enqueue(outbox.New("for.tenant", "", nil))
		tx.EnqueueUser(outbox.New("for.other", "", nil))
		return nil
	}
	ctx, counter := trips.Count(t.Context())
	if err := db.SpanOther(ctx, f.db, db.SpanRemove, by, other.UserID, end); err != nil {
		t.Fatal(err)
	}
	if ended, err := sessions.Value(); err != nil || len(ended) != 1 || ended[0] != other.SessionID || counter.Postgres() != 1 {
		t.Errorf("%v ended, %v, in %d trips", ended, err, counter.Postgres())
	}
	var n int
	f.Scan(t, `select (select count(*) from app.activity where tenant_id = $1 and user_id = $2 and object_id = $3 and request_id = 'r-other')
		+ (select count(*) from app.user_events where user_id = $3 and action = 'test' and ip = '' and request_id = 'r-other')
		+ (select count(*) from app.outbox where tenant_id = $1 and kind = 'for.tenant')
		+ (select count(*) from app.user_outbox where user_id = $3 and kind = 'for.other')`, []any{by.TenantID, by.UserID, other.UserID}, &n)
	if n != 4 {
		t.Errorf("%d of 4 rows", n)
	}
	for name, run := range map[string]func() error{
		"by nobody": func() error {
			return db.SpanOther(t.Context(), f.db, db.SpanRemove, identity.Principal{TenantID: by.TenantID}, other.UserID, end)
		},
		"to nobody": func() error { return db.SpanOther(t.Context(), f.db, db.SpanRemove, by, ids.Nil, end) },
		"in no organization": func() error {
			return db.SpanOther(t.Context(), f.db, db.SpanRemove, by.InTenant(ids.Nil), other.UserID, end)
		},
		"without activity": func() error {
			return db.SpanOther(t.Context(), f.db, db.SpanRemove, by, other.UserID, func(*db.Tx) error { return nil })
		},
	} {
		if run() == nil {
			t.Errorf("%s: committed", name)
		}
	}
	// The answer to a key is kept where it can be.
	a := &idempotency.Attempt{Key: "k", Method: http.MethodPost, Path: "/"}
	if err := db.SpanOther(idempotency.With(t.Context(), a), f.db, db.SpanRemove, by, other.UserID, end); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(t.Context(), idempotency.Response{Status: http.StatusNoContent}); err != nil {
		t.Fatal(err)
	}
	f.Scan(t, `select count(*) from app.idempotency_keys where tenant_id = $1 and user_id = $2 and key = 'k'`, []any{by.TenantID, by.UserID}, &n)
	if n != 1 {
		t.Errorf("%d answers kept with the tenant", n)
	}
}
