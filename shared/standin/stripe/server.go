// Package stripe is a stand-in for Stripe's API: a stateful server for exactly
// the endpoints that the platform calls, of the version that stripe-go v76 pins
// (2023-10-16). On a laptop it is what the platform bills with when there is no
// STRIPE_SECRET_KEY; in tests it is also the Stripe that is down, slow, answers
// late or not at all, and sends its webhooks twice, late and in any order. No
// production package imports it.
//
// [New] makes it, [Server.Handler] serves it. Time is the wall clock's, or a
// test clock's for customers that were made with one. Renewals, retries of
// payments and what expires happen when their time comes, at the next request
// or [Server.Tick].
//
// It refuses what it does not do: a parameter that the endpoint does not know
// is answered as Stripe answers it (parameter_unknown), so that a mistake in a
// call is found here and not in production. A new endpoint is a line in routes,
// with the parameters that it takes.
//
// Prorations follow Stripe's documented formula: a price is worth, for the rest
// of a period, price × seconds left ÷ seconds of the period, rounded to the
// nearest minor unit, halves away from zero; see [prorate].
package stripe

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Version is the API's version, and the only one that is served.
const Version = "2023-10-16"

// Server is the stand-in.
type Server struct {
	key  string
	now  func() time.Time
	file string // where the state is kept; empty is nowhere
	log  *slog.Logger
	mux  *http.ServeMux

	mu      sync.Mutex
	s       *state
	running map[string]bool // idempotency keys in flight
	fault   func(r *http.Request) Fault
	calls   []Call

	hooks *hooks
}

// An Option changes a Server from the ordinary.
type Option func(*Server)

// WithKey is the secret key that callers must show; sk_test_standin without it.
func WithKey(key string) Option { return func(s *Server) { s.key = key } }

// WithClock replaces the wall clock.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithFile keeps the state in a file, so that it is there after a restart.
func WithFile(path string) Option { return func(s *Server) { s.file = path } }

// WithLog says what went wrong with webhooks and with the file.
func WithLog(log *slog.Logger) Option { return func(s *Server) { s.log = log } }

// Key is what a Server takes without [WithKey].
const Key = "sk_test_standin"

// New makes a server, with the state of its file when it has one.
func New(opts ...Option) (*Server, error) {
	s := &Server{key: Key, now: time.Now, log: slog.New(slog.DiscardHandler), running: map[string]bool{}}
	for _, opt := range opts {
		opt(s)
	}
	var err error
	if s.s, err = loadState(s.file); err != nil {
		return nil, err
	}
	s.hooks = newHooks(s)
	s.mux = http.NewServeMux()
	for pattern, e := range routes {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, &apiError{status: http.StatusNotFound, Type: invalidRequest,
			Message: "Unrecognized request URL (" + r.Method + ": " + r.URL.Path + "). This stand-in serves the endpoints that the platform calls."})
	})
	s.local()
	s.Tick()
	return s, nil
}

// Handler serves the API.
func (s *Server) Handler() http.Handler { return s.mux }

// Close stops sending webhooks and keeps what there is.
func (s *Server) Close() error {
	s.hooks.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.s.save(s.file)
}

// Tick does what has become due by the wall clock.
func (s *Server) Tick() {
	s.mu.Lock()
	mark := len(s.s.Events)
	(&request{Server: s}).settle("", s.now())
	events := s.s.Events[mark:]
	if len(events) > 0 {
		s.keep()
	}
	s.mu.Unlock()
	s.hooks.announce(events)
}

func (s *Server) keep() {
	if err := s.s.save(s.file); err != nil {
		s.log.Error("stripe: the state was not kept", "error", err.Error())
	}
}

// Fault is how the server misbehaves towards one request.
type Fault struct {
	// Before and After are called around the request's effect, without a lock:
	// to wait, or to kill the caller.
	Before, After func()
	// Status answers with this status instead, before there is an effect.
	Status int
	// Lost breaks the connection off after the effect.
	Lost bool
}

