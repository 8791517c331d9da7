package tasks

var (
	_ = `select id from app.tasks`                                   // want sql-in-store
	_ = "insert into app.tasks (id) values ($1)"                     // want sql-in-store
	_ = "update app.tasks set title = $1"                            // want sql-in-store
	_ = "update app.tasks as t set title = $1"                       // want sql-in-store
	_ = "delete from app.tasks where id = $1"                        // want sql-in-store
	_ = "with gone as (delete from app.tasks returning id) select 1" // want sql-in-store
	_ = "SELECT 1"                                                   // want sql-in-store
	_ = "select app.set_tenant($1)"                                  // want sql-in-store
	_ = `
		select id, title
		  from app.tasks` // want-above sql-in-store

	_ = "Update a task"
	_ = "Delete from your list what is done."
	_ = "Select a project from the list, then add tasks."
	_ = "update task: %w"
	_ = "with permission"
)
