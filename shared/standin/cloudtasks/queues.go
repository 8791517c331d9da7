package cloudtasks

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/coditect/platform/shared/standin/internal/dispatch"
	"github.com/coditect/platform/shared/standin/internal/strict"
)

func (c QueueConfig) queue() *pb.Queue {
	q := &pb.Queue{
		Name:        c.Name,
		RateLimits:  &pb.RateLimits{MaxDispatchesPerSecond: c.Rate, MaxConcurrentDispatches: int32(c.Concurrency)},
		RetryConfig: &pb.RetryConfig{MaxAttempts: int32(c.MaxAttempts), MaxDoublings: int32(c.MaxDoublings)},
	}
	for _, d := range []struct {
		from time.Duration
		to   **durationpb.Duration
	}{{c.MinBackoff, &q.RetryConfig.MinBackoff}, {c.MaxBackoff, &q.RetryConfig.MaxBackoff}, {c.MaxRetryDuration, &q.RetryConfig.MaxRetryDuration}} {
		if d.from != 0 {
			*d.to = durationpb.New(d.from)
		}
	}
	return q
}

// settable are the fields of a queue that callers set, and output that they may
// send back.
var settable = []string{
	"name", "state", "purge_time", "rate_limits", "retry_config",
}

func inQueue(prefix string) []string {
	out := make([]string, len(settable))
	for i, f := range settable {
		out[i] = prefix + f
	}
	return out
}

// complete checks a queue and fills in what the service picks itself.
func (s *Server) complete(in *pb.Queue) (*pb.Queue, error) {
	q := proto.CloneOf(in)
	if !queueName.MatchString(q.GetName()) {
		return nil, status.Errorf(codes.InvalidArgument, "Invalid queue name %q.", q.GetName())
	}
	if q.RateLimits == nil {
		q.RateLimits = &pb.RateLimits{}
	}
	limits := q.RateLimits
	limits.MaxDispatchesPerSecond = cmp.Or(limits.MaxDispatchesPerSecond, s.ceiling)
	limits.MaxConcurrentDispatches = cmp.Or(limits.MaxConcurrentDispatches, 1000)
	limits.MaxBurstSize = int32(math.Ceil(limits.MaxDispatchesPerSecond))
	retry, err := completeRetry(q.RetryConfig)
	if err != nil {
		return nil, err
	}
	q.RetryConfig = retry
	switch {
	case limits.MaxDispatchesPerSecond < 0 || limits.MaxDispatchesPerSecond > s.ceiling:
		return nil, status.Errorf(codes.InvalidArgument, "RateLimits.maxDispatchesPerSecond must be between 0 and %g.", s.ceiling)
	case limits.MaxConcurrentDispatches < 0 || limits.MaxConcurrentDispatches > MaxConcurrency:
		return nil, status.Errorf(codes.InvalidArgument, "RateLimits.maxConcurrentDispatches must be between 0 and %d.", MaxConcurrency)
	}
	return q, nil
}

func completeRetry(in *pb.RetryConfig) (*pb.RetryConfig, error) {
	r := &pb.RetryConfig{
		MaxAttempts: cmp.Or(in.GetMaxAttempts(), 100), MaxRetryDuration: in.GetMaxRetryDuration(),
		MinBackoff: in.GetMinBackoff(), MaxBackoff: in.GetMaxBackoff(), MaxDoublings: cmp.Or(in.GetMaxDoublings(), 16),
	}
	if r.MinBackoff == nil {
		r.MinBackoff = durationpb.New(100 * time.Millisecond)
	}
	if r.MaxBackoff == nil {
		r.MaxBackoff = durationpb.New(time.Hour)
	}
	switch {
	case r.MaxAttempts < -1:
		return nil, status.Error(codes.InvalidArgument, "RetryConfig.maxAttempts must be at least -1.")
	case r.MaxDoublings < 0:
		return nil, status.Error(codes.InvalidArgument, "RetryConfig.maxDoublings must not be negative.")
	case r.MaxRetryDuration.AsDuration() < 0 || r.MinBackoff.AsDuration() < 0:
		return nil, status.Error(codes.InvalidArgument, "RetryConfig has a negative duration.")
	case r.MinBackoff.AsDuration() > r.MaxBackoff.AsDuration():
		return nil, status.Error(codes.InvalidArgument, "RetryConfig.minBackoff must not be over RetryConfig.maxBackoff.")
	}
	return r, nil
}

// CreateQueue makes a queue.
func (s *Server) CreateQueue(_ context.Context, in *pb.CreateQueueRequest) (*pb.Queue, error) {
	if err := strict.Only(in, append(inQueue("queue."), "parent")...); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.GetQueue().GetName(), in.GetParent()+"/queues/") {
		return nil, status.Error(codes.InvalidArgument, "The queue's name must begin with its parent.")
	}
	return s.put(in.GetQueue(), false)
}

// updatable are the paths of an update mask.
var updatable = []string{
	"rate_limits", "rate_limits.max_dispatches_per_second", "rate_limits.max_concurrent_dispatches",
	"retry_config", "retry_config.max_attempts", "retry_config.max_retry_duration",
	"retry_config.min_backoff", "retry_config.max_backoff", "retry_config.max_doublings",
}

