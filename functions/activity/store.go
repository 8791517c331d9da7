package activity

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

func scan(r pgx.CollectableRow) (e Entry, err error) {
	var user *ids.ID
	var email, first, last *string
	err = r.Scan(&e.ID, &e.Action, &e.Model, &e.ObjectID, &e.Changes, &e.RequestID, &e.CreatedAt, &user, &email, &first, &last)
	e.CreatedAt = e.CreatedAt.UTC()
	if user != nil {
		e.User = &Person{ID: *user, Email: *email, FirstName: *first, LastName: *last}
	}
	return e, err
}

// filter is what a list may be narrowed by.
type filter struct {
	model, action string
	object, user  *ids.ID
	since, until  *time.Time
}

// listEntries reads one page, cut before the join. An entry never changes, so
// that both times a list may be sorted by are the same one.
func listEntries(tx *db.Tx, f filter, at page.Position) *db.Rows[Entry] {
	args := []any{tx.Tenant()}
	arg := func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)) }
	where := []string{`a.tenant_id = $1`}
	if f.model != "" {
		where = append(where, `a.model = `+arg(f.model))
	}
	if f.action != "" {
		where = append(where, `a.action = `+arg(f.action))
	}
	if f.object != nil {
		where = append(where, `a.object_id = `+arg(*f.object))
	}
	if f.user != nil {
		where = append(where, `a.user_id = `+arg(*f.user))
	}
	if f.since != nil {
		where = append(where, `a.created_at >= `+arg(*f.since))
	}
	if f.until != nil {
		where = append(where, `a.created_at < `+arg(*f.until))
	}
	keyset, order, more := at.SQL(len(args)+1, "a")
	where, args = append(where, keyset), append(args, more...)
	sql := `select a.id, a.action, a.model, a.object_id, a.changes, a.request_id, a.created_at, m.user_id, m.email, m.first_name, m.last_name
		from (select * from (select e.*, e.created_at as updated_at from app.activity e where e.tenant_id = $1) a where ` + strings.Join(where, " and ") + ` order by ` + order + ` limit ` + arg(at.Limit()) + `) a
		left join app.memberships m on m.tenant_id = $1 and m.user_id = a.user_id
		order by ` + order
	return db.Many(tx, scan, sql, args...)
}
