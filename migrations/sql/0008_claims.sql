-- What is unique over all tenants: one narrow table per thing, each distributed by its own key, claimed in the
-- transaction that needs it. The application sees one key at a time, the one app.set_claim named, so that no
-- query of it can list them. It may take a key for the tenant or person it acts for, and change only theirs.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

create table app.email_claims (
  email      text        not null,
  user_id    uuid        not null,
  created_at timestamptz not null default now(),
  constraint email_claims_pkey primary key (email),
  constraint email_claims_email_length check (char_length(email) between 3 and 254),
  constraint email_claims_email_lower check (email = lower(email))
);

select app.distribute('app.email_claims', 'email', 'none');

alter table app.email_claims enable row level security;

create policy claim_read on app.email_claims for select
  using (email = nullif(current_setting('app.claim_key', true), ''));

create policy claim_write on app.email_claims for all
  using      (email = nullif(current_setting('app.claim_key', true), '')
              and user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (email = nullif(current_setting('app.claim_key', true), '')
              and user_id = nullif(current_setting('app.user_id', true), '')::uuid);

grant select, insert, update, delete on app.email_claims to coditect_app, coditect_system;

-- host is a subdomain's label ('acme') or a whole domain ('work.acme.com'): a dot tells them apart.
-- held_until null: the name routes to its tenant. Otherwise it does not, and is kept for that tenant until then.
create table app.host_claims (
  host       text        not null,
  kind       text        not null,
  tenant_id  uuid        not null,
  held_until timestamptz,
  created_at timestamptz not null default now(),
  constraint host_claims_pkey primary key (host),
  constraint host_claims_kind_known check (kind in ('subdomain', 'domain')),
  constraint host_claims_host_format check (
    char_length(host) between 3 and 253
    and host ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'
    and (kind = 'domain') = (position('.' in host) > 0))
);

select app.distribute('app.host_claims', 'host', 'none');

alter table app.host_claims enable row level security;

create policy claim_read on app.host_claims for select
  using (host = nullif(current_setting('app.claim_key', true), ''));

-- A hold that ran out may be taken over by another tenant.
create policy claim_write on app.host_claims for all
  using      (host = nullif(current_setting('app.claim_key', true), '')
              and (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid or held_until < now()))
  with check (host = nullif(current_setting('app.claim_key', true), '')
              and tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

grant select, insert, update, delete on app.host_claims to coditect_app, coditect_system;

create index host_claims_held_idx on app.host_claims (held_until) where held_until is not null;

create table app.stripe_customer_claims (
  customer_id text        not null,
  tenant_id   uuid        not null,
  created_at  timestamptz not null default now(),
  constraint stripe_customer_claims_pkey primary key (customer_id),
  constraint stripe_customer_claims_customer_id_length check (char_length(customer_id) between 1 and 255)
);

select app.distribute('app.stripe_customer_claims', 'customer_id', 'none');

alter table app.stripe_customer_claims enable row level security;

create policy claim_read on app.stripe_customer_claims for select
  using (customer_id = nullif(current_setting('app.claim_key', true), ''));

create policy claim_write on app.stripe_customer_claims for all
  using      (customer_id = nullif(current_setting('app.claim_key', true), '')
              and tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
  with check (customer_id = nullif(current_setting('app.claim_key', true), '')
              and tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

grant select, insert, update, delete on app.stripe_customer_claims to coditect_app, coditect_system;

-- Every event of Stripe, once. tenant_id is known when its customer is; an event belongs to no tenant before,
-- so the key alone opens it.
create table app.stripe_events (
  event_id     text        not null,
  type         text        not null,
  customer_id  text,
  tenant_id    uuid,
  status       text        not null default 'received',
  payload      jsonb       not null,
  attempts     int         not null default 0,
  last_error   text,
  created_at   timestamptz not null,
  received_at  timestamptz not null default now(),
  lease_until  timestamptz,
  processed_at timestamptz,
  constraint stripe_events_pkey primary key (event_id),
  constraint stripe_events_event_id_length check (char_length(event_id) between 1 and 255),
  constraint stripe_events_type_length check (char_length(type) between 1 and 255),
  constraint stripe_events_last_error_length check (char_length(last_error) <= 2000),
  constraint stripe_events_status_known check (status in ('received', 'processed', 'ignored', 'failed'))
);

select app.distribute('app.stripe_events', 'event_id', 'none');

alter table app.stripe_events enable row level security;

create policy claim on app.stripe_events
  using      (event_id = nullif(current_setting('app.claim_key', true), ''))
  with check (event_id = nullif(current_setting('app.claim_key', true), ''));

grant select, insert, update, delete on app.stripe_events to coditect_app, coditect_system;

create index stripe_events_open_idx on app.stripe_events (received_at) where status = 'received';

create index stripe_events_retention_idx on app.stripe_events (received_at);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.stripe_events;

drop table app.stripe_customer_claims;

drop table app.host_claims;

drop table app.email_claims;
