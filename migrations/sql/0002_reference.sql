-- What is the same for every tenant and changes with a deployment only. No request writes here: on Citus such
-- a write goes to every node, one at a time.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- Money in minor units of currency. A limit that is null is no limit.
create table app.plans (
  id                     text   not null constraint plans_pkey primary key,
  name                   text   not null,
  position               int    not null,
  currency               text   not null default 'usd',
  price_month            bigint not null,
  price_year             bigint not null,
  max_members            int,
  max_projects           int,
  max_storage_bytes      bigint,
  api_requests_per_month bigint,
  requests_per_minute    int,
  metered                boolean not null,
  constraint plans_price_range check (price_month >= 0 and price_year >= 0)
);

select app.reference('app.plans');

grant select on app.plans to coditect_app, coditect_system;

-- lowest_role is the lowest built-in role that holds the permission.
create table app.permissions (
  name        text not null constraint permissions_pkey primary key,
  lowest_role text not null,
  description text not null,
  constraint permissions_lowest_role_known check (lowest_role in ('viewer', 'member', 'admin', 'owner'))
);

select app.reference('app.permissions');

grant select on app.permissions to coditect_app, coditect_system;

insert into app.plans (id, name, position, price_month, price_year, max_members, max_projects, max_storage_bytes,
                       api_requests_per_month, requests_per_minute, metered)
values ('free',       'Free',       1,    0,     0,   10,   50,    1073741824,   100000,   300, false),
       ('pro',        'Pro',        2, 2900, 29000,  100, 1000,  107374182400,  5000000,  3000, true),
       ('enterprise', 'Enterprise', 3, 9900, 99000, null, null, 1099511627776, 50000000, 30000, true);

insert into app.permissions (name, lowest_role, description)
values ('projects:read',   'viewer', 'See projects.'),
       ('tasks:read',      'viewer', 'See tasks, comments and attachments.'),
       ('members:read',    'viewer', 'See the members of the organization and its roles.'),
       ('activity:read',   'viewer', 'See what was done, and by whom.'),
       ('reports:create',  'viewer', 'Request a report of a project.'),
       ('tasks:write',     'member', 'Create and change tasks and attachments.'),
       ('comments:write',  'member', 'Comment on tasks.'),
       ('projects:write',  'member', 'Create projects and change those one owns.'),
       ('tasks:delete',    'admin',  'Delete and restore any task.'),
       ('projects:manage', 'admin',  'Change any project.'),
       ('projects:delete', 'admin',  'Delete and restore any project.'),
       ('members:write',   'admin',  'Invite, change and remove members.'),
       ('roles:write',     'admin',  'Create, change and delete roles.'),
       ('tenant:write',    'admin',  'Change the organization, its settings and domains.'),
       ('exports:create',  'admin',  'Export the data of the organization.'),
       ('billing:read',    'admin',  'See the subscription, invoices and usage.'),
       ('billing:write',   'owner',  'Change the subscription and payment methods.'),
       ('tenant:own',      'owner',  'Transfer or delete the organization.');

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop table app.permissions;

drop table app.plans;
