-- What the relay needs to find due messages fairly, in order within a key, and to know who is at work on them.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- The moment of the insert, which for messages of one key is behind the lock that orders their changes; the
-- transaction's start is not.
alter table app.outbox alter column created_at set default clock_timestamp();

alter table app.user_outbox alter column created_at set default clock_timestamp();

-- attempts counts failures; handovers how often the message was given to a queue (part of the task's name).
alter table app.outbox add column handovers int not null default 0;

alter table app.user_outbox add column handovers int not null default 0;

-- Until when one consumer has the message to itself (jobs that must not run twice at a time).
alter table app.outbox add column running_until timestamptz;

alter table app.user_outbox add column running_until timestamptz;

drop index app.outbox_due_idx;

drop index app.user_outbox_due_idx;

-- Led by the owner: the relay skips from owner to owner, so that a hundred thousand messages of one cost the
-- others nothing.
create index outbox_due_idx on app.outbox (tenant_id, kind, available_at, id) where done_at is null and dead_at is null;

create index user_outbox_due_idx on app.user_outbox (user_id, kind, available_at, id) where done_at is null and dead_at is null;

-- What is handed over and not done; by its time, as the count over all owners reads it.
create index outbox_leased_idx on app.outbox (lease_until, tenant_id, kind)
  where done_at is null and dead_at is null and lease_until is not null;

create index user_outbox_leased_idx on app.user_outbox (lease_until, user_id, kind)
  where done_at is null and dead_at is null and lease_until is not null;

create index outbox_key_idx on app.outbox (tenant_id, key, created_at, id)
  where done_at is null and dead_at is null and key <> '';

create index user_outbox_key_idx on app.user_outbox (user_id, key, created_at, id)
  where done_at is null and dead_at is null and key <> '';

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop index app.user_outbox_key_idx;

drop index app.outbox_key_idx;

drop index app.user_outbox_leased_idx;

drop index app.outbox_leased_idx;

drop index app.user_outbox_due_idx;

drop index app.outbox_due_idx;

create index outbox_due_idx on app.outbox (available_at, tenant_id, id) where done_at is null and dead_at is null;

create index user_outbox_due_idx on app.user_outbox (available_at, user_id, id) where done_at is null and dead_at is null;

alter table app.user_outbox drop column running_until;

alter table app.outbox drop column running_until;

alter table app.user_outbox drop column handovers;

alter table app.outbox drop column handovers;

alter table app.user_outbox alter column created_at set default now();

alter table app.outbox alter column created_at set default now();
