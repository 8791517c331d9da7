package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// client speaks to the API and waits when it is told to.
type client struct {
	url  string
	http *http.Client

	mu    sync.Mutex
	pause time.Time // nobody asks before
}

func newClient(url string) *client {
	return &client{url: url, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

type call struct {
	method, path, token, key string
	body, into               any
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	code   string
	detail string
	retry  time.Duration
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.detail) }

// status of a refusal, 0 for anything else.
func status(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// attempts are made where the platform does not answer, or cannot: enough for a
// function's restart. Limits are waited for as long as it takes.
const attempts = 5

// do sends a call until it is answered for good. A POST carries a key, so that
// sending it again is safe.
func (c *client) do(ctx context.Context, in call) (http.Header, error) {
	for failed := 0; ; {
		if err := c.ready(ctx); err != nil {
			return nil, err
		}
		header, err := c.once(ctx, in)
		var r *refusal
		switch {
		case err == nil:
			return header, nil
		case errors.As(err, &r) && r.status == http.StatusTooManyRequests:
			c.hold(r.retry)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case r == nil && in.key != "", r != nil && (r.status == http.StatusServiceUnavailable || r.status == http.StatusConflict && r.code == "idempotency_in_progress"):
			failed++
			if failed == attempts {
				return nil, err
			}
			wait := time.Duration(failed) * 200 * time.Millisecond
			if r != nil {
				wait = max(wait, r.retry)
			}
			c.hold(wait)
		default:
			return nil, err
		}
	}
}

// hold keeps everybody from asking for a while: the limits are shared.
func (c *client) hold(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(d); until.After(c.pause) {
		c.pause = until
	}
}

func (c *client) ready(ctx context.Context) error {
	c.mu.Lock()
	wait := time.Until(c.pause)
	c.mu.Unlock()
	if wait <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *client) once(ctx context.Context, in call) (http.Header, error) {
	var body io.Reader = http.NoBody
	if in.body != nil {
		raw, err := json.Marshal(in.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, in.method, c.url+in.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if in.token != "" {
		req.Header.Set("Authorization", "Bearer "+in.token)
	}
	if in.key != "" {
		req.Header.Set("Idempotency-Key", in.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, refused(resp, raw)
	}
	if in.into != nil {
		if err := json.Unmarshal(raw, in.into); err != nil {
			return nil, fmt.Errorf("the answer of %s %s: %w", in.method, in.path, err)
		}
	}
	return resp.Header, nil
}

func refused(resp *http.Response, raw []byte) error {
	r := &refusal{status: resp.StatusCode, detail: http.StatusText(resp.StatusCode)}
	var problem struct{ Code, Detail string }
	if json.Unmarshal(raw, &problem) == nil && problem.Code != "" {
		r.code, r.detail = problem.Code, problem.Detail
	}
	// RFC 9110 §10.2.3; ours is always in seconds.
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 1
	}
	r.retry = time.Duration(seconds) * time.Second
	return r
}

// each reads every page of a list.
func each[T any](ctx context.Context, r *run, path string, use func(T)) error {
	for path != "" {
		var page struct {
			Results []T
			Next    *string
		}
		if _, err := r.client.do(ctx, call{method: http.MethodGet, path: path, token: r.tokens[0], into: &page}); err != nil {
			return err
		}
		for _, x := range page.Results {
			use(x)
		}
		path = ""
		if page.Next != nil {
			next, err := url.Parse(*page.Next)
			if err != nil {
				return err
			}
			path = next.RequestURI()
		}
	}
	return nil
}
