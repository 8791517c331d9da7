package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	localrun "github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/tenant"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/mailbox"
	"github.com/coditect/platform/shared/subdomain"
)

type world struct {
	*functest.Env
	url string
	// before sees each request first; it answers true for one that it settled.
	before atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	out    bytes.Buffer
}

func begin(t *testing.T) *world {
	t.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	w := &world{Env: functest.New(t)}
	vars := maps.Clone(w.Vars)
	vars["BASE_DOMAIN"], vars["LOG_LEVEL"] = "localhost", "error"
	platform, err := localrun.Whole(t.Context(), config.Map(vars))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f := w.before.Load(); f != nil && (*f)(rw, r) {
			return
		}
		platform.Handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		server.Close()
		_ = platform.Drain(ctx)
	})
	w.url = server.URL
	return w
}

func (w *world) options() Options {
	return Options{
		URL: w.url, Projects: 3, Tasks: 40, Workers: 4, Out: &w.out,
		Operator: func(ctx context.Context, words ...string) error {
			_, err := tenant.Do(ctx, w.Database.SystemURL, words)
			return err
		},
	}
}

// mail is the mailbox of a platform that sends none: it makes the links that the
// mailer would send, of the invitations that there are.
func (w *world) mail(t *testing.T) func(http.ResponseWriter, *http.Request) bool {
	t.Helper()
	ring, err := secrets.ParseRing([]byte(w.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, mailbox.Prefix) {
			return false
		}
		var mails []map[string]any
		for _, m := range w.Pending(t, "mail.invitation") {
			var payload queue.Invitation
			if err := json.Unmarshal(m.Payload, &payload); err != nil {
				t.Error(err)
			}
			var email string
			w.Scan(t, `select email from app.invitations where id = $1`, []any{payload.InvitationID}, &email)
			if email == r.URL.Query().Get("to") {
				token := link.New(ring, time.Now(), identity.InvitationToken, m.TenantID, payload.InvitationID)
				mails = append(mails, map[string]any{"links": []string{"http://localhost/app/accept-invitation?token=" + token.Reveal()}})
			}
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"results": mails})
		return true
	}
}

// TestPeopleComeByInvitation: where mail can be read, nobody needs the operator
// to come in, whatever an earlier run left undone.
func TestPeopleComeByInvitation(t *testing.T) {
	t.Parallel()
	w := begin(t)
	ctx, interrupt := context.WithCancel(t.Context())
	mail := w.mail(t)
	var accepted atomic.Int64
	first := func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/invitations/accept/") && accepted.Add(1) == 3 {
			interrupt() // somebody stays invited
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return mail(rw, r)
	}
	w.before.Store(&first)
	o := w.options()
	operator := o.Operator
	o.Operator = func(ctx context.Context, words ...string) error {
		if words[0] != "plan" {
			t.Errorf("the operator was asked to %v", words)
		}
		return operator(ctx, words...)
	}
	if err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	w.before.Store(&mail)
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	got := w.counts(t)
	if got.members != len(people) || got.projects != 3 || got.tasks != 40 || got.authors != writers || got.sessions > 3 {
		t.Errorf("made %+v", got)
	}
	var names, waiting, organizations int
	w.Scan(t, `select (select count(*) from app.memberships m join app.roles r using (tenant_id) where r.id = m.custom_role_id and r.name in ('manager', 'developer') and m.first_name in ('Mina', 'Diego', 'Freya')),
		(select count(*) from app.memberships where joined_at is null), (select count(*) from app.organizations)`, nil, &names, &waiting, &organizations)
	if names != 3 || waiting != 0 || organizations != 1 {
		t.Errorf("%d named, %d waiting, %d organizations", names, waiting, organizations)
	}
}

type counts struct{ members, projects, tasks, assigned, authors, sessions, plans int }

func (w *world) counts(t *testing.T) (c counts) {
	t.Helper()
	w.Scan(t, `select (select count(*) from app.memberships m join app.organizations o using (tenant_id) where o.subdomain = 'demo-coditect'),
		(select count(*) from app.projects), (select count(*) from app.tasks), (select count(distinct assignee_id) from app.tasks),
		(select count(distinct created_by) from app.tasks),
		(select count(*) from app.sessions s join app.organizations o using (tenant_id) where o.subdomain = 'demo-coditect' and s.revoked_at is null),
		(select count(*) from app.organizations where plan = 'enterprise')`, nil,
		&c.members, &c.projects, &c.tasks, &c.assigned, &c.authors, &c.sessions, &c.plans)
	return c
}

