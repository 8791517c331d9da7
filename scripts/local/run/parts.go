package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/scripts/local/cloud"
	"github.com/coditect/platform/scripts/local/database"
	"github.com/coditect/platform/scripts/local/keys"
	"github.com/coditect/platform/scripts/local/postgres"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/secrets/manager"
	"github.com/coditect/platform/shared/standin/dns"
	"github.com/coditect/platform/shared/standin/mailbox"
	"github.com/coditect/platform/shared/standin/objects"
	"github.com/coditect/platform/shared/standin/stripe"
)

// Database is the name of the platform's database in the home's own cluster.
const Database = "coditect"

// Where the search for a free port starts, part by part.
const (
	firstPostgres  = 25432
	firstPgBouncer = 26432
	firstRedis     = 26379
	firstStandin   = 18085
	firstMail      = 12525
	firstStripe    = 12111
	firstDNS       = 15353
)

// parts are the things that the platform needs around it.
type parts struct {
	Options
	cfg Config
	env map[string]string // what the functions are told

	database *database.Database // nil when given
	redis    *redis             // nil when given
	cloud    *cloud.Cloud       // the stand-ins of cloud services
	source   *manager.Source    // the given secrets; nil when served here
	objects  http.Handler       // nil when given
	mailbox  *mailbox.Box       // nil when a mail server is given
	stripe   *stripeAPI         // nil when an account's key is given
	dns      *dns.Server        // nil when a resolver is given
}

// lookup is the functions' environment: what was started, else what the person
// set.
func (p *parts) lookup(name string) (string, bool) {
	if value, ok := p.env[name]; ok {
		return value, true
	}
	return p.Lookup(name)
}

func (p *parts) start(ctx context.Context) error {
	p.env["GOOGLE_CLOUD_PROJECT"] = p.cfg.Project
	if err := p.startDatabase(ctx); err != nil {
		return err
	}
	ports, err := p.Home.Ports()
	if err != nil {
		return err
	}
	if p.cfg.Redis.Reveal() == "" {
		port, err := ports.Bind("Redis", p.cfg.RedisPort, firstRedis, state.Free, func(port int) (err error) {
			p.redis, err = startRedis(port)
			return err
		})
		if err != nil {
			return err
		}
		p.env["REDIS_URL"] = fmt.Sprintf("redis://127.0.0.1:%d/0", port)
	}
	if p.cfg.Mail == "" {
		if err := p.startMailbox(ports); err != nil {
			return err
		}
	}
	if p.cfg.Stripe.Reveal() == "" && p.cfg.StripeURL == "" {
		if err := p.startStripe(ctx, ports); err != nil {
			return err
		}
	}
	if p.cfg.Resolver == "" {
		if err := p.startDNS(ports); err != nil {
			return err
		}
	}
	return p.startCloud(ctx, ports)
}

// startDNS answers for the names of domains, which are given their records at
// the page of the stand-in. The records stay in the home.
func (p *parts) startDNS(ports *state.Ports) error {
	_, err := ports.Bind("DNS", p.cfg.DNSPort, firstDNS, dns.Free, func(port int) (err error) {
		p.dns, err = dns.Listen(fmt.Sprintf("127.0.0.1:%d", port), dns.WithFile(p.Home.Path("dns.json")))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("dns: %w: %d", state.ErrPortTaken, port)
		}
		return err
	})
	if err == nil {
		p.env["DNS_RESOLVER"] = p.dns.Address()
	}
	return err
}

// startMailbox takes the platform's mail instead of sending it. The messages
// stay in the home.
func (p *parts) startMailbox(ports *state.Ports) error {
	_, err := ports.Bind("mailbox", p.cfg.MailPort, firstMail, state.Free, func(port int) (err error) {
		p.mailbox, err = mailbox.Open(fmt.Sprintf("127.0.0.1:%d", port), mailbox.WithDir(p.Home.Path("mail")))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("mailbox: %w: %d", state.ErrPortTaken, port)
		}
		return err
	})
	if err == nil {
		p.env["MAIL_URL"] = p.mailbox.URL()
	}
	return err
}

// startCloud serves the cloud's APIs. Of secrets, the home's are served or,
// where a server is given, that one's mounted: the functions read files either
// way, as on Cloud Run.
func (p *parts) startCloud(ctx context.Context, ports *state.Ports) error {
	p.env["SECRETS_DIR"] = p.Home.Secrets()
	if p.cfg.ownCloud() {
		if err := p.serveCloud(ports); err != nil {
			return err
		}
	}
	if p.cfg.Secrets == "" {
		return nil
	}
	p.env["SECRETS_DIR"] = p.Home.Path("mounted-secrets")
	p.source = manager.New(manager.Config{Project: p.cfg.Project, Endpoint: p.cfg.Secrets})
	return p.mount(ctx)
}

