-- An organization, distributed by tenant_id: its settings, its people and what they may do.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- The anchor of the tenant group: every other tenant table is colocated with it.
-- erase_after is set when the organization is deleted; retention erases it then.
create table app.organizations (
  tenant_id        uuid        not null,
  name             text        not null,
  subdomain        text        not null,
  status           text        not null default 'active',
  plan             text        not null default 'free',
  timezone         text        not null default 'UTC',
  created_by       uuid,
  version          bigint      not null default 1,
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  suspended_at     timestamptz,
  suspended_reason text        not null default '',
  deleted_at       timestamptz,
  deleted_by       uuid,
  erase_after      timestamptz,
  constraint organizations_pkey primary key (tenant_id),
  constraint organizations_name_length check (char_length(name) between 1 and 255),
  constraint organizations_subdomain_format check (subdomain ~ '^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$'),
  constraint organizations_status_known check (status in ('active', 'suspended', 'deleted')),
  constraint organizations_deleted_state check ((status = 'deleted') = (deleted_at is not null)),
  constraint organizations_timezone_length check (char_length(timezone) between 1 and 64)
);

select app.tenant_table('app.organizations');

alter table app.organizations add constraint organizations_plan_fkey
  foreign key (plan) references app.plans (id);

create index organizations_erase_idx on app.organizations (erase_after) where erase_after is not null;

create index organizations_created_idx on app.organizations (created_at, tenant_id);

-- limits of the API are the plan's and not stored; the secret of sso_config is in app.sso_connections.
create table app.tenant_settings (
  tenant_id    uuid        not null,
  features     jsonb       not null default '{}',
  preferences  jsonb       not null default '{}',
  sso_enabled  boolean     not null default false,
  sso_provider text,
  version      bigint      not null default 1,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  constraint tenant_settings_pkey primary key (tenant_id),
  constraint tenant_settings_features_object check (jsonb_typeof(features) = 'object'),
  constraint tenant_settings_preferences_object check (jsonb_typeof(preferences) = 'object'),
  constraint tenant_settings_sso_provider_known check (sso_provider in ('google', 'azure', 'okta', 'oidc')),
  constraint tenant_settings_sso_provider_set check (not sso_enabled or sso_provider is not null)
);

select app.tenant_table('app.tenant_settings');

alter table app.tenant_settings add constraint tenant_settings_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

-- The tenant's own roles. manager and developer are rows made with the organization, editable like any other.
create table app.roles (
  tenant_id   uuid        not null,
  id          uuid        not null,
  name        text        not null,
  permissions text[]      not null default '{}',
  created_by  uuid,
  version     bigint      not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  constraint roles_pkey primary key (tenant_id, id),
  constraint roles_name_length check (char_length(name) between 1 and 100),
  constraint roles_name_reserved check (lower(name) not in ('owner', 'admin', 'member', 'viewer')),
  constraint roles_permissions_count check (cardinality(permissions) <= 100)
);

select app.tenant_table('app.roles');

alter table app.roles add constraint roles_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

create unique index roles_name_key on app.roles (tenant_id, lower(name));

create index roles_created_idx on app.roles (tenant_id, created_at desc, id desc);

-- A person in an organization, with what lists and nested objects show of them. Never deleted: tasks and
-- comments point here. joined_at null waits for its person; left_at is set when they go and cleared when a
-- later invitation revives the row. role 'custom' means the role that custom_role_id names.
create table app.memberships (
  tenant_id      uuid        not null,
  user_id        uuid        not null,
  email          text        not null,
  first_name     text        not null default '',
  last_name      text        not null default '',
  role           text        not null default 'member',
  custom_role_id uuid,
  is_active      boolean     not null default true,
  joined_at      timestamptz,
  left_at        timestamptz,
  version        bigint      not null default 1,
  created_at     timestamptz not null default now(),
  updated_at     timestamptz not null default now(),
  constraint memberships_pkey primary key (tenant_id, user_id),
  constraint memberships_email_length check (char_length(email) between 3 and 254),
  constraint memberships_first_name_length check (char_length(first_name) <= 150),
  constraint memberships_last_name_length check (char_length(last_name) <= 150),
  constraint memberships_role_known check (role in ('owner', 'admin', 'member', 'viewer', 'custom')),
  constraint memberships_custom_role_set check ((role = 'custom') = (custom_role_id is not null)),
  constraint memberships_active_state check (not is_active or (joined_at is not null and left_at is null))
);

select app.tenant_table('app.memberships');

alter table app.memberships add constraint memberships_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

alter table app.memberships add constraint memberships_custom_role_fkey
  foreign key (tenant_id, custom_role_id) references app.roles (tenant_id, id);

-- Only those who wait are unique by address: a change of address reaches memberships by message, in any order.
create unique index memberships_pending_email_key on app.memberships (tenant_id, lower(email))
  where joined_at is null and left_at is null;

create index memberships_email_idx on app.memberships (tenant_id, lower(email));

create index memberships_created_idx on app.memberships (tenant_id, created_at desc, user_id desc) where left_at is null;

create index memberships_updated_idx on app.memberships (tenant_id, updated_at desc, user_id desc) where left_at is null;

create index memberships_role_idx on app.memberships (tenant_id, role, custom_role_id) where left_at is null;

