-- Search that stays isolated and uses its index.
--
-- Why functions: ILIKE is not leakproof. For a role under row policies the planner must apply the policy before
-- it, so it may not use the trigram index: a search would read all rows of the tenant. These functions run as
-- the tables' owner, whom the policies do not bind, and therefore check the tenant themselves, before anything
-- else: it must be the one of the transaction (app.set_tenant). They give ids only, in the order of the list, and
-- the caller reads the rows by those ids under its own policy. Each layer alone gives no foreign row.
--
-- The queries are built for each call: the planner then sees the words and the tenant and can choose between the
-- trigram index (rare words) and the list's order (common words). Values enter through %L or $n, the ordering
-- from a fixed list. search_path is fixed, so that no object of a caller is found in place of a built-in.
--
-- The indexes lead with tenant_id (btree_gin): a small tenant never pays for the words of a large one. They are not
-- partial: the planner takes no statistics of an expression from a partial index, and would think every word rare.
-- Words of one or two characters have no trigram; they read the tenant's rows in the list's order.
--
-- Even so a word may be rare among all tenants and in every task of one, which no statistics tell. So a search of
-- tasks looks at the next thousand of the list first, which is the answer when they fill the page, and goes to the
-- index for words that are rarer than that.
--
-- On Citus the worker that holds the tenant calls them, as part of the caller's statement, and their queries name the
-- tables, not the shards. Citus refuses such a query inside another's task unless it is allowed by the setting at the end,
-- as it cannot promise that both see the same rows. Here they do: both are about the same tenant, so the shards are on
-- this very node and are read by this very session; and nothing that searches has written before.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

create index tasks_search_idx on app.tasks
  using gin (tenant_id, (title || E'\n' || description) public.gin_trgm_ops);

create index projects_search_idx on app.projects
  using gin (tenant_id, (name || E'\n' || description) public.gin_trgm_ops);

-- The condition for a text to hold every word of query, whatever the case; the words are taken literally.
-- +goose StatementBegin
create function app.search_condition(expression text, query text) returns text language plpgsql immutable
set search_path = pg_catalog, pg_temp as $fn$
declare
  word   text;
  answer text := '';
