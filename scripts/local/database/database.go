// Package database brings up a home's own PostgreSQL with PgBouncer before it,
// and takes both down again.
package database

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/pgbouncer"
	"github.com/coditect/platform/scripts/local/postgres"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// Options say what to bring up.
type Options struct {
	Home      state.Home
	Out       io.Writer // progress, for a person
	Tools     tools.Finder
	Durable   bool // fsync; off for throw-away data only
	Port      int  // of PostgreSQL; 0 chooses
	FirstPort int  // where choosing starts
	Pool      int  // port of PgBouncer; 0 chooses
	FirstPool int
	Passwords state.Passwords

	MaxConnections int           // of PostgreSQL
	PoolSize       int           // server connections for a pair of role and database
	PoolIdle       time.Duration // after which an unused one is closed
}

// Database is a running pair of PostgreSQL and PgBouncer.
type Database struct {
	Cluster   postgres.Cluster
	Pooler    pgbouncer.Pooler
	Port      int // of PostgreSQL
	PoolPort  int
	Passwords state.Passwords
}

// Up starts both, or takes over what a killed run left.
func Up(ctx context.Context, o Options) (*Database, error) {
	who, err := account.Pick()
	if err != nil {
		return nil, err
	}
	dir, err := place(ctx, o.Home, who, elsewhere, o.Out)
	if err != nil {
		return nil, err
	}
	server, pooler, err := tools.Installer{Finder: o.Tools, Out: o.Out}.Ensure(ctx, postgres.Major(dir))
	if err != nil {
		return nil, err
	}
	d := &Database{Passwords: o.Passwords}
	d.Cluster = postgres.Cluster{
		Install: server, Account: who, Dir: dir,
		Password: o.Passwords.Superuser, Durable: o.Durable, MaxConnections: o.MaxConnections,
	}
	if postgres.Major(dir) == 0 {
		fmt.Fprintf(o.Out, "making a PostgreSQL %d cluster in %s\n", server.Major, dir)
	}
	if err := d.Cluster.Init(ctx); err != nil {
		return nil, err
	}
	ports, err := o.Home.Ports()
	if err != nil {
		return nil, err
	}
	_, own, running := d.Cluster.Running()
	d.Port, err = ports.Bind("PostgreSQL", o.Port, o.FirstPort,
		func(port int) bool { return running && own == port || state.Free(port) },
		func(port int) error { return d.Cluster.Start(ctx, port) })
	if err != nil {
		return nil, err
	}
	d.Pooler = pgbouncer.Pooler{
		Install: pooler, Account: who, Dir: filepath.Join(dir, "pgbouncer"), Server: d.Port,
		Users: map[string]string{
			postgres.Superuser:      o.Passwords.Superuser,
			migrations.RoleMigrator: o.Passwords.Migrator, migrations.RoleApp: o.Passwords.App, migrations.RoleSystem: o.Passwords.System,
		},
		Admin: postgres.Superuser, Size: o.PoolSize, Idle: o.PoolIdle,
	}
	if err := d.Pooler.Stop(ctx); err != nil { // Else a leftover of ours would hold our own port.
		return nil, errors.Join(err, d.Cluster.Stop(context.WithoutCancel(ctx)))
	}
	d.PoolPort, err = ports.Bind("PgBouncer", o.Pool, o.FirstPool, state.Free,
		func(port int) error { return d.Pooler.Start(ctx, port) })
	if err != nil {
		return nil, errors.Join(err, d.Cluster.Stop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// Down stops PgBouncer, then PostgreSQL.
func (d *Database) Down(ctx context.Context) error {
	return errors.Join(d.Pooler.Stop(ctx), d.Cluster.Stop(ctx))
}

// Leftover describes the processes and files of a home without starting
// anything, so that they can be stopped and deleted.
func Leftover(ctx context.Context, home state.Home) (*Database, error) {
	who, err := account.Pick()
	if err != nil {
		return nil, err
	}
	dir, err := place(ctx, home, who, elsewhere, io.Discard)
	if err != nil {
		return nil, err
	}
	return &Database{
		Cluster: postgres.Cluster{Account: who, Dir: dir},
		Pooler:  pgbouncer.Pooler{Account: who, Dir: filepath.Join(dir, "pgbouncer")},
	}, nil
}

// URL is the address of a database for a role through PgBouncer.
func (d *Database) URL(role, password, database string) string {
	return postgres.Address(role, password, d.PoolPort, database)
}

// elsewhere is where a cluster goes whose home its account cannot reach.
const elsewhere = "/var/lib/coditect-local"

// place is the cluster's directory: in the home or, when a parent of the home
// is closed to the account (a checkout below /root, say), in one of its own
// named after the home.
func place(ctx context.Context, home state.Home, who account.Account, elsewhere string, out io.Writer) (string, error) {
	if !who.Switch || who.CanReach(ctx, home.Dir) {
		return home.Path("postgres"), nil
	}
	sum := sha256.Sum256([]byte(home.Dir))
	slug := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, filepath.Base(filepath.Dir(home.Dir))), "-")
	dir := filepath.Join(elsewhere, slug+"-"+hex.EncodeToString(sum[:6]))
	if err := state.Mkdir(dir); err != nil {
		return "", err
	}
	if !who.CanReach(ctx, dir) {
		return "", fmt.Errorf("PostgreSQL runs as %s, who can enter neither %s nor %s: set CODITECT_HOME to a directory that account can reach", who.Name, home.Dir, dir)
	}
	fmt.Fprintf(out, "%s is closed to the account %s that PostgreSQL runs as: its data is in %s\n", home.Dir, who.Name, dir)
	return dir, nil
}
