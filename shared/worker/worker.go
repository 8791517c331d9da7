// Package worker is the base of the functions that do background work: it lets
// deliveries in, hands each message to its handler, and makes sure that the
// outbox knows what became of it. Nothing here dials before the first message.
//
// Delivery is at least once: the same message may come again, also while it is
// being processed. A handler makes its effect happen once by writing it in
// [Delivery.Once]; an effect outside the database carries a key of its own that
// makes a repeat harmless, and says so where it is made. A kind that must not
// run twice at a time is Exclusive in shared/queue: its message is then taken
// with a lease that lasts as long as the handler lives.
//
// A function lists its handlers with [On] and gives them to [Base.App]. A new
// outcome of a delivery is a case in settle.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/nudge"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/queue/push"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/telemetry"
)

// Config is what every job function is told by its environment.
type Config struct {
	Database db.Config
	Push     push.Config
	Secrets  secrets.Config
	Logs     logs.Config
	Nudge    nudge.Config
	// SecretsDir is where the platform mounts secrets as files, if it does.
	SecretsDir string `env:"SECRETS_DIR"`
	// Timeout bounds the handling of one message. It is below the queue's own
	// deadline, so that a failure is recorded and not just cut off.
	Timeout time.Duration `env:"JOB_TIMEOUT" envDefault:"50s"`
	// Lease is how long a message that is processed exclusively belongs to this
	// instance without a sign of life; after it, another one may begin.
	Lease time.Duration `env:"JOB_LEASE" envDefault:"30s"`
}

// Base is what an open job function holds.
type Base struct {
	Config  Config
	Name    string
	DB      *db.DB
	Secrets *secrets.Store
	Log     *slog.Logger

	consumer queue.Consumer
	registry *queue.Registry
	door     Door
	nudger   *nudge.Nudger
	closers  []func() error
}

// Door lets deliveries in: [push.Door], or what a platform that knows its
// callers already puts in its place.
type Door interface {
	Receive(w http.ResponseWriter, r *http.Request) (queue.Delivery, error)
}

type options struct {
	registry *queue.Registry
	door     Door
	timeout  time.Duration
}

// An Option changes a Base from the ordinary.
type Option func(*options)

// WithRegistry takes kinds and consumers from r instead of the platform's.
func WithRegistry(r *queue.Registry) Option { return func(o *options) { o.registry = r } }

// WithDoor lets deliveries in another way than by a pushed request's token.
func WithDoor(d Door) Option { return func(o *options) { o.door = d } }

// WithTimeout replaces the default bound of a handler, for long jobs. A value
// in the environment (JOB_TIMEOUT) does not change it.
func WithTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// Open makes the base of the job function called name.
func Open(lookup config.Lookup, name string, opts ...Option) (*Base, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.timeout > 0 {
		cfg.Timeout = o.timeout
	}
	if o.registry == nil {
		if o.registry, err = queue.Platform(); err != nil {
			return nil, err
		}
	}
	consumer, ok := o.registry.Consumer(name)
	if !ok {
		return nil, fmt.Errorf("worker: no queue and no topic leads to %s: see functions/functions.json", name)
	}
	b := &Base{
		Config: cfg, Name: name, Log: logs.New(os.Stderr, cfg.Logs).With("function", name),
		consumer: consumer, registry: o.registry, door: o.door,
		Secrets: mounted(lookup, cfg),
	}
	if b.door == nil {
		b.door = push.New(cfg.Push, name)
	}
	if b.DB, err = db.Open(cfg.Database, b.Log); err != nil {
		return nil, err
	}
	b.nudger = nudge.New(cfg.Nudge, hop.New(secrets.Parse(b.Secrets, secrets.HopKey, secrets.ParseRing)))
	b.OnClose(b.nudger.Close)
	return b, nil
}

func mounted(lookup config.Lookup, cfg Config) *secrets.Store {
	source := secrets.Environment(lookup)
	if cfg.SecretsDir != "" {
		source = secrets.First(source, secrets.Directory(os.DirFS(cfg.SecretsDir)))
	}
	return secrets.New(source, cfg.Secrets)
}

// OnClose has fn called when the function is closed, after its last request.
func (b *Base) OnClose(fn func() error) { b.closers = append(b.closers, fn) }

// Handler does the work of one kind of message.
type Handler struct {
	kind string
	run  func(ctx context.Context, d *delivered) error
}

// On makes the handler of a kind. act returns nil when the work is done,
// [Skip] when there is nothing to do any more, [Yield] when another attempt
// does it, [Permanent] when trying again is useless, an error of kind errs.Unavailable when a dependency is down, and
// any other error when the attempt failed.
func On[T any](kind queue.Kind[T], act func(ctx context.Context, d Delivery[T]) error) Handler {
	return Handler{kind.Kind, func(ctx context.Context, d *delivered) error {
		var payload T
		if err := json.Unmarshal(d.Envelope.Payload, &payload); err != nil {
			return Permanent(fmt.Errorf("payload: %w", err))
		}
		return act(ctx, Delivery[T]{delivered: d, Payload: payload})
	}}
}

// delivered is a message in the hands of its handler.
type delivered struct {
	queue.Delivery
	// Consumer says how often, and how long, the message is tried.
	Consumer queue.Consumer

	db       *db.DB
	receipt  db.Receipt
	hold     *db.Hold // of exclusive work
	recorded bool
}

// Delivery is a message with its payload.
type Delivery[T any] struct {
	*delivered
	Payload T
}

// Once runs fn in a transaction of the message's owner that records the message
// as processed: the effect happens once. fn may be nil. When the message was
// recorded before, the effect is there, and Once returns nil without running
// it again.
func (d *delivered) Once(ctx context.Context, fn func(*db.Tx) error) error {
	err := db.Consume(ctx, d.db, d.receipt, fn)
	if errors.Is(err, db.ErrConsumed) {
		err = nil
	}
	d.recorded = d.recorded || err == nil
	return err
}

// App is the function with its handlers, ready to serve. A kind without a
// handler that comes by the function's topic is none of its business; one that
// comes by its queue is a failure, since only a newer relay can have sent it.
func (b *Base) App(handlers ...Handler) *serve.App {
	table := map[string]Handler{}
	for _, h := range handlers {
		table[h.kind] = h
	}
	return &serve.App{
		Name:    b.Name,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serve(w, r, table) }),
		Close: func(context.Context) error {
			var faults []error
			for _, fn := range b.closers {
				faults = append(faults, fn())
			}
			b.DB.Close()
			return errors.Join(faults...)
		},
	}
}

func (b *Base) serve(w http.ResponseWriter, r *http.Request, table map[string]Handler) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	got, err := b.door.Receive(w, r)
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	ctx, stop := context.WithTimeout(telemetry.WithTraceparent(r.Context(), got.Envelope.Trace), b.Config.Timeout)
	defer stop()
	ctx, left := outbox.Track(ctx)
	started := time.Now()
	result := b.process(ctx, got, table)
	b.report(ctx, got, result, time.Since(started))
	if left.Count() > 0 || got.Envelope.Key != "" && result.settled() {
		if err := b.nudger.Nudge(ctx); err != nil {
			b.Log.DebugContext(ctx, "the relay was not told: its schedule will find the messages", "error", err.Error())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(result.status())
	_, _ = io.WriteString(w, `{"result":"`+result.name()+"\"}\n") //nolint:gosec // one of seven words; and the queue reads the status
}
