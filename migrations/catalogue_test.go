package migrations

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestEveryTableIsInOneGroup(t *testing.T) {
	t.Parallel()
	c := open(t, migrated(t).migrator)
	found := lines(t, c, "select relname::text from pg_class where relnamespace = 'app'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')")
	for _, table := range found {
		if Tables[table] == "" {
			t.Errorf("app.%s is in no group: add it to Tables", table)
		}
	}
	for table := range Tables {
		if !slices.Contains(found, table) {
			t.Errorf("Tables names app.%s, which is not there", table)
		}
	}
}

// Row policies are on (not forced: that breaks online shard moves) and the group's, no more and no less.
func TestEveryTableHasThePoliciesOfItsGroup(t *testing.T) {
	t.Parallel()
	c := open(t, migrated(t).migrator)
	for table, group := range Tables {
		var enabled, forced bool
		if err := c.QueryRow(t.Context(), "select relrowsecurity, relforcerowsecurity from pg_class where oid = ('app.' || $1)::regclass", table).Scan(&enabled, &forced); err != nil {
			t.Fatal(err)
		}
		if enabled == (group == Reference) || forced {
			t.Errorf("app.%s: row level security %v, forced %v", table, enabled, forced)
		}
		got := lines(t, c, `select format('%s %s %s %s using %s check %s', policyname, permissive, roles, cmd, qual, with_check)
			from pg_policies where schemaname = 'app' and tablename = $1`, table)
		switch group {
		case Tenant, User:
			name := map[Group]string{Tenant: "tenant", User: "user"}[group]
			key := fmt.Sprintf("(%[1]s_id = (NULLIF(current_setting('app.%[1]s_id'::text, true), ''::text))::uuid)", name)
			want := fmt.Sprintf("%s_isolation PERMISSIVE {public} ALL using %s check %s", name, key, key)
			if len(got) != 1 || got[0] != want {
				t.Errorf("app.%s:\n got %q\nwant %q", table, got, want)
			}
		case Claim:
			for _, p := range got {
				if strings.Count(p, "current_setting('app.claim_key'::text, true)") < 1 || strings.Contains(p, "using  ") {
					t.Errorf("app.%s: a policy without the key: %s", table, p)
				}
			}
			if len(got) == 0 {
				t.Errorf("app.%s has no policy", table)
			}
		case Reference, System:
			if len(got) != 0 {
				t.Errorf("app.%s has policies", table)
			}
		}
	}
}

// Keys ignore row policies, and Citus routes by the key: so it leads every one of them.
func TestTheKeyLeadsEveryKey(t *testing.T) {
	t.Parallel()
	c := open(t, migrated(t).migrator)
	for table, group := range Tables {
		key := group.Key()
		if n := one[int](t, c, "select count(*) from pg_constraint where conrelid = ('app.' || $1)::regclass and contype = 'p'", table); n != 1 {
			t.Errorf("app.%s has no primary key", table)
		}
		if key == "" {
			continue
		}
		for _, bad := range lines(t, c, `select i.indexrelid::regclass::text from pg_index i
			 where i.indrelid = ('app.' || $1)::regclass and i.indisunique
			   and (select attname from pg_attribute where attrelid = i.indrelid and attnum = i.indkey[0]) is distinct from $2`, table, key) {
			t.Errorf("%s: a unique index that %s does not lead", bad, key)
		}
		// A key to a reference table cannot carry it; any other must, on both sides.
		for _, bad := range lines(t, c, `select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint k
			 where conrelid = ('app.' || $1)::regclass and contype = 'f' and not (confrelid::regclass::text = any($3))
			   and ((select attname from pg_attribute where attrelid = conrelid and attnum = conkey[1]) is distinct from $2
			     or (select attname from pg_attribute where attrelid = confrelid and attnum = confkey[1]) is distinct from $2)`,
			table, key, tablesOf(Reference)) {
			t.Errorf("app.%s: a foreign key that %s does not lead: %s", table, key, bad)
		}
		for _, other := range lines(t, c, `select distinct split_part(confrelid::regclass::text, '.', 2) from pg_constraint
			 where conrelid = ('app.' || $1)::regclass and contype = 'f'`, table) {
			if Tables[other] != group && Tables[other] != Reference {
				t.Errorf("app.%s points at app.%s, of another group", table, other)
			}
		}
		if one[bool](t, c, `select not attnotnull or atttypid <> 'uuid'::regtype from pg_attribute where attrelid = ('app.' || $1)::regclass and attname = $2`, table, key) {
			t.Errorf("app.%s.%s must be uuid not null", table, key)
		}
	}
	for _, bad := range lines(t, c, `select conrelid::regclass || ' ' || conname from pg_constraint where connamespace = 'app'::regnamespace
		and (not convalidated or conname not like replace(conrelid::regclass::text, 'app.', '') || '\_%' or conname ~ '_[0-9]+$' or condeferrable)`) {
		t.Errorf("%s: not valid, not named by its table, or named like a shard's", bad)
	}
}

