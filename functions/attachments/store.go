package attachments

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// broken says what breaking each constraint means to a client.
var broken = db.Constraints{
	"attachments_task_fkey": errs.ErrNotFound,
	"task_deleted":          errs.ErrNotFound,
	"task_project_archived": errProjectArchived,
	"storage_of_plan":       errPlanLimit,
}

// columns reads an attachment with who uploaded it. Joined tables name the
// tenant as a parameter, since Citus routes by it.
const columns = `
	a.id, a.task_id, a.filename, a.size, a.content_type, a.status, a.object_key, a.version, a.created_at, a.ready_at, a.updated_at,
	m.user_id, m.email, m.first_name, m.last_name`

const joinUploader = `
	join app.memberships m on m.tenant_id = $1 and m.user_id = a.uploaded_by`

// projectOf is the status of an attachment's project, null when its task is
// deleted. As a join, the planner would take every task of the tenant for one
// way to begin.
const projectOf = `(
	select p.status from app.tasks t join app.projects p on p.tenant_id = $1 and p.id = t.project_id
	 where t.tenant_id = $1 and t.id = a.task_id and t.deleted_at is null)`

func scan(r pgx.CollectableRow) (row, error) { return scanAnd(r) }

func scanAnd(r pgx.CollectableRow, more ...any) (a row, err error) {
	err = r.Scan(append([]any{&a.ID, &a.TaskID, &a.Filename, &a.Size, &a.ContentType, &a.Status, &a.objectKey, &a.version,
		&a.CreatedAt, &a.ReadyAt, &a.UpdatedAt, &a.UploadedBy.ID, &a.UploadedBy.Email, &a.UploadedBy.FirstName, &a.UploadedBy.LastName}, more...)...)
	a.CreatedAt, a.UpdatedAt = a.CreatedAt.UTC(), a.UpdatedAt.UTC()
	if a.ReadyAt != nil {
		a.ReadyAt = new(a.ReadyAt.UTC())
	}
	return a, err
}

func scanWithProject(r pgx.CollectableRow) (row, error) {
	var status *string
	a, err := scanAnd(r, &status)
	if status != nil {
		a.projectStatus = *status
	}
	return a, err
}

// requireOpenTask breaks the transaction unless the task takes attachments. A
// task that is absent is the foreign key's to refuse.
func requireOpenTask(tx *db.Tx, id ids.ID) {
	db.Guard(tx, `case when t.deleted_at is not null then 'task_deleted'
	                   when p.status = 'archived' then 'task_project_archived' else '' end`,
		`app.tasks t join app.projects p on p.tenant_id = $1 and p.id = t.project_id
		 where t.tenant_id = $1 and t.id = $2 for share of p, t`, tx.Tenant(), id)
}

// requireRoom breaks the transaction unless so many bytes fit into the plan.
// What is pending does not count: it may never come.
func requireRoom(tx *db.Tx, size int64) {
	db.Guard(tx, `case when p.max_storage_bytes < $2::bigint + (
	                     select coalesce(sum(a.size), 0) from app.attachments a
	                      where a.tenant_id = $1 and a.status = 'ready' and a.deleted_at is null)
	                   then 'storage_of_plan' else '' end`,
		`app.organizations o join app.plans p on p.id = o.plan where o.tenant_id = $1`, tx.Tenant(), size)
}

// lockStorage lets one upload of the tenant be counted at a time: two could
// each fit alone. It is a statement of its own, as the one that sums must begin
// after the lock is held to see what its last holder added.
func lockStorage(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.organizations where tenant_id = $1 for no key update`, tx.Tenant())
}

// insertAttachment reads what it wrote in a second statement of the same
// exchange, as a distributed insert cannot be joined.
func insertAttachment(tx *db.Tx, a Attachment, object string) *db.Row[row] {
	db.Exec(tx, `
		insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		tx.Tenant(), a.ID, a.TaskID, tx.User(), a.Filename, a.Size, a.ContentType, object)
	return db.One(tx, scan, `select `+columns+` from app.attachments a `+joinUploader+` where a.tenant_id = $1 and a.id = $2`, tx.Tenant(), a.ID)
}

func taskExists(tx *db.Tx, id ids.ID) *db.Row[bool] {
	return db.One(tx, pgx.RowTo[bool], `select true from app.tasks t where t.tenant_id = $1 and t.id = $2 and t.deleted_at is null`, tx.Tenant(), id)
}

// listAttachments reads one page, cut before the join.
func listAttachments(tx *db.Tx, task ids.ID, status string, at page.Position) *db.Rows[row] {
	args := []any{tx.Tenant(), task}
	where := `a.tenant_id = $1 and a.task_id = $2 and a.deleted_at is null`
	if status != "" {
		args = append(args, status)
		where += ` and a.status = $3`
	}
	keyset, order, more := at.SQL(len(args)+1, "a")
	args = append(args, more...)
	args = append(args, at.Limit())
	return db.Many(tx, scan, `select `+columns+` from (
		  select * from app.attachments a where `+where+` and `+keyset+`
		   order by `+order+fmt.Sprintf(` limit $%d`, len(args))+`) a `+joinUploader+` order by `+order, args...)
}

func getAttachment(tx *db.Tx, id ids.ID) *db.Row[row] {
	return db.One(tx, scanWithProject, `select `+columns+`, `+projectOf+` from app.attachments a `+joinUploader+`
		where a.tenant_id = $1 and a.id = $2 and a.deleted_at is null`, tx.Tenant(), id)
}

// lockAttachment reads an attachment for a change. Its project stays as it is,
// and is locked before the attachment, as deleting a project does.
func lockAttachment(tx *db.Tx, id ids.ID) *db.Row[row] {
	db.Exec(tx, `
		select 1 from app.projects p
		 where p.tenant_id = $1 and p.id = (
		   select t.project_id from app.attachments a join app.tasks t on t.tenant_id = $1 and t.id = a.task_id
		    where a.tenant_id = $1 and a.id = $2)
		   for share of p`, tx.Tenant(), id)
	return db.One(tx, scanWithProject, `select `+columns+`, `+projectOf+` from app.attachments a `+joinUploader+`
		where a.tenant_id = $1 and a.id = $2 and a.deleted_at is null for update of a`, tx.Tenant(), id)
}

// withTask is what reading an attachment gave; one whose task is deleted is
// absent.
func withTask(a row, err error) (row, error) {
	if err == nil && a.projectStatus == "" {
		return row{}, errs.ErrNotFound
	}
	return a, err
}

func completeAttachment(tx *db.Tx, id ids.ID) *db.Row[row] {
	db.Exec(tx, `
		update app.attachments set status = 'ready', ready_at = now(), version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and status = 'pending' and deleted_at is null`, tx.Tenant(), id)
	return db.One(tx, scan, `select `+columns+` from app.attachments a `+joinUploader+` where a.tenant_id = $1 and a.id = $2`, tx.Tenant(), id)
}

func deleteAttachment(tx *db.Tx, id, deletion ids.ID) {
	db.Exec(tx, `
		update app.attachments set deleted_at = now(), deletion_id = $3, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 and deleted_at is null`, tx.Tenant(), id, deletion)
}

// countStorage notes by how many bytes the tenant's storage changed, once for
// each cause: an attachment, or its deletion.
func countStorage(tx *db.Tx, cause ids.ID, bytes int64) {
	db.Exec(tx, `
		insert into app.usage_records (tenant_id, id, metric, day, quantity)
		values ($1, $2, 'storage_bytes', (now() at time zone 'utc')::date, $3)
		on conflict (tenant_id, id) do nothing`, tx.Tenant(), cause, bytes)
}
