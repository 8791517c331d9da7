package cloudtasks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// answer is what became of one request to a worker.
type answer struct {
	status int // 0 when none came
	reason string
	// after is how long the worker asks to be left alone.
	after time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// attempt runs in the queue's line: one request, and what follows from it.
func (s *Server) attempt(ctx context.Context, q *queue, t *task) {
	q.mu.Lock()
	if t.gone {
		q.mu.Unlock()
		return
	}
	t.dispatched++
	began := time.Now()
	latest := &pb.Attempt{ScheduleTime: timestamppb.New(t.schedule), DispatchTime: timestamppb.New(began)}
	if t.first == nil {
		t.first = &pb.Attempt{DispatchTime: latest.DispatchTime}
	}
	t.latest = latest
	header := t.dispatchHeader()
	q.mu.Unlock()

	got := s.send(ctx, t, header)
	now := time.Now()

	q.mu.Lock()
	dead := q.conclude(t, latest, got, now)
	var given *pb.Task
	if dead {
		given = t.view(pb.Task_FULL)
	}
	q.mu.Unlock()
	if !got.ok() && ctx.Err() == nil {
		s.log.WarnContext(ctx, "task attempt failed", "task", t.name, "url", t.request.Url, "status", got.status, "reason", got.reason, "given_up", dead)
	}
	if dead && s.onDead != nil {
		s.onDead(given)
	}
}

// conclude records the outcome and drops the task or puts it back; true means
// that it was given up. The queue's lock is held.
func (q *queue) conclude(t *task, latest *pb.Attempt, got answer, now time.Time) (dead bool) {
	if got.status != 0 {
		t.responded++
		t.previous = got.status
	}
	t.latest = &pb.Attempt{
		ScheduleTime: latest.ScheduleTime, DispatchTime: latest.DispatchTime, ResponseTime: timestamppb.New(now),
		ResponseStatus: &rpcstatus.Status{Code: int32(codeOf(got.status)), Message: got.reason},
	}
	switch {
	case t.gone:
		return false
	case got.ok():
		q.drop(t)
		return false
	}
	retry := t.retry
	if retry == nil {
		retry = q.pb.RetryConfig
	}
	if exhausted(retry, t.dispatched, now.Sub(t.first.DispatchTime.AsTime())) {
		q.drop(t)
		return true
	}
	t.schedule = now.Add(max(Backoff(retry, t.dispatched), got.after))
	q.line.Put(&t.Item, t.schedule)
	return false
}

// exhausted tells whether no further attempt is made: when both limits are
// passed, of those that are set.
func exhausted(r *pb.RetryConfig, attempts int32, age time.Duration) bool {
	limit := r.GetMaxRetryDuration().AsDuration()
	old := limit > 0 && age > limit
	if r.GetMaxAttempts() < 0 {
		return old
	}
	return attempts >= r.GetMaxAttempts() && (old || limit == 0)
}

// Backoff is the pause after the given number of attempts: it doubles
// max_doublings times, then grows by the same step, up to max_backoff. Source:
// RetryConfig.max_doublings of the API.
func Backoff(r *pb.RetryConfig, attempts int32) time.Duration {
	n := max(0, attempts-1)
	doubled := min(n, r.GetMaxDoublings())
	pause := float64(r.GetMinBackoff().AsDuration()) * math.Exp2(float64(doubled)) * float64(n-doubled+1)
	return time.Duration(min(pause, float64(r.GetMaxBackoff().AsDuration())))
}

func codeOf(status int) codes.Code {
	switch {
	case status == 0:
		return codes.DeadlineExceeded
	case status >= 200 && status < 300:
		return codes.OK
	case status == http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case status == http.StatusServiceUnavailable:
		return codes.Unavailable
	case status >= 500:
		return codes.Internal
	}
	return codes.Unknown
}

// dispatchHeader is the task's headers and those of the service. Source:
// docs.cloud.google.com/tasks/docs/creating-http-target-tasks. The queue's lock
// is held.
func (t *task) dispatchHeader() http.Header {
	h := t.header.Clone()
	if len(t.request.Body) > 0 && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	queue := t.name[:len(t.name)-len("/tasks/")-len(last(t.name))]
	h.Set("User-Agent", "Google-Cloud-Tasks")
	h.Set("X-CloudTasks-QueueName", last(queue))
	h.Set("X-CloudTasks-TaskName", last(t.name))
	h.Set("X-CloudTasks-TaskRetryCount", strconv.Itoa(int(t.dispatched-1)))
	h.Set("X-CloudTasks-TaskExecutionCount", strconv.Itoa(int(t.responded)))
	h.Set("X-CloudTasks-TaskETA", strconv.FormatFloat(float64(t.schedule.UnixMicro())/1e6, 'f', 6, 64))
	if t.previous != 0 {
		h.Set("X-CloudTasks-TaskPreviousResponse", strconv.Itoa(t.previous))
	}
	return h
}

// send makes the request. What it reads of t does not change.
func (s *Server) send(ctx context.Context, t *task, header http.Header) answer {
	ctx, cancel := context.WithTimeout(ctx, t.deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, t.method, t.request.Url, bytes.NewReader(t.request.Body))
	if err != nil {
		return answer{reason: err.Error()}
	}
	req.Header = header
	if o := t.request.GetOidcToken(); o != nil {
		token, err := s.tokens.Token(o.GetServiceAccountEmail(), cmp.Or(o.GetAudience(), t.request.Url))
		if err != nil {
			return answer{reason: err.Error()}
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return answer{reason: "DEADLINE_EXCEEDED"}
		}
		return answer{reason: err.Error()}
	}
	defer resp.Body.Close()
	// A body that was not read would cost the connection.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return answer{reason: err.Error()}
	}
	out := answer{status: resp.StatusCode, reason: resp.Status}
	if out.status == http.StatusTooManyRequests || out.status == http.StatusServiceUnavailable {
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			out.after = time.Duration(n) * time.Second
		}
	}
	return out
}
