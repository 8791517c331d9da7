-- What a job that is started again needs to go on, and what keeps one organization from exporting itself twice at a time.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- What its worker has finished already; its form is the worker's. attempts is the fence: a worker may write here only
-- while the attempt is its own.
alter table app.jobs add column state jsonb not null default '{}';

-- Attempts that ended without a word since the last that got anywhere, and attempts that failed by the job's own fault.
alter table app.jobs add column crashes int not null default 0;

alter table app.jobs add column failures int not null default 0;

-- An export reads everything an organization has: one at a time.
create unique index jobs_export_open_key on app.jobs (tenant_id) where kind = 'export' and finished_at is null;

-- Unfinished jobs are counted by person. Led by the tenant, as the planner takes an index that is small for one that is
-- cheap, and this one held everybody's.
drop index app.jobs_open_idx;

create index jobs_open_idx on app.jobs (tenant_id, created_by) where finished_at is null;

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop index app.jobs_open_idx;

create index jobs_open_idx on app.jobs (lease_until) where finished_at is null;

drop index app.jobs_export_open_key;

alter table app.jobs drop column failures;

alter table app.jobs drop column crashes;

alter table app.jobs drop column state;
