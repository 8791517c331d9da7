// Package pubsub is a stand-in for Google's Pub/Sub: a server of the same gRPC
// API (google.pubsub.v1) that keeps topics, subscriptions and messages in
// memory, for tests and for running the platform on one machine. The official
// client talks to it. No production package imports it.
//
// It exists because the client's own test server has no push delivery, stores
// retry policies without applying them, sends dead letters without end and keeps
// every message: the very things a consumer depends on. Here push requests carry
// the wrapped message and an OIDC token, ordering keys let one message of a key
// out at a time, failures wait as the retry policy says, and what fails too
// often goes to the dead-letter topic. Pull is there to look into such a topic.
// Streaming pull, filters, schemas, snapshots, exactly-once delivery and other
// ways of export are refused as Unimplemented; nothing is ignored.
//
// topics.go and subscriptions.go hold the calls, backlog.go what waits in a
// subscription, deliver.go the requests to push endpoints.
package pubsub

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// DefaultOutstanding is how many push requests of a subscription are under way
// at most. The service finds the number by itself.
const DefaultOutstanding = 100

// Tokens makes the OIDC token that a push subscription asks for; *oidc.Issuer is
// one.
type Tokens interface {
	Token(email, audience string) (string, error)
}

// Server holds the topics and subscriptions of any number of projects. It is
// safe for concurrent use.
type Server struct {
	pb.UnimplementedPublisherServer
	pb.UnimplementedSubscriberServer

	client      *http.Client
	tokens      Tokens
	outstanding int
	onDead      func(subscription string, m *pb.PubsubMessage)
	log         *slog.Logger
	ids         atomic.Uint64

	mu     sync.RWMutex
	topics map[string]*topic
	subs   map[string]*subscription
	closed bool
}

type topic struct {
	pb   *pb.Topic // replaced, never changed in place
	subs map[string]*subscription
}

// An Option changes a Server from the ordinary.
type Option func(*Server)

// WithClient sets how push endpoints are reached.
func WithClient(c *http.Client) Option { return func(s *Server) { s.client = c } }

// WithTokens sets who signs OIDC tokens. Without it subscriptions that ask for
// one are refused.
func WithTokens(t Tokens) Option { return func(s *Server) { s.tokens = t } }

// WithOutstanding replaces [DefaultOutstanding].
func WithOutstanding(n int) Option { return func(s *Server) { s.outstanding = n } }

// WithOnDead has f called with each message that a subscription gives up.
func WithOnDead(f func(subscription string, m *pb.PubsubMessage)) Option {
	return func(s *Server) { s.onDead = f }
}

// WithLogger sets where failed deliveries are told.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// New makes an empty Server. Close ends it.
func New(opts ...Option) *Server {
	s := &Server{
		outstanding: DefaultOutstanding, log: slog.New(slog.DiscardHandler),
		topics: map[string]*topic{}, subs: map[string]*subscription{},
	}
	// A restart must not give out the ids of the last run again.
	s.ids.Store(uint64(time.Now().UnixMicro()))
	for _, o := range opts {
		o(s)
	}
	if s.client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, DefaultOutstanding
		s.client = &http.Client{Transport: transport}
	}
	client := *s.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &client
	return s
}

// Register adds both services to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) {
	pb.RegisterPublisherServer(to, s)
	pb.RegisterSubscriberServer(to, s)
}

// Close stops all deliveries, breaks off the requests under way and returns when
// they have ended. Messages are lost.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	subs := make([]*subscription, 0, len(s.subs))
	for _, sub := range s.subs {
		subs = append(subs, sub)
	}
	s.mu.Unlock()
	for _, sub := range subs {
		sub.line.Close()
	}
	s.client.CloseIdleConnections()
}

func (s *Server) nextID() string { return strconv.FormatUint(s.ids.Add(1), 10) }

