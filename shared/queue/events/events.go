// Package events publishes messages to Google's Pub/Sub, for kinds that several
// functions listen to.
//
// Messages of one owner with the same key go out under one ordering key, so that
// an ordered subscription delivers them one after the other. Deliver returns
// when the service has every message or has refused it: nothing is left to a
// goroutine that would need the CPU after the request.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/queue"
)

// Config says where the topics are.
type Config struct {
	// Project owns the topics.
	Project string `env:"GOOGLE_CLOUD_PROJECT,required"`
	// Endpoint is the host:port of a server of the same API without TLS or
	// authentication; empty means the real service.
	Endpoint string `env:"PUBSUB_ENDPOINT"`
}

// Validate refuses what would end in a resource name of another shape.
func (c Config) Validate() error {
	if strings.ContainsAny(c.Project, "/ ") {
		return config.Invalid("GOOGLE_CLOUD_PROJECT", "must be a project id")
	}
	return nil
}

// The attributes of a message, for filters of subscriptions and for people. A
// consumer reads the envelope.
const (
	AttributeKind    = "kind"
	AttributeVersion = "version"
	AttributeID      = "message_id"
	AttributeTrace   = "traceparent"
)

const (
	// gather is how long a message waits for company.
	gather = 2 * time.Millisecond
	// timeout bounds the client's own attempts at a message. A message that was
	// not published by then is handed over again.
	timeout = 5 * time.Second
	// reconnect is the longest pause between two attempts to reach the service;
	// gRPC's own is two minutes, for which a service that is back would wait.
	reconnect = 5 * time.Second
)

// Deliverer publishes. Its client is made at the first use; if that fails, at
// the next. It is safe for concurrent use.
type Deliverer struct {
	cfg Config

	mu         sync.Mutex
	client     *pubsub.Client
	publishers map[string]*pubsub.Publisher
}

var _ queue.Deliverer = (*Deliverer)(nil)

// New makes a Deliverer. It neither dials nor looks for credentials yet.
func New(cfg Config) *Deliverer {
	return &Deliverer{cfg: cfg, publishers: map[string]*pubsub.Publisher{}}
}

// Deliver publishes each message to its route's topic. When one of a key fails,
// so do those after it, as they would overtake it. Errors are of kind
// errs.Unavailable, and worth another try, unless the service refused the
// message itself.
func (d *Deliverer) Deliver(ctx context.Context, messages []queue.Handover) []error {
	ctx, cancel := context.WithTimeout(ctx, timeout+time.Second)
	defer cancel()
	faults := make([]error, len(messages))
	results := make([]*pubsub.PublishResult, len(messages))
	publishers := make([]*pubsub.Publisher, len(messages))
	for i, m := range messages {
		if publishers[i], faults[i] = d.publisher(m.Route.Topic); faults[i] != nil {
			faults[i] = classify(faults[i])
			continue
		}
		// After an error the client holds a key back until it is told that the
		// failed message is being seen to. It is: by this hand-over.
		if key := orderingKey(m.Envelope); key != "" {
			publishers[i].ResumePublish(key)
		}
	}
	for i, m := range messages {
		if faults[i] != nil {
			continue
		}
		var out *pubsub.Message
		if out, faults[i] = message(m.Envelope); faults[i] == nil {
			results[i] = publishers[i].Publish(ctx, out)
		}
	}
	for i, r := range results {
		if r != nil {
			_, err := r.Get(ctx)
			faults[i] = classify(err)
		}
	}
	if len(messages) > 1 {
		for i, m := range messages {
			// The service refuses whole requests: each message of one is asked for
			// by itself, so that the others do not share the fate of the bad one.
			if faults[i] != nil && errs.KindOf(faults[i]) != errs.Unavailable {
				faults[i] = d.Deliver(ctx, []queue.Handover{m})[0]
			}
		}
	}
	return faults
}

func message(e queue.Envelope) (*pubsub.Message, error) {
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("events: %s: %w", e.ID, err)
	}
	attributes := map[string]string{AttributeKind: e.Kind, AttributeVersion: strconv.Itoa(e.Version), AttributeID: e.ID.String()}
	if e.Trace != "" {
		attributes[AttributeTrace] = e.Trace
	}
	return &pubsub.Message{Data: data, Attributes: attributes, OrderingKey: orderingKey(e)}, nil
}

// orderingKey carries the owner: keys are the owner's, topics everybody's.
func orderingKey(e queue.Envelope) string {
	if e.Key == "" {
		return ""
	}
	return e.Owner().String() + "/" + e.Key
}

// classify tells a service that does not work from a message that it will never
// take.
func classify(err error) error {
	if err == nil {
		return nil
	}
	refused := errors.Is(err, pubsub.ErrOversizedMessage)
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.Unimplemented:
		refused = true
	default: // the service, or the way there
	}
	if refused {
		return fmt.Errorf("events: %w", err)
	}
	return errs.Wrap(err, errs.Unavailable, "queue_unavailable", "The message service cannot be reached.")
}

func (d *Deliverer) publisher(topic string) (*pubsub.Publisher, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.publishers[topic]; p != nil {
		return p, nil
	}
	if err := d.connect(); err != nil {
		return nil, err
	}
	p := d.client.Publisher(topic)
	p.EnableMessageOrdering = true
	p.PublishSettings.DelayThreshold = gather
	p.PublishSettings.CountThreshold = pubsub.MaxPublishRequestCount
	p.PublishSettings.Timeout = timeout
	d.publishers[topic] = p
	return p, nil
}

// connect makes the client; d.mu is held.
func (d *Deliverer) connect() error {
	if d.client != nil {
		return nil
	}
	pause := backoff.DefaultConfig
	pause.MaxDelay = reconnect
	params := grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: reconnect})
	opts := []option.ClientOption{option.WithGRPCDialOption(params)}
	if d.cfg.Endpoint != "" {
		conn, err := grpc.NewClient(d.cfg.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), params)
		if err != nil {
			return fmt.Errorf("PUBSUB_ENDPOINT: %w", err)
		}
		opts = []option.ClientOption{option.WithGRPCConn(conn)}
	}
	// The client outlives the request that made it, so it must not hang on that
	// request's context.
	client, err := pubsub.NewClient(context.Background(), d.cfg.Project, opts...)
	if err != nil {
		return err
	}
	d.client = client
	return nil
}

// Close sends what is under way and ends the connection, if there is one.
func (d *Deliverer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.publishers {
		p.Stop()
	}
	clear(d.publishers)
	if d.client == nil {
		return nil
	}
	err := d.client.Close()
	d.client = nil
	return err
}
