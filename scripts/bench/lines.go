package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coditect/platform/scripts/bench/load"
	"github.com/coditect/platform/scripts/bench/stage"
)

// line is one thing that is measured.
type line struct {
	name, title string
	// function is whose operation it is, and request one request of it; refresh
	// is a refresh token that is spent by it. request is nil for lines that are
	// no operation.
	function string
	request  func(p *platform, at stage.Key, refresh *string) request
	// contenders run in turn, in this order.
	contenders []contender
	// latencies are the contenders that are also measured at half of what the
	// slowest of them can do.
	latencies []string
	// count is how many requests are prepared for the line.
	count int
}

// contender is one way to do a line's work.
type contender struct {
	name string
	// at is where it listens; nil for what is no server.
	at func(p *platform) string
	// run measures what is no server.
	run func(ctx context.Context, o Options, p *platform, l line, w load.Window) (load.Result, error)
}

// Names of contenders.
const (
	chain   = "chain"
	alone   = "alone"
	floor   = "F"
	lower   = "L"
	edge    = "router"
	bare    = "P"
	checked = "P+check"
	hash    = "hash"
)

func throughRouter(p *platform) string { return p.router.Host() }
func toFloor(p *platform) string       { return p.floor.Host() }

func toFunction(name string) func(p *platform) string {
	return func(p *platform) string { return p.functions[name].Host() }
}

// data are the contenders of a line that the floor and pgbench take part in.
func data(function string) []contender {
	return []contender{
		{name: chain, at: throughRouter}, {name: alone, at: toFunction(function)},
		{name: floor, at: toFloor}, {name: lower, run: runPgbench},
	}
}

func plain(function string) []contender {
	return []contender{{name: chain, at: throughRouter}, {name: alone, at: toFunction(function)}}
}

// keys is how many different requests a line makes, in turn: enough that the
// planner, the caches and the locks meet many tenants.
const keys = 1024

// lines are all that is measured, in the order of the table.
var lines = []line{
	{
		name: "list", title: "a page of 50 tasks", function: "tasks", contenders: data("tasks"), latencies: []string{chain, floor}, count: keys,
		request: func(p *platform, at stage.Key, _ *string) request {
			return request{http.MethodGet, "/api/v1/projects/" + stage.Project(at.Tenant, at.Project).String() + "/tasks/?page_size=50", p.cast.Access[at.Tenant], "", http.StatusOK}
		},
	},
	{
		name: "get", title: "one task", function: "tasks", contenders: data("tasks"), latencies: []string{chain, floor}, count: keys,
		request: func(p *platform, at stage.Key, _ *string) request {
			return request{http.MethodGet, "/api/v1/tasks/" + stage.Task(at.Tenant, at.Project, at.Task).String() + "/", p.cast.Access[at.Tenant], "", http.StatusOK}
		},
	},
	{
		name: "create", title: "POST a task, with activity", function: "tasks", contenders: data("tasks"), latencies: []string{chain, floor}, count: keys,
		request: func(p *platform, at stage.Key, _ *string) request {
			body := `{"title":"Look after the guidance computer","description":"And write down what it says.","priority":"high","due_date":"2026-12-24"}`
			return request{http.MethodPost, "/api/v1/projects/" + stage.Project(at.Tenant, at.Project).String() + "/tasks/", p.cast.Access[at.Tenant], body, http.StatusCreated}
		},
	},
	{
		name: "me", title: "users/me", function: "users", contenders: plain("users"), count: keys,
		request: func(p *platform, at stage.Key, _ *string) request {
			return request{http.MethodGet, "/api/v1/users/me/", p.cast.Access[at.Tenant], "", http.StatusOK}
		},
	},
	{
		name: "refresh", title: "refresh", function: "auth", contenders: plain("auth"), count: 1,
		request: func(_ *platform, _ stage.Key, refresh *string) request {
			return request{http.MethodPost, "/api/v1/auth/refresh/", "", `{"refresh_token":"` + *refresh + `"}`, http.StatusOK}
		},
	},
	{
		name: "login", title: "login", function: "auth", count: keys,
		contenders: append(plain("auth"), contender{name: hash, run: runHash}),
		request: func(_ *platform, at stage.Key, _ *string) request {
			body := fmt.Sprintf(`{"email":%q,"password":%q}`, stage.Email(at.Tenant, 0), stage.Password)
			return request{http.MethodPost, "/api/v1/auth/login/", "", body, http.StatusOK}
		},
	},
	{
		name: "edge", title: "1 KB of JSON through the edge, one core", count: keys, latencies: []string{edge, checked},
		contenders: []contender{
			{name: edge, at: func(p *platform) string { return p.one.Host() }},
			{name: bare, at: func(p *platform) string { return p.proxy.Host() }},
			{name: checked, at: func(p *platform) string { return p.checked.Host() }},
		},
	},
}

func names(all []line) []string {
	var out []string
	for _, l := range all {
		out = append(out, l.name)
	}
	return out
}

// callers are the connections of a line. They stay the same over all rounds
// and contenders: a refresh token that one has spent is spent for the next.
func (l line) callers(o Options, p *platform) []load.Caller {
	out := make([]load.Caller, o.Conns)
	ask := l.request
	if ask == nil { // the edge does not look behind a request
		for _, other := range lines {
			if other.name == "get" {
				ask = other.request
			}
		}
	}
	if l.name == "refresh" {
		for i := range out {
			out[i] = &spender{p: p, ask: ask, token: &p.cast.Refresh[i]}
		}
		return out
	}
	all := make([][]byte, 0, l.count)
	want := 0
	for _, key := range o.Size.Keys(l.count) {
		r := ask(p, key, nil)
		all, want = append(all, r.bytes()), r.want
	}
	for i := range out {
		out[i] = &turner{requests: all, at: i * len(all) / len(out), want: want}
	}
	return out
}

// turner asks the same requests in turn.
type turner struct {
	requests [][]byte
	at, want int
}

// Request is load.Caller's.
func (t *turner) Request() []byte {
	t.at++
	if t.at >= len(t.requests) {
		t.at = 0
	}
	return t.requests[t.at]
}

// Answer is load.Caller's.
func (t *turner) Answer(status int, body []byte) error { return unless(status == t.want, status, body) }

// spender trades each refresh token for the next.
type spender struct {
	p     *platform
	ask   func(p *platform, at stage.Key, refresh *string) request
	token *string
}

// Request is load.Caller's.
func (s *spender) Request() []byte { return s.ask(s.p, stage.Key{}, s.token).bytes() }

// Answer is load.Caller's.
func (s *spender) Answer(status int, body []byte) (err error) {
	if err := unless(status == http.StatusOK, status, body); err != nil {
		return err
	}
	*s.token, err = refreshToken(body)
	return err
}

func refreshToken(body []byte) (string, error) {
	var pair struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &pair); err != nil {
		return "", err
	}
	if pair.Refresh == "" {
		return "", errors.New("an answer without a refresh token")
	}
	return pair.Refresh, nil
}

func unless(fine bool, status int, body []byte) error {
	if fine {
		return nil
	}
	return fmt.Errorf("status %d: %.120q", status, body)
}

// patience is how long one measurement may take beyond its time.
const patience = 30 * time.Second
