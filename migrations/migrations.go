// Package migrations holds the schema of the platform as plain SQL and runs it.
//
// The same files run on PostgreSQL 15+ and on Citus 12+: distribution is a step that does nothing where the
// extension is absent. They are run by the migrator role over a direct connection, never through a pooler,
// since the lock that keeps two runs apart belongs to the session.
//
// To change the schema, add a file (migrate create NAME) and read README.md: expand first, contract in a later
// release, and nothing that locks a large table for long. A new table needs one line in Tables, which says
// whose rows it holds; the catalogue test refuses a table without it. Once released, a file is never edited.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed sql/*.sql
var embedded embed.FS

// The three roles of the database. Bootstrap creates them.
const (
	RoleMigrator = "coditect_migrator" // owns everything; connects directly, for deployments only
	RoleApp      = "coditect_app"      // data only, owns nothing, bound by the row policies
	RoleSystem   = "coditect_system"   // data only, bypasses the row policies; schedulers and relays
)

// versionTable is outside schema app, which the first migration makes and the last way down drops.
const versionTable = "public.schema_migrations"

// lockWait is how long a statement may queue for a table's lock. Whoever queues for an exclusive lock makes
// every later reader of the table queue behind it, so it is better to fail and be run again.
const lockWait = "1s"

// Migration is one numbered file and whether the database has it.
type Migration struct {
	Version   int64
	Name      string // the file's name
	Applied   bool
	AppliedAt time.Time // zero unless Applied
}

// Option changes how a run behaves.
type Option func(*runner)

// WithLogger reports each migration as it is done. Silent without it.
func WithLogger(l *slog.Logger) Option { return func(r *runner) { r.log = l } }

// WithLockTimeout bounds the wait for another run to end; five minutes without it. Beyond it: ErrLocked.
func WithLockTimeout(d time.Duration) Option { return func(r *runner) { r.patience = d } }

// Up applies every migration the database does not have, each in a transaction of its own (unless its file says
// otherwise), and leaves it at the last one that succeeded. It does nothing on a current database. Of two runs
// at once the second waits for the first and then finds nothing to do.
func Up(ctx context.Context, url string, opts ...Option) error {
	return newRunner(opts).up(ctx, url)
}

// Down takes back the last n migrations. What they held is lost: it is for development and for a deployment
// that failed before it took traffic.
func Down(ctx context.Context, url string, n int, opts ...Option) error {
	return newRunner(opts).down(ctx, url, n)
}

// Status lists every migration in order. It changes nothing and waits for no lock.
func Status(ctx context.Context, url string, opts ...Option) ([]Migration, error) {
	return newRunner(opts).status(ctx, url)
}

// Hash is a digest (hex, 64 characters) of all migrations: equal hashes mean equal schemas. Test templates are
// named by it.
func Hash() string {
	h := sha256.New()
	for _, name := range names(sqlFiles()) {
		body, err := fs.ReadFile(sqlFiles(), name)
		if err != nil {
			panic(err) // embedded: cannot fail
		}
		fmt.Fprintf(h, "%s\x00%d\x00", name, len(body))
		h.Write(body)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sqlFiles() fs.FS {
	sub, err := fs.Sub(embedded, "sql")
	if err != nil {
		panic(err) // embedded: cannot fail
	}
	return sub
}

func names(files fs.FS) []string {
	found, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err) // the pattern is constant
	}
	slices.Sort(found)
	return found
}

// runner is one run. Tests give it other files.
type runner struct {
	files    fs.FS
	log      *slog.Logger
	patience time.Duration
}

func newRunner(opts []Option) *runner {
	r := &runner{files: sqlFiles(), log: slog.New(slog.DiscardHandler), patience: 5 * time.Minute}
	for _, o := range opts {
		o(r)
	}
	return r
}

func (r *runner) up(ctx context.Context, url string) (err error) {
	db, p, err := r.open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkRoles(ctx, db); err != nil {
		return err
	}
	done, err := p.Up(ctx)
	r.report(done, err)
	return explain("up", err)
}