func (p *parts) serveCloud(ports *state.Ports) error {
	o := cloud.Options{
		Project: p.cfg.Project, Functions: p.Functions,
		Log: slog.New(slog.NewTextHandler(p.Out, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	}
	if p.cfg.Secrets == "" {
		o.Secrets = &keys.Store{Dir: p.Home.Secrets()}
	}
	port, err := ports.Bind("cloud stand-ins", p.cfg.StandinPort, firstStandin, state.Free, func(port int) (err error) {
		p.cloud, err = cloud.Start(port, o)
		return err
	})
	if err != nil {
		return err
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	for name, value := range map[string]string{
		"SECRETS_ENDPOINT": at, "TASKS_ENDPOINT": at, "TASKS_LOCATION": cloud.Location, "PUBSUB_ENDPOINT": at,
		"PUSH_ISSUER": cloud.Issuer, "PUSH_SERVICE_ACCOUNT": cloud.ServiceAccount, "PUSH_SERVICE_ACCOUNTS": cloud.ServiceAccount,
	} {
		p.offer(name, value)
	}
	return nil
}

// offer tells the functions a value unless the person knows better.
func (p *parts) offer(name, value string) {
	if _, set := p.Lookup(name); !set {
		p.env[name] = value
	}
}

func (p *parts) mount(ctx context.Context) error {
	return keys.Store{Dir: p.env["SECRETS_DIR"]}.Mount(ctx, p.source)
}

// announce tells the functions where the platform is to be found, unless the
// person knows better, and serves there what has the router's port.
func (p *parts) announce(port string) error {
	p.offer("TOKEN_ISSUER", "http://localhost:"+port)
	p.offer("JWKS_URL", "http://127.0.0.1:"+port+"/.well-known/jwks.json")
	p.offer("MAIL_FROM", "Coditect <no-reply@coditect.localhost>")
	p.offer("APP_URL", "http://localhost:"+port+mailbox.LinkPath)
	p.offer("API_URL", "http://localhost:"+port)
	p.offer("DEPLOYMENT_ENVIRONMENT", "local")
	p.offer("RELAY_URL", "http://127.0.0.1:"+port+functionsPath+"outboxrelay")
	if p.cloud != nil {
		p.offer("PUSH_JWKS_URL", "http://127.0.0.1:"+port+cloud.KeysPath)
	}
	if p.stripe != nil {
		if err := p.stripe.listen(p.env["SECRETS_DIR"], "http://127.0.0.1:"+port+webhookPath); err != nil {
			return err
		}
	}
	if p.cfg.Objects != "" {
		return nil
	}
	return p.serveObjects(port)
}

// serveObjects keeps objects in the home, behind links of the router's port.
func (p *parts) serveObjects(port string) error {
	passwords, err := p.Home.Passwords()
	if err != nil {
		return err
	}
	dir := p.Home.Path("objects")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cfg := blob.Config{
		URL: "file://" + filepath.ToSlash(dir), PublicURL: "http://127.0.0.1:" + port + objectsPath,
		SigningKey: config.Secret(passwords.Objects),
	}
	p.env["OBJECTS_URL"], p.env["OBJECTS_PUBLIC_URL"], p.env["OBJECTS_SIGNING_KEY"] = cfg.URL, cfg.PublicURL, passwords.Objects
	p.objects, err = objects.New(cfg)
	return err
}

func (p *parts) startDatabase(ctx context.Context) error {
	if p.cfg.ownDatabase() {
		d, err := OpenDatabase(ctx, p.Options, p.cfg)
		if err != nil {
			return err
		}
		p.database = d
		p.env["DATABASE_URL"] = d.URL(migrations.RoleApp, d.Passwords.App, Database)
		p.env["SYSTEM_DATABASE_URL"] = d.URL(migrations.RoleSystem, d.Passwords.System, Database)
		p.env["MIGRATE_DATABASE_URL"] = MigrateURL(d)
	} else {
		p.env["DATABASE_URL"] = p.cfg.Database.Reveal()
		p.env["SYSTEM_DATABASE_URL"] = p.cfg.System.Reveal()
		p.env["MIGRATE_DATABASE_URL"] = p.cfg.Migrate.Reveal()
	}
	log := slog.New(slog.NewTextHandler(p.Out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	if err := migrations.Up(ctx, p.env["MIGRATE_DATABASE_URL"], migrations.WithLogger(log)); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return CheckIsolation(ctx, p.env["DATABASE_URL"])
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// OpenDatabase brings the home's own database up, roles included, without
// migrating it.
func OpenDatabase(ctx context.Context, o Options, cfg Config) (*database.Database, error) {
	passwords, err := o.Home.Passwords()
	if err != nil {
		return nil, err
	}
	d, err := database.Up(ctx, database.Options{
		Home: o.Home, Out: o.Out, Tools: o.Tools, Passwords: passwords, Durable: true,
		Port: cfg.PostgresPort, FirstPort: firstPostgres, Pool: cfg.PgBouncerPort, FirstPool: firstPgBouncer,
		MaxConnections: 100, PoolSize: 20, PoolIdle: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	err = migrations.Bootstrap(ctx, d.Cluster.URL(d.Port, "postgres"), migrations.Setup{
		Database:         Database,
		MigratorPassword: passwords.Migrator, AppPassword: passwords.App, SystemPassword: passwords.System,
	})
	if err != nil {
		return nil, errors.Join(err, d.Down(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// MigrateURL is the migrator's direct address of the home's own database.
func MigrateURL(d *database.Database) string {
	return postgres.Address(migrations.RoleMigrator, d.Passwords.Migrator, d.Port, Database)
}

// watch does what an orchestrator would: it starts the database's processes
// again when one dies (the functions reconnect by themselves) and keeps given
// secrets up to date.
func (p *parts) watch(ctx context.Context) {
	alive := time.NewTicker(time.Second)
	defer alive.Stop()
	fresh := time.NewTicker(time.Minute)
	defer fresh.Stop()
	for {
		select {
		case <-alive.C:
			p.keepAlive(ctx)
			if p.stripe != nil {
				p.stripe.server.Tick() // what has become due: renewals, retries
			}
		case <-fresh.C:
			if p.source == nil {
				continue
			}
			if err := p.mount(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintf(p.Out, "the secrets stay as they were: %v\n", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (p *parts) keepAlive(ctx context.Context) {
	d := p.database
	if d == nil {
		return
	}
	if _, _, ok := d.Cluster.Running(); !ok {
		p.revive(ctx, "PostgreSQL", func() error { return d.Cluster.Start(ctx, d.Port) })
	}
	if _, ok := d.Pooler.Running(); !ok {
		p.revive(ctx, "PgBouncer", func() error { return d.Pooler.Start(ctx, d.PoolPort) })
	}
}

func (p *parts) revive(ctx context.Context, part string, start func() error) {
	fmt.Fprintf(p.Out, "%s ended: starting it again\n", part)
	if err := start(); err != nil && ctx.Err() == nil {
		fmt.Fprintf(p.Out, "%s does not start: %v\n", part, err)
	}
}

// stop takes down what was started, in reverse.
func (p *parts) stop(ctx context.Context) error {
	var faults []error
	if p.source != nil {
		faults = append(faults, p.source.Close())
	}
	if p.cloud != nil {
		faults = append(faults, p.cloud.Close())
	}
	if p.mailbox != nil {
		faults = append(faults, p.mailbox.Close())
	}
	if p.stripe != nil {
		faults = append(faults, p.stripe.close())
	}
	if p.dns != nil {
		faults = append(faults, p.dns.Close())
	}
	if p.redis != nil {
		p.redis.close()
	}
	if p.database != nil {
		faults = append(faults, p.database.Down(ctx))
	}
	return errors.Join(faults...)
}

// table prints where everything is, without passwords.
func (p *parts) table(address string) {
	w := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	line := func(name, where string) { fmt.Fprintf(w, "  %s\t%s\n", name, where) }
	fmt.Fprintln(w)
	line("API", address+"/api/v1/")
	line("documentation", address+"/api/docs/")
	line("health", address+"/health/")
	if p.mailbox != nil {
		line("mail", address+mailbox.Prefix)
	}
	if p.stripe != nil {
		line("Stripe", p.stripe.url+" (in this process); a bank's questions at "+address+stripe.LocalPath)
	}
	if p.dns != nil {
		line("DNS", p.dns.Address()+" (UDP, in this process); its records at "+address+dns.Prefix)
	}
	if d := p.database; d != nil {
		line("PostgreSQL", fmt.Sprintf("127.0.0.1:%d, database %s (make psql)", d.Port, Database))
		line("PgBouncer", fmt.Sprintf("127.0.0.1:%d, transaction mode", d.PoolPort))
	} else {
		line("database", host(p.env["DATABASE_URL"])+" (given)")
	}
	line("Redis", host(p.redisURL())+given(p.redis != nil))
	line("secrets", p.secretsAt()+given(p.source == nil))
	line("state", p.Home.Dir)
	w.Flush() //nolint:errcheck // A terminal.
}

func (p *parts) redisURL() string {
	if p.redis == nil {
		return p.cfg.Redis.Reveal()
	}
	return p.env["REDIS_URL"]
}

func (p *parts) secretsAt() string {
	at, _ := p.lookup("SECRETS_ENDPOINT")
	return at
}

func given(own bool) string {
	if own {
		return " (in this process)"
	}
	return " (given)"
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "address of its own form"
	}
	return u.Host
}