func tablesOf(g Group) []string {
	var all []string
	for table, group := range Tables {
		if group == g {
			all = append(all, "app."+table)
		}
	}
	return all
}

func TestRolesMayDoNoMoreThanData(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	c := open(t, d.migrator)
	for table, group := range Tables {
		want := map[string]string{RoleApp: "DELETE INSERT SELECT UPDATE", RoleSystem: "DELETE INSERT SELECT UPDATE", "public": ""}
		switch {
		case group == Reference:
			want[RoleApp], want[RoleSystem] = "SELECT", "SELECT"
		case group == System:
			want[RoleApp] = ""
		case table == "activity" || table == "user_events":
			want[RoleApp] = "INSERT SELECT"
		}
		for role, privileges := range want {
			got := one[string](t, c, `select coalesce(string_agg(privilege_type, ' ' order by privilege_type collate "C"), '')
				from pg_class, aclexplode(relacl) where oid = ('app.' || $1)::regclass and grantee = coalesce(to_regrole($2), 0::oid)`, table, role)
			if got != privileges {
				t.Errorf("%s may %q on app.%s, want %q", role, got, table, privileges)
			}
		}
	}
	for _, bad := range lines(t, c, `select attrelid::regclass || '.' || attname from pg_attribute join pg_class c on c.oid = attrelid
		where relnamespace = 'app'::regnamespace and attacl is not null`) {
		t.Errorf("%s has privileges of its own", bad)
	}
	for _, bad := range lines(t, c, `select classid::regclass || ' ' || objid from pg_shdepend
		where refobjid in ('coditect_app'::regrole, 'coditect_system'::regrole) and deptype = 'o' and dbid = (select oid from pg_database where datname = current_database())`) {
		t.Errorf("an application role owns %s", bad)
	}
	for _, bad := range lines(t, c, `select relname::text from pg_class where relnamespace = 'app'::regnamespace and relowner <> 'coditect_migrator'::regrole`) {
		t.Errorf("app.%s is not the migrator's", bad)
	}
	for _, role := range []string{RoleApp, RoleSystem} {
		for _, right := range []string{"has_schema_privilege($1, 'app', 'create')", "has_schema_privilege($1, 'public', 'create')", "has_database_privilege($1, current_database(), 'create')"} {
			if one[bool](t, c, "select "+right, role) {
				t.Errorf("%s: %s", role, right)
			}
		}
		if super := one[bool](t, c, "select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls <> ($1 = 'coditect_system') from pg_roles where rolname = $1", role); super {
			t.Errorf("%s has attributes it should not have", role)
		}
		if n := one[int](t, c, "select count(*) from pg_auth_members where member = $1::regrole", role); n != 0 {
			t.Errorf("%s is a member of other roles", role)
		}
	}
}

