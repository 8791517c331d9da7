package cloudtasks

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	client "cloud.google.com/go/cloudtasks/apiv2"
	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	location = "projects/local/locations/here"
	mail     = location + "/queues/mail"
)

// dial serves s over real gRPC to the official client.
func dial(t testing.TB, s *Server) *client.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		g.Stop()
		<-served
		s.Close()
	})
	return c
}

// worker is an HTTP target that notes what comes and answers as told.
type worker struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []seen
	answer func(n int, r *http.Request) int
}

type seen struct {
	at     time.Time
	header http.Header
	body   string
	method string
}

func newWorker(t testing.TB, answer func(n int, r *http.Request) int) *worker {
	t.Helper()
	w := &worker{answer: answer}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen = append(w.seen, seen{time.Now(), r.Header.Clone(), string(body), r.Method})
		n := len(w.seen)
		w.mu.Unlock()
		if code := w.answer(n, r); code > 0 {
			rw.WriteHeader(code)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *worker) calls() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]seen(nil), w.seen...)
}

func always(code int) func(int, *http.Request) int {
	return func(int, *http.Request) int { return code }
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not come about", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func want(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func ensure(t testing.TB, s *Server, c QueueConfig) {
	t.Helper()
	if c.Name == "" {
		c.Name = mail
	}
	if err := s.Ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func to(url, id string) *pb.CreateTaskRequest {
	task := &pb.Task{MessageType: &pb.Task_HttpRequest{HttpRequest: &pb.HttpRequest{Url: url, Body: []byte(`{"n":1}`), Headers: map[string]string{"Content-Type": "application/json"}}}}
	if id != "" {
		task.Name = mail + "/tasks/" + id
	}
	return &pb.CreateTaskRequest{Parent: mail, Task: task}
}

type tokens struct{}

func (tokens) Token(email, audience string) (string, error) {
	if email == "broken" {
		return "", fmt.Errorf("no key")
	}
	return email + "/" + audience, nil
}

func TestTaskArrivesOnceWithWhatTheServiceSends(t *testing.T) {
	t.Parallel()
	s := New(WithTokens(tokens{}))
	c := dial(t, s)
	ensure(t, s, QueueConfig{})
	w := newWorker(t, always(204))

	in := to(w.URL, "first")
	in.Task.GetHttpRequest().Headers["X-CloudTasks-TaskRetryCount"] = "99"
	in.Task.GetHttpRequest().Headers["user-agent"] = "mine"
	in.Task.GetHttpRequest().AuthorizationHeader = &pb.HttpRequest_OidcToken{OidcToken: &pb.OidcToken{ServiceAccountEmail: "sa@x", Audience: "aud"}}
	got, err := c.CreateTask(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != mail+"/tasks/first" || got.GetHttpRequest().Body != nil || got.View != pb.Task_BASIC || got.DispatchDeadline.AsDuration() != 10*time.Minute {
		t.Errorf("answered %v", got)
	}
	eventually(t, "finished", func() bool { return s.Depth(mail) == 0 })
	calls := w.calls()
	if len(calls) != 1 || calls[0].body != `{"n":1}` || calls[0].method != http.MethodPost {
		t.Fatalf("%+v", calls)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "Google-Cloud-Tasks", "Authorization": "Bearer sa@x/aud",
		"X-CloudTasks-QueueName": "mail", "X-CloudTasks-TaskName": "first",
		"X-CloudTasks-TaskRetryCount": "0", "X-CloudTasks-TaskExecutionCount": "0", "X-CloudTasks-TaskPreviousResponse": "",
	} {
		if calls[0].header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, calls[0].header.Get(name), value)
		}
	}
	if eta := calls[0].header.Get("X-CloudTasks-TaskETA"); !strings.Contains(eta, ".") {
		t.Errorf("ETA %q", eta)
	}
}

