-- The work itself: projects, tasks, comments, attachments; what was done to them; jobs that people wait for.
-- Soft delete: deleted_at, and deletion_id shared by all rows that one deletion took, so that restore brings
-- back exactly those. status never says 'deleted': the API derives it from deleted_at.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

create table app.projects (
  tenant_id   uuid        not null,
  id          uuid        not null,
  name        text        not null,
  description text        not null default '',
  status      text        not null default 'active',
  owner_id    uuid        not null,
  created_by  uuid        not null,
  version     bigint      not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  deleted_at  timestamptz,
  deletion_id uuid,
  constraint projects_pkey primary key (tenant_id, id),
  constraint projects_name_length check (char_length(name) between 1 and 255),
  constraint projects_description_length check (char_length(description) <= 50000),
  constraint projects_status_known check (status in ('active', 'archived')),
  constraint projects_deletion_state check ((deleted_at is null) = (deletion_id is null))
);

select app.tenant_table('app.projects');

alter table app.projects add constraint projects_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

alter table app.projects add constraint projects_owner_fkey
  foreign key (tenant_id, owner_id) references app.memberships (tenant_id, user_id);

alter table app.projects add constraint projects_created_by_fkey
  foreign key (tenant_id, created_by) references app.memberships (tenant_id, user_id);

-- Not partial: admins list deleted projects too, and a tenant has few.
create index projects_created_idx on app.projects (tenant_id, created_at desc, id desc);

create index projects_updated_idx on app.projects (tenant_id, updated_at desc, id desc);

create index projects_owner_idx on app.projects (tenant_id, owner_id, created_at desc, id desc);

create index projects_status_idx on app.projects (tenant_id, status) where deleted_at is null;

create index projects_retention_idx on app.projects (deleted_at) where deleted_at is not null;

create table app.tasks (
  tenant_id   uuid        not null,
  id          uuid        not null,
  project_id  uuid        not null,
  title       text        not null,
  description text        not null default '',
  assignee_id uuid,
  status      text        not null default 'todo',
  priority    text        not null default 'medium',
  due_date    date,
  created_by  uuid        not null,
  version     bigint      not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  deleted_at  timestamptz,
  deletion_id uuid,
  constraint tasks_pkey primary key (tenant_id, id),
  constraint tasks_title_length check (char_length(title) between 1 and 255),
  constraint tasks_description_length check (char_length(description) <= 50000),
  constraint tasks_status_known check (status in ('todo', 'in_progress', 'done')),
  constraint tasks_priority_known check (priority in ('low', 'medium', 'high')),
  constraint tasks_deletion_state check ((deleted_at is null) = (deletion_id is null))
);

select app.tenant_table('app.tasks');

alter table app.tasks add constraint tasks_project_fkey
  foreign key (tenant_id, project_id) references app.projects (tenant_id, id);

alter table app.tasks add constraint tasks_assignee_fkey
  foreign key (tenant_id, assignee_id) references app.memberships (tenant_id, user_id);

alter table app.tasks add constraint tasks_created_by_fkey
  foreign key (tenant_id, created_by) references app.memberships (tenant_id, user_id);

create index tasks_created_idx on app.tasks (tenant_id, created_at desc, id desc) where deleted_at is null;

create index tasks_updated_idx on app.tasks (tenant_id, updated_at desc, id desc) where deleted_at is null;

create index tasks_project_created_idx on app.tasks (tenant_id, project_id, created_at desc, id desc) where deleted_at is null;

create index tasks_project_updated_idx on app.tasks (tenant_id, project_id, updated_at desc, id desc) where deleted_at is null;

create index tasks_assignee_idx on app.tasks (tenant_id, assignee_id, created_at desc, id desc) where deleted_at is null;

create index tasks_due_idx on app.tasks (tenant_id, due_date, id) where deleted_at is null and due_date is not null;

-- Counts by status come from this index alone; it also serves the foreign key, deleted rows included.
create index tasks_project_status_idx on app.tasks (tenant_id, project_id, status, deleted_at);

create index tasks_deletion_idx on app.tasks (tenant_id, deletion_id) where deletion_id is not null;

create index tasks_retention_idx on app.tasks (deleted_at) where deleted_at is not null;

-- A project belongs to one tenant: without this the planner multiplies both selectivities and expects one row.
create statistics app.tasks_tenant_project (dependencies, ndistinct) on tenant_id, project_id from app.tasks;

create table app.comments (
  tenant_id   uuid        not null,
  id          uuid        not null,
  task_id     uuid        not null,
  author_id   uuid        not null,
  content     text        not null,
  version     bigint      not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  deleted_at  timestamptz,
  deletion_id uuid,
  constraint comments_pkey primary key (tenant_id, id),
  constraint comments_content_length check (char_length(content) between 1 and 10000),
  constraint comments_deletion_state check ((deleted_at is null) = (deletion_id is null))
);

select app.tenant_table('app.comments');

alter table app.comments add constraint comments_task_fkey
  foreign key (tenant_id, task_id) references app.tasks (tenant_id, id);

alter table app.comments add constraint comments_author_fkey
  foreign key (tenant_id, author_id) references app.memberships (tenant_id, user_id);

create index comments_task_created_idx on app.comments (tenant_id, task_id, created_at desc, id desc);

