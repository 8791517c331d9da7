package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/shared/config"
)

// Where CITUS_URL is set, every test's database is a distributed one, on the
// cluster that it names: the same tests then prove the same of Citus. See
// docs/citus.md.
const (
	envCitus         = "CITUS_URL"
	envCitusBouncer  = "CITUS_PGBOUNCER"
	envCitusPassword = "CITUS_PASSWORD"
)

// objectInUse is PostgreSQL's error for a database that somebody is connected to.
const objectInUse = "55006"

// shards is how many shards a test's tables have: few, as each costs files in
// every database, and enough that tenants meet on a shard and miss each other.
const shards = 8

// Node is a PostgreSQL server of a Citus cluster.
type Node struct {
	Name  string // as the coordinator calls it
	Port  int
	Group int // 0 is the coordinator
	// Superuser connects directly as the superuser of CITUS_URL, to the database
	// that the node belongs to.
	Superuser string
}

// OnCitus reports whether [New] makes distributed databases.
func OnCitus() bool { return read(config.Environ, envCitus) != "" }

// Nodes gives the nodes of the cluster that the database is spread over, the
// coordinator first; none without Citus.
func (d *Database) Nodes() []Node { return d.nodes }

func citusServers(t testing.TB) (servers, []Node) {
	t.Helper()
	s := servers{superuser: read(config.Environ, envCitus), bouncer: read(config.Environ, envCitusBouncer), password: read(config.Environ, envCitusPassword)}
	u, err := url.Parse(s.superuser)
	if err != nil {
		t.Fatalf("dbtest: %s is not a URL", envCitus)
	}
	if s.bouncer == "" {
		s.bouncer = u.Host
	}
	var nodes []Node
	admin(t, s, func(c *pgx.Conn) error {
		rows, err := c.Query(context.Background(), `select nodename, nodeport, groupid from pg_dist_node where noderole = 'primary' and isactive order by groupid`)
		if err != nil {
			return err
		}
		nodes, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (n Node, err error) {
			err = r.Scan(&n.Name, &n.Port, &n.Group)
			return n, err
		})
		if err == nil && (len(nodes) < 3 || nodes[0].Group != 0) {
			err = fmt.Errorf("%s names a database with %d nodes: a coordinator (citus_set_coordinator_host) and two workers are needed", envCitus, len(nodes))
		}
		return err
	})
	for i, n := range nodes {
		at := *u
		at.Path = "/template1" // from a database with the extension, Citus 12 has its say in what is the server's
		if n.Group != 0 {
			at.Host = net.JoinHostPort(n.Name, strconv.Itoa(n.Port))
		}
		nodes[i].Superuser = at.String()
	}
	return s, nodes
}

// citusDatabase gives t a clone of a distributed template: a copy of its part
// on every node, which finds the others by the addresses that it holds.
func citusDatabase(t testing.TB) *Database {
	t.Helper()
	s, nodes := citusServers(t)
	template := prepareCitus(t, s, nodes)
	name := "t_" + randomName()
	each := func(do func(*pgx.Conn) error) {
		for _, n := range nodes {
			admin(t, servers{superuser: n.Superuser}, do)
		}
	}
	each(func(c *pgx.Conn) error {
		_, err := c.Exec(context.Background(), `create database `+name+` template `+template+` owner coditect_migrator strategy wal_log`)
		return err
	})
	t.Cleanup(func() {
		each(func(c *pgx.Conn) error {
			var err error
			// Citus starts its daemon for the database again when the server ends it,
			// and the server waits for that for five seconds only.
			for range 6 {
				_, err = c.Exec(context.Background(), `drop database if exists `+name+` with (force)`)
				var pg *pgconn.PgError
				if !errors.As(err, &pg) || pg.Code != objectInUse {
					break
				}
			}
			return err
		})
	})
	d := &Database{
		Name:      name,
		URL:       s.bouncerURL("coditect_app", name),
		SystemURL: s.bouncerURL("coditect_system", name),
		OwnerURL:  s.directURL("coditect_migrator", name),
	}
	for _, n := range nodes {
		n.Superuser = inDatabase(n.Superuser, name)
		d.nodes = append(d.nodes, n)
	}
	d.DB = d.Open(t, d.URL)
	return d
}

func inDatabase(at, name string) string {
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	u.Path = "/" + name
	return u.String()
}

// prepareCitus makes the template as docs/citus.md sets up a cluster: the
// database and the extension on each node, the nodes, the roles, the
// migrations.
func prepareCitus(t testing.TB, s servers, nodes []Node) string {
	t.Helper()
	template := "tpl_" + migrations.Hash()[:16]
	citusOnce.Do(func() { errCitus = makeCitusTemplate(context.Background(), s, nodes, template) })
	if errCitus != nil {
		t.Fatalf("dbtest: template on Citus: %v", errCitus)
	}
	return template
}

var (
	citusOnce sync.Once
	errCitus  error
)

func makeCitusTemplate(ctx context.Context, s servers, nodes []Node, templateName string) (err error) {
	c, err := pgx.Connect(ctx, s.superuser)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	const lock = 0x636f6469746563
	if _, err := c.Exec(ctx, `select pg_advisory_lock($1)`, lock); err != nil {
		return err
	}
	var ready bool
	if err := c.QueryRow(ctx, `select exists (select 1 from pg_database where datname = $1 and datistemplate)`, templateName).Scan(&ready); err != nil || ready {
		return err
	}
	setup := migrations.Setup{Database: templateName, MigratorPassword: s.password, AppPassword: s.password, SystemPassword: s.password}
	for i := len(nodes) - 1; i >= 0; i-- { // the coordinator last: it speaks to the others
		at := nodes[i].Superuser
		if err := run(ctx, at, `drop database if exists `+templateName+` with (force)`); err != nil {
			return err
		}
		if err := migrations.Bootstrap(ctx, at, setup); err != nil {
			return err
		}
		if err := run(ctx, inDatabase(at, templateName), `create extension citus`); err != nil {
			return err
		}
	}
	inside := inDatabase(s.superuser, templateName)
	for _, n := range nodes {
		add := fmt.Sprintf(`select citus_add_node('%s', %d)`, n.Name, n.Port)
		if n.Group == 0 {
			add = fmt.Sprintf(`select citus_set_coordinator_host('%s', %d)`, n.Name, n.Port)
		}
		if err := run(ctx, inside, add); err != nil {
			return err
		}
	}
	if err := migrations.Bootstrap(ctx, s.superuser, setup); err != nil { // again: now it has nodes to tell of the roles
		return err
	}
	owner := s.directURL("coditect_migrator", templateName)
	if err := migrations.Up(ctx, withParameter(owner, "citus.shard_count", strconv.Itoa(shards))); err != nil {
		return err
	}
	// A template that anybody is connected to cannot be copied, and Citus keeps a
	// process in every database that accepts connections.
	for i := len(nodes) - 1; i >= 0; i-- {
		at := nodes[i].Superuser
		for _, sql := range []string{
			`alter database ` + templateName + ` is_template true allow_connections false`,
			`select pg_terminate_backend(pid) from pg_stat_activity where datname = '` + templateName + `'`,
		} {
			if err := run(ctx, at, sql); err != nil {
				return err
			}
		}
	}
	return nil
}

func run(ctx context.Context, at, sql string) (err error) {
	c, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if _, err := c.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func withParameter(at, name, value string) string {
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
