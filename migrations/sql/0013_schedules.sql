-- What the schedules remember: the last slot each began and finished, and until when a run has the work to itself.
-- One row per schedule, no tenant's and no person's: a local table of the coordinator, never distributed, as one row
-- is all a run reads. Only the system role may see it: row-level security is on and no policy lets anyone else in.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- holder is the run that has the lease; whoever lost it can write nothing here any more.
create table app.schedules (
  name          text        not null,
  started_slot  timestamptz,
  started_at    timestamptz,
  finished_slot timestamptz,
  finished_at   timestamptz,
  running_until timestamptz,
  holder        uuid,
  outcome       text        not null default 'never',
  error         text,
  constraint schedules_pkey primary key (name),
  constraint schedules_name_length check (char_length(name) between 1 and 64),
  constraint schedules_outcome_known check (outcome in ('never', 'running', 'done', 'unfinished', 'failed')),
  constraint schedules_error_length check (char_length(error) <= 2000)
);

alter table app.schedules enable row level security;

grant select, insert, update, delete on app.schedules to coditect_system;

-- People from before the summaries were scheduled get their first one with the next run.
update app.profiles set next_digest_at = now() where digest_enabled and next_digest_at is null;

-- Domains whose proof was looked for: those that wait, too, by the age of the last look.
drop index app.tenant_hosts_checked_idx;

create index tenant_hosts_checked_idx on app.tenant_hosts (coalesce(checked_at, created_at));

alter table app.tenant_hosts add column failures int not null default 0;

-- Sessions that were ended before their time, by when: retention drops them a while after.
create index sessions_revoked_idx on app.sessions (revoked_at) where revoked_at is not null;

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop index app.sessions_revoked_idx;

alter table app.tenant_hosts drop column failures;

drop index app.tenant_hosts_checked_idx;

create index tenant_hosts_checked_idx on app.tenant_hosts (checked_at) where verified_at is not null;

drop table app.schedules;
