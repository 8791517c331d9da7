-- What a tenant pays for and uses. Money in minor units; Stripe is the truth, these rows its last known state.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- No row: free and active. pending_plan takes effect at the period's end (a downgrade).
create table app.subscriptions (
  tenant_id              uuid        not null,
  stripe_customer_id     text        not null,
  stripe_subscription_id text,
  plan                   text        not null,
  status                 text        not null,
  interval               text        not null default 'month',
  pending_plan           text,
  pending_interval       text,
  current_period_start   timestamptz,
  current_period_end     timestamptz,
  next_invoice_at        timestamptz,
  trial_end              timestamptz,
  cancel_at_period_end   boolean     not null default false,
  canceled_at            timestamptz,
  synced_at              timestamptz,
  version                bigint      not null default 1,
  created_at             timestamptz not null default now(),
  updated_at             timestamptz not null default now(),
  constraint subscriptions_pkey primary key (tenant_id),
  constraint subscriptions_status_known check (status in ('active', 'trialing', 'past_due', 'canceled', 'incomplete')),
  constraint subscriptions_interval_known check (interval in ('month', 'year')),
  constraint subscriptions_pending_interval_known check (pending_interval in ('month', 'year'))
);

select app.tenant_table('app.subscriptions');

alter table app.subscriptions add constraint subscriptions_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

alter table app.subscriptions add constraint subscriptions_plan_fkey
  foreign key (plan) references app.plans (id);

alter table app.subscriptions add constraint subscriptions_pending_plan_fkey
  foreign key (pending_plan) references app.plans (id);

create index subscriptions_period_end_idx on app.subscriptions (current_period_end);

create table app.invoices (
  tenant_id          uuid        not null,
  id                 uuid        not null,
  stripe_invoice_id  text        not null,
  number             text,
  status             text        not null,
  currency           text        not null,
  amount_due         bigint      not null default 0,
  amount_paid        bigint      not null default 0,
  hosted_url         text,
  pdf_url            text,
  period_start       timestamptz,
  period_end         timestamptz,
  issued_at          timestamptz,
  paid_at            timestamptz,
  version            bigint      not null default 1,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),
  constraint invoices_pkey primary key (tenant_id, id),
  constraint invoices_stripe_key unique (tenant_id, stripe_invoice_id),
  constraint invoices_status_known check (status in ('draft', 'open', 'paid', 'uncollectible', 'void')),
  constraint invoices_currency_format check (currency ~ '^[a-z]{3}$')
);

select app.tenant_table('app.invoices');

alter table app.invoices add constraint invoices_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

create index invoices_created_idx on app.invoices (tenant_id, created_at desc, id desc);

create index invoices_updated_idx on app.invoices (tenant_id, updated_at desc, id desc);

-- One row per flush: id is the flush's, so that a repeat adds nothing; a day is the sum of its rows.
-- quantity counts requests (api_requests) or byte changes, below zero when freed (storage_bytes). report_id is
-- the identifier sent to the meter, kept before it is sent.
create table app.usage_records (
  tenant_id   uuid        not null,
  id          uuid        not null,
  metric      text        not null,
  day         date        not null,
  quantity    bigint      not null,
  created_at  timestamptz not null default now(),
  report_id   text,
  reported_at timestamptz,
  constraint usage_records_pkey primary key (tenant_id, id),
  constraint usage_records_metric_known check (metric in ('api_requests', 'storage_bytes')),
  constraint usage_records_report_id_length check (char_length(report_id) between 1 and 100)
);

select app.tenant_table('app.usage_records');

create index usage_records_day_idx on app.usage_records (tenant_id, metric, day) include (quantity);

create index usage_records_unreported_idx on app.usage_records (created_at) where reported_at is null;

create index usage_records_retention_idx on app.usage_records (day);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.usage_records;

drop table app.invoices;

drop table app.subscriptions;
