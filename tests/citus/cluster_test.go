//go:build citus

// Package citus proves what only a cluster can break: policies and keys on the
// shards of every worker, isolation on workers that are not the coordinator,
// and the loss of a worker. All other tests run on the same cluster too, when
// CITUS_URL is set: see docs/citus.md.
package citus

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/dbtest"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// environment is the surroundings of functions on a distributed database.
func environment(t testing.TB) *functest.Env {
	t.Helper()
	if !dbtest.OnCitus() {
		t.Fatal("CITUS_URL is not set: it names the coordinator of a Citus cluster, as superuser (docs/citus.md)")
	}
	return functest.New(t)
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	c, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func lines(t testing.TB, c *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := c.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, sql)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v: %s", err, sql)
	}
	return all
}

// worker is the port of the node that holds a key's rows of a table.
func worker(t testing.TB, e *functest.Env, table string, key ids.ID) (port int) {
	t.Helper()
	e.Scan(t, `select nodeport::int from pg_dist_shard_placement where shardid = get_shard_id_for_distribution_column($1::regclass, $2::uuid)`,
		[]any{"app." + table, key}, &port)
	return port
}

// on makes an organization whose rows, and those of its owner, are on the node.
func on(t testing.TB, e *functest.Env, port int) functest.Person {
	t.Helper()
	for range 200 {
		p := e.Tenant(t)
		if worker(t, e, "organizations", p.TenantID) == port && worker(t, e, "users", p.UserID) == port {
			return p
		}
	}
	t.Fatalf("no tenant of 200 is on the node at port %d", port)
	return functest.Person{}
}
