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
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
	// maxMessages and maxBytes bound a request of several messages. The service
	// takes a thousand and 10 MB (cloud.google.com/pubsub/quotas); its emulator,
	// as every server of gRPC that is not told otherwise, takes 4 MB.
	maxMessages = 1000
	maxBytes    = 1 << 20
	// timeout bounds the client's own attempts at the messages of a hand-over.
	// What was not published by then is handed over again.
	timeout = 5 * time.Second
	// reconnect is the longest pause between two attempts to reach the service;
	// gRPC's own is two minutes, for which a service that is back would wait.
	reconnect = 5 * time.Second
	// quiet is after how long without an answer the connection is asked whether
	// it is still there.
	quiet = 5 * time.Minute
)

// Deliverer publishes. Its client is made at the first use; if that fails, at
// the next. It is safe for concurrent use.
//
// It is the module's generated client that it uses, one request for what is
// there: the Publisher above it waits for company, makes a request for each
// key, and a process that links it takes a sixth longer to start.
type Deliverer struct {
	cfg Config

	mu     sync.Mutex
	client *pubsub.TopicAdminClient
}

var _ queue.Deliverer = (*Deliverer)(nil)

// New makes a Deliverer. It neither dials nor looks for credentials yet.
func New(cfg Config) *Deliverer { return &Deliverer{cfg: cfg} }

// outgoing is a message on its way, and which of the hand-over's it is.
type outgoing struct {
	at      int
	message *pubsubpb.PubsubMessage
}

// Deliver publishes each message to its route's topic, those of a topic in
// their order. When a request fails, so does what comes after it in its topic,
// as it would overtake. Errors are of kind errs.Unavailable, and worth another
// try, unless the service refused the message itself.
func (d *Deliverer) Deliver(ctx context.Context, messages []queue.Handover) []error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	faults := make([]error, len(messages))
	client, err := d.connected()
	if err != nil {
		for i := range faults {
			faults[i] = classify(err)
		}
		return faults
	}
	topics := map[string][]outgoing{}
	for i, m := range messages {
		var out *pubsubpb.PubsubMessage
		if out, faults[i] = message(m.Envelope); faults[i] == nil {
			topics[m.Route.Topic] = append(topics[m.Route.Topic], outgoing{i, out})
		}
	}
	var publishing sync.WaitGroup
	for topic, all := range topics {
		name := "projects/" + d.cfg.Project + "/topics/" + topic
		publishing.Go(func() { publish(ctx, client, name, all, faults) })
	}
	publishing.Wait()
	return faults
}

// publish sends the messages of one topic and notes what failed in faults.
func publish(ctx context.Context, client *pubsub.TopicAdminClient, topic string, all []outgoing, faults []error) {
	for len(all) > 0 {
		n := portion(all)
		request := &pubsubpb.PublishRequest{Topic: topic, Messages: make([]*pubsubpb.PubsubMessage, n)}
		for i, o := range all[:n] {
			request.Messages[i] = o.message
		}
		_, err := client.Publish(ctx, request)
		err = classify(err)
		switch {
		case err == nil:
		case errs.KindOf(err) == errs.Unavailable:
			for _, o := range all {
				faults[o.at] = err
			}
			return
		case n == 1:
			faults[all[0].at] = err
		default:
			// The service refuses whole requests: each message of one is asked for
			// by itself, so that the others do not share the fate of the bad one.
			for i := range n {
				publish(ctx, client, topic, all[i:i+1], faults)
				if errs.KindOf(faults[all[i].at]) == errs.Unavailable {
					for _, o := range all[i:] {
						faults[o.at] = faults[all[i].at]
					}
					return
				}
			}
		}
		all = all[n:]
	}
}

// portion is how many of the messages go into one request, at least one.
func portion(all []outgoing) int {
	size := 0
	for n, o := range all {
		size += proto.Size(o.message)
		if n > 0 && (n == maxMessages || size > maxBytes) {
			return n
		}
	}
	return len(all)
}

func message(e queue.Envelope) (*pubsubpb.PubsubMessage, error) {
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("events: %s: %w", e.ID, err)
	}
	attributes := map[string]string{AttributeKind: e.Kind, AttributeVersion: strconv.Itoa(e.Version), AttributeID: e.ID.String()}
	if e.Trace != "" {
		attributes[AttributeTrace] = e.Trace
	}
	return &pubsubpb.PubsubMessage{Data: data, Attributes: attributes, OrderingKey: orderingKey(e)}, nil
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
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.Unimplemented:
		return fmt.Errorf("events: %w", err)
	default: // the service, or the way there
	}
	return errs.Wrap(err, errs.Unavailable, "queue_unavailable", "The message service cannot be reached.")
}

// connected is the client, made now if there is none.
func (d *Deliverer) connected() (*pubsub.TopicAdminClient, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		return d.client, nil
	}
	pause := backoff.DefaultConfig
	pause.MaxDelay = reconnect
	params := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: reconnect}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: quiet}),
	}
	var opts []option.ClientOption
	for _, p := range params {
		opts = append(opts, option.WithGRPCDialOption(p))
	}
	if d.cfg.Endpoint != "" {
		conn, err := grpc.NewClient(d.cfg.Endpoint, append(params, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			return nil, fmt.Errorf("PUBSUB_ENDPOINT: %w", err)
		}
		opts = []option.ClientOption{option.WithGRPCConn(conn)}
	}
	// The client outlives the request that made it, so it must not hang on that
	// request's context.
	client, err := pubsub.NewTopicAdminClient(context.Background(), opts...)
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