func TestRetriesWithBackoffThenGivesUp(t *testing.T) {
	t.Parallel()
	dead := make(chan *pb.Task, 1)
	s := New(WithOnDead(func(task *pb.Task) { dead <- task }))
	c := dial(t, s)
	ensure(t, s, QueueConfig{MaxAttempts: 4, MinBackoff: 30 * time.Millisecond, MaxBackoff: 80 * time.Millisecond})
	w := newWorker(t, always(500))
	if _, err := c.CreateTask(t.Context(), to(w.URL, "doomed")); err != nil {
		t.Fatal(err)
	}
	task := <-dead
	if task.DispatchCount != 4 || task.ResponseCount != 4 || string(task.GetHttpRequest().Body) != `{"n":1}` || task.LastAttempt.GetResponseStatus().GetCode() != int32(codes.Internal) {
		t.Errorf("given up as %v", task)
	}
	calls := w.calls()
	if len(calls) != 4 {
		t.Fatalf("%d calls", len(calls))
	}
	for i, least := range []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 80 * time.Millisecond} {
		if gap := calls[i+1].at.Sub(calls[i].at); gap < least {
			t.Errorf("pause %d: %v, want at least %v", i+1, gap, least)
		}
	}
	lastCall := calls[3].header
	if lastCall.Get("X-CloudTasks-TaskRetryCount") != "3" || lastCall.Get("X-CloudTasks-TaskExecutionCount") != "3" || lastCall.Get("X-CloudTasks-TaskPreviousResponse") != "500" {
		t.Errorf("%v", lastCall)
	}
	if s.Depth(mail) != 0 {
		t.Error("it stays in the queue")
	}
	_, err := c.CreateTask(t.Context(), to(w.URL, "doomed"))
	want(t, "the name of a task given up", err, codes.AlreadyExists)
}

