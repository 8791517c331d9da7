-- What becomes of usage: what was said of it to Stripe's meters, and which limits owners were told of.
--
-- A day's records may grow after they were reported (a router that could not reach Redis comes late). So a report is
-- a row of its own: what the day came to, less what earlier reports said. It is there before it is sent, and its
-- identifier is what Stripe knows a repeat by. reported_at is when Stripe took it; checked_at and stripe_quantity are
-- of the last comparison with Stripe's sum of the day. usage_records.report_id and reported_at stay unused.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

create table app.usage_reports (
  tenant_id       uuid        not null,
  metric          text        not null,
  day             date        not null,
  seq             int         not null,
  identifier      text        not null,
  customer_id     text        not null,
  quantity        bigint      not null,
  state           text        not null default 'pending',
  created_at      timestamptz not null default now(),
  attempted_at    timestamptz,
  reported_at     timestamptz,
  checked_at      timestamptz,
  stripe_quantity bigint,
  error           text,
  constraint usage_reports_pkey primary key (tenant_id, metric, day, seq),
  constraint usage_reports_metric_known check (metric in ('api_requests', 'storage_gb')),
  constraint usage_reports_state_known check (state in ('pending', 'reported', 'matched', 'differs', 'failed')),
  constraint usage_reports_identifier_length check (char_length(identifier) between 1 and 100),
  constraint usage_reports_customer_id_length check (char_length(customer_id) between 1 and 255),
  constraint usage_reports_error_length check (char_length(error) <= 2000)
);

select app.tenant_table('app.usage_reports');

alter table app.usage_reports add constraint usage_reports_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

create index usage_reports_open_idx on app.usage_reports (state, day) where state in ('pending', 'reported', 'differs');

-- period is the month's first day; one row, and one mail at most, for each.
create table app.usage_warnings (
  tenant_id  uuid        not null,
  metric     text        not null,
  period     date        not null,
  threshold  int         not null,
  plan       text        not null,
  quantity   bigint      not null,
  allowed    bigint      not null,
  created_at timestamptz not null default now(),
  constraint usage_warnings_pkey primary key (tenant_id, metric, period, threshold),
  constraint usage_warnings_metric_known check (metric in ('api_requests', 'storage_gb')),
  constraint usage_warnings_threshold_known check (threshold in (50, 80, 100))
);

select app.tenant_table('app.usage_warnings');

alter table app.usage_warnings add constraint usage_warnings_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.usage_warnings;

drop table app.usage_reports;
