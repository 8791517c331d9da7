package dbtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/config"
)

func TestFind(t *testing.T) {
	t.Parallel()
	whole := map[string]string{envSuperuser: "postgres://postgres@127.0.0.1:5432/postgres", envBouncer: "127.0.0.1:6432", envPassword: "it's"}
	checkout := t.TempDir()
	below := filepath.Join(checkout, "shared", "db")
	for _, dir := range []string{below, filepath.Join(checkout, ".local", "test")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kept := "export " + envBouncer + "='127.0.0.1:1'\nexport " + envPassword + "='kept'\nexport " + envSuperuser + "='postgres://kept'\n"
	if err := os.WriteFile(filepath.Join(checkout, ".local", "test", "env"), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		dir  string
		want servers
		err  string
	}{
		"the environment":            {env: whole, dir: t.TempDir(), want: servers{whole[envSuperuser], whole[envBouncer], whole[envPassword]}},
		"the environment goes first": {env: whole, dir: below, want: servers{whole[envSuperuser], whole[envBouncer], whole[envPassword]}},
		"what this checkout runs":    {dir: below, want: servers{"postgres://kept", "127.0.0.1:1", "kept"}},
		"half an environment":        {env: map[string]string{envSuperuser: whole[envSuperuser]}, dir: below, err: "must be set together"},
		"nothing":                    {dir: t.TempDir(), err: "run `make test`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := find(config.Map(test.env), test.dir)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("%+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// TestNew: databases are apart, an application cannot change their tables, and
// they go with their test.
func TestNew(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	keep := New(t).Owner(t)
	var gone string
	t.Run("another", func(t *testing.T) {
		d := New(t)
		gone = d.Name
		if !strings.Contains(d.String(), d.Name) {
			t.Errorf("%v does not name %s", d, d.Name)
		}
		owner := d.Owner(t)
		if _, err := owner.Exec(ctx, `create table mine ()`); err != nil {
			t.Fatal(err)
		}
		app, err := pgx.ConnectConfig(ctx, simple(t, d.URL))
		if err != nil {
			t.Fatal(err)
		}
		defer app.Close(ctx)
		if _, err := app.Exec(ctx, `drop table mine`); err == nil || !strings.Contains(err.Error(), "must be owner") {
			t.Errorf("the application dropped a table: %v", err)
		}
		for _, n := range d.Nodes() {
			at, err := pgx.Connect(ctx, n.Superuser)
			if err != nil {
				t.Fatal(err)
			}
			var name string
			if err := at.QueryRow(ctx, `select current_database()`).Scan(&name); err != nil || name != d.Name {
				t.Errorf("node %s: database %q, %v", n.Name, name, err)
			}
			if err := at.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	var left, seen bool
	if err := keep.QueryRow(ctx, `select exists (select 1 from pg_database where datname = $1), to_regclass('mine') is not null`, gone).Scan(&left, &seen); err != nil {
		t.Fatal(err)
	}
	if left {
		t.Errorf("%s outlived its test", gone)
	}
	if seen {
		t.Error("a table of another database is there")
	}
}

// simple is for PgBouncer, which names no prepared statement twice.
func simple(t *testing.T, url string) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return c
}