func (r *runner) down(ctx context.Context, url string, n int) (err error) {
	if n < 1 {
		return fmt.Errorf("migrations: down %d: how many must be at least 1", n)
	}
	have, err := r.status(ctx, url)
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(m Migration) bool { return !m.Applied })
	if n > len(have) {
		return fmt.Errorf("migrations: down %d: only %d are applied", n, len(have))
	}
	var target int64
	if left := have[:len(have)-n]; len(left) > 0 {
		target = left[len(left)-1].Version
	}
	db, p, err := r.open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	done, err := p.DownTo(ctx, target)
	r.report(done, err)
	return explain("down", err)
}

func (r *runner) status(ctx context.Context, url string) (_ []Migration, err error) {
	db, p, err := r.open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	applied := map[int64]time.Time{}
	var exists bool
	if err := db.QueryRowContext(ctx, "select to_regclass($1) is not null", versionTable).Scan(&exists); err != nil {
		return nil, explain("status", err)
	}
	if exists {
		rows, err := db.QueryContext(ctx, "select version_id, max(tstamp) from "+versionTable+" where is_applied group by 1")
		if err != nil {
			return nil, explain("status", err)
		}
		defer rows.Close()
		for rows.Next() {
			var version int64
			var at time.Time
			if err := rows.Scan(&version, &at); err != nil {
				return nil, explain("status", err)
			}
			applied[version] = at
		}
		if err := rows.Err(); err != nil {
			return nil, explain("status", err)
		}
	}
	var all []Migration
	for _, s := range p.ListSources() {
		at, ok := applied[s.Version]
		all = append(all, Migration{Version: s.Version, Name: path.Base(s.Path), Applied: ok, AppliedAt: at})
	}
	return all, nil
}

func (r *runner) open(ctx context.Context, url string) (*sql.DB, *goose.Provider, error) {
	if url == "" {
		return nil, nil, errors.New("migrations: no database address (MIGRATE_DATABASE_URL)")
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, nil, fmt.Errorf("migrations: the database address is not valid: %w", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	// A migration may sit idle in its transaction while another statement of it waits for a worker.
	maps.Copy(cfg.RuntimeParams, map[string]string{
		"application_name": "coditect-migrate", "timezone": "UTC", "statement_timeout": "0", "lock_timeout": lockWait,

		"idle_in_transaction_session_timeout": "0",
	})
	db := stdlib.OpenDB(*cfg)
	if err := db.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("migrations: cannot reach the database: %w", err), db.Close())
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, r.files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true),
		goose.WithSessionLocker(&sessionLock{patience: r.patience, log: r.log}))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("migrations: the files are not valid: %w", err), db.Close())
	}
	return db, p, nil
}

func (r *runner) report(done []*goose.MigrationResult, err error) {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		done = partial.Applied
	}
	for _, d := range done {
		r.log.Info("migrated "+d.Direction, "migration", path.Base(d.Source.Path), "took", d.Duration.Round(time.Millisecond)) //nolint:sloglint // two messages, up and down
	}
	if err == nil && len(done) == 0 {
		r.log.Info("nothing to migrate")
	}
}

// checkRoles refuses a run that would fail half way or, worse, leave the tables with the wrong owner: policies
// do not bind an owner, and search functions run as theirs.
func checkRoles(ctx context.Context, db *sql.DB) error {
	var who string
	var missing sql.NullString
	err := db.QueryRowContext(ctx, `select current_user, (select string_agg(r, ', ') from unnest(array['`+RoleMigrator+`', '`+
		RoleApp+`', '`+RoleSystem+`']) r where not exists (select from pg_roles where rolname = r))`).Scan(&who, &missing)
	if err != nil {
		return fmt.Errorf("migrations: cannot read the roles: %w", err)
	}
	if missing.Valid {
		return fmt.Errorf("migrations: the database has no role %s: run migrate bootstrap as its superuser first", missing.String)
	}
	if who != RoleMigrator {
		return fmt.Errorf("migrations: connected as %s: the schema must belong to %s, so run as that role", who, RoleMigrator)
	}
	return nil
}

func explain(act string, err error) error {
	if err == nil {
		return nil
	}
	partial, ok := errors.AsType[*goose.PartialError](err)
	if !ok {
		return fmt.Errorf("migrations: %s: %w", act, err)
	}
	advice := ""
	if strings.Contains(err.Error(), "55P03") {
		advice = " (a table stayed locked by others for " + lockWait + "; nothing of this migration was kept, run it again)"
	}
	return fmt.Errorf("migrations: %s: %s failed%s: %w", act, path.Base(partial.Failed.Source.Path), advice, partial.Err)
}
