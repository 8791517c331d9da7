package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/coditect/platform/schedulers/outboxrelay"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/serve/gcp"
	"github.com/coditect/platform/shared/standin/cloudtasks"
	"github.com/coditect/platform/shared/standin/oidc"
	"github.com/coditect/platform/shared/worker"
)

// What background work is called here. None of it is known to the product.
const (
	Worker         = "benchworker"
	ServiceAccount = "bench@local.iam.gserviceaccount.com"
	Location       = "local"
	Issuer         = "https://issuer.local"
)

// JobPayload names the row that a job writes.
type JobPayload struct {
	ID ids.ID `json:"id"`
}

// Job is a kind of message whose work is one row.
var Job = queue.Kind[JobPayload]{Route: queue.Route{Kind: "bench.job", Consumer: Worker}}

// Concurrency is how many jobs are under way at a time, of every contender.
const Concurrency = 64

// registry knows Job and nothing else. The rate is the highest that Cloud Tasks
// permits; the stand-in dispatches faster (ceiling), as the queue is not what
// is measured.
func registry() (*queue.Registry, error) {
	return queue.NewRegistry([]queue.Route{Job.Route}, []queue.Consumer{{
		Name: Worker, Queue: "bench", MaxAttempts: 10, MinBackoff: time.Second, MaxBackoff: time.Minute, MaxAge: 24 * time.Hour,
		Rate: cloudtasks.MaxRate, Concurrency: Concurrency,
	}})
}

const ceiling = 100_000

// runQueue is Cloud Tasks and who signs its calls. Its paths: /grpc tells where
// the service is, /token makes a token for an audience, and the issuer's own.
func runQueue(ctx context.Context, set settings, _ string) error {
	issuer, err := oidc.New(Issuer)
	if err != nil {
		return err
	}
	tasks := cloudtasks.New(cloudtasks.WithTokens(issuer), cloudtasks.WithRateCeiling(ceiling))
	defer tasks.Close()
	if err := tasks.Ensure(ctx, cloudtasks.QueueConfig{
		Name: "projects/local/locations/" + Location + "/queues/bench", MaxAttempts: 10, MinBackoff: time.Second, MaxBackoff: time.Minute,
		Rate: ceiling, Concurrency: Concurrency,
	}); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	tasks.Register(server)
	defer server.Stop()
	go server.Serve(l) //nolint:errcheck // ends with the process
	mux := http.NewServeMux()
	mux.Handle("/", issuer.Handler())
	mux.HandleFunc("GET /grpc", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, l.Addr()) })
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		token, err := issuer.Token(ServiceAccount, r.FormValue("audience"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, token)
	})
	return listen(ctx, set, mux)
}

// runRelay serves the relay as its own main does, for our kind of message.
func runRelay(ctx context.Context, _ settings, _ string) error {
	r, err := registry()
	if err != nil {
		return err
	}
	return host(ctx, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return outboxrelay.OpenWith(lookup, r)
	})
}

func host(ctx context.Context, open serve.Open) error {
	cfg, err := config.Load[gcp.Config](config.Environ)
	if err != nil {
		return err
	}
	return gcp.Serve(ctx, cfg, serve.New(open, config.Environ))
}

// runWorker serves a job function whose effect is one row, and tells when each
// was committed.
func runWorker(ctx context.Context, set settings, _ string) error {
	r, err := registry()
	if err != nil {
		return err
	}
	return host(ctx, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		base, err := worker.Open(func(name string) (string, bool) {
			if name == "PUSH_AUDIENCE" { // the address that it is called at
				return "http://127.0.0.1:" + set.Port, true
			}
			return lookup(name)
		}, Worker, worker.WithRegistry(r))
		if err != nil {
			return nil, err
		}
		var done Done
		app := base.App(worker.On(Job, func(ctx context.Context, d worker.Delivery[JobPayload]) error {
			err := d.Once(ctx, func(tx *db.Tx) error {
				db.Exec(tx, `insert into bench.effects (id, tenant_id) values ($1, $2)`, d.Payload.ID, d.Envelope.TenantID)
				return nil
			})
			if err == nil {
				done.Add(d.Payload.ID.String())
			}
			return err
		}))
		mux := http.NewServeMux()
		mux.Handle("/", app.Handler)
		mux.Handle("GET /done", &done)
		app.Handler = mux
		return app, nil
	})
}

// Done remembers when jobs were committed. A GET takes what is new of it: an id
// and a time in nanoseconds on each line.
type Done struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Add notes a job as committed now.
func (d *Done) Add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(&d.text, "%s %d\n", id, time.Now().UnixNano())
}

func (d *Done) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	text := bytes.Clone(d.text.Bytes())
	d.text.Reset()
	d.mu.Unlock()
	io.Copy(w, bytes.NewReader(text)) //nolint:errcheck // Who asks sees what is missing.
}
