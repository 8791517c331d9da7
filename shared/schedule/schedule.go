// Package schedule is the base of the functions that Cloud Scheduler calls by
// the clock: it lets the call in, makes sure that one run at a time does the
// work, and remembers which slot was finished, so that a run that was missed is
// seen and made up for.
//
// A slot is the time that a run was planned for. Cloud Scheduler may call twice
// for one slot, late, or never. A function therefore works by what is due, not
// by the clock: what a missed run left, the next one finds. The base adds to it
// that a slot that was finished is not run again, that two runs never overlap
// (a lease in app.schedules, prolonged while the work goes on), and that a run
// later than its max_lateness in functions/functions.json is reported by an
// error in the log, and done all the same.
//
// A function is [Open] and [Base.App] with one act. What a run came to is a
// case in [Base.finish]; what is remembered stands in store.go.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/nudge"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/queue/push"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
)

// Config is what every schedule is told by its environment.
type Config struct {
	Database db.Config
	Push     push.Config
	Secrets  secrets.Config
	Logs     logs.Config
	Nudge    nudge.Config
	// SecretsDir is where the platform mounts secrets as files, if it does.
	SecretsDir string `env:"SECRETS_DIR"`
	// Timeout bounds a run. It is below the deadline of Cloud Scheduler's
	// attempt and of the service, so that what was done is recorded.
	Timeout time.Duration `env:"SCHEDULE_TIMEOUT" envDefault:"9m"`
	// Lease is how long the work belongs to a run that gives no sign of life.
	Lease time.Duration `env:"SCHEDULE_LEASE" envDefault:"1m"`
}

// Validate refuses times that would end a run before it begins.
func (c Config) Validate() error {
	var faults []error
	for name, d := range map[string]time.Duration{"SCHEDULE_TIMEOUT": c.Timeout, "SCHEDULE_LEASE": c.Lease} {
		if d <= 0 {
			faults = append(faults, config.Invalid(name, "must be above zero"))
		}
	}
	return errors.Join(faults...)
}

// Plan is what functions/functions.json says of a schedule.
type Plan struct {
	Name           string
	Cron, Timezone string
	// MaxLateness is how late a run may begin before it is reported.
	MaxLateness time.Duration
	// LongestGap is the longest time between two slots that follow one another.
	LongestGap time.Duration
}

// Plans lists the platform's schedules.
func Plans() []Plan { return append([]Plan(nil), plans...) }

func planOf(name string) (Plan, bool) {
	for _, p := range plans {
		if p.Name == name {
			return p, true
		}
	}
	return Plan{}, false
}

// Base is what an open schedule holds.
type Base struct {
	Config  Config
	Name    string
	DB      *db.DB
	Secrets *secrets.Store
	Log     *slog.Logger

	plan    Plan
	door    *push.Door
	nudger  *nudge.Nudger
	now     func() time.Time
	closers []func() error
}

type options struct {
	plan *Plan
	now  func() time.Time
}

// An Option changes a Base from the ordinary.
type Option func(*options)

// WithPlan takes the plan from p instead of from functions/functions.json.
func WithPlan(p Plan) Option { return func(o *options) { o.plan = &p } }

// WithClock replaces the clock that lateness is measured by, and that runs are
// told as their time. Leases and tokens keep to the real one.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Open makes the base of the schedule called name. It dials nothing.
func Open(lookup config.Lookup, name string, opts ...Option) (*Base, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	o := options{now: time.Now}
	for _, opt := range opts {
		opt(&o)
	}
	plan, known := planOf(name)
	if o.plan != nil {
		plan, known = *o.plan, true
	}
	if !known {
		return nil, fmt.Errorf("schedule: %s is no schedule: see functions/functions.json", name)
	}
	b := &Base{
		Config: cfg, Name: name, Log: logs.New(os.Stderr, cfg.Logs).With("function", name),
		plan: plan, door: push.New(cfg.Push, name), now: o.now,
	}
	source := secrets.Environment(lookup)
	if cfg.SecretsDir != "" {
		source = secrets.First(source, secrets.Directory(os.DirFS(cfg.SecretsDir)))
	}
	b.Secrets = secrets.New(source, cfg.Secrets)
	if b.DB, err = db.Open(cfg.Database, b.Log); err != nil {
		return nil, err
	}
	b.nudger = nudge.New(cfg.Nudge, hop.New(secrets.Parse(b.Secrets, secrets.HopKey, secrets.ParseRing)))
	b.OnClose(b.nudger.Close)
	return b, nil
}

// OnClose has fn called when the function is closed, after its last request.
func (b *Base) OnClose(fn func() error) { b.closers = append(b.closers, fn) }

// App is the function, ready to serve. act does what is due.
func (b *Base) App(act func(ctx context.Context, run *Run) error) *serve.App {
	return &serve.App{
		Name:    b.Name,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serve(w, r, act) }),
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

func (b *Base) serve(w http.ResponseWriter, r *http.Request, act func(context.Context, *Run) error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	err := b.door.Verify(r.Context(), r.Header)
	var slot time.Time
	if err == nil {
		slot, err = b.slot(r.Header)
	}
	if err != nil {
		b.Log.WarnContext(r.Context(), "call refused", "error", err.Error())
		problem.Write(w, r, r.Header.Get("X-Request-Id"), err)
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), b.Config.Timeout)
	defer stop()
	ctx, left := outbox.Track(ctx)
	run := &Run{Name: b.Name, Slot: slot, Now: b.now().UTC()}
	got := b.run(ctx, run, act)
	b.report(ctx, run, got)
	if left.Count() > 0 {
		if err := b.nudger.Nudge(ctx); err != nil {
			b.Log.DebugContext(ctx, "the relay was not told: its schedule will find the messages", "error", err.Error())
		}
	}
	if s := got.status(); s == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(got.status())
	fmt.Fprintf(w, "{\"result\":%q}\n", got.name()) // Cloud Scheduler reads the status
}

// run takes the lease, acts, and remembers what came of it.
func (b *Base) run(ctx context.Context, run *Run, act func(context.Context, *Run) error) result {
	grip, err := b.take(ctx, run)
	switch {
	case err != nil:
		return result{verdict: unrecorded, err: err}
	case grip == finished:
		return result{verdict: repeated}
	case grip == busy:
		return result{verdict: waiting}
	}
	b.reportLateness(ctx, run)
	return b.finish(ctx, run, b.keep(ctx, run, act))
}

// keep acts while the lease is prolonged. When it cannot be kept, the run's
// context ends: another one may have begun.
func (b *Base) keep(ctx context.Context, run *Run, act func(context.Context, *Run) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(b.Config.Lease / 3)
		defer beat.Stop()
		kept := time.Now()
		for {
			select {
			case <-beat.C:
				err := b.prolong(ctx, run)
				switch {
				case err == nil:
					kept = time.Now()
				case errors.Is(err, errLost), time.Since(kept) > b.Config.Lease*2/3:
					cancel(fmt.Errorf("schedule: the lease was lost: %w", err))
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	err := guarded(ctx, run, act)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = errors.Join(cause, err)
	}
	cancel(nil)
	<-ended
	return err
}

func guarded(ctx context.Context, run *Run, act func(context.Context, *Run) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return act(ctx, run)
}
