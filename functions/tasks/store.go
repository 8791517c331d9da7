package tasks

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// broken says what breaking each constraint means to a client.
var broken = db.Constraints{
	"tasks_project_fkey":    errs.ErrNotFound,
	"task_project_deleted":  errs.ErrNotFound,
	"task_project_archived": errProjectArchived,
	"tasks_assignee_fkey":   errNotAssignable,
	"task_not_assignable":   errNotAssignable,
	"comments_task_fkey":    errs.ErrNotFound,
	"task_deleted":          errs.ErrNotFound,
}

// columns reads a task with its assignee. Joined tables name the tenant as a
// parameter, since Citus routes by it.
const columns = `
	t.id, t.project_id, t.title, t.description, t.status, t.priority, t.due_date::text, t.created_by,
	t.version, t.deletion_id, t.created_at, t.updated_at, t.deleted_at, m.user_id, m.email, m.first_name, m.last_name`

const joinAssignee = `
	left join app.memberships m on m.tenant_id = $1 and m.user_id = t.assignee_id`

func scan(r pgx.CollectableRow) (row, error) { return scanMore(r) }

func scanMore(r pgx.CollectableRow, more ...any) (t row, err error) {
	var id *ids.ID
	var email, first, last *string
	err = r.Scan(append([]any{&t.ID, &t.ProjectID, &t.Title, &t.Description, &t.Status, &t.Priority, &t.DueDate, &t.CreatedBy,
		&t.version, &t.deletionID, &t.CreatedAt, &t.UpdatedAt, &t.DeletedAt, &id, &email, &first, &last}, more...)...)
	if err != nil {
		return t, err
	}
	if id != nil {
		t.Assignee = &Person{ID: *id, Email: *email, FirstName: *first, LastName: *last}
	}
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	if t.DeletedAt != nil {
		t.DeletedAt = new(t.DeletedAt.UTC())
	}
	return t, nil
}

// requireOpenProject breaks the transaction unless tasks may be written in the
// project. The lock keeps the project as it is until the commit; a project
// that is absent is the foreign key's to refuse.
func requireOpenProject(tx *db.Tx, id ids.ID) {
	db.Guard(tx, `case when p.deleted_at is not null then 'task_project_deleted'
	                   when p.status = 'archived' then 'task_project_archived' else '' end`,
		`app.projects p where p.tenant_id = $1 and p.id = $2 for share`, tx.Tenant(), id)
}

// assignable reads the member and breaks the transaction unless they may hold
// tasks; one who is absent is the foreign key's to refuse.
func assignable(tx *db.Tx, id ids.ID) *db.Row[Person] {
	return db.One(tx, scanPerson, `
		select m.user_id, m.email, m.first_name, m.last_name,
		       app.guard(case when not m.is_active or m.left_at is not null or m.role = 'viewer'
		                        or m.role = 'custom' and not exists (
		                               select 1 from app.roles r where r.tenant_id = $1 and r.id = m.custom_role_id and 'tasks:write' = any (r.permissions))
		                      then 'task_not_assignable' else '' end)
		  from app.memberships m where m.tenant_id = $1 and m.user_id = $2 for share of m`, tx.Tenant(), id)
}

// assignableAll is assignable for several members.
func assignableAll(tx *db.Tx, members []ids.ID) *db.Rows[Person] {
	texts := make([]string, len(members))
	for i, id := range members {
		texts[i] = id.String()
	}
	return db.Many(tx, scanPerson, `
		select m.user_id, m.email, m.first_name, m.last_name,
		       app.guard(case when not m.is_active or m.left_at is not null or m.role = 'viewer'
		                        or m.role = 'custom' and not exists (
		                               select 1 from app.roles r where r.tenant_id = $1 and r.id = m.custom_role_id and 'tasks:write' = any (r.permissions))
		                      then 'task_not_assignable' else '' end)
		  from app.memberships m where m.tenant_id = $1 and m.user_id = any ($2::uuid[]) order by m.user_id for share of m`, tx.Tenant(), texts)
}