-- member_id is the membership that waits for the invited person. No foreign key: it is re-keyed when they accept.
create table app.invitations (
  tenant_id      uuid        not null,
  id             uuid        not null,
  email          text        not null,
  first_name     text        not null default '',
  last_name      text        not null default '',
  role           text        not null default 'member',
  custom_role_id uuid,
  member_id      uuid,
  secret_hash    bytea       not null,
  invited_by     uuid,
  expires_at     timestamptz not null,
  sent_at        timestamptz,
  sent_count     int         not null default 0,
  accepted_at    timestamptz,
  accepted_by    uuid,
  revoked_at     timestamptz,
  version        bigint      not null default 1,
  created_at     timestamptz not null default now(),
  updated_at     timestamptz not null default now(),
  constraint invitations_pkey primary key (tenant_id, id),
  constraint invitations_email_length check (char_length(email) between 3 and 254),
  constraint invitations_first_name_length check (char_length(first_name) <= 150),
  constraint invitations_last_name_length check (char_length(last_name) <= 150),
  constraint invitations_role_known check (role in ('owner', 'admin', 'member', 'viewer', 'custom')),
  constraint invitations_custom_role_set check ((role = 'custom') = (custom_role_id is not null)),
  constraint invitations_one_end check (accepted_at is null or revoked_at is null)
);

select app.tenant_table('app.invitations');

alter table app.invitations add constraint invitations_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

alter table app.invitations add constraint invitations_custom_role_fkey
  foreign key (tenant_id, custom_role_id) references app.roles (tenant_id, id);

alter table app.invitations add constraint invitations_invited_by_fkey
  foreign key (tenant_id, invited_by) references app.memberships (tenant_id, user_id);

create unique index invitations_open_email_key on app.invitations (tenant_id, lower(email))
  where accepted_at is null and revoked_at is null;

create index invitations_created_idx on app.invitations (tenant_id, created_at desc, id desc);

create index invitations_role_idx on app.invitations (tenant_id, custom_role_id) where custom_role_id is not null;

create index invitations_expires_idx on app.invitations (expires_at);

-- A domain routes only while verified_at is set, and then it has its claim (app.host_claims).
-- failing_since is when the TXT record was first found gone.
create table app.tenant_hosts (
  tenant_id          uuid        not null,
  id                 uuid        not null,
  domain             text        not null,
  is_primary         boolean     not null default false,
  verification_token text        not null,
  verified_at        timestamptz,
  checked_at         timestamptz,
  failing_since      timestamptz,
  created_by         uuid,
  version            bigint      not null default 1,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),
  constraint tenant_hosts_pkey primary key (tenant_id, id),
  constraint tenant_hosts_domain_key unique (tenant_id, domain),
  constraint tenant_hosts_domain_format check (
    char_length(domain) between 4 and 253
    and domain ~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  constraint tenant_hosts_primary_verified check (not is_primary or verified_at is not null)
);

select app.tenant_table('app.tenant_hosts');

alter table app.tenant_hosts add constraint tenant_hosts_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

create unique index tenant_hosts_primary_key on app.tenant_hosts (tenant_id) where is_primary;

create index tenant_hosts_created_idx on app.tenant_hosts (tenant_id, created_at desc, id desc);

create index tenant_hosts_checked_idx on app.tenant_hosts (checked_at) where verified_at is not null;

-- The OIDC client of a tenant; client_secret is sealed by the application (envelope keys).
create table app.sso_connections (
  tenant_id     uuid        not null,
  id            uuid        not null,
  provider      text        not null,
  issuer        text        not null,
  client_id     text        not null,
  client_secret bytea,
  domains       text[]      not null default '{}',
  is_enabled    boolean     not null default false,
  version       bigint      not null default 1,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint sso_connections_pkey primary key (tenant_id, id),
  constraint sso_connections_provider_known check (provider in ('google', 'azure', 'okta', 'oidc')),
  constraint sso_connections_issuer_length check (char_length(issuer) between 1 and 2048),
  constraint sso_connections_client_id_length check (char_length(client_id) between 1 and 512),
  constraint sso_connections_domains_count check (cardinality(domains) <= 100)
);

select app.tenant_table('app.sso_connections');

alter table app.sso_connections add constraint sso_connections_organization_fkey
  foreign key (tenant_id) references app.organizations (tenant_id);

create unique index sso_connections_enabled_key on app.sso_connections (tenant_id) where is_enabled;

-- Binds a subject of a connection's issuer to a person of this tenant: an address alone never does.
create table app.sso_identities (
  tenant_id     uuid        not null,
  connection_id uuid        not null,
  subject       text        not null,
  user_id       uuid        not null,
  email         text        not null,
  created_at    timestamptz not null default now(),
  last_used_at  timestamptz,
  constraint sso_identities_pkey primary key (tenant_id, connection_id, subject),
  constraint sso_identities_subject_length check (char_length(subject) between 1 and 512),
  constraint sso_identities_email_length check (char_length(email) between 3 and 254)
);

select app.tenant_table('app.sso_identities');

alter table app.sso_identities add constraint sso_identities_connection_fkey
  foreign key (tenant_id, connection_id) references app.sso_connections (tenant_id, id) on delete cascade;

alter table app.sso_identities add constraint sso_identities_user_fkey
  foreign key (tenant_id, user_id) references app.memberships (tenant_id, user_id);

create index sso_identities_user_idx on app.sso_identities (tenant_id, user_id);

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.sso_identities;

drop table app.sso_connections;

drop table app.tenant_hosts;

drop table app.invitations;

drop table app.memberships;

drop table app.roles;

drop table app.tenant_settings;

drop table app.organizations;
