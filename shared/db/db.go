// Package db is the one way to the platform's rows.
//
// [Read] and [Write] begin a tenant's transaction, [ReadUser] and [WriteUser] a
// person's, [Span] one of the few that touch both, and [System] one that
// crosses tenants with a role of its own. Nothing else begins a transaction,
// and the pool never leaves this package, so a query without a tenant cannot
// be written by accident.
//
// A closure queues statements; they travel together with the transaction's
// begin, its tenant and its commit in one pipelined exchange (the tenant must
// be set inside an explicit transaction to reach Citus workers, and the setting
// is local to it, so that a pooled connection carries nothing to its next
// user). A statement whose result the closure needs at once is awaited, which
// costs one more exchange; trips counts them.
//
// Two layers keep tenants apart, and each holds alone: every statement names
// tenant_id (Citus routes by it), and row-level security refuses what it
// forgot. See docs/decisions and the isolation tests.
package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
)

// Config says where the database is and how much of it one instance may use.
type Config struct {
	// URL connects as the application role, through PgBouncer in transaction
	// mode: postgres://coditect_app:…@host:6432/coditect
	URL config.Secret `env:"DATABASE_URL,required"`
	// SystemURL connects as the role that crosses tenants. Only schedulers and
	// the outbox relay are given it.
	SystemURL config.Secret `env:"SYSTEM_DATABASE_URL"`
	// MaxConns bounds the connections of one instance to PgBouncer. Instances
	// times MaxConns must stay below PgBouncer's max_client_conn.
	MaxConns int32 `env:"DATABASE_MAX_CONNS" envDefault:"10"`
	// AcquireTimeout is how long a request waits for a connection before it is
	// told to come back.
	AcquireTimeout time.Duration `env:"DATABASE_ACQUIRE_TIMEOUT" envDefault:"2s"`
	// ConnectTimeout bounds the dial and the handshake.
	ConnectTimeout time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"3s"`
}

// DB holds an instance's connections. It dials when it is first used, and
// again whenever it is used after a failure: nothing is remembered as broken.
type DB struct {
	app            *pgxpool.Pool
	acquireTimeout time.Duration
	log            *slog.Logger

	systemURL string
	connect   time.Duration
	mu        sync.Mutex
	system    *pgxpool.Pool
}

// Open checks cfg and dials nothing.
func Open(cfg Config, log *slog.Logger) (*DB, error) {
	app, err := newPool(cfg.URL.Reveal(), cfg.MaxConns, cfg.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	wait := cfg.AcquireTimeout
	if wait <= 0 {
		wait = 2 * time.Second
	}
	return &DB{app: app, acquireTimeout: wait, log: log, systemURL: cfg.SystemURL.Reveal(), connect: cfg.ConnectTimeout}, nil
}

// pingAfter is the idleness after which a connection is tried before use. A
// connection that a pooler restart has killed would otherwise fail its next
// request; trying each one would double the round trips of every request.
const pingAfter = 20 * time.Second

func newPool(url string, size int32, connect time.Duration) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// pgx's error quotes the address, password included.
		return nil, errors.New("db: the database address is not a valid PostgreSQL URL")
	}
	if size > 0 {
		cfg.MaxConns = size
	}
	if connect > 0 {
		cfg.ConnConfig.ConnectTimeout = connect
	}
	// A pooler in transaction mode gives each transaction another server
	// connection: prepared statements of one are unknown to the next.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.ConnConfig.StatementCacheCapacity = 0
	cfg.ConnConfig.DescriptionCacheCapacity = 0
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error { registerIDs(c.TypeMap()); return nil }
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.HealthCheckPeriod = time.Minute
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > pingAfter }
	return pgxpool.NewWithConfig(context.Background(), cfg)
}

// Close waits for open transactions and closes every connection.
func (d *DB) Close() {
	d.app.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.system != nil {
		d.system.Close()
	}
}

func (d *DB) systemPool() (*pgxpool.Pool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.system != nil {
		return d.system, nil
	}
	if d.systemURL == "" {
		return nil, errors.New("db: SYSTEM_DATABASE_URL is not set: this deployable may not cross tenants")
	}
	p, err := newPool(d.systemURL, 4, d.connect)
	if err != nil {
		return nil, err
	}
	d.system = p
	return p, nil
}

// unavailable is what a client hears while the database cannot be reached.
var unavailable = errs.New(errs.Unavailable, "unavailable", "The service cannot reach its database. Try again shortly.").WithRetry(2 * time.Second)

func (d *DB) acquire(ctx context.Context, p *pgxpool.Pool) (*pgxpool.Conn, error) {
	wait, stop := context.WithTimeout(ctx, d.acquireTimeout)
	defer stop()
	conn, err := p.Acquire(wait)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, unavailable.WithCause(fmt.Errorf("db: acquire: %w", err))
}

// Ping reports whether the database answers. Health checks use it.
func (d *DB) Ping(ctx context.Context) error {
	conn, err := d.acquire(ctx, d.app)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := conn.Ping(ctx); err != nil {
		return unavailable.WithCause(fmt.Errorf("db: ping: %w", err))
	}
	return nil
}

// CheckIsolation reports why the role of DATABASE_URL must not serve tenants:
// it bypasses row-level security, owns tables, or (on Citus) would not carry
// the tenant to the workers. It is asked once at start by whoever was given a
// database instead of making one.
func (d *DB) CheckIsolation(ctx context.Context) error {
	conn, err := d.acquire(ctx, d.app)
	if err != nil {
		return err
	}
	defer conn.Release()
	var role string
	var bypass, super bool
	var owned int
	err = conn.QueryRow(ctx, `
		select r.rolname, r.rolbypassrls, r.rolsuper,
		       (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		         where n.nspname = 'app' and c.relowner = r.oid)
		  from pg_roles r where r.rolname = current_user`).Scan(&role, &bypass, &super, &owned)
	if err != nil {
		return fmt.Errorf("db: isolation check: %w", err)
	}
	var faults []error
	if bypass || super {
		faults = append(faults, fmt.Errorf("db: role %q bypasses row-level security", role))
	}
	if owned > 0 {
		faults = append(faults, fmt.Errorf("db: role %q owns %d relations of schema app: an owner is not subject to its policies", role, owned))
	}
	var open int
	err = conn.QueryRow(ctx, `
		select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		 where n.nspname = 'app' and c.relkind in ('r', 'p') and not c.relrowsecurity
		   and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)`).Scan(&open)
	if err != nil {
		return fmt.Errorf("db: isolation check: %w", err)
	}
	if open > 0 {
		faults = append(faults, fmt.Errorf("db: %d tables with a tenant_id have no row-level security", open))
	}
	var citus bool
	var propagate *string
	err = conn.QueryRow(ctx, `
		select exists (select 1 from pg_extension where extname = 'citus'),
		       current_setting('citus.propagate_set_commands', true)`).Scan(&citus, &propagate)
	if err != nil {
		return fmt.Errorf("db: isolation check: %w", err)
	}
	if citus && (propagate == nil || *propagate != "local") {
		faults = append(faults, errors.New("db: citus.propagate_set_commands is not 'local': workers would not learn the tenant"))
	}
	return errors.Join(faults...)
}

// classify says what a database error means when no constraint explains it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var ours *errs.Error
	if errors.As(err, &ours) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		var scan pgx.ScanArgError
		if errors.As(err, &scan) || errors.Is(err, pgx.ErrNoRows) || errors.Is(err, pgx.ErrTooManyRows) {
			return err
		}
		// Not an answer of the server: the connection broke, or never was.
		return unavailable.WithCause(err)
	}
	switch pg.Code[:2] {
	case "08", "53", "57": // connection, resources, operator
		if pg.Code == "57014" { // statement_timeout
			return errs.Wrap(err, errs.Timeout, "timeout", "The request took too long.")
		}
		return unavailable.WithCause(err)
	case "22": // a value that no validation foresaw, such as a date before the calendar
		return errs.Wrap(err, errs.Invalid, "validation_failed", "A value is outside of what can be stored.")
	case "40": // deadlock, serialization
		return errs.Wrap(err, errs.Unavailable, "try_again", "The change met another one. Try again.").WithRetry(time.Second)
	}
	return err
}
