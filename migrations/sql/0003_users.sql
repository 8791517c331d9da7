-- A person, distributed by user_id: who they are, how they sign in, which organizations they are in.
-- Hot values (last login, last seen) stay out of the wide rows.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- email is lower case; that it is unique over all people is the claim's business (app.email_claims).
create table app.users (
  user_id           uuid        not null,
  email             text        not null,
  email_verified_at timestamptz,
  is_active         boolean     not null default true,
  version           bigint      not null default 1,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  deleted_at        timestamptz,
  constraint users_pkey primary key (user_id),
  constraint users_email_length check (char_length(email) between 3 and 254),
  constraint users_email_lower check (email = lower(email))
);

select app.user_table('app.users');

create index users_deleted_idx on app.users (deleted_at) where deleted_at is not null;

-- No row: the person signs in through an identity provider only.
create table app.credentials (
  user_id       uuid        not null,
  password_hash text        not null,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint credentials_pkey primary key (user_id)
);

select app.user_table('app.credentials');

alter table app.credentials add constraint credentials_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

create table app.profiles (
  user_id        uuid        not null,
  first_name     text        not null default '',
  last_name      text        not null default '',
  avatar_url     text        not null default '',
  bio            text        not null default '',
  timezone       text        not null default 'UTC',
  digest_enabled boolean     not null default true,
  next_digest_at timestamptz,
  version        bigint      not null default 1,
  created_at     timestamptz not null default now(),
  updated_at     timestamptz not null default now(),
  constraint profiles_pkey primary key (user_id),
  constraint profiles_first_name_length check (char_length(first_name) <= 150),
  constraint profiles_last_name_length check (char_length(last_name) <= 150),
  constraint profiles_avatar_url_length check (char_length(avatar_url) <= 2048),
  constraint profiles_bio_length check (char_length(bio) <= 5000),
  constraint profiles_timezone_length check (char_length(timezone) between 1 and 64)
);

select app.user_table('app.profiles');

alter table app.profiles add constraint profiles_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

create index profiles_next_digest_idx on app.profiles (next_digest_at) where next_digest_at is not null;

-- The person's side of app.memberships: answers "which organizations am I in" from one shard.
create table app.user_tenants (
  user_id    uuid        not null,
  tenant_id  uuid        not null,
  joined_at  timestamptz not null default now(),
  left_at    timestamptz,
  updated_at timestamptz not null default now(),
  constraint user_tenants_pkey primary key (user_id, tenant_id)
);

select app.user_table('app.user_tenants');

alter table app.user_tenants add constraint user_tenants_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

create index user_tenants_tenant_idx on app.user_tenants (tenant_id, user_id);

-- remember is what remember_me said, null when it was left out; expires_at is absolute.
create table app.sessions (
  user_id        uuid        not null,
  session_id     uuid        not null,
  tenant_id      uuid,
  device         text        not null default '',
  ip             text        not null default '',
  user_agent     text        not null default '',
  remember       boolean,
  created_at     timestamptz not null default now(),
  last_seen_at   timestamptz not null default now(),
  expires_at     timestamptz not null,
  revoked_at     timestamptz,
  revoked_reason text,
  constraint sessions_pkey primary key (user_id, session_id),
  constraint sessions_device_length check (char_length(device) <= 255),
  constraint sessions_ip_length check (char_length(ip) <= 64),
  constraint sessions_user_agent_length check (char_length(user_agent) <= 1024),
  constraint sessions_revoked_reason_length check (char_length(revoked_reason) <= 64)
);

select app.user_table('app.sessions');

alter table app.sessions add constraint sessions_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

create index sessions_live_idx on app.sessions (user_id, created_at desc, session_id desc) where revoked_at is null;

create index sessions_expires_idx on app.sessions (expires_at);

-- parent_id is the token that was spent for this one, null for the first of its session. That a parent has one
-- successor at most is the constraint that keeps two racing refreshes from minting two chains.
create table app.refresh_tokens (
  user_id     uuid        not null,
  session_id  uuid        not null,
  id          uuid        not null,
  secret_hash bytea       not null,
  parent_id   uuid,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null,
  spent_at    timestamptz,
  constraint refresh_tokens_pkey primary key (user_id, id),
  constraint refresh_tokens_secret_key unique (user_id, session_id, secret_hash),
  constraint refresh_tokens_parent_key unique (user_id, parent_id)
);

select app.user_table('app.refresh_tokens');

alter table app.refresh_tokens add constraint refresh_tokens_session_fkey
  foreign key (user_id, session_id) references app.sessions (user_id, session_id) on delete cascade;

create index refresh_tokens_expires_idx on app.refresh_tokens (expires_at);

-- Links sent by mail. email is the address the mail went to: what a used token proves is that address.
-- A token that died unused (another was asked for, the address changed) has voided_at.
create table app.email_tokens (
  user_id     uuid        not null,
  id          uuid        not null,
  kind        text        not null,
  secret_hash bytea       not null,
  email       text        not null,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null,
  used_at     timestamptz,
  voided_at   timestamptz,
  constraint email_tokens_pkey primary key (user_id, id),
  constraint email_tokens_secret_key unique (user_id, kind, secret_hash),
  constraint email_tokens_kind_known check (kind in ('verify_email', 'password_reset', 'change_email')),
  constraint email_tokens_email_length check (char_length(email) between 3 and 254)
);

select app.user_table('app.email_tokens');

alter table app.email_tokens add constraint email_tokens_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

create index email_tokens_expires_idx on app.email_tokens (expires_at);

-- Tokens of identity providers, sealed by the application (envelope keys).
create table app.oauth_tokens (
  user_id       uuid        not null,
  id            uuid        not null,
  tenant_id     uuid,
  issuer        text        not null,
  subject       text        not null,
  access_token  bytea,
  refresh_token bytea,
  id_token      bytea,
  scope         text        not null default '',
  expires_at    timestamptz,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint oauth_tokens_pkey primary key (user_id, id),
  constraint oauth_tokens_subject_key unique (user_id, issuer, subject)
);

select app.user_table('app.oauth_tokens');

alter table app.oauth_tokens add constraint oauth_tokens_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

create table app.user_state (
  user_id        uuid not null,
  last_login_at  timestamptz,
  last_tenant_id uuid,
  constraint user_state_pkey primary key (user_id)
);

select app.user_table('app.user_state');

alter table app.user_state add constraint user_state_user_fkey
  foreign key (user_id) references app.users (user_id) on delete cascade;

-- What a person did outside any organization. Append-only, and kept when the person goes: no foreign key.
create table app.user_events (
  user_id    uuid        not null,
  id         uuid        not null,
  action     text        not null,
  model      text        not null default 'User',
  object_id  uuid,
  changes    jsonb       not null default '{}',
  request_id text        not null default '',
  ip         text        not null default '',
  created_at timestamptz not null default now(),
  constraint user_events_pkey primary key (user_id, id),
  constraint user_events_action_length check (char_length(action) between 1 and 64),
  constraint user_events_model_length check (char_length(model) between 1 and 64),
  constraint user_events_changes_object check (jsonb_typeof(changes) = 'object')
);

select app.user_table('app.user_events', 'select, insert');

create index user_events_created_idx on app.user_events (user_id, created_at desc, id desc);

create index user_events_retention_idx on app.user_events (created_at);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.user_events;

drop table app.user_state;

drop table app.oauth_tokens;

drop table app.email_tokens;

drop table app.refresh_tokens;

drop table app.sessions;

drop table app.user_tenants;

drop table app.profiles;

drop table app.credentials;

drop table app.users;