// Functions that run as their owner are holes in the policies: each is named here on purpose, with a fixed
// search_path, and none is open to everybody.
func TestFunctionsThatRunAsTheirOwnerAreListed(t *testing.T) {
	t.Parallel()
	c := open(t, migrated(t).migrator)
	got := lines(t, c, "select proname || ' ' || coalesce(proconfig::text, '') from pg_proc where pronamespace = 'app'::regnamespace and prosecdef order by 1")
	want := []string{`search_projects {"search_path=pg_catalog, pg_temp"}`, `search_tasks {"search_path=pg_catalog, pg_temp"}`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range lines(t, c, `select distinct p.oid::regprocedure::text from pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
		where pronamespace = 'app'::regnamespace and a.grantee = 0`) {
		t.Errorf("everybody may run %s", bad)
	}
}

func TestReferenceDataIsTheContracts(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	c := open(t, d.app)
	got := lines(t, c, `select format('%s %s/%s %s members %s projects %s bytes %s month %s minute %s metered=%s', id, price_month, price_year, currency,
		coalesce(max_members::text, 'any'), coalesce(max_projects::text, 'any'), max_storage_bytes, api_requests_per_month, requests_per_minute, metered) from app.plans order by position`)
	want := []string{
		"free 0/0 usd members 10 projects 50 bytes 1073741824 month 100000 minute 300 metered=f",
		"pro 2900/29000 usd members 100 projects 1000 bytes 107374182400 month 5000000 minute 3000 metered=t",
		"enterprise 9900/99000 usd members any projects any bytes 1099511627776 month 50000000 minute 30000 metered=t",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if n := one[int](t, c, "select count(*) from app.permissions"); n != 18 {
		t.Errorf("%d permissions", n)
	}
}

func TestSessionsOfTheApplicationStartAsTheyMust(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	for _, url := range []string{d.app, d.system} {
		c := open(t, url)
		for name, want := range map[string]string{"citus.propagate_set_commands": "local", "TimeZone": "UTC"} {
			if got := one[string](t, c, "select current_setting($1)", name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
			if got := one[string](t, c, "select current_setting($1)", name); got == "0" {
				t.Errorf("%s is off", name)
			}
		}
	}
}

// A server that has Citus gets the extension, again without harm; one that has not is
// refused, rather than left with tables that are not distributed.
func TestBootstrapMakesTheExtensionWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	cfg, err := pgx.ParseConfig(d.superuser)
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, d.superuser)
	const offered = "select current_setting('shared_preload_libraries') ~ '(^|,) *citus *(,|$)' and exists (select from pg_available_extensions where name = 'citus')"
	can := one[bool](t, c, offered)
	for range 2 {
		if err := Bootstrap(t.Context(), d.superuser, Setup{Database: cfg.Database, Citus: true}); (err == nil) != can || err != nil && !strings.Contains(err.Error(), "the extension citus: ") {
			t.Fatalf("the server has Citus: %v; %v", can, err)
		}
		if got := one[bool](t, c, "select exists (select from pg_extension where extname = 'citus')"); got != can {
			t.Errorf("the server has Citus: %v; the database: %v", can, got)
		}
	}
}

func TestBootstrapCanBeRunAgain(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	cfg, err := pgx.ParseConfig(d.superuser)
	if err != nil {
		t.Fatal(err)
	}
	if err := Bootstrap(t.Context(), d.superuser, Setup{Database: cfg.Database}); err != nil {
		t.Fatal(err)
	}
	if err := Bootstrap(t.Context(), d.superuser, Setup{}); err == nil {
		t.Error("no name passed")
	}
	if err := Bootstrap(t.Context(), d.app, Setup{Database: cfg.Database}); err == nil {
		t.Error("the application role may bootstrap")
	}
	if err := Bootstrap(t.Context(), "postgres://%", Setup{Database: "x"}); err == nil {
		t.Error("a bad address passed")
	}
}