begin
  foreach word in array (regexp_split_to_array(btrim(query, E' \t\r\n'), '\s+'))[1:16] loop
    if word <> '' then
      word := replace(replace(replace(word, '\', '\\'), '%', '\%'), '_', '\_');
      answer := answer || format(' and %s ilike %L', expression, '%' || word || '%');
    end if;
  end loop;
  return answer;
end $fn$;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.search_check(tenant uuid) returns void language plpgsql stable
set search_path = pg_catalog, pg_temp as $fn$
begin
  if tenant is distinct from nullif(current_setting('app.tenant_id', true), '')::uuid or tenant is null then
    raise exception 'search: the tenant is not the one of the transaction' using errcode = 'insufficient_privilege';
  end if;
end $fn$;
-- +goose StatementEnd

-- The ids of up to page_rows tasks of the tenant that are not deleted and hold all words of query, in the given
-- ordering, those after (after_at, after_id) when these are not null. Every filter that is null is off;
-- unassigned asks for tasks without assignee. due_before and due_after do not include their day.
-- +goose StatementBegin
create function app.search_tasks(
  tenant     uuid,
  query      text,
  page_rows  int,
  ordering   text        default '-created_at',
  after_at   timestamptz default null,
  after_id   uuid        default null,
  project    uuid        default null,
  status     text        default null,
  priority   text        default null,
  assignee   uuid        default null,
  unassigned boolean     default false,
  due_before date        default null,
  due_after  date        default null
) returns setof uuid language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $fn$
declare
  col       text;
  direction text := 'asc';
  beyond    text := '>';
  ordered   text;
  scope     text;
  filters   text;
  wanted    int := least(greatest(page_rows, 1), 1000);
  page      uuid[];
begin
  perform app.search_check(tenant);
  col := ltrim(ordering, '-');
  if ordering is null or ordering not in ('created_at', '-created_at', 'updated_at', '-updated_at') then
    raise exception 'search_tasks: unknown ordering' using errcode = 'invalid_parameter_value';
  end if;
  if ordering like '-%' then
    direction := 'desc';
    beyond := '<';
  end if;
  ordered := format(' order by t.%I %s, t.id %s limit ', col, direction, direction);
  scope := format(' from app.tasks t where t.tenant_id = %L and t.deleted_at is null', tenant);
  if project is not null then
    scope := scope || format(' and t.project_id = %L', project);
  end if;
  if after_at is not null then
    scope := scope || format(' and (t.%I, t.id) %s (%L, %L)', col, beyond, after_at, after_id);
  end if;
  filters := app.search_condition($$(t.title || E'\n' || t.description)$$, query);
  if status is not null then
    filters := filters || format(' and t.status = %L', status);
  end if;
  if priority is not null then
    filters := filters || format(' and t.priority = %L', priority);
  end if;
  if unassigned then
    filters := filters || ' and t.assignee_id is null';
  elsif assignee is not null then
    filters := filters || format(' and t.assignee_id = %L', assignee);
  end if;
  if due_before is not null then
    filters := filters || format(' and t.due_date < %L', due_before);
  end if;
  if due_after is not null then
    filters := filters || format(' and t.due_date > %L', due_after);
  end if;
  execute 'select array(select t.id from (select t.*' || scope || ordered || 1000 || ') t where true'
    || filters || ordered || wanted || ')' into page;
  if cardinality(page) = wanted then
    return query select unnest(page);
  else
    return query execute 'select t.id' || scope || filters || ordered || wanted;
  end if;
end $fn$;
-- +goose StatementEnd

-- As app.search_tasks, for projects; deleted ones are left out unless include_deleted.
-- +goose StatementBegin
create function app.search_projects(
  tenant          uuid,
  query           text,
  page_rows       int,
  ordering        text        default '-created_at',
  after_at        timestamptz default null,
  after_id        uuid        default null,
  status          text        default null,
  owner           uuid        default null,
  include_deleted boolean     default false
) returns setof uuid language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $fn$
declare
  col       text;
  direction text := 'asc';
  beyond    text := '>';
  statement text;
begin
  perform app.search_check(tenant);
  col := ltrim(ordering, '-');
  if ordering is null or ordering not in ('created_at', '-created_at', 'updated_at', '-updated_at') then
    raise exception 'search_projects: unknown ordering' using errcode = 'invalid_parameter_value';
  end if;
  if ordering like '-%' then
    direction := 'desc';
    beyond := '<';
  end if;
  statement := format('select p.id from app.projects p where p.tenant_id = %L', tenant)
    || app.search_condition($$(p.name || E'\n' || p.description)$$, query);
  if status = 'deleted' then
    statement := statement || ' and p.deleted_at is not null';
  else
    if not include_deleted then
      statement := statement || ' and p.deleted_at is null';
    end if;
    if status is not null then
      statement := statement || format(' and p.status = %L and p.deleted_at is null', status);
    end if;
  end if;
  if owner is not null then
    statement := statement || format(' and p.owner_id = %L', owner);
  end if;
  if after_at is not null then
    statement := statement || format(' and (p.%I, p.id) %s (%L, %L)', col, beyond, after_at, after_id);
  end if;
  return query execute statement
    || format(' order by p.%I %s, p.id %s limit %s', col, direction, direction, least(greatest(page_rows, 1), 1000));
end $fn$;
-- +goose StatementEnd

-- +goose StatementBegin
do $do$
declare
  fn regprocedure;
begin
  if app.has_citus() then
    for fn in select oid from pg_catalog.pg_proc where pronamespace = 'app'::regnamespace and proname in ('search_tasks', 'search_projects') loop
      execute format('alter function %s set citus.allow_nested_distributed_execution = on', fn);
    end loop;
  end if;
end $do$;
-- +goose StatementEnd

revoke execute on function app.search_condition(text, text), app.search_check(uuid),
  app.search_tasks(uuid, text, int, text, timestamptz, uuid, uuid, text, text, uuid, boolean, date, date),
  app.search_projects(uuid, text, int, text, timestamptz, uuid, text, uuid, boolean) from public;

grant execute on function
  app.search_tasks(uuid, text, int, text, timestamptz, uuid, uuid, text, text, uuid, boolean, date, date),
  app.search_projects(uuid, text, int, text, timestamptz, uuid, text, uuid, boolean) to coditect_app;

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop function app.search_projects(uuid, text, int, text, timestamptz, uuid, text, uuid, boolean);

drop function app.search_tasks(uuid, text, int, text, timestamptz, uuid, uuid, text, text, uuid, boolean, date, date);

drop function app.search_check(uuid);

drop function app.search_condition(text, text);

drop index app.projects_search_idx;

drop index app.tasks_search_idx;
