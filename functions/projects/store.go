package projects

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// broken says what breaking each constraint means to a client.
var broken = db.Constraints{"projects_of_plan": errPlanLimit}

// columns reads a project with its owner and its counts. Every table names the
// tenant as a parameter: Citus routes by it, and refuses a lateral join that
// takes it from another table.
const columns = `
	p.id, p.name, p.description, p.status, p.created_by, p.version, p.deletion_id, p.created_at, p.updated_at, p.deleted_at,
	m.user_id, m.email, m.first_name, m.last_name, c.todo, c.in_progress, c.done`

// The counts are kept, not counted (migration 0010_task_counts): a project is
// read as quickly with a million tasks as with ten. What was written past the
// functions may make them too low, which must not become an answer that the
// contract rules out.
const joins = `
	join app.memberships m on m.tenant_id = $1 and m.user_id = p.owner_id
	cross join lateral (
		select greatest(coalesce(sum(k.todo), 0), 0)::bigint as todo,
		       greatest(coalesce(sum(k.in_progress), 0), 0)::bigint as in_progress,
		       greatest(coalesce(sum(k.done), 0), 0)::bigint as done
		  from app.project_task_counts k
		 where k.tenant_id = $1 and k.project_id = p.id) c`

func scan(r pgx.CollectableRow) (p row, err error) {
	err = r.Scan(&p.ID, &p.Name, &p.Description, &p.Status, &p.createdBy, &p.version, &p.deletionID, &p.CreatedAt, &p.UpdatedAt, &p.DeletedAt,
		&p.Owner.ID, &p.Owner.Email, &p.Owner.FirstName, &p.Owner.LastName, &p.TaskCounts.Todo, &p.TaskCounts.InProgress, &p.TaskCounts.Done)
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	if p.DeletedAt != nil {
		at := p.DeletedAt.UTC()
		p.DeletedAt = &at
		p.archived = p.Status == statusArchived
		p.Status = statusDeleted
	}
	return p, err
}