func TestFailuresOfEverySortAreRetried(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(n int, r *http.Request) int{
		"redirect":  func(n int, _ *http.Request) int { return map[bool]int{true: 302, false: 200}[n == 1] },
		"not found": func(n int, _ *http.Request) int { return map[bool]int{true: 404, false: 200}[n == 1] },
		"broken off": func(n int, _ *http.Request) int {
			if n == 1 {
				panic(http.ErrAbortHandler)
			}
			return 200
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New()
			c := dial(t, s)
			ensure(t, s, QueueConfig{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
			w := newWorker(t, answer)
			if _, err := c.CreateTask(t.Context(), to(w.URL, "")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "finished", func() bool { return s.Depth(mail) == 0 })
			if n := len(w.calls()); n != 2 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	t.Parallel()
	s := New()
	dial(t, s)
	ensure(t, s, QueueConfig{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	w := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "60")
		rw.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(w.Close)
	if _, err := s.CreateTask(t.Context(), to(w.URL, "a")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "put off", func() bool {
		got, err := s.GetTask(t.Context(), &pb.GetTaskRequest{Name: mail + "/tasks/a"})
		return err == nil && got.ResponseCount == 1 && time.Until(got.ScheduleTime.AsTime()) > 50*time.Second
	})
}

func TestNamesAreRefusedForTheWindow(t *testing.T) {
	t.Parallel()
	s := New(WithDedupWindow(50 * time.Millisecond))
	c := dial(t, s)
	ensure(t, s, QueueConfig{})
	w := newWorker(t, always(200))
	if _, err := c.PauseQueue(t.Context(), &pb.PauseQueueRequest{Name: mail}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTask(t.Context(), to(w.URL, "one")); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateTask(t.Context(), to(w.URL, "one"))
	want(t, "a live name", err, codes.AlreadyExists)
	if q, err := c.ResumeQueue(t.Context(), &pb.ResumeQueueRequest{Name: mail}); err != nil || q.State != pb.Queue_RUNNING {
		t.Fatal(q, err)
	}
	eventually(t, "finished", func() bool { return s.Depth(mail) == 0 })
	_, err = c.CreateTask(t.Context(), to(w.URL, "one"))
	want(t, "a finished name", err, codes.AlreadyExists)
	eventually(t, "free again", func() bool {
		_, err := c.CreateTask(t.Context(), to(w.URL, "one"))
		return err == nil
	})
	if _, err := c.CreateTask(t.Context(), to(w.URL, "two")); err != nil {
		t.Error(err)
	}
}

func TestScheduleTimeDeleteAndRun(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ensure(t, s, QueueConfig{})
	w := newWorker(t, always(200))
	soon := time.Now().Add(150 * time.Millisecond)
	for id, at := range map[string]time.Time{"soon": soon, "late": soon.Add(time.Hour), "gone": soon.Add(time.Hour)} {
		in := to(w.URL, id)
		in.Task.ScheduleTime = timestamppb.New(at)
		if _, err := c.CreateTask(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.DeleteTask(t.Context(), &pb.DeleteTaskRequest{Name: mail + "/tasks/gone"}); err != nil {
		t.Fatal(err)
	}
	want(t, "deleted twice", c.DeleteTask(t.Context(), &pb.DeleteTaskRequest{Name: mail + "/tasks/gone"}), codes.NotFound)
	var listed []string
	for task, err := range c.ListTasks(t.Context(), &pb.ListTasksRequest{Parent: mail, PageSize: 1}).All() {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, last(task.Name))
	}
	if fmt.Sprint(listed) != "[soon late]" {
		t.Errorf("listed %v", listed)
	}
	eventually(t, "soon", func() bool { return len(w.calls()) == 1 })
	if at := w.calls()[0].at; at.Before(soon) {
		t.Errorf("%v early", soon.Sub(at))
	}
	if _, err := c.RunTask(t.Context(), &pb.RunTaskRequest{Name: mail + "/tasks/late"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "run by hand", func() bool { return s.Depth(mail) == 0 && len(w.calls()) == 2 })
}

func TestConcurrencyRateAndPurge(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ensure(t, s, QueueConfig{Concurrency: 3})
	var mu sync.Mutex
	now, most := 0, 0
	hold := make(chan struct{})
	w := newWorker(t, func(int, *http.Request) int {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		<-hold
		mu.Lock()
		now--
		mu.Unlock()
		return 500
	})
	for range 10 {
		if _, err := c.CreateTask(t.Context(), to(w.URL, "")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three at once", func() bool { mu.Lock(); defer mu.Unlock(); return now == 3 })
	if q, err := c.PurgeQueue(t.Context(), &pb.PurgeQueueRequest{Name: mail}); err != nil || q.PurgeTime == nil {
		t.Fatal(q, err)
	}
	close(hold)
	eventually(t, "drained", func() bool { mu.Lock(); defer mu.Unlock(); return now == 0 })
	if most != 3 || len(w.calls()) != 3 || s.Depth(mail) != 0 {
		t.Errorf("%d at once, %d calls, %d left", most, len(w.calls()), s.Depth(mail))
	}

	// Ten a second with a burst of ten: the eleventh waits.
	slow := location + "/queues/slow"
	ensure(t, s, QueueConfig{Name: slow, Rate: 10})
	quick := newWorker(t, always(200))
	began := time.Now()
	for range 12 {
		in := to(quick.URL, "")
		in.Parent = slow
		if _, err := c.CreateTask(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all", func() bool { return len(quick.calls()) == 12 })
	if took := quick.calls()[11].at.Sub(began); took < 190*time.Millisecond {
		t.Errorf("twelve took %v", took)
	}
}

func TestDeadlineOfADispatch(t *testing.T) {
	t.Parallel()
	s := New()
	dial(t, s)
	ensure(t, s, QueueConfig{MaxAttempts: 1})
	release := make(chan struct{})
	w := newWorker(t, func(_ int, r *http.Request) int {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return 200
	})
	t.Cleanup(func() { close(release) })
	got := s.send(t.Context(), &task{method: "POST", deadline: 20 * time.Millisecond, request: &pb.HttpRequest{Url: w.URL}}, http.Header{})
	if got.ok() || got.reason != "DEADLINE_EXCEEDED" {
		t.Errorf("%+v", got)
	}
}

func TestLimitsOfRetrying(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		attempts int32
		duration time.Duration
		made     int32
		age      time.Duration
		done     bool
	}{
		{3, 0, 2, time.Hour, false}, {3, 0, 3, 0, true},
		{3, time.Minute, 3, time.Second, false}, {3, time.Minute, 3, time.Hour, true}, {3, time.Minute, 2, time.Hour, false},
		{-1, 0, 1000, time.Hour, false}, {-1, time.Minute, 1, time.Hour, true},
	} {
		r := &pb.RetryConfig{MaxAttempts: tc.attempts, MaxRetryDuration: durationpb.New(tc.duration)}
		if got := exhausted(r, tc.made, tc.age); got != tc.done {
			t.Errorf("%+v: %v", tc, got)
		}
	}
	// The example of the API's documentation.
	r := &pb.RetryConfig{MinBackoff: durationpb.New(10 * time.Second), MaxBackoff: durationpb.New(300 * time.Second), MaxDoublings: 3}
	for i, seconds := range []float64{10, 20, 40, 80, 160, 240, 300, 300} {
		if got := Backoff(r, int32(i+1)); got.Seconds() != seconds {
			t.Errorf("after %d: %v", i+1, got)
		}
	}
	r.MaxDoublings = 5000
	if got := Backoff(r, 4000); got != 300*time.Second {
		t.Errorf("after many: %v", got)
	}
}

func TestQueuesAreConfigured(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ctx := t.Context()
	made, err := c.CreateQueue(ctx, &pb.CreateQueueRequest{Parent: location, Queue: &pb.Queue{Name: mail}})
	if err != nil || made.RateLimits.MaxDispatchesPerSecond != 500 || made.RetryConfig.MaxAttempts != 100 || made.State != pb.Queue_RUNNING {
		t.Fatal(made, err)
	}
	_, err = c.CreateQueue(ctx, &pb.CreateQueueRequest{Parent: location, Queue: &pb.Queue{Name: mail}})
	want(t, "made twice", err, codes.AlreadyExists)
	_, err = c.PauseQueue(ctx, &pb.PauseQueueRequest{Name: mail})
	want(t, "pause", err, codes.OK)
	changed, err := c.UpdateQueue(ctx, &pb.UpdateQueueRequest{
		Queue:      &pb.Queue{Name: mail, RetryConfig: &pb.RetryConfig{MaxAttempts: 7, MaxDoublings: 3}, RateLimits: &pb.RateLimits{MaxDispatchesPerSecond: 5}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retry_config.max_attempts", "rate_limits"}},
	})
	if err != nil || changed.RetryConfig.MaxAttempts != 7 || changed.RetryConfig.MaxDoublings != 16 || changed.RateLimits.MaxDispatchesPerSecond != 5 || changed.State != pb.Queue_PAUSED {
		t.Error(changed, err)
	}
	ensure(t, s, QueueConfig{Name: location + "/queues/other", MaxAttempts: 4, MinBackoff: time.Second, MaxBackoff: 5 * time.Minute, MaxRetryDuration: time.Hour, MaxDoublings: 2, Rate: 50, Concurrency: 20})
	var names []string
	for q, err := range c.ListQueues(ctx, &pb.ListQueuesRequest{Parent: location, PageSize: 1}).All() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, last(q.Name))
	}
	if fmt.Sprint(names) != "[mail other]" {
		t.Errorf("%v", names)
	}
	got, err := c.GetQueue(ctx, &pb.GetQueueRequest{Name: location + "/queues/other"})
	if err != nil || got.RetryConfig.MaxBackoff.AsDuration() != 5*time.Minute || got.RateLimits.MaxConcurrentDispatches != 20 || got.RetryConfig.MaxRetryDuration.AsDuration() != time.Hour {
		t.Error(got, err)
	}
	_, err = c.GetQueue(ctx, &pb.GetQueueRequest{Name: location + "/queues/none"})
	want(t, "unknown queue", err, codes.NotFound)

	for what, q := range map[string]*pb.Queue{
		"name": {Name: "mail"}, "rate": {Name: mail, RateLimits: &pb.RateLimits{MaxDispatchesPerSecond: 501}},
		"concurrency": {Name: mail, RateLimits: &pb.RateLimits{MaxConcurrentDispatches: 5001}},
		"attempts":    {Name: mail, RetryConfig: &pb.RetryConfig{MaxAttempts: -2}},
		"doublings":   {Name: mail, RetryConfig: &pb.RetryConfig{MaxDoublings: -1}},
		"backoff":     {Name: mail, RetryConfig: &pb.RetryConfig{MinBackoff: durationpb.New(time.Minute), MaxBackoff: durationpb.New(time.Second)}},
		"negative":    {Name: mail, RetryConfig: &pb.RetryConfig{MinBackoff: durationpb.New(-time.Minute)}},
	} {
		_, err := c.UpdateQueue(ctx, &pb.UpdateQueueRequest{Queue: q})
		want(t, what, err, codes.InvalidArgument)
	}
	_, err = c.UpdateQueue(ctx, &pb.UpdateQueueRequest{Queue: &pb.Queue{Name: mail}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"state"}}})
	want(t, "mask", err, codes.InvalidArgument)
	_, err = c.CreateQueue(ctx, &pb.CreateQueueRequest{Parent: "projects/p/locations/l", Queue: &pb.Queue{Name: mail}})
	want(t, "parent", err, codes.InvalidArgument)
}

func TestWhatIsNotImplementedIsRefused(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ctx := t.Context()
	ensure(t, s, QueueConfig{})
	for what, tc := range map[string]struct {
		change func(*pb.CreateTaskRequest)
		code   codes.Code
	}{
		"no request": {func(r *pb.CreateTaskRequest) { r.Task.MessageType = nil }, codes.InvalidArgument},
		"app engine": {func(r *pb.CreateTaskRequest) {
			r.Task.MessageType = &pb.Task_AppEngineHttpRequest{AppEngineHttpRequest: &pb.AppEngineHttpRequest{Body: []byte("x")}}
		}, codes.Unimplemented},
		"oauth": {func(r *pb.CreateTaskRequest) {
			r.Task.GetHttpRequest().AuthorizationHeader = &pb.HttpRequest_OauthToken{OauthToken: &pb.OAuthToken{ServiceAccountEmail: "a"}}
		}, codes.Unimplemented},
		"token, no keys": {func(r *pb.CreateTaskRequest) {
			r.Task.GetHttpRequest().AuthorizationHeader = &pb.HttpRequest_OidcToken{OidcToken: &pb.OidcToken{ServiceAccountEmail: "a"}}
		}, codes.InvalidArgument},
		"url":           {func(r *pb.CreateTaskRequest) { r.Task.GetHttpRequest().Url = "ftp://x" }, codes.InvalidArgument},
		"get with body": {func(r *pb.CreateTaskRequest) { r.Task.GetHttpRequest().HttpMethod = pb.HttpMethod_GET }, codes.InvalidArgument},
		"name":          {func(r *pb.CreateTaskRequest) { r.Task.Name = mail + "/tasks/a.b" }, codes.InvalidArgument},
		"other queue":   {func(r *pb.CreateTaskRequest) { r.Task.Name = location + "/queues/x/tasks/a" }, codes.InvalidArgument},
		"deadline":      {func(r *pb.CreateTaskRequest) { r.Task.DispatchDeadline = durationpb.New(time.Second) }, codes.InvalidArgument},
		"far ahead": {func(r *pb.CreateTaskRequest) {
			r.Task.ScheduleTime = timestamppb.New(time.Now().Add(31 * 24 * time.Hour))
		}, codes.InvalidArgument},
		"too large":   {func(r *pb.CreateTaskRequest) { r.Task.GetHttpRequest().Body = make([]byte, 1<<20) }, codes.InvalidArgument},
		"retry":       {func(r *pb.CreateTaskRequest) { r.Task.RetryConfig = &pb.RetryConfig{MaxAttempts: -5} }, codes.InvalidArgument},
		"no queue":    {func(r *pb.CreateTaskRequest) { r.Parent = location + "/queues/none" }, codes.NotFound},
		"bad queue":   {func(r *pb.CreateTaskRequest) { r.Parent = "none" }, codes.InvalidArgument},
		"newer field": {func(r *pb.CreateTaskRequest) { r.Task.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1}) }, codes.Unimplemented},
	} {
		in := to("http://127.0.0.1:1", "")
		tc.change(in)
		_, err := c.CreateTask(ctx, in)
		want(t, what, err, tc.code)
	}
	_, err := c.UpdateQueue(ctx, &pb.UpdateQueueRequest{Queue: &pb.Queue{Name: mail, StackdriverLoggingConfig: &pb.StackdriverLoggingConfig{SamplingRatio: 1}}})
	want(t, "logging", err, codes.Unimplemented)
	err = c.DeleteQueue(ctx, &pb.DeleteQueueRequest{Name: mail})
	want(t, "deleting queues", err, codes.Unimplemented)
	_, err = c.GetTask(ctx, &pb.GetTaskRequest{Name: "x"})
	want(t, "task name", err, codes.InvalidArgument)
}

func TestTaskRetryConfigAndFullView(t *testing.T) {
	t.Parallel()
	s := New()
	c := dial(t, s)
	ensure(t, s, QueueConfig{})
	w := newWorker(t, always(500))
	in := to(w.URL, "own")
	in.ResponseView = pb.Task_FULL
	in.Task.RetryConfig = &pb.RetryConfig{MaxAttempts: 2, MinBackoff: durationpb.New(time.Millisecond)}
	got, err := c.CreateTask(t.Context(), in)
	if err != nil || string(got.GetHttpRequest().Body) != `{"n":1}` || got.RetryConfig.MaxAttempts != 2 {
		t.Fatal(got, err)
	}
	eventually(t, "given up", func() bool { return s.Depth(mail) == 0 })
	if n := len(w.calls()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestCloseBreaksOffAndRefuses(t *testing.T) {
	t.Parallel()
	s := New()
	ensure(t, s, QueueConfig{})
	began := make(chan struct{})
	w := newWorker(t, func(_ int, r *http.Request) int {
		close(began)
		<-r.Context().Done()
		return 200
	})
	if _, err := s.CreateTask(t.Context(), to(w.URL, "")); err != nil {
		t.Fatal(err)
	}
	<-began
	s.Close()
	want(t, "after the end", s.Ensure(t.Context(), QueueConfig{Name: mail}), codes.Unavailable)
}

// BenchmarkEndToEnd measures tasks from CreateTask through gRPC to a worker that
// does nothing: go test -bench EndToEnd ./standin/cloudtasks
func BenchmarkEndToEnd(b *testing.B) {
	s := New(WithRateCeiling(1e6), WithTokens(tokens{}))
	c := dial(b, s)
	ensure(b, s, QueueConfig{Concurrency: 64})
	var done sync.WaitGroup
	w := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		done.Done()
		rw.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(w.Close)
	done.Add(b.N)
	b.ResetTimer()
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			in := to(w.URL, "")
			in.Task.GetHttpRequest().AuthorizationHeader = &pb.HttpRequest_OidcToken{OidcToken: &pb.OidcToken{ServiceAccountEmail: "sa@x", Audience: "aud"}}
			if _, err := c.CreateTask(context.Background(), in); err != nil {
				b.Error(err)
				done.Done()
			}
		}
	})
	done.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}
