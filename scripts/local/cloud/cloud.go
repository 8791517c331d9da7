// Package cloud runs the stand-ins of Google Cloud's services on one port: Secret
// Manager, Cloud Tasks, Pub/Sub, and the issuer of the tokens that the latter two
// call functions with. Queues, topics and subscriptions are those of
// functions.json, as Terraform makes them in the cloud.
//
// Another stand-in of a gRPC service is registered in Start.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/keys"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/standin/cloudtasks"
	"github.com/coditect/platform/shared/standin/oidc"
	"github.com/coditect/platform/shared/standin/pubsub"
	"github.com/coditect/platform/shared/standin/secretmanager"
)

// What local deployments are called.
const (
	Location       = "local"
	ServiceAccount = "platform@local.iam.gserviceaccount.com"
	Issuer         = "https://issuer.local"
	// OIDCPath is where Handler serves the issuer's documents.
	OIDCPath = "/_local/oidc"
	// KeysPath is where its keys are.
	KeysPath = OIDCPath + oidc.KeysPath
)

// Options say what is served.
type Options struct {
	Project   string
	Secrets   *keys.Store // nil leaves them to another Secret Manager
	Functions []deployables.Function
	Log       *slog.Logger
}

// Cloud is the services, running.
type Cloud struct {
	Options
	server *grpc.Server
	done   chan error
	tasks  *cloudtasks.Server
	pubsub *pubsub.Server
	issuer *oidc.Issuer
	reach  *reach
}

// reach is how functions are called, once they are there.
type reach struct {
	transport atomic.Pointer[http.RoundTripper]
}

var errNotYet = errors.New("the functions are not there yet")

func (r *reach) RoundTrip(req *http.Request) (*http.Response, error) {
	if rt := r.transport.Load(); rt != nil {
		return (*rt).RoundTrip(req)
	}
	return nil, errNotYet
}

// Start serves on a port of 127.0.0.1. A port that is taken is state.ErrPortTaken.
func Start(port int, o Options) (*Cloud, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("cloud stand-ins: %w: %d", state.ErrPortTaken, port)
	}
	if err != nil {
		return nil, fmt.Errorf("cloud stand-ins: %w", err)
	}
	issuer, err := oidc.New(Issuer)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	c := &Cloud{Options: o, server: grpc.NewServer(), done: make(chan error, 1), issuer: issuer, reach: &reach{}}
	client := &http.Client{Transport: c.reach, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.tasks = cloudtasks.New(cloudtasks.WithClient(client), cloudtasks.WithTokens(issuer), cloudtasks.WithLogger(o.Log))
	c.pubsub = pubsub.New(pubsub.WithClient(client), pubsub.WithTokens(issuer), pubsub.WithLogger(o.Log))
	if o.Secrets != nil {
		seed, err := o.Secrets.Load(time.Now())
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		secretmanager.New(o.Project, seed, secretmanager.WithSave(o.Secrets.Save)).Register(c.server)
	}
	c.tasks.Register(c.server)
	c.pubsub.Register(c.server)
	go func() { c.done <- c.server.Serve(listener) }()
	return c, nil
}

// Handler serves the issuer's documents under OIDCPath.
func (c *Cloud) Handler() http.Handler { return http.StripPrefix(OIDCPath, c.issuer.Handler()) }

// Connect makes the queues and subscriptions of the functions and lets messages
// flow. address tells where a function is; transport leads there.
func (c *Cloud) Connect(ctx context.Context, transport http.RoundTripper, address func(function string) string) error {
	for _, f := range c.Functions {
		var err error
		switch f.Kind {
		case deployables.KindTask:
			err = c.queue(ctx, f)
		case deployables.KindPubSub:
			err = c.subscription(ctx, f, address(f.Name))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	c.reach.transport.Store(&transport)
	return nil
}

// queue leaves the retries' doublings at the service's default, as Terraform
// does.
func (c *Cloud) queue(ctx context.Context, f deployables.Function) error {
	least, most, err := backoffs(f.Queue.Retry)
	if err != nil {
		return err
	}
	return c.tasks.Ensure(ctx, cloudtasks.QueueConfig{
		Name:        fmt.Sprintf("projects/%s/locations/%s/queues/%s", c.Project, Location, f.Queue.Name),
		MaxAttempts: f.Queue.MaxAttempts, MinBackoff: least, MaxBackoff: most, Rate: f.Queue.Rate, Concurrency: f.Queue.Concurrency,
	})
}

func (c *Cloud) subscription(ctx context.Context, f deployables.Function, endpoint string) error {
	least, most, err := backoffs(*f.Retry)
	if err != nil {
		return err
	}
	wait, err := time.ParseDuration(f.Resources.Timeout)
	if err != nil {
		return err
	}
	return c.pubsub.Ensure(ctx, pubsub.SubscriptionConfig{
		Name:  fmt.Sprintf("projects/%s/subscriptions/%s", c.Project, f.Name),
		Topic: fmt.Sprintf("projects/%s/topics/%s", c.Project, f.Topic), Endpoint: endpoint + "/",
		ServiceAccount: ServiceAccount, Audience: endpoint, Ordered: f.Ordering,
		AckDeadline: wait, MinBackoff: least, MaxBackoff: most,
	})
}

func backoffs(r deployables.Retry) (least, most time.Duration, err error) {
	least, err = time.ParseDuration(r.MinBackoff)
	if err != nil {
		return 0, 0, err
	}
	most, err = time.ParseDuration(r.MaxBackoff)
	return least, most, err
}

// Call calls a function as Cloud Scheduler does, for the time that was due.
func (c *Cloud) Call(ctx context.Context, at time.Time, job, endpoint string) error {
	token, err := c.issuer.Token(ServiceAccount, endpoint)
	if err != nil {
		return err
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	req := (&http.Request{Method: http.MethodPost, URL: u.JoinPath("/"), Host: u.Host, Body: http.NoBody, Header: http.Header{
		"Authorization":                 {"Bearer " + token},
		"User-Agent":                    {"Google-Cloud-Scheduler"},
		"X-Cloudscheduler":              {"true"},
		"X-Cloudscheduler-Jobname":      {job},
		"X-Cloudscheduler-Scheduletime": {at.UTC().Format(time.RFC3339)},
	}}).WithContext(ctx)
	resp, err := c.reach.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s answered %s", job, resp.Status)
	}
	return nil
}

// Close ends deliveries, then the port.
func (c *Cloud) Close() error {
	c.tasks.Close()
	c.pubsub.Close()
	c.server.Stop()
	if err := <-c.done; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // stopped before it had begun to serve
}