func scanPerson(r pgx.CollectableRow) (p Person, err error) {
	var verdict string
	err = r.Scan(&p.ID, &p.Email, &p.FirstName, &p.LastName, &verdict)
	return p, err
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

func assigneeID(t Task) *ids.ID {
	if t.Assignee == nil {
		return nil
	}
	return &t.Assignee.ID
}

func insertTask(tx *db.Tx, t Task) *db.Row[change] {
	return db.One(tx, scanChange, `
		insert into app.tasks (tenant_id, id, project_id, title, description, assignee_id, status, priority, due_date, created_by)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		returning version, updated_at`,
		tx.Tenant(), t.ID, t.ProjectID, t.Title, t.Description, assigneeID(t), t.Status, t.Priority, t.DueDate, t.CreatedBy)
}

// stamped is when a task was created.
type stamped struct {
	id ids.ID
	at time.Time
}

// insertTasks is insertTask for many, in one statement.
func insertTasks(tx *db.Tx, tasks []Task) *db.Rows[stamped] {
	args := []any{tx.Tenant(), tasks[0].ProjectID, tasks[0].CreatedBy}
	var rows strings.Builder
	for i, t := range tasks {
		if i > 0 {
			rows.WriteString(", ")
		}
		n := len(args)
		fmt.Fprintf(&rows, "($1, $%d, $2, $%d, $%d, $%d::uuid, $%d, $%d, $%d::date, $3)", n+1, n+2, n+3, n+4, n+5, n+6, n+7)
		args = append(args, t.ID, t.Title, t.Description, assigneeID(t), t.Status, t.Priority, t.DueDate)
	}
	return db.Many(tx, func(r pgx.CollectableRow) (s stamped, err error) {
		err = r.Scan(&s.id, &s.at)
		s.at = s.at.UTC()
		return s, err
	}, `insert into app.tasks (tenant_id, id, project_id, title, description, assignee_id, status, priority, due_date, created_by)
		values `+rows.String()+` returning id, created_at`, args...)
}

// tally is by how many a project's tasks of each status change.
type tally struct{ todo, inProgress, done int }

// add counts n more tasks of a status.
func (c tally) add(status string, n int) tally {
	switch status {
	case statusTodo:
		c.todo += n
	case statusInProgress:
		c.inProgress += n
	case statusDone:
		c.done += n
	}
	return c
}

// slots is into how many rows a project's counts are split, so that those who
// write tasks of one project seldom wait for each other's commit.
const slots = 16

// countTasks keeps the counts of the tasks' project, in the transaction that
// changes them. It wants the project held for share, and comes after the
// change, as whoever shares the row waits from here to the commit. by is the
// task, or for many tasks at once any one of them: a transaction that counts in
// several projects uses one id and goes by the projects' ids, or two of them
// could wait for each other.
func countTasks(tx *db.Tx, project, by ids.ID, c tally) {
	if c == (tally{}) {
		return
	}
	db.Exec(tx, `
		insert into app.project_task_counts as c (tenant_id, project_id, slot, todo, in_progress, done)
		values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant_id, project_id, slot) do update
		set todo = c.todo + excluded.todo, in_progress = c.in_progress + excluded.in_progress, done = c.done + excluded.done`,
		tx.Tenant(), project, int(by[len(by)-1])%slots, c.todo, c.inProgress, c.done)
}

func getTask(tx *db.Tx, id ids.ID) *db.Row[row] {
	return db.One(tx, scan, `select `+columns+` from app.tasks t `+joinAssignee+`
		where t.tenant_id = $1 and t.id = $2 and t.deleted_at is null`, tx.Tenant(), id)
}

// lockTask reads a task that is about to change, deleted or not, with its
// project, which stays as it is until the commit. The project is locked before
// the task, as deleting a project does: the other way round each could wait for
// the other.
func lockTask(tx *db.Tx, id ids.ID) *db.Row[row] {
	db.Exec(tx, `
		select 1 from app.projects p
		 where p.tenant_id = $1 and p.id = (select t.project_id from app.tasks t where t.tenant_id = $1 and t.id = $2)
		   for share of p`, tx.Tenant(), id)
	return db.One(tx, func(r pgx.CollectableRow) (row, error) {
		var owner, creator ids.ID
		var status string
		var deleted bool
		t, err := scanMore(r, &owner, &creator, &status, &deleted)
		t.projectOwner, t.projectCreator, t.projectStatus, t.projectDeleted = owner, creator, status, deleted
		return t, err
	}, `select `+columns+`, p.owner_id, p.created_by, p.status, p.deleted_at is not null
		from app.tasks t join app.projects p on p.tenant_id = $1 and p.id = t.project_id `+joinAssignee+`
		where t.tenant_id = $1 and t.id = $2 for update of t for share of p`, tx.Tenant(), id)
}

func updateTask(tx *db.Tx, t Task) *db.Row[change] {
	return db.One(tx, scanChange, `
		update app.tasks set title = $3, description = $4, assignee_id = $5, status = $6, priority = $7, due_date = $8,
		       version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deleted_at is null
		returning version, updated_at`,
		tx.Tenant(), t.ID, t.Title, t.Description, assigneeID(t), t.Status, t.Priority, t.DueDate)
}

func deleteTask(tx *db.Tx, id, deletion ids.ID) {
	db.Exec(tx, `
		update app.tasks set deleted_at = now(), deletion_id = $3, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deleted_at is null`, tx.Tenant(), id, deletion)
	for _, table := range []string{"comments", "attachments"} {
		db.Exec(tx, `
			update app.`+table+` set deleted_at = now(), deletion_id = $3, version = version + 1, updated_at = now()
			 where tenant_id = $1 and task_id = $2 and deleted_at is null`, tx.Tenant(), id, deletion)
	}
	countStorage(tx, deletion, id, deletion, -1)
}

// countStorage notes that files of a task which one deletion took came into
// use, or went out of it (sign -1). cause is unique to what happened, so that a
// repeat adds nothing; the conflict clause is also what lets Citus insert for a
// role under row policies.
func countStorage(tx *db.Tx, cause, task, deletion ids.ID, sign int) {
	db.Exec(tx, `
		insert into app.usage_records (tenant_id, id, metric, day, quantity)
		select a.tenant_id, $2::uuid, 'storage_bytes', (now() at time zone 'utc')::date, ($5::int * sum(a.size))::bigint
		  from app.attachments a
		 where a.tenant_id = $1 and a.task_id = $3 and a.deletion_id = $4 and a.status = 'ready'
		 group by a.tenant_id
		on conflict (tenant_id, id) do nothing`, tx.Tenant(), cause, task, deletion, sign)
}

// restoreTask undoes for one task the deletion that took it; when that was its
// project's, the rest of what it took stays deleted.
func restoreTask(tx *db.Tx, id, deletion ids.ID) {
	countStorage(tx, ids.New(), id, deletion, 1)
	db.Exec(tx, `
		update app.tasks set deleted_at = null, deletion_id = null, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deletion_id = $3`, tx.Tenant(), id, deletion)
	for _, table := range []string{"comments", "attachments"} {
		db.Exec(tx, `
			update app.`+table+` set deleted_at = null, deletion_id = null, version = version + 1, updated_at = now()
			 where tenant_id = $1 and task_id = $2 and deletion_id = $3`, tx.Tenant(), id, deletion)
	}
}

// projectExists tells an empty list from a project that is not there.
func projectExists(tx *db.Tx, id ids.ID) *db.Row[bool] {
	return db.One(tx, pgx.RowTo[bool], `select true from app.projects p where p.tenant_id = $1 and p.id = $2 and p.deleted_at is null`, tx.Tenant(), id)
}

// filter is what a list may be narrowed by.
type filter struct {
	project             *ids.ID
	status, priority    string
	assignee            *ids.ID
	unassigned          bool
	dueBefore, dueAfter string
	search              string
}

// listTasks reads one page, cut before the join.
func listTasks(tx *db.Tx, f filter, at page.Position) *db.Rows[row] {
	args := []any{tx.Tenant()}
	arg := func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)) }
	where := []string{`t.tenant_id = $1`, `t.deleted_at is null`}
	if f.project != nil {
		where = append(where, `t.project_id = `+arg(*f.project))
	}
	if f.unassigned {
		where = append(where, `t.assignee_id is null`)
	} else if f.assignee != nil {
		where = append(where, `t.assignee_id = `+arg(*f.assignee))
	}
	if f.dueBefore != "" {
		where = append(where, `t.due_date < `+arg(f.dueBefore))
	}
	if f.dueAfter != "" {
		where = append(where, `t.due_date > `+arg(f.dueAfter))
	}
	keyset, order, more := at.SQL(len(args)+1, "t")
	where, args = append(where, keyset), append(args, more...)
	limit := arg(at.Limit())
	if f.search != "" {
		ordering, after, border := at.Exclusive()
		// The function's rows come in the list's order from the cursor on; the
		// caller's own policy is applied to them again.
		where = append(where, `t.id in (select s from app.search_tasks($1, `+arg(f.search)+`, `+limit+`, `+arg(ordering)+`, `+
			arg(after)+`, `+arg(border)+`, `+arg(f.project)+`, `+arg(text(f.status))+`, `+arg(text(f.priority))+`, `+
			arg(f.assignee)+`, `+arg(f.unassigned)+`, `+arg(text(f.dueBefore))+`, `+arg(text(f.dueAfter))+`) s)`)
	}
	common, end := strings.Join(where, " and "), ` order by `+order+` limit `+limit
	var parts []string
	for _, n := range f.narrowings() {
		condition := common
		if n.status != "" {
			condition += ` and t.status = ` + arg(n.status)
		}
		if n.priority != "" {
			condition += ` and t.priority = ` + arg(n.priority)
		}
		parts = append(parts, `select * from app.tasks t where `+condition+end)
	}
	rows := parts[0]
	if len(parts) > 1 {
		rows = `select * from ((` + strings.Join(parts, `) union all (`) + `)) t` + end
	}
	return db.Many(tx, scan, `select `+columns+` from (`+rows+`) t `+joinAssignee+` order by `+order, args...)
}

// narrowing is a status and a priority, empty for any.
type narrowing struct{ status, priority string }

// narrowings are the parts that a page is put together from. The index that
// keeps a narrowed list in order leads with status and priority: a list that
// names one of them reads a page's worth for each value of the other, and so
// never more, however few tasks match. Not so for a member's tasks, which have
// an index of their own, and for a search, which has its own way and must not
// run thrice.
func (f filter) narrowings() []narrowing {
	one := []narrowing{{f.status, f.priority}}
	if (f.status == "") == (f.priority == "") || f.assignee != nil || f.search != "" {
		return one
	}
	var out []narrowing
	if f.priority == "" {
		for _, p := range []string{priorityLow, priorityMedium, priorityHigh} {
			out = append(out, narrowing{f.status, p})
		}
		return out
	}
	for _, s := range []string{statusTodo, statusInProgress, statusDone} {
		out = append(out, narrowing{s, f.priority})
	}
	return out
}

// text is null where s says nothing.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
