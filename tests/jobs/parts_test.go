package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/coditect/platform/functions/exporter"
	"github.com/coditect/platform/functions/mailer"
	"github.com/coditect/platform/functions/reporter"
	"github.com/coditect/platform/functions/tasks"
	"github.com/coditect/platform/schedulers/outboxrelay"
	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/serve/gcp"
	"github.com/coditect/platform/shared/standin/cloudtasks"
	"github.com/coditect/platform/shared/standin/pubsub"
	"github.com/coditect/platform/shared/worker"
)

// roles are what a process may be.
var roles = map[string]serve.Open{
	"tasks": tasks.Open,
	"relay": func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return outboxrelay.OpenWith(lookup, kinds())
	},
	"counter":  openCounter,
	"mailer":   mailer.Open,
	"exporter": exporter.Open,
	"reporter": reporter.Open,
	"one":      openListener("one"),
	"two":      openListener("two"),
}

// The names that things have in these tests.
const (
	location = "test"
	topic    = "events"
)

// kinds are those of the platform that these tests send, with consumers that
// wait as long between attempts as a test may.
func kinds() *queue.Registry {
	of := func(name, q, topic string) queue.Consumer {
		return queue.Consumer{
			Name: name, Queue: q, Topic: topic, MaxAttempts: 4, MinBackoff: 200 * time.Millisecond, MaxBackoff: time.Second,
			MaxAge: 24 * time.Hour, Rate: 100, Concurrency: 10,
		}
	}
	r, err := queue.NewRegistry(
		[]queue.Route{
			counted().Route, queue.MailVerification.Route, queue.MailInvitation.Route, queue.MailExportReady.Route,
			queue.ReportProject.Route, queue.ExportTenant.Route, queue.AccessChanged.Route,
		},
		[]queue.Consumer{of("mailer", "mail", ""), of("reporter", "reports", ""), of("exporter", "exports", ""), of("one", "", topic), of("two", "", topic)})
	if err != nil {
		panic(err)
	}
	return r
}

// counted is the kind that the counter counts: that of a task's creation with
// an assignee, exclusive or not.
func counted() queue.Kind[queue.Assignment] {
	k := queue.MailTaskAssigned
	k.Exclusive = os.Getenv("SHARED") == ""
	return k
}

// play is the main of a process.
func play(role string) error {
	go func() { // the tests' end, however it came about, is ours
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	l, err := net.FileListener(os.NewFile(inherited, "listener"))
	if err != nil {
		return err
	}
	if role == "queues" {
		return serveQueues(l)
	}
	open, ok := roles[role]
	if !ok {
		return fmt.Errorf("there is no part %s", role)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return gcp.ServeListener(ctx, l, serve.New(open, config.Environ))
}

// serveQueues is Cloud Tasks and Pub/Sub with the queues and subscriptions that
// Terraform makes. Their memory ends with the process.
func serveQueues(l net.Listener) error {
	project := os.Getenv("GOOGLE_CLOUD_PROJECT")
	signer := remoteSigner(os.Getenv("SIGNER"))
	toTasks := cloudtasks.New(cloudtasks.WithTokens(signer))
	toEvents := pubsub.New(pubsub.WithTokens(signer))
	ctx := context.Background()
	for _, name := range []string{"mailer", "reporter", "exporter"} {
		c, _ := kinds().Consumer(name)
		err := toTasks.Ensure(ctx, cloudtasks.QueueConfig{
			Name: "projects/" + project + "/locations/" + location + "/queues/" + c.Queue, MaxAttempts: c.MaxAttempts,
			MinBackoff: c.MinBackoff, MaxBackoff: c.MaxBackoff, Rate: c.Rate, Concurrency: c.Concurrency,
		})
		if err != nil {
			return err
		}
	}
	for _, name := range kinds().Listeners(topic) {
		c, _ := kinds().Consumer(name)
		endpoint := os.Getenv("LISTENER_" + strings.ToUpper(name))
		if endpoint == "" {
			continue
		}
		err := toEvents.Ensure(ctx, pubsub.SubscriptionConfig{
			Name: "projects/" + project + "/subscriptions/" + name, Topic: "projects/" + project + "/topics/" + topic,
			Endpoint: endpoint + "/", ServiceAccount: functest.ServiceAccount, Audience: endpoint,
			AckDeadline: 10 * time.Second, MinBackoff: c.MinBackoff, MaxBackoff: c.MaxBackoff,
		})
		if err != nil {
			return err
		}
	}
	server := grpc.NewServer()
	toTasks.Register(server)
	toEvents.Register(server)
	return server.Serve(l)
}

// remoteSigner has the tests' issuer sign: its key outlives the queue servers,
// as Google's does.
type remoteSigner string

func (s remoteSigner) Token(email, audience string) (string, error) {
	resp, err := http.PostForm(string(s), url.Values{"email": {email}, "audience": {audience}})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	token, err := io.ReadAll(resp.Body)
	return string(token), err
}

// openCounter opens a consumer whose effect can be counted: one row of activity
// for each message. A message of the task with the number in POISON fails; while
// the file in BROKEN exists, each does.
func openCounter(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	b, err := worker.Open(lookup, "mailer", worker.WithRegistry(kinds()))
	if err != nil {
		return nil, err
	}
	return b.App(worker.On(counted(), func(ctx context.Context, d worker.Delivery[queue.Assignment]) error {
		if d.Payload.TaskID.String() == os.Getenv("POISON") {
			return errors.New("poison")
		}
		if _, err := os.Stat(os.Getenv("BROKEN")); err == nil {
			return errors.New("broken")
		}
		return d.Once(ctx, func(tx *db.Tx) error {
			tx.Record(activity.Created("Counted", d.Envelope.ID, map[string]any{"by": "counter"}))
			return nil
		})
	})), nil
}

// openListener opens one of several that hear the same event.
func openListener(name string) serve.Open {
	return func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		b, err := worker.Open(lookup, name, worker.WithRegistry(kinds()))
		if err != nil {
			return nil, err
		}
		return b.App(worker.On(queue.AccessChanged, func(ctx context.Context, d worker.Delivery[queue.Access]) error {
			return d.Once(ctx, func(tx *db.Tx) error {
				tx.Record(activity.Created("Heard", d.Envelope.ID, map[string]any{"by": name}))
				return nil
			})
		})), nil
	}
}
