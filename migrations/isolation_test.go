package migrations

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Every table of both groups, through the application role: whose key is set sees its own rows and no other's,
// and can neither write, take nor delete another's. The queries name no key, so the policies hold alone.
func TestNoRowCrosses(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	owner, app := open(t, d.migrator), open(t, d.app)
	for table, group := range Tables {
		key := group.Key()
		if key == "" {
			continue
		}
		mine, other := tenantA, tenantB
		if group == User {
			mine, other = personA, personB
		}
		appendOnly := table == "activity" || table == "user_events"
		if n := one[int](t, owner, "select count(distinct "+key+") from app."+table); n != 2 {
			t.Errorf("app.%s: testdata must hold rows of both, has %d", table, n)
		}
		foreign := one[string](t, owner, "select row_to_json(r)::text from app."+table+" r where "+key+" = $1 limit 1", other)
		insert := "insert into app." + table + " select * from json_populate_record(null::app." + table + ", $1::json)"

		as := func(key string, do func(pgx.Tx)) {
			if group == Tenant {
				in(t, app, key, "", "", do)
			} else {
				in(t, app, "", key, "", do)
			}
		}
		as(mine, func(tx pgx.Tx) {
			if n := one[int](t, tx, "select count(*) from app."+table+" where "+key+" = $1", mine); n == 0 {
				t.Errorf("app.%s: own rows are not visible", table)
			}
			if n := one[int](t, tx, "select count(*) from app."+table+" where "+key+" <> $1", mine); n != 0 {
				t.Errorf("app.%s: %d foreign rows are visible", table, n)
			}
		})
		for what, set := range map[string]string{"of another": mine, "without a key": ""} {
			as(set, func(tx pgx.Tx) {
				_, err := tx.Exec(t.Context(), insert, foreign)
				if code, _ := state(err); code != "42501" {
					t.Errorf("app.%s: insert %s: %v", table, what, err)
				}
			})
		}
		as("", func(tx pgx.Tx) {
			if n := one[int](t, tx, "select count(*) from app."+table); n != 0 {
				t.Errorf("app.%s: %d rows without a key", table, n)
			}
		})
		for what, q := range map[string]string{
			"delete":  "delete from app." + table + " where " + key + " = $1",
			"give":    "update app." + table + " set " + key + " = $1",
			"rewrite": "update app." + table + " set " + key + " = " + key + " where " + key + " = $1",
		} {
			as(mine, func(tx pgx.Tx) {
				tag, err := tx.Exec(t.Context(), q, other)
				code, _ := state(err)
				if refused := code == "42501"; tag.RowsAffected() != 0 || (err != nil && !refused) || (what == "give" || appendOnly) && !refused {
					t.Errorf("app.%s: %s: %d rows, %v", table, what, tag.RowsAffected(), err)
				}
			})
		}
		if _, err := app.Exec(t.Context(), "truncate app."+table); err == nil {
			t.Errorf("app.%s: the application truncates", table)
		}
	}
	system := open(t, d.system)
	if n := one[int](t, system, "select count(*) from app.tasks"); n != 2 {
		t.Errorf("the system role sees %d tasks", n)
	}
}

// A key that is another tenant's does not exist, whatever a single-column key would say.
func TestForeignKeysDoNotCrossTenants(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	app := open(t, d.app)
	for constraint, q := range map[string]string{
		"tasks_project_fkey":           "insert into app.tasks (tenant_id, id, project_id, title, created_by) values ($1, gen_random_uuid(), '" + tenantB + "', 'x', '" + personA + "')",
		"tasks_assignee_fkey":          "update app.tasks set assignee_id = '" + personB + "' where tenant_id = $1",
		"projects_owner_fkey":          "update app.projects set owner_id = '" + personB + "' where tenant_id = $1",
		"comments_task_fkey":           "update app.comments set task_id = '" + tenantB + "' where tenant_id = $1",
		"attachments_task_fkey":        "update app.attachments set task_id = '" + tenantB + "' where tenant_id = $1",
		"memberships_custom_role_fkey": "update app.memberships set role = 'custom', custom_role_id = '" + tenantB + "' where tenant_id = $1",
	} {
		in(t, app, tenantA, "", "", func(tx pgx.Tx) {
			_, err := tx.Exec(t.Context(), q, tenantA)
			if code, name := state(err); code != "23503" || name != constraint {
				t.Errorf("%s: %v", constraint, err)
			}
		})
	}
}

func TestKeysEndWithTheirTransaction(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	app := open(t, d.app)
	if n := one[int](t, app, "select count(*) from app.tasks"); n != 0 {
		t.Errorf("%d tasks on a new connection", n)
	}
	in(t, app, tenantA, personA, "k", func(tx pgx.Tx) {
		exec(t, tx, "select app.set_tenant($1)", tenantB)
		if got := one[string](t, tx, "select tenant_id::text from app.tasks"); got != tenantB {
			t.Errorf("the second tenant is not set: %s", got)
		}
	})
	for _, q := range []string{"select count(*) from app.tasks", "select count(*) from app.users", "select count(*) from app.email_claims"} {
		if n := one[int](t, app, q); n != 0 {
			t.Errorf("%s: %d after the transaction", q, n)
		}
	}
	for _, q := range []string{"select app.set_tenant(null)", "select app.set_user(null)", "select app.set_claim(null)", "select app.set_claim('')"} {
		if _, err := app.Exec(t.Context(), q); err == nil {
			t.Errorf("%s passed", q)
		}
	}
	in(t, app, "", "", "it's \\ a key", func(tx pgx.Tx) {
		if got := one[string](t, tx, "select current_setting('app.claim_key')"); got != "it's \\ a key" {
			t.Errorf("key %q", got)
		}
	})
}

