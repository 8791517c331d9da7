package run

import (
	"errors"

	"github.com/coditect/platform/shared/config"
)

// Config is what a person may decide about a run. A part whose address is
// given is not started.
type Config struct {
	Port int `env:"PORT" envDefault:"8080"` // of the router, on 127.0.0.1

	// All three or none: an own database comes with all its roles.
	Database config.Secret `env:"DATABASE_URL"`
	System   config.Secret `env:"SYSTEM_DATABASE_URL"`
	Migrate  config.Secret `env:"MIGRATE_DATABASE_URL"`

	Redis     config.Secret `env:"REDIS_URL"`
	Secrets   string        `env:"SECRETS_ENDPOINT"`  // host:port of Secret Manager's API
	Tasks     string        `env:"TASKS_ENDPOINT"`    // host:port of Cloud Tasks' API
	PubSub    string        `env:"PUBSUB_ENDPOINT"`   // host:port of Pub/Sub's API
	Objects   string        `env:"OBJECTS_URL"`       // of a bucket
	Mail      string        `env:"MAIL_URL"`          // of a mail server
	Stripe    config.Secret `env:"STRIPE_SECRET_KEY"` // of an account, best a test one
	StripeURL string        `env:"STRIPE_API_URL"`    // of a server that is there already
	Resolver  string        `env:"DNS_RESOLVER"`      // host:port, where names of the world are to be proved
	Project   string        `env:"GOOGLE_CLOUD_PROJECT" envDefault:"local"`

	// Ports of embedded parts; 0 chooses and remembers.
	PostgresPort  int `env:"PG_PORT"`
	PgBouncerPort int `env:"PGBOUNCER_PORT"`
	RedisPort     int `env:"REDIS_PORT"`
	StandinPort   int `env:"STANDIN_PORT"`
	MailPort      int `env:"MAIL_PORT"`
	StripePort    int `env:"STRIPE_PORT"`
	DNSPort       int `env:"DNS_PORT"` // UDP
}

// Validate refuses a database that is given in part.
func (c Config) Validate() error {
	given := 0
	for _, url := range []config.Secret{c.Database, c.System, c.Migrate} {
		if url.Reveal() != "" {
			given++
		}
	}
	var errs []error
	if given != 0 && given != 3 {
		errs = append(errs, config.Invalid("DATABASE_URL", "SYSTEM_DATABASE_URL and MIGRATE_DATABASE_URL go together: give all three, or none to have a database started"))
	}
	for name, port := range map[string]int{
		"PORT": c.Port, "PG_PORT": c.PostgresPort, "PGBOUNCER_PORT": c.PgBouncerPort, "REDIS_PORT": c.RedisPort, "STANDIN_PORT": c.StandinPort, "MAIL_PORT": c.MailPort, "STRIPE_PORT": c.StripePort, "DNS_PORT": c.DNSPort,
	} {
		if port < 0 || port > 65535 {
			errs = append(errs, config.Invalid(name, "is not a port"))
		}
	}
	return errors.Join(errs...)
}

// ownCloud reports whether the runner serves some of the cloud's APIs. Where all
// are given, queues and schedules are whoever's they are.
func (c Config) ownCloud() bool { return c.Secrets == "" || c.Tasks == "" || c.PubSub == "" }

// ownDatabase reports whether the runner starts PostgreSQL and PgBouncer.
func (c Config) ownDatabase() bool { return c.Database.Reveal() == "" }