// Misbehave asks choose about every request; nil ends it.
func (s *Server) Misbehave(choose func(r *http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = choose
}

// Call is a request that was served, for tests that count them.
type Call struct {
	Method, Path, IdempotencyKey string
	Params                       map[string]string
	Status                       int
	Replayed                     bool
}

// Calls gives what was served so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// request is one request as the endpoints see it. They run under the lock.
type request struct {
	*Server
	r  *http.Request
	id string
	params
	key string // the Idempotency-Key
}

// serve takes a request through what all have in common.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, e endpoint) {
	if err := s.admit(r); err != nil {
		refuse(w, err)
		return
	}
	p, err := parse(r)
	if err != nil {
		refuse(w, err)
		return
	}
	if err := p.only(e.params); err != nil {
		refuse(w, err)
		return
	}
	s.mu.Lock()
	choose := s.fault
	s.mu.Unlock()
	var fault Fault
	if choose != nil {
		fault = choose(r)
	}
	if fault.Status != 0 {
		refuse(w, &apiError{status: fault.Status, Type: "api_error", Message: "Something went wrong on Stripe's end."})
		return
	}
	c := &request{Server: s, r: r, params: p, id: newID("req_")}
	if r.Method == http.MethodPost {
		c.key = r.Header.Get("Idempotency-Key")
	}
	status, body, replayed := c.answer(e, fault)
	if fault.Lost {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", c.id)
	w.Header().Set("Stripe-Version", Version)
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// admit checks what comes before any endpoint: key and version.
func (s *Server) admit(r *http.Request) *apiError {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		key, _, _ = r.BasicAuth()
	}
	if key != s.key {
		return &apiError{status: http.StatusUnauthorized, Type: invalidRequest, Message: "Invalid API Key provided."}
	}
	if v := r.Header.Get("Stripe-Version"); v != "" && v != Version {
		return &apiError{status: http.StatusBadRequest, Type: invalidRequest, Message: "Invalid Stripe API version: " + v + ". This stand-in serves " + Version + "."}
	}
	return nil
}

// answer runs the endpoint, once for each Idempotency-Key.
func (c *request) answer(e endpoint, fault Fault) (status int, body []byte, replayed bool) {
	asked := c.fingerprint()
	c.mu.Lock()
	if c.key != "" {
		status, body, found := c.repeated(asked)
		if found {
			c.note(status, true)
			c.mu.Unlock()
			return status, body, status < 400 || status == http.StatusPaymentRequired
		}
		c.running[c.key] = true
	}
	c.mu.Unlock()
	if fault.Before != nil {
		fault.Before()
	}
	c.mu.Lock()
	mark := len(c.s.Events)
	c.settle("", c.now())
	v, err := e.act(c)
	status, body = http.StatusOK, nil
	if err == nil {
		body, err = c.render(v)
	}
	var fail *apiError
	if err != nil {
		fail = asAPIError(err)
		status, body = fail.status, fail.body()
	}
	if c.key != "" {
		delete(c.running, c.key)
		// What was refused before it began may be tried again with the same key.
		if fail == nil || fail.Type == cardError {
			c.s.Keys[c.key] = &kept{Print: asked, Status: status, Body: body, At: c.now().Unix()}
		}
	}
	c.note(status, false)
	c.keep()
	events := c.s.Events[mark:]
	c.mu.Unlock()
	c.hooks.announce(events)
	if fault.After != nil {
		fault.After()
	}
	return status, body, false
}

func (c *request) note(status int, replayed bool) {
	c.calls = append(c.calls, Call{Method: c.r.Method, Path: c.r.URL.Path, IdempotencyKey: c.key, Params: c.params, Status: status, Replayed: replayed})
}

// keyLife is how long an Idempotency-Key is remembered.
const keyLife = 24 * 60 * 60

// kept is the answer to an Idempotency-Key.
type kept struct {
	Print  string
	Status int
	Body   []byte
	At     int64
}

// repeated gives the answer of an earlier request with the same key, or why
// there is none.
func (c *request) repeated(asked string) (int, []byte, bool) {
	if c.running[c.key] {
		e := &apiError{status: http.StatusConflict, Type: "idempotency_error", Code: "idempotency_key_in_use",
			Message: "There is currently another in-progress request using this Idempotency-Key."}
		return e.status, e.body(), true
	}
	k := c.s.Keys[c.key]
	switch {
	case k == nil:
		return 0, nil, false
	case c.now().Unix()-k.At > keyLife:
		delete(c.s.Keys, c.key)
		return 0, nil, false
	case k.Print != asked:
		e := &apiError{status: http.StatusBadRequest, Type: "idempotency_error",
			Message: "Keys for idempotent requests can only be used with the same parameters they were first used with."}
		return e.status, e.body(), true
	}
	return k.Status, k.Body, true
}

func (c *request) fingerprint() string {
	b, _ := json.Marshal(c.params) // a map's keys are sorted
	return c.r.Method + " " + c.r.URL.Path + " " + string(b)
}

// newID makes an id of Stripe's form.
func newID(prefix string) string { return prefix + rand.Text()[:24] }
