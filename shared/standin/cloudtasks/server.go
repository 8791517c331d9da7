// Package cloudtasks is a stand-in for Google's Cloud Tasks: a server of the
// same gRPC API (google.cloud.tasks.v2) for tasks with HTTP targets, for tests
// and for running the platform on one machine. The official client talks to it.
// No production package imports it.
//
// It does what the service documents: names that are refused again for a while,
// rate and concurrency of a queue, schedule times, retries with backoff and
// doublings, dispatch deadlines, OIDC tokens and the X-CloudTasks headers. What
// it does not implement it refuses; nothing is ignored. Tasks are in memory and
// end with the process: the platform's outbox is what survives.
//
// server.go holds the server, queues.go and tasks.go the calls, deliver.go the
// requests to the workers.
package cloudtasks

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/standin/internal/dispatch"
)

// The service's limits. Source: docs.cloud.google.com/tasks/docs/quotas.
const (
	MaxRate        = 500                 // dispatches a second of one queue
	MaxConcurrency = 5000                // dispatches under way of one queue
	MaxTaskSize    = 1 << 20             // bytes
	MaxAhead       = 30 * 24 * time.Hour // of a schedule time
)

// DefaultDedupWindow is how long the name of a finished task is refused. The
// service says "up to 24 hours"; an hour is what keeps names out of memory.
const DefaultDedupWindow = time.Hour

// Tokens makes the OIDC token that a task asks for; *oidc.Issuer is one.
type Tokens interface {
	Token(email, audience string) (string, error)
}

// Server holds any number of queues. It is safe for concurrent use.
type Server struct {
	pb.UnimplementedCloudTasksServer

	client  *http.Client
	tokens  Tokens
	window  time.Duration
	ceiling float64
	onDead  func(*pb.Task)
	log     *slog.Logger

	mu     sync.RWMutex
	queues map[string]*queue
	closed bool
}

// An Option changes a Server from the ordinary.
type Option func(*Server)

// WithClient sets how workers are reached.
func WithClient(c *http.Client) Option { return func(s *Server) { s.client = c } }

// WithTokens sets who signs OIDC tokens. Without it tasks that ask for one are
// refused.
func WithTokens(t Tokens) Option { return func(s *Server) { s.tokens = t } }

// WithDedupWindow replaces [DefaultDedupWindow].
func WithDedupWindow(d time.Duration) Option { return func(s *Server) { s.window = d } }

// WithRateCeiling replaces [MaxRate], the highest and the default rate of a
// queue, for load tests of what is behind the queue.
func WithRateCeiling(perSecond float64) Option { return func(s *Server) { s.ceiling = perSecond } }

// WithOnDead has f called with each task that is given up after its last
// attempt. The service tells nobody.
func WithOnDead(f func(*pb.Task)) Option { return func(s *Server) { s.onDead = f } }

// WithLogger sets where failed attempts are told.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// New makes a Server without queues. Close ends it.
func New(opts ...Option) *Server {
	s := &Server{window: DefaultDedupWindow, ceiling: MaxRate, log: slog.New(slog.DiscardHandler), queues: map[string]*queue{}}
	for _, o := range opts {
		o(s)
	}
	if s.client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		// Two idle connections to one worker would mean a new one for most tasks.
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256
		s.client = &http.Client{Transport: transport}
	}
	// The service does not follow redirects: they are failures.
	client := *s.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &client
	return s
}

// Register adds the service to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) { pb.RegisterCloudTasksServer(to, s) }

// Close stops all queues, breaks off the requests under way and returns when
// they have ended. Tasks are lost.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	queues := make([]*queue, 0, len(s.queues))
	for _, q := range s.queues {
		queues = append(queues, q)
	}
	s.mu.Unlock()
	for _, q := range queues {
		q.line.Close()
	}
	s.client.CloseIdleConnections()
}

// queue is one queue. Its lock comes before its line's.
type queue struct {
	line *dispatch.Line

	mu    sync.Mutex
	pb    *pb.Queue // replaced, never changed in place
	tasks map[string]*task
	taken names
}

func (s *Server) find(name string) (*queue, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	if !queueName.MatchString(name) {
		return nil, status.Errorf(codes.InvalidArgument, "Invalid queue name %q. The name must have the form projects/PROJECT_ID/locations/LOCATION_ID/queues/QUEUE_ID.", name)
	}
	return nil, status.Errorf(codes.NotFound, "Queue %s does not exist.", name)
}

var (
	queueName    = regexp.MustCompile(`^projects/[A-Za-z0-9:.-]+/locations/[A-Za-z0-9-]+/queues/[A-Za-z0-9-]{1,100}$`)
	locationName = regexp.MustCompile(`^projects/[A-Za-z0-9:.-]+/locations/[A-Za-z0-9-]+$`)
	taskID       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,500}$`)
)

func last(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// Depth is how many tasks of a queue are not finished; 0 for unknown queues.
func (s *Server) Depth(name string) int {
	q, err := s.find(name)
	if err != nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks)
}

// QueueConfig describes a queue for [Server.Ensure]. Zero fields mean the
// service's defaults.
type QueueConfig struct {
	// Name is projects/*/locations/*/queues/*.
	Name string
	// MaxAttempts includes the first; -1 is without end.
	MaxAttempts int
	// MaxRetryDuration is for how long after the first attempt tasks are retried
	// even past MaxAttempts.
	MaxRetryDuration       time.Duration
	MinBackoff, MaxBackoff time.Duration
	MaxDoublings           int
	// Rate is in dispatches a second, Concurrency in dispatches under way.
	Rate        float64
	Concurrency int
}

// Ensure creates the queue or gives it this configuration.
func (s *Server) Ensure(ctx context.Context, c QueueConfig) error {
	_, err := s.UpdateQueue(ctx, &pb.UpdateQueueRequest{Queue: c.queue()})
	return err
}
