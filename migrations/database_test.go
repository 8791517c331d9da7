package migrations

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	tenantA = "0192aaaa-0000-7000-8000-00000000000a"
	tenantB = "0192bbbb-0000-7000-8000-00000000000b"
	personA = "0192aaaa-0000-7000-8000-0000000000aa"
	personB = "0192bbbb-0000-7000-8000-0000000000bb"
)

// database is a database of one test, empty but for what Bootstrap makes.
type database struct{ superuser, migrator, app, system string }

func fresh(t *testing.T) database {
	t.Helper()
	super := os.Getenv("CODITECT_TEST_SUPERUSER_URL")
	if super == "" {
		t.Fatal("these tests need a PostgreSQL server: run make test, or set CODITECT_TEST_SUPERUSER_URL (and CODITECT_TEST_PASSWORD, the roles' password)")
	}
	name := "mig_" + strings.ToLower(rand.Text()[:12])
	if err := Bootstrap(t.Context(), super, Setup{Database: name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c, err := connect(context.Background(), super, "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(context.Background(), "drop database "+name+" with (force)"); err != nil {
			t.Error(err)
		}
	})
	as := func(role string) string {
		u, err := url.Parse(super)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + name
		switch password := os.Getenv("CODITECT_TEST_PASSWORD"); {
		case role == "":
		case password == "":
			u.User = url.User(role)
		default:
			u.User = url.UserPassword(role, password)
		}
		return u.String()
	}
	return database{superuser: as(""), migrator: as(RoleMigrator), app: as(RoleApp), system: as(RoleSystem)}
}

func migrated(t *testing.T) database {
	t.Helper()
	d := fresh(t)
	if err := Up(t.Context(), d.migrator); err != nil {
		t.Fatal(err)
	}
	return d
}

func open(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := connect(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec(t *testing.T, c interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, q string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

func one[T any](t *testing.T, c interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, q string, args ...any) T {
	t.Helper()
	var v T
	if err := c.QueryRow(t.Context(), q, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

func lines(t *testing.T, c *pgx.Conn, q string, args ...any) []string {
	t.Helper()
	rows, err := c.Query(t.Context(), q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return all
}

// state is the SQLSTATE and the constraint of err.
func state(err error) (code, constraint string) {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code, e.ConstraintName
	}
	return "", ""
}

// in runs do in a transaction of c with the keys set, and takes it back.
func in(t *testing.T, c *pgx.Conn, tenant, user, claim string, do func(pgx.Tx)) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	for fn, key := range map[string]string{"set_tenant": tenant, "set_user": user, "set_claim": claim} {
		if key != "" {
			exec(t, tx, "select app."+fn+"($1)", key)
		}
	}
	do(tx)
}

// fill puts the rows of testdata for tenants and persons A and B, as the owner.
func fill(t *testing.T, d database) {
	t.Helper()
	fillAt(t, d, func(string) bool { return true })
}

// fillAt runs those statements of the fixtures that wanted names: a schema that
// is not the newest lacks tables.
func fillAt(t *testing.T, d database, wanted func(statement string) bool) {
	t.Helper()
	c := open(t, d.migrator)
	for file, keys := range map[string][2][2]string{
		"testdata/tenant.sql": {{tenantA, personA}, {tenantB, personB}},
		"testdata/user.sql":   {{tenantA, personA}, {tenantB, personB}},
	} {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kept strings.Builder
		for line := range strings.Lines(string(body)) {
			if !strings.HasPrefix(line, "insert into ") || wanted(line) {
				kept.WriteString(line)
			}
		}
		for _, k := range keys {
			exec(t, c, strings.NewReplacer("$T", k[0], "$U", k[1]).Replace(kept.String()))
		}
	}
}

// plus is the real files and some more.
func plus(t *testing.T, more map[string]string) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	for _, name := range names(sqlFiles()) {
		body, err := embedded.ReadFile("sql/" + name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: body}
	}
	for name, body := range more {
		all[name] = &fstest.MapFile{Data: []byte(body)}
	}
	return all
}
