// Package retention is the function that erases what is due, each night:
//
//   - organizations, 30 days after they were deleted: every row of every table
//     and every object, and what is unique over all organizations and was theirs
//     (hosts, the customer at Stripe). People keep their accounts. (store_tenants.go)
//   - tasks, projects, comments and attachments, 30 days after their deletion,
//     with their objects; uploads that nobody completed; files of jobs that
//     expired. (store_work.go)
//   - accounts, 30 days after they were closed. (store_people.go)
//   - what served its purpose: keys of repeated requests, links of mails,
//     sessions that ended, messages that were done or given up, what Stripe told
//     and was done, usage of years ago, and, where a horizon is set, old
//     activity. (store_rules.go)
//
// Everything is done in small batches, each in a statement that names its owner
// and goes to one shard. An object goes before the row that names it, and the
// organization's own row last, so that whatever is interrupted is found again:
// a run may come twice, die, or stop when its time is up, and the next one goes
// on. What fails for one owner is tried again by the next run and keeps no other
// from its turn.
//
// A new table of organizations must be named in store_tenants.go, and one of people in
// store_people.go: tests hold both against the migrations.
package retention

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "retention"

// Config says how long things are kept.
type Config struct {
	Objects blob.Config
	// Deleted is how long what was deleted can be restored: work and accounts.
	// Organizations carry their own date.
	Deleted time.Duration `env:"RETENTION_DELETED" envDefault:"720h"`
	// Uploads is how long an upload may stay incomplete.
	Uploads time.Duration `env:"RETENTION_UPLOADS" envDefault:"48h"`
	// Links is how long a link of a mail is known after it expired.
	Links time.Duration `env:"RETENTION_LINKS" envDefault:"168h"`
	// Jobs is how long a job is listed after its end, and its file longer if the
	// file lives longer.
	Jobs time.Duration `env:"RETENTION_JOBS" envDefault:"2160h"`
	// Invitations is how long one is kept that was accepted or withdrawn.
	Invitations time.Duration `env:"RETENTION_INVITATIONS" envDefault:"2160h"`
	// Sessions is how long a session is known after its end.
	Sessions time.Duration `env:"RETENTION_SESSIONS" envDefault:"720h"`
	// Messages is how long a message is kept after it was done.
	Messages time.Duration `env:"RETENTION_MESSAGES" envDefault:"336h"`
	// DeadMessages is how long one that was given up can be replayed.
	DeadMessages time.Duration `env:"RETENTION_DEAD_MESSAGES" envDefault:"2160h"`
	// Processed is how long it is known that a message was processed. No queue
	// may deliver one after it: see Validate.
	Processed time.Duration `env:"RETENTION_PROCESSED" envDefault:"1080h"`
	// Events is how long what Stripe told is kept after it came, when it is done
	// or nobody's. Those that failed for an organization wait for a person.
	Events time.Duration `env:"RETENTION_EVENTS" envDefault:"2160h"`
	// Usage is how long the requests of a day, what was reported of it and the
	// warnings of a month are kept: 25 months. Storage is the sum of all its rows.
	Usage time.Duration `env:"RETENTION_USAGE" envDefault:"18240h"`
	// Activity is how long activity is kept; 0 is for ever.
	Activity time.Duration `env:"RETENTION_ACTIVITY" envDefault:"0"`
	// Batch is how many rows a statement erases at most.
	Batch int `env:"RETENTION_BATCH" envDefault:"1000"`
}

// longestDelivery is how long a queue may keep a message: Pub/Sub and Cloud
// Tasks both at most 31 days. Sources: docs.cloud.google.com/pubsub/docs/subscription-properties,
// docs.cloud.google.com/tasks/docs/quotas.
const longestDelivery = 31 * 24 * time.Hour

// longestListed is how long Stripe lists an event, and can be told to send it
// again; longestReported how long it takes usage of a day. Sources:
// docs.stripe.com/api/events, docs.stripe.com/api/billing/meter-event.
const (
	longestListed   = 30 * 24 * time.Hour
	longestReported = 35 * 24 * time.Hour
)

// Validate refuses times that would erase what is still needed.
func (c Config) Validate() error {
	var faults []error
	for name, d := range map[string]time.Duration{
		"RETENTION_DELETED": c.Deleted, "RETENTION_UPLOADS": c.Uploads, "RETENTION_LINKS": c.Links, "RETENTION_SESSIONS": c.Sessions,
		"RETENTION_JOBS": c.Jobs, "RETENTION_INVITATIONS": c.Invitations,
		"RETENTION_MESSAGES": c.Messages, "RETENTION_DEAD_MESSAGES": c.DeadMessages,
	} {
		if d < 24*time.Hour {
			faults = append(faults, config.Invalid(name, "must be a day at least"))
		}
	}
	if c.Processed <= longestDelivery || c.Processed <= c.Messages {
		faults = append(faults, config.Invalid("RETENTION_PROCESSED", "must be longer than 31 days, for which queues may deliver a message again, and than RETENTION_MESSAGES"))
	}
	if c.Events <= longestListed {
		faults = append(faults, config.Invalid("RETENTION_EVENTS", "must be longer than the 30 days for which Stripe can send an event again"))
	}
	if c.Usage <= longestReported+31*24*time.Hour {
		faults = append(faults, config.Invalid("RETENTION_USAGE", "must be longer than 66 days: a month, and the 35 days for which Stripe takes what was used"))
	}
	if c.Activity != 0 && c.Activity < 30*24*time.Hour {
		faults = append(faults, config.Invalid("RETENTION_ACTIVITY", "must be 30 days at least, or 0 for ever"))
	}
	if c.Batch < 1 || c.Batch > 10_000 {
		faults = append(faults, config.Invalid("RETENTION_BATCH", "must be from 1 to 10000"))
	}
	return errors.Join(faults...)
}

type service struct {
	cfg     Config
	db      *db.DB
	objects *blob.Store
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup) }

func open(lookup config.Lookup, opts ...schedule.Option) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	base, err := schedule.Open(lookup, Name, opts...)
	if err != nil {
		return nil, err
	}
	objects, err := blob.Open(cfg.Objects)
	if err != nil {
		return nil, err
	}
	base.OnClose(objects.Close)
	s := &service{cfg: cfg, db: base.DB, objects: objects}
	return base.App(s.run), nil
}
