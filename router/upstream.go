package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/telemetry"
)

// upstreams sends signed requests to functions, each behind a circuit.
type upstreams struct {
	rt        http.RoundTripper
	addresses Upstreams
	sign      *hop.Keys
	timeouts  TimeoutConfig
	log       *slog.Logger

	mu       sync.RWMutex
	circuits map[string]*gobreaker.TwoStepCircuitBreaker[struct{}]
}

// errUnavailable is what a client reads of a function that does not answer.
var errUnavailable = errs.New(errs.Unavailable, "unavailable", "This part of the service does not answer at the moment. Try again shortly.")

func newTransport(t TimeoutConfig) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: t.Dial, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    t.Dial,
		ResponseHeaderTimeout:  t.Answer,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // what the client did not ask for
		ForceAttemptHTTP2:      true,
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         8 << 10,
	}
}

// address is where a function is. A function of its name is reached by that
// name when no address is configured: the transport then knows what to do.
func (u *upstreams) address(function string) *url.URL {
	if a := u.addresses[function]; a != nil {
		return a
	}
	return &url.URL{Scheme: "http", Host: function}
}

func (u *upstreams) circuit(function string) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	u.mu.RLock()
	c := u.circuits[function]
	u.mu.RUnlock()
	if c != nil {
		return c
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if c = u.circuits[function]; c == nil {
		c = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name:        function,
			Timeout:     u.timeouts.Cooldown,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= u.timeouts.Failures },
			IsExcluded:  func(err error) bool { return errors.Is(err, errNotTheirs) },
			OnStateChange: func(name string, from, to gobreaker.State) {
				switch {
				case to == gobreaker.StateClosed:
					u.log.Info("function answers again", "function", name)
				case from == gobreaker.StateClosed:
					u.log.Warn("function does not answer: refusing its requests for a while", "function", name)
				}
			},
		})
		u.circuits[function] = c
	}
	return c
}

// errNotTheirs marks failures that say nothing about the function: the client
// left, or sent too much or too slowly.
var errNotTheirs = errors.New("not the function's fault")

// send makes one trip to a function. It signs the hop and consults the circuit;
// what it returns as an error is fit for a client.
func (u *upstreams) send(req *http.Request, function string, client netip.Addr, requestID string) (*http.Response, error) {
	ctx := req.Context()
	signature, err := u.sign.Sign(ctx, req.Method, req.URL.EscapedPath(), client, requestID)
	if err != nil {
		return nil, errUnavailable.WithCause(err).WithRetry(u.timeouts.Cooldown)
	}
	req.Header[hop.Header] = []string{signature}

	done, err := u.circuit(function).Allow()
	if err != nil {
		return nil, errUnavailable.WithCause(fmt.Errorf("circuit of %s: %w", function, err)).WithRetry(u.timeouts.Cooldown)
	}
	resp, err := u.rt.RoundTrip(req)
	if err != nil && unreached(err) && (req.Method == http.MethodGet || req.Method == http.MethodHead) && ctx.Err() == nil {
		// It was never asked, so asking again asks once.
		resp, err = u.rt.RoundTrip(req)
	}
	switch {
	case err == nil && broken(resp):
		done(errUnavailable)
		drain(resp.Body)
		return nil, errUnavailable.WithCause(fmt.Errorf("%s answered %d without a problem", function, resp.StatusCode)).WithRetry(u.timeouts.Cooldown)
	case err == nil:
		done(nil)
		return resp, nil
	}
	if e := blame(req, err); e != nil {
		done(errNotTheirs)
		return nil, e
	}
	done(err)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || timedOut(err) && !unreached(err) {
		return nil, errs.Wrap(err, errs.Timeout, "timeout", "The request took too long.")
	}
	return nil, errUnavailable.WithCause(fmt.Errorf("%s: %w", function, err)).WithRetry(u.timeouts.Cooldown)
}

// broken tells an answer of the platform in front of a function (or of a
// function that fell over) from one of the function's own: those are problems
// or pages, and 5xx ones are problems.
func broken(r *http.Response) bool {
	return r.StatusCode >= 500 && r.Header.Get("Content-Type") != "application/problem+json"
}

// unreached reports whether a connection was not even made.
func unreached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// blame gives the error of a client who left or whose body failed, or nil.
func blame(req *http.Request, err error) error {
	if body, ok := req.Body.(*limited); ok {
		if failure := body.failure.Load(); failure != nil {
			return failure
		}
	}
	if errors.Is(req.Context().Err(), context.Canceled) {
		return errs.Wrap(err, errs.Canceled, "client_closed_request", "The client went away.")
	}
	return nil
}

// drain reads a little of a body that nobody wants, so that its connection can
// be used again.
func drain(b io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, b, 64<<10)
	_ = b.Close()
}

// get asks a function's internal operation.
func (u *upstreams) get(ctx context.Context, function, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, u.timeouts.Internal)
	defer cancel()
	at := u.address(function)
	req := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: at.Scheme, Host: at.Host, Path: path}, Host: at.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Accept": {"application/json"}},
	}).WithContext(ctx)
	id := ids.New().String()
	req.Header["X-Request-Id"] = []string{id}
	telemetry.Inject(ctx, req.Header)
	resp, err := u.send(req, function, netip.Addr{}, id) //nolint:bodyclose // drain closes it.
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return errs.ErrNotFound
	case resp.StatusCode != http.StatusOK:
		return errUnavailable.WithCause(fmt.Errorf("%s %s answered %d", function, path, resp.StatusCode)).WithRetry(u.timeouts.Cooldown)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(into); err != nil {
		return errUnavailable.WithCause(fmt.Errorf("%s %s: %w", function, path, err)).WithRetry(u.timeouts.Cooldown)
	}
	return nil
}

func (u *upstreams) session(ctx context.Context, user, session ids.ID) (live bool, err error) {
	var out struct {
		State string `json:"state"`
	}
	err = u.get(ctx, "auth", "/internal/sessions/"+user.String()+"/"+session.String()+"/", &out)
	if errors.Is(err, errs.ErrNotFound) {
		return false, nil // it is not there any more
	}
	return out.State == "live", err
}

func (u *upstreams) plan(ctx context.Context, tenant ids.ID) (allowance, error) {
	var out struct {
		PerMinute int        `json:"requests_per_minute"`
		UsedUntil *time.Time `json:"requests_used_up_until"`
	}
	err := u.get(ctx, "tenants", "/internal/limits/"+tenant.String()+"/", &out)
	plan := allowance{perMinute: max(0, out.PerMinute)}
	if out.UsedUntil != nil {
		plan.usedUntil = *out.UsedUntil
	}
	return plan, err
}

func (u *upstreams) host(ctx context.Context, host string) (ids.ID, error) {
	var out struct {
		TenantID ids.ID `json:"tenant_id"`
	}
	err := u.get(ctx, "tenants", "/internal/hosts/"+host+"/", &out)
	return out.TenantID, err
}

func (u *upstreams) database(ctx context.Context) error {
	var out struct {
		Database string `json:"database"`
	}
	err := u.get(ctx, "tenants", "/internal/health/", &out)
	if err == nil && out.Database != "ok" {
		err = errors.New("the database is " + out.Database)
	}
	return err
}
