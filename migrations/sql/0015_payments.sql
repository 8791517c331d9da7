-- What billing keeps beside Stripe: cards as they are shown, so that reading them needs no Stripe, and what orders the
-- changes of one customer. revision goes up with every state of Stripe's that was taken over: who fetched under an
-- older one fetches again, so that an answer that was overtaken is never written. busy_key names the one request that
-- changes the subscription, until busy_until at the latest.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

create table app.payment_methods (
  tenant_id  uuid        not null,
  id         text        not null,
  brand      text        not null,
  last4      text        not null,
  exp_month  int         not null,
  exp_year   int         not null,
  is_default boolean     not null default false,
  created_at timestamptz not null,
  constraint payment_methods_pkey primary key (tenant_id, id),
  constraint payment_methods_id_length check (char_length(id) between 1 and 255)
);

select app.tenant_table('app.payment_methods');

alter table app.payment_methods add constraint payment_methods_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

alter table app.subscriptions add column revision bigint not null default 0;

alter table app.subscriptions add column busy_key text;

alter table app.subscriptions add column busy_until timestamptz;

-- Since when a payment is owed: the plan stays for the time of grace after it.
alter table app.subscriptions add column past_due_since timestamptz;

alter table app.invoices add column attempt_count int not null default 0;

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

alter table app.invoices drop column attempt_count;

alter table app.subscriptions drop column past_due_since;

alter table app.subscriptions drop column busy_until;

alter table app.subscriptions drop column busy_key;

alter table app.subscriptions drop column revision;

drop table app.payment_methods;
