//go:build citus

package citus

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/dbtest"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// TestAWorkerDies kills a worker's server outright. Tenants on the other one
// notice nothing; those on the dead one are told to come back, and are served
// again once it is up, without anything else being restarted.
func TestAWorkerDies(t *testing.T) {
	e := environment(t)
	nodes := e.Database.Nodes()
	p := platform.Mount(t, e, nil)
	safe, struck := on(t, e, nodes[1].Port), on(t, e, nodes[2].Port)
	// One project, which is read from its shard each time: a page of the list is
	// remembered in Redis, and answers for a minute whatever dies.
	place := map[ids.ID]string{}
	read := func(who functest.Person) functest.Response {
		return p.Send(t, functest.Request{Method: http.MethodGet, Path: place[who.TenantID], Token: who.Token})
	}
	write := func(who functest.Person) functest.Response {
		return p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/projects/", Token: who.Token, Body: map[string]any{"name": "Apollo"}})
	}
	for _, who := range []functest.Person{safe, struck} {
		e.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, who.TenantID)
		place[who.TenantID] = write(who).Want(t, http.StatusCreated).Header.Get("Location")
		read(who).Want(t, http.StatusOK)
	}

	kill(t, nodes[2])
	t.Cleanup(func() { ready(t, nodes[2]) })
	pace := time.NewTicker(100 * time.Millisecond) // below what their plan allows
	defer pace.Stop()
	dead := time.Now()
	for until := dead.Add(down / 2); time.Now().Before(until); <-pace.C {
		write(safe).Want(t, http.StatusCreated)
		read(safe).Want(t, http.StatusOK)
		for what, ask := range map[string]func(functest.Person) functest.Response{"read": read, "write": write} {
			r := ask(struck).WantCode(t, http.StatusServiceUnavailable, "unavailable")
			if r.Header.Get("Retry-After") == "" {
				t.Fatalf("%s: 503 without Retry-After", what)
			}
		}
	}

	for deadline := time.Now().Add(time.Minute); ; <-pace.C {
		r := write(struck)
		if r.Status == http.StatusCreated {
			break
		}
		r.WantCode(t, http.StatusServiceUnavailable, "unavailable")
		if time.Now().After(deadline) {
			t.Fatal("the tenant was not served again")
		}
		write(safe).Want(t, http.StatusCreated)
	}
	t.Logf("served again %s after the kill", time.Since(dead).Round(time.Millisecond))
	read(struck).Want(t, http.StatusOK)
	write(safe).Want(t, http.StatusCreated)
}

// down is how long the worker stays dead.
const down = 6 * time.Second

// kill ends a worker's server with SIGKILL and has it started again after a
// while by a shell of its own, which outlives it.
func kill(t *testing.T, n dbtest.Node) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), n.Superuser)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	var data, config, bin string
	if err := c.QueryRow(t.Context(), `select current_setting('data_directory'), current_setting('config_file'), (select setting from pg_config where name = 'BINDIR')`).
		Scan(&data, &config, &bin); err != nil {
		t.Fatal(err)
	}
	// With its children, as a machine that dies takes them along: a backend that
	// outlives the server by a moment still answers. It is stopped first, so that
	// it makes no more of them. Started again until it is up: what they held is
	// freed one by one.
	script := fmt.Sprintf(`server=$(head -n 1 "%[1]s/postmaster.pid"); kill -STOP $server
		kill -9 $server $(grep -l "^PPid:[[:space:]]*$server$" /proc/[0-9]*/status | cut -d / -f 3); sleep %[4]d; for i in 1 2 3 4 5 6 7 8 9; do
		"%[3]s/pg_ctl" -D "%[1]s" -o "-c config_file=%[2]s" -l "%[1]s/restarted.log" -w start && break; sleep 1; done`, data, config, bin, int(down.Seconds()))
	var program string
	if err := c.QueryRow(t.Context(), `select format('copy (select 1) to program %L', 'cat >/dev/null; setsid nohup sh -c ' || quote_literal($1::text) || ' >/dev/null 2>&1 &')`, script).Scan(&program); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Exec(t.Context(), program) // its answer may die with the server
	for deadline := time.Now().Add(10 * time.Second); ; {
		again, err := pgx.Connect(t.Context(), n.Superuser)
		if err != nil {
			return
		}
		_ = again.Close(t.Context())
		if time.Now().After(deadline) {
			t.Fatal("the worker did not die")
		}
	}
}

// ready waits until the worker's databases can be dropped again.
func ready(t *testing.T, n dbtest.Node) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := pgx.Connect(context.Background(), n.Superuser)
		if err == nil {
			_ = c.Close(context.Background())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
