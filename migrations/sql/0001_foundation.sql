-- Schema app and the functions every later migration and every transaction relies on.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

create schema app;

grant usage on schema app to coditect_app, coditect_system;

-- Both extensions are trusted: the database's owner may create them without being superuser.
-- They live in public because only index definitions name them (0009_search.sql).
create extension if not exists pg_trgm with schema public;

create extension if not exists btree_gin with schema public;

-- +goose StatementBegin
create function app.has_citus() returns boolean language sql stable as
$$ select exists (select 1 from pg_catalog.pg_extension where extname = 'citus') $$;
-- +goose StatementEnd

-- EXECUTE keeps Citus' names away from the parser of a server that has no Citus.
-- +goose StatementBegin
create function app.is_distributed(tbl regclass) returns boolean language plpgsql stable as $fn$
declare
  answer boolean;
begin
  if not app.has_citus() then
    return false;
  end if;
  execute 'select exists (select 1 from pg_catalog.pg_dist_partition
            where logicalrelid = $1 and (partmethod = ''h'' or repmodel = ''t''))' into answer using tbl;
  return answer;
end $fn$;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.distribute(tbl regclass, col name, colocate text default 'default') returns void language plpgsql as $fn$
begin
  if not app.has_citus() or app.is_distributed(tbl) then
    return;
  end if;
  execute 'select pg_catalog.create_distributed_table($1, $2::text, colocate_with => $3)' using tbl, col, colocate;
end $fn$;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.reference(tbl regclass) returns void language plpgsql as $fn$
begin
  if not app.has_citus() or app.is_distributed(tbl) then
    return;
  end if;
  execute 'select pg_catalog.create_reference_table($1)' using tbl;
end $fn$;
-- +goose StatementEnd

-- A function that is called in a query on a distributed table runs on the workers and has to exist there.
-- +goose StatementBegin
create function app.everywhere(fn regprocedure) returns void language plpgsql as $fn$
begin
  if not app.has_citus() then
    return;
  end if;
  execute 'select pg_catalog.create_distributed_function($1)' using fn;
end $fn$;
-- +goose StatementEnd

-- SET LOCAL through EXECUTE, not set_config(): Citus sends only the former to its workers.
-- +goose StatementBegin
create function app.set_tenant(tenant uuid) returns void language plpgsql as $fn$
begin
  if tenant is null then
    raise exception 'app.set_tenant: the tenant is null' using errcode = 'null_value_not_allowed';
  end if;
  execute format('set local app.tenant_id = %L', tenant::text);
end $fn$;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.set_user(person uuid) returns void language plpgsql as $fn$
begin
  if person is null then
    raise exception 'app.set_user: the user is null' using errcode = 'null_value_not_allowed';
  end if;
  execute format('set local app.user_id = %L', person::text);
end $fn$;
-- +goose StatementEnd

-- The claims tables show the row of this one key, whichever table is asked (0008_claims.sql).
-- +goose StatementBegin
create function app.set_claim(key text) returns void language plpgsql as $fn$
begin
  if key is null or key = '' then
    raise exception 'app.set_claim: the key is empty' using errcode = 'null_value_not_allowed';
  end if;
  execute format('set local app.claim_key = %L', key);
end $fn$;
-- +goose StatementEnd

-- Lets a statement queued in a batch refuse the transaction without a round trip:
--   select app.guard(case when status = 'archived' then 'project_archived' else '' end)
--     from app.projects where tenant_id = $1 and id = $2 for share
-- Null or '' passes. Anything else arrives at the client as a check violation (23514) of a constraint by that
-- name, so that the code maps it exactly like a real one. A row that is absent raises nothing: count the rows.
-- +goose StatementBegin
create function app.guard(verdict text) returns text language plpgsql as $fn$
begin
  if verdict is null or verdict = '' then
    return '';
  end if;
  raise exception 'guard: %', verdict using errcode = 'check_violation', constraint = verdict, schema = 'app';
end $fn$;
-- +goose StatementEnd

-- One place holds the policy, the grants and the distribution of each group, so that no table can differ.
-- Call it after create table and before foreign keys are added: Citus refuses a key from a table that is
-- still local to one that is distributed.
-- +goose StatementBegin
create function app.tenant_table(tbl regclass, app_may text default 'select, insert, update, delete') returns void language plpgsql as $fn$
begin
  perform app.distribute(tbl, 'tenant_id',
    case when tbl::text = 'app.organizations' then 'none' else 'app.organizations' end);
  execute format('alter table %s enable row level security', tbl);
  execute format($sql$create policy tenant_isolation on %s
    using      (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)$sql$, tbl);
  execute format('grant %s on %s to coditect_app', app_may, tbl);
  execute format('grant select, insert, update, delete on %s to coditect_system', tbl);
end $fn$;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.user_table(tbl regclass, app_may text default 'select, insert, update, delete') returns void language plpgsql as $fn$
begin
  perform app.distribute(tbl, 'user_id',
    case when tbl::text = 'app.users' then 'none' else 'app.users' end);
  execute format('alter table %s enable row level security', tbl);
  execute format($sql$create policy user_isolation on %s
    using      (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
    with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid)$sql$, tbl);
  execute format('grant %s on %s to coditect_app', app_may, tbl);
  execute format('grant select, insert, update, delete on %s to coditect_system', tbl);
end $fn$;
-- +goose StatementEnd

revoke execute on all functions in schema app from public;

grant execute on function app.has_citus(), app.is_distributed(regclass), app.set_tenant(uuid), app.set_user(uuid),
  app.set_claim(text), app.guard(text) to coditect_app, coditect_system;

select app.everywhere('app.guard(text)');

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';

drop function app.user_table(regclass, text);

drop function app.tenant_table(regclass, text);

drop function app.guard(text);

drop function app.set_claim(text);

drop function app.set_user(uuid);

drop function app.set_tenant(uuid);

drop function app.everywhere(regprocedure);

drop function app.reference(regclass);

drop function app.distribute(regclass, name, text);

drop function app.is_distributed(regclass);

drop function app.has_citus();

drop extension btree_gin;

drop extension pg_trgm;

drop schema app;
