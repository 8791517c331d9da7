-- What keeps lists as quick at a million tasks as at ten thousand: the counts that a project shows, kept instead of
-- counted, and the indexes for lists narrowed by status or priority.
--
-- Counts. A project is shown with its tasks by status. Counting them reads every task of every project on the page.
-- One row of counts per project makes reading cheap, but whoever creates a task then waits for the commit of whoever did
-- before: with 16 clients creating in one project that halved their number (950 and 654 a second, where 2,116 and 2,222
-- were created without counts). So the counts are in up to 16 rows, the task's id says which of them its changes go to,
-- and reading adds them up (1,942 and 1,256 a second). Twenty projects of 250 tasks are read in 0.8 ms with all rows in
-- use, against 9.8 ms by counting.
-- A row alone may be negative: a task is not taken out of the row that it was put into when it came by another way.
-- Triggers would keep them too, but Citus refuses them; so it is a statement of each write's own transaction, and a test
-- holds them to count(*). Projects without tasks have no rows.
--
-- Indexes. status and priority have three values each: a list that names one or both reads, for each value of the other,
-- no more rows than the page has. Without them a status that no task has made a list read all tasks of the tenant. And a
-- member's tasks are kept in order of their last change too, not only of their creation.
--
-- Outside a transaction, for the concurrent builds and so that counting holds one project at a time. Every statement can
-- be run again. Code of the release before writes no counts: when it is gone, `call app.recount_tasks()` once more
-- (README, "Task counts").

-- +goose NO TRANSACTION

-- +goose Up
set lock_timeout = '1s';

-- +goose StatementBegin
do $do$
begin
  if to_regclass('app.project_task_counts') is not null then
    return;
  end if;
  set local citus.multi_shard_modify_mode to 'sequential';
  -- Half of each page is left free, so that a changed row stays on it and no index is touched.
  create table app.project_task_counts (
    tenant_id   uuid     not null,
    project_id  uuid     not null,
    slot        smallint not null,
    todo        bigint   not null,
    in_progress bigint   not null,
    done        bigint   not null,
    constraint project_task_counts_pkey primary key (tenant_id, project_id, slot),
    constraint project_task_counts_slot_known check (slot between 0 and 15)
  ) with (fillfactor = 50);
  perform app.tenant_table('app.project_task_counts');
  alter table app.project_task_counts add constraint project_task_counts_project_fkey
    foreign key (tenant_id, project_id) references app.projects (tenant_id, id) on delete cascade;
end $do$;
-- +goose StatementEnd

-- Counts anew, one project at a time, each in a transaction of its own: writers of that project's tasks wait for its
-- count, others do not. Exact under any writes by code that keeps the counts.
-- +goose StatementBegin
create or replace procedure app.recount_tasks() language plpgsql as $fn$
declare
  tenant  uuid;
  project uuid;
begin
  -- Arrays, as a cursor over shards would not outlive the first commit.
  foreach tenant in array array(select o.tenant_id from app.organizations o) loop
    foreach project in array array(select p.id from app.projects p where p.tenant_id = tenant) loop
      perform 1 from app.projects p where p.tenant_id = tenant and p.id = project for update;
      delete from app.project_task_counts c where c.tenant_id = tenant and c.project_id = project;
      insert into app.project_task_counts (tenant_id, project_id, slot, todo, in_progress, done)
      select t.tenant_id, t.project_id, 0, count(*) filter (where t.status = 'todo'),
             count(*) filter (where t.status = 'in_progress'), count(*) filter (where t.status = 'done')
        from app.tasks t
       where t.tenant_id = tenant and t.project_id = project and t.deleted_at is null
       group by t.tenant_id, t.project_id;
      commit;
    end loop;
  end loop;
end $fn$;
-- +goose StatementEnd

revoke execute on procedure app.recount_tasks() from public;

call app.recount_tasks();

set lock_timeout = 0;

drop index concurrently if exists app.tasks_narrow_created_idx;

create index concurrently tasks_narrow_created_idx
  on app.tasks (tenant_id, status, priority, created_at desc, id desc) where deleted_at is null;

drop index concurrently if exists app.tasks_narrow_updated_idx;

create index concurrently tasks_narrow_updated_idx
  on app.tasks (tenant_id, status, priority, updated_at desc, id desc) where deleted_at is null;

drop index concurrently if exists app.tasks_project_narrow_created_idx;

create index concurrently tasks_project_narrow_created_idx
  on app.tasks (tenant_id, project_id, status, priority, created_at desc, id desc) where deleted_at is null;

drop index concurrently if exists app.tasks_project_narrow_updated_idx;

create index concurrently tasks_project_narrow_updated_idx
  on app.tasks (tenant_id, project_id, status, priority, updated_at desc, id desc) where deleted_at is null;

drop index concurrently if exists app.tasks_assignee_updated_idx;

create index concurrently tasks_assignee_updated_idx
  on app.tasks (tenant_id, assignee_id, updated_at desc, id desc) where deleted_at is null;

reset lock_timeout;

-- +goose Down
set lock_timeout = 0;

drop index concurrently if exists app.tasks_assignee_updated_idx;

drop index concurrently if exists app.tasks_project_narrow_updated_idx;

drop index concurrently if exists app.tasks_project_narrow_created_idx;

drop index concurrently if exists app.tasks_narrow_updated_idx;

drop index concurrently if exists app.tasks_narrow_created_idx;

set lock_timeout = '1s';

drop procedure if exists app.recount_tasks();

drop table if exists app.project_task_counts;

reset lock_timeout;
