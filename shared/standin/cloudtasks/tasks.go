package cloudtasks

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/coditect/platform/shared/standin/internal/dispatch"
	"github.com/coditect/platform/shared/standin/internal/strict"
)

// task is a task that is not finished; its queue's lock guards it. The messages
// it points at are never changed, so that answers can share them.
type task struct {
	dispatch.Item

	name     string
	request  *pb.HttpRequest
	method   string
	header   http.Header
	deadline time.Duration
	retry    *pb.RetryConfig // nil: the queue's
	created  time.Time
	schedule time.Time

	dispatched, responded int32
	first, latest         *pb.Attempt
	previous              int // status of the last answer, 0 for none
	gone                  bool
}

// creatable are the fields of a request to create a task that are implemented,
// and output that callers may send back.
var creatable = []string{
	"parent", "response_view",
	"task.name", "task.schedule_time", "task.dispatch_deadline", "task.retry_config",
	"task.create_time", "task.dispatch_count", "task.response_count", "task.first_attempt", "task.last_attempt", "task.view",
	"task.http_request.url", "task.http_request.http_method", "task.http_request.headers", "task.http_request.body",
	"task.http_request.oidc_token",
}

// CreateTask adds a task. A name that a task has, or had a while ago, is
// AlreadyExists.
func (s *Server) CreateTask(_ context.Context, in *pb.CreateTaskRequest) (*pb.Task, error) {
	if err := strict.Only(in, creatable...); err != nil {
		return nil, err
	}
	q, err := s.find(in.GetParent())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t, err := s.build(in.GetParent(), in.GetTask(), now)
	if err != nil {
		return nil, err
	}
	t.Do = func(ctx context.Context) { s.attempt(ctx, q, t) }

	q.mu.Lock()
	defer q.mu.Unlock()
	if _, live := q.tasks[t.name]; live || q.taken.has(t.name, now) {
		return nil, status.Error(codes.AlreadyExists, "The task cannot be created because a task with this name existed too recently. For more information about task de-duplication see https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create#body.request_body.FIELDS.task.")
	}
	q.tasks[t.name] = t
	q.line.Put(&t.Item, t.schedule)
	return t.view(in.GetResponseView()), nil
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func (s *Server) build(parent string, in *pb.Task, now time.Time) (*task, error) {
	hr := in.GetHttpRequest()
	if hr == nil {
		return nil, invalid("Task.httpRequest is required.")
	}
	if size := proto.Size(in); size > MaxTaskSize {
		return nil, invalid("Task size too large: %d bytes, at most %d.", size, MaxTaskSize)
	}
	t := &task{
		name: cmp.Or(in.GetName(), parent+"/tasks/"+rand.Text()), method: cmp.Or(hr.GetHttpMethod(), pb.HttpMethod_POST).String(),
		deadline: 10 * time.Minute, created: now, schedule: now,
	}
	id, ok := strings.CutPrefix(t.name, parent+"/tasks/")
	if !ok || !taskID.MatchString(id) {
		return nil, invalid("Invalid task name %q.", t.name)
	}
	if at, err := url.Parse(hr.GetUrl()); err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || len(hr.GetUrl()) > 2083 {
		return nil, invalid("Task.httpRequest.url %q must be an http or https address.", hr.GetUrl())
	}
	if len(hr.GetBody()) > 0 && !slices.Contains([]string{"POST", "PUT", "PATCH"}, t.method) {
		return nil, invalid("A body is not allowed with the method %s.", t.method)
	}
	if pb.HttpMethod_name[int32(hr.GetHttpMethod())] == "" {
		return nil, invalid("Task.httpRequest.httpMethod is not known.")
	}
	if hr.GetOidcToken() != nil && (s.tokens == nil || hr.GetOidcToken().GetServiceAccountEmail() == "") {
		return nil, invalid("Task.httpRequest.oidcToken needs a service account, and this server a signer.")
	}
	if d := in.GetDispatchDeadline(); d != nil {
		if t.deadline = d.AsDuration(); t.deadline < 15*time.Second || t.deadline > 30*time.Minute {
			return nil, invalid("Task.dispatchDeadline must be between [15s, 30m].")
		}
	}
	if at := in.GetScheduleTime(); at != nil && at.AsTime().After(now) {
		if t.schedule = at.AsTime(); t.schedule.Sub(now) > MaxAhead {
			return nil, invalid("Task.scheduleTime is more than 30 days ahead.")
		}
	}
	if in.GetRetryConfig() != nil {
		var err error
		if t.retry, err = completeRetry(in.GetRetryConfig()); err != nil {
			return nil, err
		}
	}
	t.request = proto.CloneOf(hr)
	t.request.HttpMethod = cmp.Or(hr.GetHttpMethod(), pb.HttpMethod_POST)
	t.header = ownHeaders(hr.GetHeaders())
	return t, nil
}

// ownHeaders drops what callers may not set.
func ownHeaders(from map[string]string) http.Header {
	h := make(http.Header, len(from)+8)
	for name, value := range from {
		name = http.CanonicalHeaderKey(name)
		switch {
		case name == "Host", name == "Content-Length", name == "User-Agent",
			strings.HasPrefix(name, "X-Google-"), strings.HasPrefix(name, "X-Appengine-"), strings.HasPrefix(name, "X-Cloudtasks-"):
		default:
			h.Set(name, value)
		}
	}
	return h
}

// view is the task as callers see it; FULL has the body.
func (t *task) view(v pb.Task_View) *pb.Task {
	v = cmp.Or(v, pb.Task_BASIC)
	request := t.request
	if v != pb.Task_FULL && len(request.Body) > 0 {
		request = &pb.HttpRequest{Url: t.request.Url, HttpMethod: t.request.HttpMethod, Headers: t.request.Headers, AuthorizationHeader: t.request.AuthorizationHeader}
	}
	return &pb.Task{
		Name: t.name, MessageType: &pb.Task_HttpRequest{HttpRequest: request}, RetryConfig: t.retry,
		ScheduleTime: timestamppb.New(t.schedule.Truncate(time.Microsecond)), CreateTime: timestamppb.New(t.created.Truncate(time.Second)),
		DispatchDeadline: durationpb.New(t.deadline.Truncate(time.Millisecond)),
		DispatchCount:    t.dispatched, ResponseCount: t.responded, FirstAttempt: t.first, LastAttempt: t.latest, View: v,
	}
}

// drop forgets a task; its name stays taken. The queue's lock is held.
func (q *queue) drop(t *task) {
	q.line.Take(&t.Item)
	t.gone = true
	delete(q.tasks, t.name)
	q.taken.add(t.name, time.Now())
}

// with runs act on a task under its queue's lock.
func (s *Server) with(name string, act func(q *queue, t *task) error) error {
	parent, _, ok := strings.Cut(name, "/tasks/")
	if !ok {
		return invalid("Invalid task name %q.", name)
	}
	q, err := s.find(parent)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tasks[name]
	if t == nil {
		return status.Error(codes.NotFound, "The task does not exist.")
	}
	return act(q, t)
}

// GetTask answers a task that is not finished.
func (s *Server) GetTask(_ context.Context, in *pb.GetTaskRequest) (out *pb.Task, err error) {
	if err := strict.Only(in, "name", "response_view"); err != nil {
		return nil, err
	}
	err = s.with(in.GetName(), func(_ *queue, t *task) error {
		out = t.view(in.GetResponseView())
		return nil
	})
	return out, err
}

// DeleteTask drops a task; its name stays taken for a while.
func (s *Server) DeleteTask(_ context.Context, in *pb.DeleteTaskRequest) (*emptypb.Empty, error) {
	if err := strict.Only(in, "name"); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.with(in.GetName(), func(q *queue, t *task) error {
		q.drop(t)
		return nil
	})
}

// RunTask dispatches a task now, even of a paused queue or past its limits.
func (s *Server) RunTask(_ context.Context, in *pb.RunTaskRequest) (out *pb.Task, err error) {
	if err := strict.Only(in, "name", "response_view"); err != nil {
		return nil, err
	}
	err = s.with(in.GetName(), func(q *queue, t *task) error {
		q.line.Start(&t.Item)
		t.schedule = time.Now()
		out = t.view(in.GetResponseView())
		return nil
	})
	return out, err
}

// ListTasks lists the tasks of a queue by schedule time.
func (s *Server) ListTasks(_ context.Context, in *pb.ListTasksRequest) (*pb.ListTasksResponse, error) {
	if err := strict.Only(in, "parent", "response_view", "page_size", "page_token"); err != nil {
		return nil, err
	}
	q, err := s.find(in.GetParent())
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*task, 0, len(q.tasks))
	for _, t := range q.tasks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *task) int {
		return cmp.Or(a.schedule.Compare(b.schedule), cmp.Compare(a.name, b.name))
	})
	page, next, err := paginate(all, in.GetPageSize(), in.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &pb.ListTasksResponse{NextPageToken: next}
	for _, t := range page {
		out.Tasks = append(out.Tasks, t.view(in.GetResponseView()))
	}
	return out, nil
}
