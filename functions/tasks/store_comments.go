package tasks

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

const commentColumns = `
	c.id, c.task_id, c.content, c.version, c.created_at, c.updated_at, m.user_id, m.email, m.first_name, m.last_name`

const joinAuthor = `
	join app.memberships m on m.tenant_id = $1 and m.user_id = c.author_id`

func scanComment(r pgx.CollectableRow) (c remark, err error) { return scanCommentAnd(r) }

func scanCommentAnd(r pgx.CollectableRow, more ...any) (c remark, err error) {
	err = r.Scan(append([]any{&c.ID, &c.TaskID, &c.Content, &c.version, &c.CreatedAt, &c.UpdatedAt,
		&c.User.ID, &c.User.Email, &c.User.FirstName, &c.User.LastName}, more...)...)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return c, err
}

// requireOpenTask breaks the transaction unless the task takes comments. A task
// that is absent is the foreign key's to refuse.
func requireOpenTask(tx *db.Tx, id ids.ID) {
	db.Guard(tx, `case when t.deleted_at is not null then 'task_deleted'
	                   when p.status = 'archived' then 'task_project_archived' else '' end`,
		`app.tasks t join app.projects p on p.tenant_id = $1 and p.id = t.project_id
		 where t.tenant_id = $1 and t.id = $2 for share of p, t`, tx.Tenant(), id)
}

// insertComment reads what it wrote with its author in a second statement of
// the same exchange, as a distributed insert cannot be joined.
func insertComment(tx *db.Tx, id, task ids.ID, content string) *db.Row[remark] {
	db.Exec(tx, `insert into app.comments (tenant_id, id, task_id, author_id, content) values ($1, $2, $3, $4, $5)`,
		tx.Tenant(), id, task, tx.User(), content)
	return db.One(tx, scanComment, `select `+commentColumns+` from app.comments c `+joinAuthor+` where c.tenant_id = $1 and c.id = $2`, tx.Tenant(), id)
}

func taskExists(tx *db.Tx, id ids.ID) *db.Row[bool] {
	return db.One(tx, pgx.RowTo[bool], `select true from app.tasks t where t.tenant_id = $1 and t.id = $2 and t.deleted_at is null`, tx.Tenant(), id)
}

// listComments reads one page, cut before the join.
func listComments(tx *db.Tx, task ids.ID, at page.Position) *db.Rows[remark] {
	keyset, order, more := at.SQL(3, "c")
	args := append([]any{tx.Tenant(), task}, more...)
	args = append(args, at.Limit())
	return db.Many(tx, scanComment, `select `+commentColumns+` from (
		  select * from app.comments c where c.tenant_id = $1 and c.task_id = $2 and c.deleted_at is null and `+keyset+`
		   order by `+order+fmt.Sprintf(` limit $%d`, len(args))+`) c `+joinAuthor+` order by `+order, args...)
}

// lockComment reads a comment for a change. The project stays as it is, and is
// locked before the comment, as deleting a project does.
func lockComment(tx *db.Tx, id ids.ID) *db.Row[remark] {
	db.Exec(tx, `
		select 1 from app.projects p
		 where p.tenant_id = $1 and p.id = (
		   select t.project_id from app.comments c join app.tasks t on t.tenant_id = $1 and t.id = c.task_id
		    where c.tenant_id = $1 and c.id = $2)
		   for share of p`, tx.Tenant(), id)
	return db.One(tx, func(r pgx.CollectableRow) (remark, error) {
		var status string
		c, err := scanCommentAnd(r, &status)
		c.projectStatus = status
		return c, err
	}, `select `+commentColumns+`, p.status from app.comments c `+joinAuthor+`
		  join app.tasks t on t.tenant_id = $1 and t.id = c.task_id and t.deleted_at is null
		  join app.projects p on p.tenant_id = $1 and p.id = t.project_id
		 where c.tenant_id = $1 and c.id = $2 and c.deleted_at is null for update of c`, tx.Tenant(), id)
}

func updateComment(tx *db.Tx, id ids.ID, content string) *db.Row[change] {
	return db.One(tx, scanChange, `update app.comments set content = $3, version = version + 1, updated_at = now()
		where tenant_id = $1 and id = $2 and deleted_at is null returning version, updated_at`, tx.Tenant(), id, content)
}

func deleteComment(tx *db.Tx, id, deletion ids.ID) {
	db.Exec(tx, `update app.comments set deleted_at = now(), deletion_id = $3, version = version + 1, updated_at = now()
		where tenant_id = $1 and id = $2 and deleted_at is null`, tx.Tenant(), id, deletion)
}
