package outboxrelay

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/queue/events"
	"github.com/coditect/platform/shared/queue/push"
	"github.com/coditect/platform/shared/queue/sqs"
	"github.com/coditect/platform/shared/queue/tasks"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "outboxrelay"

// Config is what the relay is told by its environment.
type Config struct {
	Database db.Config
	Push     push.Config
	// SQS carries messages where the platform runs on AWS; otherwise [Google].
	SQS     sqs.Config
	Secrets secrets.Config
	Logs    logs.Config
	// SecretsDir is where the platform mounts secrets as files, if it does.
	SecretsDir string `env:"SECRETS_DIR"`
	// Functions are the addresses of job functions, as name=url; of those that
	// are not named it is FunctionURL, in which {name} stands for the function.
	Functions   map[string]string `env:"FUNCTION_URLS" envKeyValSeparator:"="`
	FunctionURL string            `env:"FUNCTION_URL" envDefault:"http://{name}"`
	// Nudge bounds one call after a commit, Sweep one of the schedule. Both end
	// before their caller gives up.
	Nudge time.Duration `env:"RELAY_NUDGE_TIME" envDefault:"8s"`
	Sweep time.Duration `env:"RELAY_SWEEP_TIME" envDefault:"50s"`
	// Poll is how often a sweep looks again while work is under way, which may
	// leave messages that nobody nudges for.
	Poll time.Duration `env:"RELAY_POLL" envDefault:"1s"`
	// Lease is how long a message that was handed over belongs to its queue and
	// its consumer. It is above what a queue with full windows keeps anybody
	// waiting, and below the minute in which work resumes after a loss.
	// Consumers of long work prolong it.
	Lease time.Duration `env:"RELAY_LEASE" envDefault:"45s"`
	// Pause is how long a message stays with us that a queue did not take.
	Pause time.Duration `env:"RELAY_PAUSE" envDefault:"5s"`
}

// Google is where Cloud Tasks and Pub/Sub are.
type Google struct {
	Tasks  tasks.Config
	Events events.Config
}

// A carrier is a service that messages are handed to.
type carrier interface {
	queue.Deliverer
	Close() error
}

// carriers are those of messages for one function and of messages of a topic.
func carriers(lookup config.Lookup, cfg Config, registry *queue.Registry) (toTasks, toEvents carrier, err error) {
	if cfg.SQS.QueueURL != "" {
		d := sqs.New(cfg.SQS, registry.Listeners)
		return d, d, nil
	}
	google, err := config.Load[Google](lookup)
	if err != nil {
		return nil, nil, err
	}
	return tasks.New(google.Tasks), events.New(google.Events), nil
}

// Validate refuses addresses that are none, before a message is claimed.
func (c Config) Validate() error {
	var faults []error
	for name, address := range c.Functions {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			faults = append(faults, config.Invalid("FUNCTION_URLS", fmt.Sprintf("the address of %s is not http(s)://host", name)))
		}
	}
	if u, err := url.Parse(address(c.FunctionURL, "x")); err != nil || u.Host == "" {
		faults = append(faults, config.Invalid("FUNCTION_URL", "must be http(s)://host, with {name} for the function"))
	}
	for name, d := range map[string]time.Duration{
		"RELAY_NUDGE_TIME": c.Nudge, "RELAY_SWEEP_TIME": c.Sweep, "RELAY_POLL": c.Poll, "RELAY_LEASE": c.Lease, "RELAY_PAUSE": c.Pause,
	} {
		if d <= 0 {
			faults = append(faults, config.Invalid(name, "must be above zero"))
		}
	}
	return errors.Join(faults...)
}

// address is where a job function is.
func (c Config) address(name string) string {
	if given, ok := c.Functions[name]; ok {
		return given
	}
	return address(c.FunctionURL, name)
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	registry, err := queue.Platform()
	if err != nil {
		return nil, err
	}
	return OpenWith(lookup, registry)
}

// OpenWith makes a relay of other kinds and consumers than the platform's.
func OpenWith(lookup config.Lookup, registry *queue.Registry) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	toTasks, toEvents, err := carriers(lookup, cfg, registry)
	if err != nil {
		return nil, err
	}
	log := logs.New(os.Stderr, cfg.Logs).With("function", Name)
	d, err := db.Open(cfg.Database, log)
	if err != nil {
		return nil, err
	}
	source := secrets.Environment(lookup)
	if cfg.SecretsDir != "" {
		source = secrets.First(source, secrets.Directory(os.DirFS(cfg.SecretsDir)))
	}
	mounted := secrets.New(source, cfg.Secrets)
	s := &service{
		cfg: cfg, log: log,
		door:  push.New(cfg.Push, Name),
		hops:  hop.New(secrets.Parse(mounted, secrets.HopKey, secrets.ParseRing)),
		relay: newRelay(store{d}, registry, toTasks, toEvents, cfg.address, log),
	}
	s.relay.lease, s.relay.pause = cfg.Lease, cfg.Pause
	return &serve.App{Name: Name, Handler: s.handler(), Close: func(context.Context) error {
		d.Close()
		return errors.Join(toTasks.Close(), toEvents.Close())
	}}, nil
}
