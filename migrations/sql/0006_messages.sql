-- Messages that commit with their change, what was already done with them, and answers kept for a repeat.
-- Twice the same tables: with the tenant, and with the person where there is no tenant.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- available_at is when a relay may hand the message over next. A claim moves it to lease_until, so that one
-- index finds what is due; done_at is set by the consumer, in its effect's transaction; dead_at when it was
-- given up (it can be replayed by clearing dead_at). key orders and collapses: what it means is the kind's.
create table app.outbox (
  tenant_id    uuid        not null,
  id           uuid        not null,
  kind         text        not null,
  key          text        not null default '',
  payload      jsonb       not null default '{}',
  trace        text        not null default '',
  created_at   timestamptz not null default now(),
  available_at timestamptz not null default now(),
  lease_until  timestamptz,
  attempts     int         not null default 0,
  last_error   text,
  done_at      timestamptz,
  dead_at      timestamptz,
  constraint outbox_pkey primary key (tenant_id, id),
  constraint outbox_kind_length check (char_length(kind) between 1 and 64),
  constraint outbox_key_length check (char_length(key) <= 255),
  constraint outbox_trace_length check (char_length(trace) <= 1024),
  constraint outbox_last_error_length check (char_length(last_error) <= 2000),
  constraint outbox_payload_object check (jsonb_typeof(payload) = 'object')
);

select app.tenant_table('app.outbox');

create index outbox_due_idx on app.outbox (available_at, tenant_id, id) where done_at is null and dead_at is null;

create index outbox_done_idx on app.outbox (done_at) where done_at is not null;

create index outbox_dead_idx on app.outbox (dead_at) where dead_at is not null;

-- Written in the transaction of the effect: a message that is delivered again finds its row and does nothing.
create table app.processed_messages (
  tenant_id    uuid        not null,
  consumer     text        not null,
  message_id   uuid        not null,
  processed_at timestamptz not null default now(),
  constraint processed_messages_pkey primary key (tenant_id, consumer, message_id),
  constraint processed_messages_consumer_length check (char_length(consumer) between 1 and 64)
);

select app.tenant_table('app.processed_messages');

create index processed_messages_retention_idx on app.processed_messages (processed_at);

-- status null: the first request is still in flight. fingerprint is a hash of its body.
create table app.idempotency_keys (
  tenant_id   uuid        not null,
  user_id     uuid        not null,
  method      text        not null,
  path        text        not null,
  key         text        not null,
  fingerprint bytea       not null,
  status      int,
  headers     jsonb       not null default '{}',
  body        bytea,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null default now() + interval '24 hours',
  constraint idempotency_keys_pkey primary key (tenant_id, user_id, method, path, key),
  constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
  constraint idempotency_keys_method_length check (char_length(method) between 1 and 16),
  constraint idempotency_keys_path_length check (char_length(path) between 1 and 1024),
  constraint idempotency_keys_status_range check (status between 100 and 599)
);

select app.tenant_table('app.idempotency_keys');

create index idempotency_keys_expires_idx on app.idempotency_keys (expires_at);

create table app.user_outbox (
  user_id      uuid        not null,
  id           uuid        not null,
  kind         text        not null,
  key          text        not null default '',
  payload      jsonb       not null default '{}',
  trace        text        not null default '',
  created_at   timestamptz not null default now(),
  available_at timestamptz not null default now(),
  lease_until  timestamptz,
  attempts     int         not null default 0,
  last_error   text,
  done_at      timestamptz,
  dead_at      timestamptz,
  constraint user_outbox_pkey primary key (user_id, id),
  constraint user_outbox_kind_length check (char_length(kind) between 1 and 64),
  constraint user_outbox_key_length check (char_length(key) <= 255),
  constraint user_outbox_trace_length check (char_length(trace) <= 1024),
  constraint user_outbox_last_error_length check (char_length(last_error) <= 2000),
  constraint user_outbox_payload_object check (jsonb_typeof(payload) = 'object')
);

select app.user_table('app.user_outbox');

create index user_outbox_due_idx on app.user_outbox (available_at, user_id, id) where done_at is null and dead_at is null;

create index user_outbox_done_idx on app.user_outbox (done_at) where done_at is not null;

create index user_outbox_dead_idx on app.user_outbox (dead_at) where dead_at is not null;

create table app.user_processed (
  user_id      uuid        not null,
  consumer     text        not null,
  message_id   uuid        not null,
  processed_at timestamptz not null default now(),
  constraint user_processed_pkey primary key (user_id, consumer, message_id),
  constraint user_processed_consumer_length check (char_length(consumer) between 1 and 64)
);

select app.user_table('app.user_processed');

create index user_processed_retention_idx on app.user_processed (processed_at);

-- body is sealed by the application: the answers kept here hold tokens.
create table app.user_idempotency_keys (
  user_id     uuid        not null,
  method      text        not null,
  path        text        not null,
  key         text        not null,
  fingerprint bytea       not null,
  status      int,
  headers     jsonb       not null default '{}',
  body        bytea,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null default now() + interval '24 hours',
  constraint user_idempotency_keys_pkey primary key (user_id, method, path, key),
  constraint user_idempotency_keys_key_length check (char_length(key) between 1 and 255),
  constraint user_idempotency_keys_method_length check (char_length(method) between 1 and 16),
  constraint user_idempotency_keys_path_length check (char_length(path) between 1 and 1024),
  constraint user_idempotency_keys_status_range check (status between 100 and 599)
);

select app.user_table('app.user_idempotency_keys');

create index user_idempotency_keys_expires_idx on app.user_idempotency_keys (expires_at);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.user_idempotency_keys;

drop table app.user_processed;

drop table app.user_outbox;

drop table app.idempotency_keys;

drop table app.processed_messages;

drop table app.outbox;