// lockPlan lets one project of the tenant become active at a time: two could each
// be the last that fits. It is a statement of its own, as the one that counts
// must begin after the lock is held to see what its last holder added; and it
// comes before any lock of a project, in the order of whoever completes an
// attachment.
func lockPlan(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.organizations where tenant_id = $1 for no key update`, tx.Tenant())
}

// requireRoom breaks the transaction unless one more active project fits into the
// plan.
func requireRoom(tx *db.Tx) {
	db.Guard(tx, `case when p.max_projects <= (
	                     select count(*) from app.projects a where a.tenant_id = $1 and a.status = 'active' and a.deleted_at is null)
	                   then 'projects_of_plan' else '' end`,
		`app.organizations o join app.plans p on p.id = o.plan where o.tenant_id = $1`, tx.Tenant())
}

func insertProject(tx *db.Tx, id ids.ID, name, description string) {
	db.Exec(tx, `
		insert into app.projects (tenant_id, id, name, description, owner_id, created_by)
		values ($1, $2, $3, $4, $5, $5)`, tx.Tenant(), id, name, description, tx.User())
}

func getProject(tx *db.Tx, id ids.ID) *db.Row[row] {
	return db.One(tx, scan, `select `+columns+` from app.projects p `+joins+`
		where p.tenant_id = $1 and p.id = $2 and p.deleted_at is null`, tx.Tenant(), id)
}

// lockProject reads a project that is about to change.
func lockProject(tx *db.Tx, id ids.ID) *db.Row[row] {
	return db.One(tx, scan, `select `+columns+` from app.projects p `+joins+`
		where p.tenant_id = $1 and p.id = $2 and p.deleted_at is null for update of p`, tx.Tenant(), id)
}

// lockDeleted reads a project that is to be restored, deleted or not.
func lockDeleted(tx *db.Tx, id ids.ID) *db.Row[row] {
	return db.One(tx, scan, `select `+columns+` from app.projects p `+joins+`
		where p.tenant_id = $1 and p.id = $2 for update of p`, tx.Tenant(), id)
}

type change struct {
	version   int64
	updatedAt time.Time
}

func scanChange(r pgx.CollectableRow) (c change, err error) {
	err = r.Scan(&c.version, &c.updatedAt)
	c.updatedAt = c.updatedAt.UTC()
	return c, err
}

func updateProject(tx *db.Tx, p row) *db.Row[change] {
	return db.One(tx, scanChange, `
		update app.projects set name = $3, description = $4, status = $5, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deleted_at is null
		returning version, updated_at`, tx.Tenant(), p.ID, p.Name, p.Description, p.Status)
}

// deleteProject marks the project and what it holds with one deletion. What was
// deleted earlier keeps the deletion that took it. No task is left to count; the
// project is locked, so that nobody else counts.
func deleteProject(tx *db.Tx, id, deletion ids.ID) {
	db.Exec(tx, `
		update app.projects set deleted_at = now(), deletion_id = $3, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deleted_at is null`, tx.Tenant(), id, deletion)
	db.Exec(tx, `
		update app.tasks set deleted_at = now(), deletion_id = $3, version = version + 1, updated_at = now()
		 where tenant_id = $1 and project_id = $2 and deleted_at is null`, tx.Tenant(), id, deletion)
	for _, table := range []string{"comments", "attachments"} {
		db.Exec(tx, `
			update app.`+table+` set deleted_at = now(), deletion_id = $2, version = version + 1, updated_at = now()
			 where tenant_id = $1 and deleted_at is null
			   and task_id in (select t.id from app.tasks t where t.tenant_id = $1 and t.deletion_id = $2)`, tx.Tenant(), deletion)
	}
	countStorage(tx, deletion, deletion, -1)
	forgetCounts(tx, id)
}

// countStorage notes that the files which one deletion took came into use, or
// went out of it (sign -1). cause is unique to what happened, so that a repeat
// adds nothing; the conflict clause is also what lets Citus insert for a role
// under row policies.
func countStorage(tx *db.Tx, cause, deletion ids.ID, sign int) {
	db.Exec(tx, `
		insert into app.usage_records (tenant_id, id, metric, day, quantity)
		select a.tenant_id, $2::uuid, 'storage_bytes', (now() at time zone 'utc')::date, ($4::int * sum(a.size))::bigint
		  from app.attachments a
		 where a.tenant_id = $1 and a.deletion_id = $3 and a.status = 'ready'
		 group by a.tenant_id
		on conflict (tenant_id, id) do nothing`, tx.Tenant(), cause, deletion, sign)
}

func forgetCounts(tx *db.Tx, id ids.ID) {
	db.Exec(tx, `delete from app.project_task_counts where tenant_id = $1 and project_id = $2`, tx.Tenant(), id)
}

// restoreProject undoes one deletion.
func restoreProject(tx *db.Tx, id, deletion ids.ID) {
	countStorage(tx, ids.New(), deletion, 1)
	db.Exec(tx, `
		update app.projects set deleted_at = null, deletion_id = null, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deletion_id = $3`, tx.Tenant(), id, deletion)
	for _, table := range []string{"tasks", "comments", "attachments"} {
		db.Exec(tx, `
			update app.`+table+` set deleted_at = null, deletion_id = null, version = version + 1, updated_at = now()
			 where tenant_id = $1 and deletion_id = $2`, tx.Tenant(), deletion)
	}
	forgetCounts(tx, id)
	db.Exec(tx, `
		insert into app.project_task_counts (tenant_id, project_id, slot, todo, in_progress, done)
		select t.tenant_id, t.project_id, 0, count(*) filter (where t.status = 'todo'),
		       count(*) filter (where t.status = 'in_progress'), count(*) filter (where t.status = 'done')
		  from app.tasks t
		 where t.tenant_id = $1 and t.project_id = $2 and t.deleted_at is null
		 group by t.tenant_id, t.project_id`, tx.Tenant(), id)
}

// filter is what a list may be narrowed by.
type filter struct {
	status         string
	owner          *ids.ID
	search         string
	includeDeleted bool
}

// listProjects reads one page. The page is cut before the joins, so that only
// its rows are counted.
func listProjects(tx *db.Tx, f filter, at page.Position) *db.Rows[row] {
	args := []any{tx.Tenant()}
	arg := func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)) }
	where := []string{`p.tenant_id = $1`}
	switch {
	case f.status == statusDeleted:
		where = append(where, `p.deleted_at is not null`)
	case f.status != "":
		where = append(where, `p.deleted_at is null`, `p.status = `+arg(f.status))
	case !f.includeDeleted:
		where = append(where, `p.deleted_at is null`)
	}
	if f.owner != nil {
		where = append(where, `p.owner_id = `+arg(*f.owner))
	}
	keyset, order, more := at.SQL(len(args)+1, "p")
	where, args = append(where, keyset), append(args, more...)
	if f.search != "" {
		ordering, after, border := at.Exclusive()
		// The function's rows come in the list's order from the cursor on; the
		// caller's own policy is applied to them again.
		where = append(where, `p.id in (select s from app.search_projects($1, `+arg(f.search)+`, `+arg(at.Limit())+`, `+arg(ordering)+`, `+
			arg(after)+`, `+arg(border)+`, `+arg(text(f.status))+`, `+arg(f.owner)+`, `+arg(f.includeDeleted)+`) s)`)
	}
	sql := `select ` + columns + ` from (select * from app.projects p where ` + strings.Join(where, " and ") + ` order by ` + order + ` limit ` + arg(at.Limit()) + `) p ` +
		joins + ` order by ` + order
	return db.Many(tx, scan, sql, args...)
}

// text is null where s says nothing.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