// Backlog is how many messages a subscription has not acknowledged; 0 for
// unknown subscriptions.
func (s *Server) Backlog(name string) int {
	sub, err := s.subscription(name)
	if err != nil {
		return 0
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.count
}

// SubscriptionConfig describes a subscription for [Server.Ensure]. Zero fields
// mean the service's defaults.
type SubscriptionConfig struct {
	// Name is projects/*/subscriptions/*, Topic and DeadTopic projects/*/topics/*.
	Name, Topic string
	// Endpoint is pushed to; empty means that messages are pulled.
	Endpoint string
	// ServiceAccount and Audience are those of the OIDC token; no account means
	// no token.
	ServiceAccount, Audience string
	// Ordered messages of one key arrive one after the other.
	Ordered bool
	// AckDeadline is how long a push request may take.
	AckDeadline            time.Duration
	MinBackoff, MaxBackoff time.Duration
	// DeadTopic gets what failed MaxAttempts (5 to 100) times; empty means that
	// messages are tried until they are too old.
	DeadTopic   string
	MaxAttempts int
}

// Ensure creates the topics and the subscription, or gives the subscription
// this configuration. Whether it is ordered cannot be changed.
func (s *Server) Ensure(ctx context.Context, c SubscriptionConfig) error {
	for _, name := range []string{c.Topic, c.DeadTopic} {
		if name == "" {
			continue
		}
		if _, err := s.CreateTopic(ctx, &pb.Topic{Name: name}); err != nil && status.Code(err) != codes.AlreadyExists {
			return err
		}
	}
	sub := &pb.Subscription{Name: c.Name, Topic: c.Topic, EnableMessageOrdering: c.Ordered, AckDeadlineSeconds: int32(c.AckDeadline / time.Second)}
	if c.Endpoint != "" {
		sub.PushConfig = &pb.PushConfig{PushEndpoint: c.Endpoint}
		if c.ServiceAccount != "" {
			sub.PushConfig.AuthenticationMethod = &pb.PushConfig_OidcToken_{OidcToken: &pb.PushConfig_OidcToken{ServiceAccountEmail: c.ServiceAccount, Audience: c.Audience}}
		}
	}
	if c.MinBackoff > 0 || c.MaxBackoff > 0 {
		sub.RetryPolicy = &pb.RetryPolicy{}
		if c.MinBackoff > 0 {
			sub.RetryPolicy.MinimumBackoff = durationpb.New(c.MinBackoff)
		}
		if c.MaxBackoff > 0 {
			sub.RetryPolicy.MaximumBackoff = durationpb.New(c.MaxBackoff)
		}
	}
	if c.DeadTopic != "" {
		sub.DeadLetterPolicy = &pb.DeadLetterPolicy{DeadLetterTopic: c.DeadTopic, MaxDeliveryAttempts: int32(c.MaxAttempts)}
	}
	_, err := s.put(sub, true)
	return err
}

var (
	topicName        = regexp.MustCompile(`^projects/[A-Za-z0-9:.-]+/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)
	subscriptionName = regexp.MustCompile(`^projects/[A-Za-z0-9:.-]+/subscriptions/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// topic finds a topic; s.mu is held.
func (s *Server) topic(name string) (*topic, error) {
	if t := s.topics[name]; t != nil {
		return t, nil
	}
	if !topicName.MatchString(name) {
		return nil, invalid("Invalid topic name %q.", name)
	}
	return nil, status.Errorf(codes.NotFound, "Resource not found (resource=%s).", name)
}

func (s *Server) subscription(name string) (*subscription, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if sub := s.subs[name]; sub != nil {
		return sub, nil
	}
	if !subscriptionName.MatchString(name) {
		return nil, invalid("Invalid subscription name %q.", name)
	}
	return nil, status.Errorf(codes.NotFound, "Resource not found (resource=%s).", name)
}

// paginate takes one page of what is sorted by name first.
func paginate[T any](all []T, name func(T) string, size int32, token string) (page []T, next string, err error) {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	start := 0
	if token != "" {
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(all) {
			return nil, "", invalid("Invalid page token.")
		}
	}
	if size <= 0 || size > 1000 {
		size = 1000
	}
	end := min(start+int(size), len(all))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return all[start:end], next, nil
}
