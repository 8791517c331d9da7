// Package dbtest gives each test a database of its own: a clone of a template
// that every migration has run on, reached as production reaches it, through
// PgBouncer in transaction mode as the application role. A clone costs some
// tens of milliseconds; the template is made once per state of the migrations.
//
// `make test` starts the servers and names them in the environment. A bare
// `go test` finds them when `make test-up` has left them running.
package dbtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
)

// Database is a test's own database.
type Database struct {
	// DB is the product's way in: the application role through PgBouncer. Its
	// system role may cross tenants.
	DB *db.DB
	// Name is the database's name.
	Name string
	// URL, SystemURL and OwnerURL are what the product is configured with; the
	// first two go through PgBouncer, the last connects directly as the owner.
	URL, SystemURL, OwnerURL string

	nodes []Node // of Citus
}

type servers struct{ superuser, bouncer, password string }

// New gives t a fresh database, dropped when t ends.
func New(t testing.TB) *Database {
	t.Helper()
	if OnCitus() {
		return citusDatabase(t)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s, err := find(config.Environ, dir)
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	template := prepare(t, s)
	name := "t_" + randomName()
	ctx := context.Background()
	admin(t, s, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, `create database `+name+` template `+template+` owner coditect_migrator strategy wal_log`)
		return err
	})
	d := &Database{
		Name:      name,
		URL:       s.bouncerURL("coditect_app", name),
		SystemURL: s.bouncerURL("coditect_system", name),
		OwnerURL:  s.directURL("coditect_migrator", name),
	}
	d.DB = d.Open(t, d.URL)
	t.Cleanup(func() {
		admin(t, s, func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, `drop database if exists `+name+` with (force)`)
			return err
		})
	})
	return d
}

// Open gives another way in to the database, such as another role's or one
// through a broken proxy. It is closed when t ends.
func (d *Database) Open(t testing.TB, appURL string) *db.DB {
	t.Helper()
	out, err := db.Open(db.Config{
		URL: config.Secret(appURL), SystemURL: config.Secret(d.SystemURL), MaxConns: 4,
		AcquireTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out
}

// Owner connects directly as the owner of the tables, for what a test must see
// or arrange behind the product's back.
func (d *Database) Owner(t testing.TB) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), d.OwnerURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

var (
	templateOnce sync.Once
	templateName string
	errTemplate  error
)

// prepare makes the template unless a process has made it already. Two at once
// are kept apart by an advisory lock of the server.
func prepare(t testing.TB, s servers) string {
	t.Helper()
	templateOnce.Do(func() {
		ctx := context.Background()
		templateName = "tpl_" + migrations.Hash()[:16]
		c, err := pgx.Connect(ctx, s.superuser)
		if err != nil {
			errTemplate = err
			return
		}
		defer c.Close(ctx)
		const lock = 0x636f6469746563
		if _, errTemplate = c.Exec(ctx, `select pg_advisory_lock($1)`, lock); errTemplate != nil {
			return
		}
		var ready bool
		errTemplate = c.QueryRow(ctx, `select exists (select 1 from pg_database where datname = $1 and datistemplate)`, templateName).Scan(&ready)
		if errTemplate != nil || ready {
			return
		}
		for _, sql := range []string{
			`drop database if exists ` + templateName + ` with (force)`,
			`create database ` + templateName + ` owner coditect_migrator`,
		} {
			if _, errTemplate = c.Exec(ctx, sql); errTemplate != nil {
				return
			}
		}
		if errTemplate = migrations.Up(ctx, s.directURL("coditect_migrator", templateName)); errTemplate != nil {
			return
		}
		// Only a template that is whole carries the mark.
		_, errTemplate = c.Exec(ctx, `alter database `+templateName+` is_template true`)
	})
	if errTemplate != nil {
		t.Fatalf("dbtest: template: %v", errTemplate)
	}
	return templateName
}

func admin(t testing.TB, s servers, do func(*pgx.Conn) error) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.superuser)
	if err == nil {
		defer c.Close(ctx)
		err = do(c)
	}
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
}

func (s servers) bouncerURL(role, name string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, s.password), Host: s.bouncer, Path: "/" + name, RawQuery: "sslmode=disable"}
	return u.String()
}

func (s servers) directURL(role, name string) string {
	u, err := url.Parse(s.superuser)
	if err != nil {
		return ""
	}
	u.User, u.Path = url.UserPassword(role, s.password), "/"+name
	return u.String()
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

const (
	envSuperuser = "CODITECT_TEST_SUPERUSER_URL"
	envBouncer   = "CODITECT_TEST_PGBOUNCER"
	envPassword  = "CODITECT_TEST_PASSWORD"
)

// find names the servers: from the environment, or from what a running test
// environment of the checkout that dir lies in has written.
func find(lookup config.Lookup, dir string) (servers, error) {
	if read(lookup, envSuperuser) == "" {
		kept, err := readEnv(dir)
		if err != nil {
			return servers{}, fmt.Errorf("%w: run `make test`, or leave a test database running for bare `go test`: `go run ./scripts/cmd/local test-env up`", err)
		}
		lookup = config.Map(kept)
	}
	s := servers{read(lookup, envSuperuser), read(lookup, envBouncer), read(lookup, envPassword)}
	if s.superuser == "" || s.bouncer == "" || s.password == "" {
		return servers{}, fmt.Errorf("%s, %s and %s must be set together", envSuperuser, envBouncer, envPassword)
	}
	return s, nil
}

func read(lookup config.Lookup, name string) string {
	v, _ := lookup(name)
	return v
}

func readEnv(dir string) (map[string]string, error) {
	for {
		raw, err := os.ReadFile(filepath.Join(dir, ".local", "test", "env"))
		if err == nil {
			out := map[string]string{}
			for line := range strings.Lines(string(raw)) {
				if k, v, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
					out[k] = strings.Trim(v, `'"`)
				}
			}
			return out, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil, errors.New("no test database")
		}
		dir = up
	}
}

// String names the database.
func (d *Database) String() string { return fmt.Sprintf("database %s", d.Name) }