// UpdateQueue changes a queue, or makes it: as in the service, a queue need not
// exist.
func (s *Server) UpdateQueue(_ context.Context, in *pb.UpdateQueueRequest) (*pb.Queue, error) {
	if err := strict.Only(in, append(inQueue("queue."), "update_mask")...); err != nil {
		return nil, err
	}
	q := in.GetQueue()
	if paths := in.GetUpdateMask().GetPaths(); len(paths) > 0 {
		base := &pb.Queue{Name: q.GetName()}
		if have, err := s.find(q.GetName()); err == nil {
			have.mu.Lock()
			base = proto.CloneOf(have.pb)
			have.mu.Unlock()
		}
		for _, path := range paths {
			if !slices.Contains(updatable, path) {
				return nil, status.Errorf(codes.InvalidArgument, "Update mask path %q cannot be updated.", path)
			}
			copyField(base, q, path)
		}
		q = base
	}
	return s.put(q, true)
}

// copyField copies what a path of one or two names points at.
func copyField(to, from *pb.Queue, path string) {
	dst, src := to.ProtoReflect(), proto.CloneOf(from).ProtoReflect()
	outer, inner, nested := strings.Cut(path, ".")
	field := dst.Descriptor().Fields().ByName(protoName(outer))
	if nested {
		dst, src = dst.Mutable(field).Message(), src.Mutable(field).Message()
		field = dst.Descriptor().Fields().ByName(protoName(inner))
	}
	if src.Has(field) {
		dst.Set(field, src.Get(field))
	} else {
		dst.Clear(field)
	}
}

func (s *Server) put(in *pb.Queue, replace bool) (*pb.Queue, error) {
	full, err := s.complete(in)
	if err != nil {
		return nil, err
	}
	full.State, full.PurgeTime = pb.Queue_RUNNING, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, status.Error(codes.Unavailable, "The server is closing.")
	}
	limits := full.RateLimits
	have := s.queues[full.Name]
	switch {
	case have == nil:
		s.queues[full.Name] = &queue{
			line:  dispatch.NewLine(int(limits.MaxConcurrentDispatches), limits.MaxDispatchesPerSecond, int(limits.MaxBurstSize)),
			pb:    full,
			tasks: map[string]*task{}, taken: names{window: s.window, until: map[nameKey]time.Time{}},
		}
	case !replace:
		return nil, status.Error(codes.AlreadyExists, "Queue already exists.")
	default:
		have.mu.Lock()
		defer have.mu.Unlock()
		full.State, full.PurgeTime = have.pb.State, have.pb.PurgeTime
		have.pb = full
		have.line.Limit(int(limits.MaxConcurrentDispatches), limits.MaxDispatchesPerSecond, int(limits.MaxBurstSize))
	}
	return full, nil
}

// GetQueue answers a queue's configuration and state.
func (s *Server) GetQueue(_ context.Context, in *pb.GetQueueRequest) (*pb.Queue, error) {
	if err := strict.Only(in, "name"); err != nil {
		return nil, err
	}
	q, err := s.find(in.GetName())
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pb, nil
}

// ListQueues lists the queues of a location by name.
func (s *Server) ListQueues(_ context.Context, in *pb.ListQueuesRequest) (*pb.ListQueuesResponse, error) {
	if err := strict.Only(in, "parent", "page_size", "page_token"); err != nil {
		return nil, err
	}
	if !locationName.MatchString(in.GetParent()) {
		return nil, status.Errorf(codes.InvalidArgument, "Invalid parent %q.", in.GetParent())
	}
	s.mu.RLock()
	var found []*queue
	for name, q := range s.queues {
		if strings.HasPrefix(name, in.GetParent()+"/queues/") {
			found = append(found, q)
		}
	}
	s.mu.RUnlock()
	all := make([]*pb.Queue, 0, len(found))
	for _, q := range found {
		q.mu.Lock()
		all = append(all, q.pb)
		q.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *pb.Queue) int { return cmp.Compare(a.Name, b.Name) })
	page, next, err := paginate(all, in.GetPageSize(), in.GetPageToken())
	return &pb.ListQueuesResponse{Queues: page, NextPageToken: next}, err
}

// PauseQueue stops a queue's dispatches; it goes on taking tasks.
func (s *Server) PauseQueue(_ context.Context, in *pb.PauseQueueRequest) (*pb.Queue, error) {
	return s.setState(in, in.GetName(), pb.Queue_PAUSED)
}

// ResumeQueue lets a paused queue go on.
func (s *Server) ResumeQueue(_ context.Context, in *pb.ResumeQueueRequest) (*pb.Queue, error) {
	return s.setState(in, in.GetName(), pb.Queue_RUNNING)
}

func (s *Server) setState(in proto.Message, name string, state pb.Queue_State) (*pb.Queue, error) {
	return s.change(in, name, func(q *queue, next *pb.Queue) {
		next.State = state
		q.line.Pause(state == pb.Queue_PAUSED)
	})
}

// PurgeQueue drops all tasks of a queue. Those under way end as they end and are
// not retried.
func (s *Server) PurgeQueue(_ context.Context, in *pb.PurgeQueueRequest) (*pb.Queue, error) {
	return s.change(in, in.GetName(), func(q *queue, next *pb.Queue) {
		for _, t := range q.tasks {
			q.drop(t)
		}
		next.PurgeTime = timestamppb.New(time.Now().Truncate(time.Microsecond))
	})
}

func (s *Server) change(in proto.Message, name string, act func(q *queue, next *pb.Queue)) (*pb.Queue, error) {
	if err := strict.Only(in, "name"); err != nil {
		return nil, err
	}
	q, err := s.find(name)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	next := proto.CloneOf(q.pb)
	act(q, next)
	q.pb = next
	return next, nil
}

func paginate[T any](all []T, size int32, token string) (page []T, next string, err error) {
	start := 0
	if token != "" {
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(all) {
			return nil, "", status.Error(codes.InvalidArgument, "Invalid page token.")
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