create index comments_task_updated_idx on app.comments (tenant_id, task_id, updated_at desc, id desc) where deleted_at is null;

create index comments_deletion_idx on app.comments (tenant_id, deletion_id) where deletion_id is not null;

create index comments_retention_idx on app.comments (deleted_at) where deleted_at is not null;

-- size in bytes. pending until the uploader says the object is there and its size was checked.
create table app.attachments (
  tenant_id    uuid        not null,
  id           uuid        not null,
  task_id      uuid        not null,
  uploaded_by  uuid        not null,
  filename     text        not null,
  size         bigint      not null,
  content_type text        not null,
  object_key   text        not null,
  status       text        not null default 'pending',
  ready_at     timestamptz,
  version      bigint      not null default 1,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  deleted_at   timestamptz,
  deletion_id  uuid,
  constraint attachments_pkey primary key (tenant_id, id),
  constraint attachments_filename_length check (char_length(filename) between 1 and 255),
  constraint attachments_content_type_length check (char_length(content_type) between 1 and 255),
  constraint attachments_object_key_length check (char_length(object_key) between 1 and 1024),
  constraint attachments_size_range check (size > 0),
  constraint attachments_status_known check (status in ('pending', 'ready')),
  constraint attachments_ready_state check ((status = 'ready') = (ready_at is not null)),
  constraint attachments_deletion_state check ((deleted_at is null) = (deletion_id is null))
);

select app.tenant_table('app.attachments');

alter table app.attachments add constraint attachments_task_fkey
  foreign key (tenant_id, task_id) references app.tasks (tenant_id, id);

alter table app.attachments add constraint attachments_uploaded_by_fkey
  foreign key (tenant_id, uploaded_by) references app.memberships (tenant_id, user_id);

create index attachments_task_created_idx on app.attachments (tenant_id, task_id, created_at desc, id desc);

create index attachments_storage_idx on app.attachments (tenant_id) include (size) where status = 'ready' and deleted_at is null;

create index attachments_deletion_idx on app.attachments (tenant_id, deletion_id) where deletion_id is not null;

create index attachments_retention_idx on app.attachments (deleted_at) where deleted_at is not null;

create index attachments_pending_idx on app.attachments (created_at) where status = 'pending';

-- Append-only: the application role can add rows and read them, nothing else. user_id null is the system.
-- No foreign keys: a row outlives what it tells of, and every write adds one.
create table app.activity (
  tenant_id  uuid        not null,
  id         uuid        not null,
  action     text        not null,
  model      text        not null,
  object_id  uuid        not null,
  user_id    uuid,
  changes    jsonb       not null default '{}',
  request_id text        not null default '',
  created_at timestamptz not null default now(),
  constraint activity_pkey primary key (tenant_id, id),
  constraint activity_action_length check (char_length(action) between 1 and 64),
  constraint activity_model_length check (char_length(model) between 1 and 64),
  constraint activity_request_id_length check (char_length(request_id) <= 128),
  constraint activity_changes_object check (jsonb_typeof(changes) = 'object')
);

select app.tenant_table('app.activity', 'select, insert');

create index activity_created_idx on app.activity (tenant_id, created_at desc, id desc);

create index activity_object_idx on app.activity (tenant_id, object_id, created_at desc, id desc);

create index activity_user_idx on app.activity (tenant_id, user_id, created_at desc, id desc);

create index activity_model_idx on app.activity (tenant_id, model, created_at desc, id desc);

-- A job a person waits for. result holds object_key, bytes, rows and expires_at; its link is signed when asked for.
create table app.jobs (
  tenant_id    uuid        not null,
  id           uuid        not null,
  kind         text        not null,
  status       text        not null default 'queued',
  progress     smallint    not null default 0,
  attempts     int         not null default 0,
  error        text,
  params       jsonb       not null default '{}',
  result       jsonb,
  created_by   uuid        not null,
  lease_until  timestamptz,
  version      bigint      not null default 1,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  started_at   timestamptz,
  finished_at  timestamptz,
  expires_at   timestamptz,
  constraint jobs_pkey primary key (tenant_id, id),
  constraint jobs_kind_length check (char_length(kind) between 1 and 64),
  constraint jobs_status_known check (status in ('queued', 'running', 'succeeded', 'failed', 'canceled')),
  constraint jobs_progress_range check (progress between 0 and 100),
  constraint jobs_finished_state check ((status in ('succeeded', 'failed', 'canceled')) = (finished_at is not null)),
  constraint jobs_error_length check (char_length(error) <= 2000)
);

select app.tenant_table('app.jobs');

alter table app.jobs add constraint jobs_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

alter table app.jobs add constraint jobs_created_by_fkey
  foreign key (tenant_id, created_by) references app.memberships (tenant_id, user_id);

create index jobs_created_idx on app.jobs (tenant_id, created_at desc, id desc);

create index jobs_updated_idx on app.jobs (tenant_id, updated_at desc, id desc);

create index jobs_created_by_idx on app.jobs (tenant_id, created_by, created_at desc, id desc);

create index jobs_open_idx on app.jobs (lease_until) where finished_at is null;

create index jobs_expires_idx on app.jobs (expires_at) where expires_at is not null;

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.jobs;

drop table app.activity;

drop table app.attachments;

drop table app.comments;

drop table app.tasks;

drop table app.projects;