func TestTwiceIsOnce(t *testing.T) {
	t.Parallel()
	w := begin(t)
	var limited atomic.Int64
	limit := func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/tasks/") || limited.Add(1) > 3 {
			return false
		}
		rw.Header().Set("Retry-After", "1")
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	w.before.Store(&limit)
	begun := time.Now()
	if err := Run(t.Context(), w.options()); err != nil {
		t.Fatal(err)
	}
	if passed := time.Since(begun); limited.Load() < 40 || passed < time.Second {
		t.Errorf("%d requests in %s: the limit was not waited for", limited.Load(), passed)
	}
	first := w.counts(t)
	if first.members != len(people) || first.projects != 3 || first.tasks != 40 || first.assigned < 4 || first.authors != writers || first.plans != 1 {
		t.Errorf("made %+v", first)
	}
	for _, p := range people {
		if !strings.Contains(w.out.String(), p.email()) {
			t.Errorf("%s is not among the logins:\n%s", p.email(), w.out.String())
		}
	}
	if err := Run(t.Context(), w.options()); err != nil {
		t.Fatal(err)
	}
	if second := w.counts(t); second != first {
		t.Errorf("the second run made %+v of %+v", second, first)
	}
	if first.sessions > 1 { // the owner registered with one
		t.Errorf("%d sessions were left", first.sessions)
	}
}

// TestResumes breaks a run off in its middle, with an answer that got lost.
func TestResumes(t *testing.T) {
	t.Parallel()
	w := begin(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var posts atomic.Int64
	cut := func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/tasks/") && posts.Add(1) == 15 {
			interrupt()
		}
		return false
	}
	w.before.Store(&cut)
	if err := Run(ctx, w.options()); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if half := w.counts(t).tasks; half == 0 || half >= 40 {
		t.Errorf("%d tasks at the interruption", half)
	}
	w.before.Store(nil)
	if err := Run(t.Context(), w.options()); err != nil {
		t.Fatal(err)
	}
	if got := w.counts(t); got.tasks != 40 || got.projects != 3 {
		t.Errorf("resumed to %+v", got)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	if err := Reachable(t.Context(), "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("nothing runs: %v", err)
	}
	if err := Run(t.Context(), Options{}); err == nil {
		t.Error("ran without a project")
	}
	w := begin(t)
	if err := Reachable(t.Context(), w.url); err != nil {
		t.Error(err)
	}
	denied := errors.New("no")
	o := w.options()
	o.Operator = func(context.Context, ...string) error { return denied }
	if err := Run(t.Context(), o); !errors.Is(err, denied) {
		t.Errorf("a failing operator: %v", err)
	}
	down := func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("Retry-After", "0")
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	w.before.Store(&down)
	if err := Run(t.Context(), w.options()); status(err) != http.StatusServiceUnavailable {
		t.Errorf("a platform that is down: %v", err)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	if fault := subdomain.Fault(Subdomain); fault != "" {
		t.Errorf("the subdomain %s", fault)
	}
	names := map[string]bool{}
	for i := range 45 {
		name, _ := projectOf(i)
		if names[name] {
			t.Errorf("two projects are called %s", name)
		}
		names[name] = true
	}
	values := map[string]int{}
	for project := range 20 {
		titles := map[string]bool{}
		for k := range 1000 {
			a, b := taskOf(project, k), taskOf(project, k)
			if titles[a.title] || a.title != b.title || a.status != b.status {
				t.Fatalf("task %d of %d: %+v, %+v", k, project, a, b)
			}
			titles[a.title] = true
			for _, v := range []string{a.status, a.priority} {
				values[v]++
			}
			if a.assignee < 0 {
				values["nobody"]++
			}
			if a.due == nil {
				values["no day"]++
			}
		}
	}
	for _, v := range []string{"todo", "in_progress", "done", "low", "medium", "high", "nobody", "no day"} {
		if values[v] < 1000 {
			t.Errorf("%s: %d of 20,000", v, values[v])
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	p := &progress{out: io.Discard, total: 100, done: 60, kept: 20}
	if got := p.line(10 * time.Second); got != "tasks [##################............] 60 of 100, 4/s, 10s left" {
		t.Error(got)
	}
	var terminal bytes.Buffer
	p = &progress{out: &terminal, terminal: true, total: 2, begun: time.Now()}
	p.show()
	p.add()
	p.add()
	p.end()
	if got := terminal.String(); strings.Count(got, "\r") < 2 || !strings.HasSuffix(got, "\n") || !strings.Contains(got, "2 of 2") {
		t.Errorf("%q", got)
	}
}
