// Package lambdaruntime is a local stand-in of what surrounds a function on AWS
// Lambda: the Runtime API, which a function asks for work and answers to, and
// in front of it what makes events: an API Gateway HTTP API or a function URL
// ([Gateway]), an SQS queue ([Queue]), the clock of EventBridge ([Tick]). It
// exists so that tests run the very programs that are deployed there.
//
// What it does follows
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
// It starts no processes and freezes none between invocations. To add another
// source of events, call [Runtime.Invoke] with them.
package lambdaruntime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// MaxPayload is the most that an event or a result may hold, in bytes.
const MaxPayload = 6 << 20

var (
	// ErrTimeout says that the function did not answer within its time.
	ErrTimeout = errors.New("lambdaruntime: the function ran out of time")
	// ErrTooLarge says that an event or a result is over [MaxPayload].
	ErrTooLarge = errors.New("lambdaruntime: the payload is too large")
	// ErrClosed says that the runtime ended.
	ErrClosed = errors.New("lambdaruntime: closed")
)

// FunctionError is what a function reported instead of a result.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *FunctionError) Error() string { return "lambdaruntime: " + e.Type + ": " + e.Message }

// Runtime is the Runtime API of one function as an [http.Handler]; its address
// is what AWS_LAMBDA_RUNTIME_API names. Any number of processes may ask it for
// work: each is one instance of the function, with one invocation at a time.
type Runtime struct {
	mux     *http.ServeMux
	timeout time.Duration
	queue   chan *invocation
	closed  chan struct{}
	once    sync.Once

	mu      sync.Mutex
	running map[string]*invocation
}

type invocation struct {
	id     string
	event  []byte
	taken  chan time.Time // gets the deadline when an instance takes it
	result chan outcome
}

type outcome struct {
	payload []byte
	err     error
}

// New makes the runtime of a function that may take timeout for an invocation.
func New(timeout time.Duration) *Runtime {
	r := &Runtime{
		mux: http.NewServeMux(), timeout: timeout, queue: make(chan *invocation),
		closed: make(chan struct{}), running: map[string]*invocation{},
	}
	r.mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", r.next)
	r.mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", r.response)
	r.mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", r.failure)
	r.mux.HandleFunc("POST /2018-06-01/runtime/init/error", r.initFailure)
	return r
}

// ServeHTTP implements [http.Handler].
func (r *Runtime) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.mux.ServeHTTP(w, q) }

// Close lets go of the instances that wait for work, and of those who invoke.
func (r *Runtime) Close() { r.once.Do(func() { close(r.closed) }) }

// Invoke gives an event to the next instance that is free and waits for its
// result. It fails with a [*FunctionError], [ErrTimeout], [ErrTooLarge],
// [ErrClosed], or what ended ctx.
func (r *Runtime) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if len(event) > MaxPayload {
		return nil, ErrTooLarge
	}
	call := &invocation{id: uuid.NewString(), event: event, taken: make(chan time.Time, 1), result: make(chan outcome, 1)}
	select {
	case r.queue <- call:
	case <-r.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer r.take(call.id)
	late := time.NewTimer(time.Until(<-call.taken))
	defer late.Stop()
	select {
	case out := <-call.result:
		return out.payload, out.err
	case <-late.C:
		return nil, ErrTimeout
	case <-r.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// take ends an invocation: nil when it is over, or never was.
func (r *Runtime) take(id string) *invocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	call := r.running[id]
	delete(r.running, id)
	return call
}

// next hands out work. It waits for as long as there is none, as the service
// does.
func (r *Runtime) next(w http.ResponseWriter, q *http.Request) {
	var call *invocation
	select {
	case call = <-r.queue:
	case <-r.closed:
		refuse(w, http.StatusInternalServerError, "Closed", "The runtime ended.")
		return
	case <-q.Context().Done():
		return
	}
	deadline := time.Now().Add(r.timeout)
	r.mu.Lock()
	r.running[call.id] = call
	r.mu.Unlock()
	call.taken <- deadline
	h := w.Header()
	h.Set("Lambda-Runtime-Aws-Request-Id", call.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:local")
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(call.event) // who left is seen by the deadline
}

func (r *Runtime) response(w http.ResponseWriter, q *http.Request) {
	payload, err := io.ReadAll(io.LimitReader(q.Body, MaxPayload+1))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	out := outcome{payload: payload}
	if len(payload) > MaxPayload {
		out = outcome{err: ErrTooLarge}
	}
	if !r.finish(w, q, out) {
		return
	}
	if out.err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("The result is over %d bytes.", MaxPayload))
		return
	}
	accept(w)
}

func (r *Runtime) failure(w http.ResponseWriter, q *http.Request) {
	fault := &FunctionError{Type: q.Header.Get("Lambda-Runtime-Function-Error-Type")}
	if err := json.NewDecoder(io.LimitReader(q.Body, MaxPayload)).Decode(fault); err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	if r.finish(w, q, outcome{err: fault}) {
		accept(w)
	}
}

// initFailure hears of a function that cannot start. Who invokes it waits for
// another instance, as on the service.
func (r *Runtime) initFailure(w http.ResponseWriter, _ *http.Request) { accept(w) }

// finish settles the invocation that the path names.
func (r *Runtime) finish(w http.ResponseWriter, q *http.Request, out outcome) bool {
	call := r.take(q.PathValue("id"))
	if call == nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "There is no such invocation, or it is over.")
		return false
	}
	call.result <- out
	return true
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(FunctionError{Type: kind, Message: message})
}
