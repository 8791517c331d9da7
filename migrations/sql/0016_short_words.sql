-- Searches of tasks for words too short for the index.
--
-- A trigram is three characters. A word of one or two has none that the index could be asked for, wherever in a text
-- it may stand, and a search for one that nobody used read every task of the tenant. But the index knows where words
-- begin: before the first character of a word it counts two blanks. So a short word is looked for anywhere in the next
-- two thousand tasks of the list, and behind them where a word begins: after a blank, a line's end or one of - ( / # _ .
-- What has neither a letter nor a digit has no trigram at all; alone, it is looked for in those two thousand only.
-- Words of three characters and more are found anywhere, as before.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- app.search_condition for the tasks behind the nearest: one that the index answers, or null when it could not.
-- A word that the index finds anywhere has three letters or digits in a row, or shows in itself where one of its parts
-- begins or, of two characters, ends.
-- +goose StatementBegin
create function app.search_far(expression text, query text) returns text language plpgsql immutable
set search_path = pg_catalog, pg_temp as $fn$
declare
  word     text;
  start    text;
  anywhere text;
  starts   text[];
  indexed  boolean := false;
  answer   text := '';
begin
  foreach word in array (regexp_split_to_array(btrim(query, E' \t\r\n'), '\s+'))[1:16] loop
    continue when word = '';
    anywhere := app.search_condition(expression, word);
    if word ~ '[[:alnum:]]{3}|[^[:alnum:]][[:alnum:]]|[[:alnum:]]{2}[^[:alnum:]]' then
      answer := answer || anywhere;
      indexed := true;
    elsif word ~ '[[:alnum:]]' then
      word := replace(replace(replace(word, '\', '\\'), '%', '\%'), '_', '\_');
      starts := array[format('%s ilike %L', expression, word || '%')];
      foreach start in array array[' ', E'\n', '-', '(', '/', '#', '\_'] loop
        starts := starts || format('%s ilike %L', expression, '%' || start || word || '%');
      end loop;
      answer := answer || ' and (' || array_to_string(starts, ' or ') || ')';
      indexed := true;
    else
      answer := answer || anywhere;
    end if;
  end loop;
  return case when indexed then answer end;
end $fn$;
-- +goose StatementEnd

revoke execute on function app.search_far(text, text) from public;

-- +goose StatementBegin
create or replace function app.search_tasks(
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
  other     text := 'desc';
  beyond    text := '>';
  ordered   text;
  scope     text;
  filters   text;
  near      text;
  far       text;
  border_at timestamptz;
  border_id uuid;
  seen      int;
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
    other := 'asc';
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
  near := app.search_condition($$(t.title || E'\n' || t.description)$$, query);
  far := app.search_far($$(t.title || E'\n' || t.description)$$, query);
  filters := '';
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
  if far = near then
    execute 'select array(select t.id from (select t.*' || scope || ordered || 1000 || ') t where true'
      || near || filters || ordered || wanted || ')' into page;
    if cardinality(page) = wanted then
      return query select unnest(page);
    else
      return query execute 'select t.id' || scope || near || filters || ordered || wanted;
    end if;
    return;
  end if;
  execute 'with w as materialized (select t.*' || scope || ordered || 2000 || ') select array(select t.id from w t where true'
    || near || filters || ordered || wanted || '), (select count(*) from w), b.at, b.id from (select 1) one left join (select t.'
    || quote_ident(col) || ' as at, t.id from w t' || format(' order by t.%I %s, t.id %s', col, other, other) || ' limit 1) b on true'
    into page, seen, border_at, border_id;
  return query select unnest(page);
  if far is not null and seen = 2000 and cardinality(page) < wanted then
    return query execute 'select t.id' || scope || far || filters
      || format(' and (t.%I, t.id) %s (%L, %L)', col, beyond, border_at, border_id) || ordered || (wanted - cardinality(page));
  end if;
end $fn$;
-- +goose StatementEnd

-- What replacing a function takes away: see 0009.
-- +goose StatementBegin
do $do$
declare
  fn regprocedure;
begin
  if app.has_citus() then
    for fn in select oid from pg_catalog.pg_proc where pronamespace = 'app'::regnamespace and proname = 'search_tasks' loop
      execute format('alter function %s set citus.allow_nested_distributed_execution = on', fn);
    end loop;
  end if;
end $do$;
-- +goose StatementEnd

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

-- +goose StatementBegin
create or replace function app.search_tasks(
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

-- +goose StatementBegin
do $do$
declare
  fn regprocedure;
begin
  if app.has_citus() then
    for fn in select oid from pg_catalog.pg_proc where pronamespace = 'app'::regnamespace and proname = 'search_tasks' loop
      execute format('alter function %s set citus.allow_nested_distributed_execution = on', fn);
    end loop;
  end if;
end $do$;
-- +goose StatementEnd

drop function app.search_far(text, text);
