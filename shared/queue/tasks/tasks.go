// Package tasks hands messages to Google's Cloud Tasks, which calls the one
// function that does the work and tries again until it has.
//
// A task is named for the message and the number of the hand-over: handing the
// same one over twice, as a relay does that dies between the service's answer
// and its own note of it, makes one task. A later hand-over of a message that
// was lost makes another.
package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	cloudtasks "cloud.google.com/go/cloudtasks/apiv2"
	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// Config says where the queues are.
type Config struct {
	// Project and Location own the queues.
	Project  string `env:"GOOGLE_CLOUD_PROJECT,required"`
	Location string `env:"TASKS_LOCATION,required"`
	// Endpoint is the host:port of a server of the same API without TLS or
	// authentication; empty means the real service.
	Endpoint string `env:"TASKS_ENDPOINT"`
	// ServiceAccount is the e-mail address that the calls are signed as. Its
	// functions know it as one of PUSH_SERVICE_ACCOUNTS.
	ServiceAccount string `env:"PUSH_SERVICE_ACCOUNT,required"`
	// Concurrency is how many tasks are created at a time.
	Concurrency int `env:"TASKS_CONCURRENCY" envDefault:"32"`
}

// Validate refuses what would end in a resource name of another shape.
func (c Config) Validate() error {
	var faults []error
	if strings.ContainsAny(c.Project, "/ ") {
		faults = append(faults, config.Invalid("GOOGLE_CLOUD_PROJECT", "must be a project id"))
	}
	if strings.ContainsAny(c.Location, "/ ") {
		faults = append(faults, config.Invalid("TASKS_LOCATION", "must be a location, such as europe-west1"))
	}
	if !strings.Contains(c.ServiceAccount, "@") {
		faults = append(faults, config.Invalid("PUSH_SERVICE_ACCOUNT", "must be an e-mail address"))
	}
	if c.Concurrency < 1 {
		faults = append(faults, config.Invalid("TASKS_CONCURRENCY", "must be at least 1"))
	}
	return errors.Join(faults...)
}

const (
	// timeout bounds a whole batch: what was not created by then is handed over
	// again.
	timeout = 15 * time.Second
	// dispatchDeadline is the longest that the service knows. A function ends
	// its requests by its own timeout, which is shorter for all of them.
	dispatchDeadline = 30 * time.Minute
	// reconnect is the longest pause between two attempts to reach the service;
	// gRPC's own is two minutes, for which a service that is back would wait.
	reconnect = 5 * time.Second
)

// Deliverer creates tasks. Its client is made at the first use; if that fails,
// at the next. It is safe for concurrent use.
type Deliverer struct {
	cfg Config

	mu     sync.Mutex
	client *cloudtasks.Client
}

var _ queue.Deliverer = (*Deliverer)(nil)

// New makes a Deliverer. It neither dials nor looks for credentials yet.
func New(cfg Config) *Deliverer { return &Deliverer{cfg: cfg} }

// Deliver creates a task for each message. A task of that name that exists, or
// did, counts as created. Errors are of kind errs.Unavailable, and worth
// another try, unless the service refused the message itself.
func (d *Deliverer) Deliver(ctx context.Context, messages []queue.Handover) []error {
	faults := make([]error, len(messages))
	client, err := d.connect()
	if err != nil {
		for i := range faults {
			faults[i] = classify(err)
		}
		return faults
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	next := make(chan int)
	var work sync.WaitGroup
	for range min(len(messages), d.cfg.Concurrency) {
		work.Go(func() {
			for i := range next {
				faults[i] = d.create(ctx, client, messages[i])
			}
		})
	}
	for i := range messages {
		next <- i
	}
	close(next)
	work.Wait()
	return faults
}

func (d *Deliverer) create(ctx context.Context, client *cloudtasks.Client, m queue.Handover) error {
	body, err := json.Marshal(m.Envelope)
	if err != nil {
		return fmt.Errorf("tasks: %s: %w", m.Envelope.ID, err)
	}
	parent := fmt.Sprintf("projects/%s/locations/%s/queues/%s", d.cfg.Project, d.cfg.Location, m.Consumer.Queue)
	header := map[string]string{"Content-Type": "application/json"}
	if m.Envelope.Trace != "" {
		header["traceparent"] = m.Envelope.Trace
	}
	var at *timestamppb.Timestamp
	if !m.NotBefore.IsZero() {
		at = timestamppb.New(m.NotBefore)
	}
	_, err = client.CreateTask(ctx, &pb.CreateTaskRequest{Parent: parent, Task: &pb.Task{
		Name:             parent + "/tasks/" + name(m.Envelope.ID, m.Number),
		ScheduleTime:     at,
		DispatchDeadline: durationpb.New(dispatchDeadline),
		MessageType: &pb.Task_HttpRequest{HttpRequest: &pb.HttpRequest{
			Url: m.URL, HttpMethod: pb.HttpMethod_POST, Headers: header, Body: body,
			AuthorizationHeader: &pb.HttpRequest_OidcToken{OidcToken: &pb.OidcToken{
				ServiceAccountEmail: d.cfg.ServiceAccount, Audience: strings.TrimSuffix(m.URL, "/"),
			}},
		}},
	}})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return classify(err)
}

// name spreads over the service's key space, which slows down for names that
// resemble one another, as UUIDv7 of one moment do.
func name(id ids.ID, number int) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(id[:], uint64(number)))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// classify tells a service that does not work from a message that it will never
// take.
func classify(err error) error {
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.Unimplemented:
		return fmt.Errorf("tasks: %w", err)
	default:
		return errs.Wrap(err, errs.Unavailable, "queue_unavailable", "The task queue cannot be reached.")
	}
}

func (d *Deliverer) connect() (*cloudtasks.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		return d.client, nil
	}
	pause := backoff.DefaultConfig
	pause.MaxDelay = reconnect
	params := grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: reconnect})
	opts := []option.ClientOption{option.WithGRPCDialOption(params)}
	if d.cfg.Endpoint != "" {
		conn, err := grpc.NewClient(d.cfg.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), params)
		if err != nil {
			return nil, fmt.Errorf("TASKS_ENDPOINT: %w", err)
		}
		opts = []option.ClientOption{option.WithGRPCConn(conn)}
	}
	// The client outlives the request that made it, so it must not hang on that
	// request's context.
	client, err := cloudtasks.NewClient(context.Background(), opts...)
	if err != nil {
		return nil, err
	}
	d.client = client
	return client, nil
}

// Close ends the connection, if there is one.
func (d *Deliverer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == nil {
		return nil
	}
	err := d.client.Close()
	d.client = nil
	return err
}
