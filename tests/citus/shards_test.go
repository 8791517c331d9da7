//go:build citus

package citus

import (
	"strings"
	"testing"

	"github.com/coditect/platform/migrations"
)

// description is everything about a relation that keeps tenants apart, without
// the numbers that shards' names end in, and without the parentheses of checks,
// which differ once a text was parsed and written again.
const description = `format('rls=%s forced=%s owner=%s grants=%s policies=%s keys=%s', c.relrowsecurity, c.relforcerowsecurity, c.relowner::regrole,
	(select string_agg(format('%s:%s', grantee::regrole, privilege_type), ' ' order by grantee::regrole::text, privilege_type) from aclexplode(c.relacl)),
	(select string_agg(format('%s %s %s %s using %s check %s', polname, polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), E'\n' order by polname)
	   from pg_policy where polrelid = c.oid),
	(select string_agg(translate(regexp_replace(conname || ' ' || pg_get_constraintdef(k.oid), '_[0-9]{5,}', '', 'g'), '()', ''), E'\n' order by regexp_replace(conname, '_[0-9]{5,}$', ''))
	   from pg_constraint k where conrelid = c.oid))`

// TestShardsAreWhatTheirTablesAre compares every shard on every worker with
// its table on the coordinator: policies are enforced by the workers, so that a
// shard without them would be open whatever the coordinator's catalogue says.
func TestShardsAreWhatTheirTablesAre(t *testing.T) {
	t.Parallel()
	e := environment(t)
	nodes := e.Database.Nodes()
	coordinator := connect(t, nodes[0].Superuser)
	want := map[string]string{}
	for table, group := range migrations.Tables {
		want[table] = lines(t, coordinator, `select `+description+` from pg_class c where oid = ('app.' || $1)::regclass`, table)[0]
		if group != migrations.Reference && !strings.HasPrefix(want[table], "rls=t forced=f") {
			t.Errorf("app.%s: %s", table, want[table])
		}
	}
	type key struct {
		table string
		port  int
	}
	counted := map[key]int{}
	for _, n := range nodes[1:] {
		c := connect(t, n.Superuser)
		if _, err := c.Exec(t.Context(), `set citus.override_table_visibility to off`); err != nil {
			t.Fatal(err)
		}
		rows, err := c.Query(t.Context(), `select c.relname::text, regexp_replace(c.relname, '_[0-9]{5,}$', ''), `+description+`
			from pg_class c where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p') and c.relname ~ '_[0-9]{5,}$'`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var shard, table, got string
			if err := rows.Scan(&shard, &table, &got); err != nil {
				t.Fatal(err)
			}
			counted[key{table, n.Port}]++
			if got != want[table] {
				t.Errorf("app.%s on port %d:\n got %s\nwant %s", shard, n.Port, got, want[table])
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	for table, group := range migrations.Tables {
		if group == migrations.System {
			continue // on the coordinator alone
		}
		for _, n := range nodes[1:] {
			placed := len(lines(t, coordinator, `select p.shardid::text from pg_dist_shard_placement p join pg_dist_shard s using (shardid)
				where s.logicalrelid = ('app.' || $1)::regclass and p.nodeport = $2`, table, n.Port))
			if got := counted[key{table, n.Port}]; got != placed || got == 0 {
				t.Errorf("app.%s: %d shards seen on port %d, %d are placed there", table, got, n.Port, placed)
			}
		}
	}
}

// TestGroupsAreColocated holds that what belongs to one tenant is on one node,
// and what belongs to one person too; joins and transactions rely on it.
func TestGroupsAreColocated(t *testing.T) {
	t.Parallel()
	e := environment(t)
	c := connect(t, e.Database.Nodes()[0].Superuser)
	anchors := map[migrations.Group]string{migrations.Tenant: "app.organizations", migrations.User: "app.users",
		migrations.Claim: "app.email_claims", migrations.Reference: "app.plans"}
	for table, group := range migrations.Tables {
		if group == migrations.Claim || group == migrations.System {
			continue
		}
		got := lines(t, c, `select format('%s by %s with %s', citus_table_type, distribution_column,
			(select colocation_id from citus_tables a where a.table_name = $2::regclass) = colocation_id) from citus_tables where table_name = $1::regclass`,
			"app."+table, anchors[group])
		want := "distributed by " + group.Key() + " with t"
		if group == migrations.Reference {
			want = "reference"
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("app.%s is %q, want %q", table, got, want)
		}
	}
}