func TestClaimsShowOneKeyAndBelongToTheirOwner(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	app, owner := open(t, d.app), open(t, d.migrator)
	exec(t, owner, `insert into app.email_claims values ('a@example.com', '`+personA+`'), ('b@example.com', '`+personB+`')`)
	exec(t, owner, `insert into app.host_claims values ('aaa', 'subdomain', '`+tenantA+`', null), ('bbb', 'subdomain', '`+tenantB+`', null),
		('old', 'subdomain', '`+tenantB+`', now() - interval '1 day'), ('held', 'subdomain', '`+tenantB+`', now() + interval '1 day')`)
	exec(t, owner, `insert into app.stripe_customer_claims values ('cus_a', '`+tenantA+`'), ('cus_b', '`+tenantB+`')`)
	exec(t, owner, `insert into app.stripe_events (event_id, type, payload, created_at) values ('evt_a', 't', '{}', now()), ('evt_b', 't', '{}', now())`)
	someone, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	exec(t, owner, `insert into app.mail_recipients (address_hash) values ('`+someone+`'), ('`+other+`')`)
	exec(t, owner, `insert into app.mail_sends (address_hash, message_id, kind) values ('`+someone+`', '`+tenantA+`', 'k'), ('`+other+`', '`+tenantA+`', 'k')`)

	for table, key := range map[string]string{"email_claims": "b@example.com", "host_claims": "bbb", "stripe_customer_claims": "cus_b", "stripe_events": "evt_b", "mail_recipients": other, "mail_sends": other} {
		if n := one[int](t, app, "select count(*) from app."+table); n != 0 {
			t.Errorf("app.%s: %d rows without a key", table, n)
		}
		in(t, app, tenantA, personA, key, func(tx pgx.Tx) {
			if n := one[int](t, tx, "select count(*) from app."+table); n != 1 {
				t.Errorf("app.%s: %d rows for one key", table, n)
			}
		})
	}
	for _, c := range []struct {
		name, key, q, code string
		rows               int64
	}{
		{"take a free address", "c@example.com", "insert into app.email_claims values ('c@example.com', '" + personA + "')", "", 1},
		{"take a taken address", "b@example.com", "insert into app.email_claims values ('b@example.com', '" + personA + "')", "23505", 0},
		{"take another key than the one named", "c@example.com", "insert into app.email_claims values ('d@example.com', '" + personA + "')", "42501", 0},
		{"take for somebody else", "c@example.com", "insert into app.email_claims values ('c@example.com', '" + personB + "')", "42501", 0},
		{"give up another's", "b@example.com", "delete from app.email_claims", "", 0},
		{"give up one's own", "a@example.com", "delete from app.email_claims", "", 1},
		{"steal an address", "b@example.com", "update app.email_claims set user_id = '" + personA + "'", "", 0},
		{"address not in lower case", "X@example.com", "insert into app.email_claims values ('X@example.com', '" + personA + "')", "23514", 0},
		{"take a free host", "ccc", "insert into app.host_claims values ('ccc', 'subdomain', '" + tenantA + "')", "", 1},
		{"a host for another tenant", "ccc", "insert into app.host_claims values ('ccc', 'subdomain', '" + tenantB + "')", "42501", 0},
		{"a domain as a subdomain", "c.example.com", "insert into app.host_claims values ('c.example.com', 'subdomain', '" + tenantA + "')", "23514", 0},
		{"a held host", "held", "update app.host_claims set tenant_id = '" + tenantA + "', held_until = null", "", 0},
		{"a host whose hold ran out", "old", "update app.host_claims set tenant_id = '" + tenantA + "', held_until = null", "", 1},
		{"the same by upsert", "old", "insert into app.host_claims values ('old', 'subdomain', '" + tenantA + "') on conflict (host) do update set tenant_id = excluded.tenant_id, held_until = null", "", 1},
		{"another's host by upsert", "bbb", "insert into app.host_claims values ('bbb', 'subdomain', '" + tenantA + "') on conflict (host) do update set tenant_id = excluded.tenant_id", "42501", 0},
		{"steal a customer", "cus_b", "update app.stripe_customer_claims set tenant_id = '" + tenantA + "'", "", 0},
		{"an event once", "evt_c", "insert into app.stripe_events (event_id, type, payload, created_at) values ('evt_c', 't', '{}', now())", "", 1},
		{"an event twice", "evt_b", "insert into app.stripe_events (event_id, type, payload, created_at) values ('evt_b', 't', '{}', now()) on conflict do nothing", "", 0},
	} {
		in(t, app, tenantA, personA, c.key, func(tx pgx.Tx) {
			tag, err := tx.Exec(t.Context(), c.q)
			if code, _ := state(err); code != c.code || tag.RowsAffected() != c.rows {
				t.Errorf("%s: %d rows, %v", c.name, tag.RowsAffected(), err)
			}
		})
	}
}

func TestGuardRefusesByName(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	app := open(t, d.app)
	const q = `select app.guard(case when status = $3 then 'project_archived' when $3 = 'none' then null else '' end)
		from app.projects where tenant_id = $1 and id = $2 for share`
	in(t, app, tenantA, "", "", func(tx pgx.Tx) {
		for _, pass := range []string{"archived", "none"} {
			if got := one[*string](t, tx, q, tenantA, tenantA, pass); got == nil || *got != "" {
				t.Errorf("%s: %v", pass, got)
			}
		}
		_, err := tx.Exec(t.Context(), q, tenantA, tenantA, "active")
		if code, name := state(err); code != "23514" || name != "project_archived" {
			t.Errorf("got %v", err)
		}
	})
}
