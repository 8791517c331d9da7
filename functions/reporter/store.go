package reporter

import (
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

func at(field string) string {
	return `to_char(` + field + ` at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}

func scanProject(r pgx.CollectableRow) (p project, err error) {
	err = r.Scan(&p.id, &p.name, &p.description, &p.status, &p.owner, &p.createdAt, &p.updatedAt, &p.at, &p.tasks)
	p.at = p.at.UTC()
	return p, err
}

// getProject reads the details, and about how many tasks there are.
func getProject(tx *db.Tx, id ids.ID) *db.Row[project] {
	return db.One(tx, scanProject, `
		select p.id::text, p.name, p.description, p.status, trim(m.first_name || ' ' || m.last_name || ' <' || m.email || '>'),
		       `+at(`p.created_at`)+`, `+at(`p.updated_at`)+`, now(), k.tasks
		  from app.projects p join app.memberships m on m.tenant_id = $1 and m.user_id = p.owner_id
		  cross join lateral (select coalesce(sum(c.todo + c.in_progress + c.done), 0)::bigint as tasks
		                        from app.project_task_counts c where c.tenant_id = $1 and c.project_id = p.id) k
		 where p.tenant_id = $1 and p.id = $2 and p.deleted_at is null`, tx.Tenant(), id)
}

// declareTasks opens the cursor that all tasks are read from, the oldest
// first: in the order of an index, so that nothing is sorted.
func declareTasks(tx *db.Tx, project ids.ID) {
	db.Exec(tx, `
		declare tasks no scroll cursor for
		select t.id::text, t.title, t.description, t.status, t.priority, trim(a.first_name || ' ' || a.last_name), a.email,
		       to_char(t.due_date, 'YYYY-MM-DD'), trim(c.first_name || ' ' || c.last_name), `+at(`t.created_at`)+`, `+at(`t.updated_at`)+`
		  from app.tasks t
		  left join app.memberships a on a.tenant_id = $1 and a.user_id = t.assignee_id
		  join app.memberships c on c.tenant_id = $1 and c.user_id = t.created_by
		 where t.tenant_id = $1 and t.project_id = $2 and t.deleted_at is null
		 order by t.created_at, t.id`, tx.Tenant(), project)
}
