package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/problem"
)

var (
	tenant  = ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c070001")
	user    = ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c070002")
	object  = ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c070003")
	example = Thing{ID: object, Name: "Apollo", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
)

type Owner struct {
	ID   ids.ID `json:"id"`
	Name string `json:"name"`
}

type Thing struct {
	ID        ids.ID    `json:"id"`
	Name      string    `json:"name" example:"Apollo"`
	Note      *string   `json:"note"`
	Owner     *Owner    `json:"owner"`
	ParentID  *ids.ID   `json:"parent_id"`
	CreatedAt time.Time `json:"created_at"`
}

type thingBody struct {
	Name     string   `json:"name" minLength:"1" maxLength:"10"`
	Note     *string  `json:"note,omitempty" maxLength:"20"`
	Count    int64    `json:"count,omitempty" minimum:"0"`
	On       bool     `json:"on,omitempty"`
	ParentID *ids.ID  `json:"parent_id" required:"false"`
	Labels   []string `json:"labels,omitempty" maxItems:"3"`
	Owner    *Owner   `json:"owner" required:"false"`
	Password string   `json:"password,omitempty" minLength:"8"`
}

type createThing struct {
	Color string `query:"color" enum:"red,blue"`
	Body  thingBody
}

type patchThing struct {
	ByID
	IfMatch
	Body struct {
		Name  Optional[string]   `json:"name,omitzero" minLength:"1" maxLength:"10"`
		Note  Nullable[string]   `json:"note,omitzero" maxLength:"20"`
		Owner Nullable[Owner]    `json:"owner,omitzero"`
		Due   Nullable[ids.ID]   `json:"due,omitzero"`
		Tags  Optional[[]string] `json:"tags,omitzero"`
	}
}

type deleteThing struct {
	ByID
	IfMatch
}

type listThings struct {
	PageInput
	Status string `query:"status" enum:"open,closed"`
	Owner  ids.ID `query:"owner"`
	Search string `query:"search" maxLength:"20"`
}

type Tokens struct {
	AccessToken string `json:"access_token"`
}

// world is what the operations of the tests do, to be changed by each test.
type world struct {
	mu        sync.Mutex
	version   int64
	thing     Thing
	fail      error
	got       any
	by        identity.Caller
	ran       int
	things    []Thing
	beforeAct func(ctx context.Context) error
}

func (w *world) act(ctx context.Context, by identity.Caller, in any) error {
	w.mu.Lock()
	w.by, w.got = by, in
	w.ran++
	before, fail := w.beforeAct, w.fail
	w.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	return fail
}

func (w *world) runs() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ran
}

var errArchived = errs.New(errs.Conflict, "thing_archived", "The thing is archived.")

func (w *world) function() Function {
	body := thingBody{Name: "Apollo"}
	return Function{Name: "things", Operations: []Operation{
		New(Spec{ID: "create-thing", Method: "POST", Path: "/api/v1/things/", Status: 201, Summary: "Create", Tag: "Things",
			Permission: identity.ProjectsWrite, RequestExample: body, ResponseExample: example, Errors: []errs.Error{*errArchived}},
			func(ctx context.Context, by identity.Caller, in *createThing) (*Item[Thing], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				return Created("/api/v1/things/"+object.String()+"/", 1, w.thing), nil
			}),
		New(Spec{ID: "get-thing", Method: "GET", Path: "/api/v1/things/{id}/", Summary: "Get", Tag: "Things",
			Permission: identity.ProjectsRead, ResponseExample: example},
			func(ctx context.Context, by identity.Caller, in *ByID) (*Item[Thing], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				return NewItem(w.version, w.thing), nil
			}),
		New(Spec{ID: "update-thing", Method: "PATCH", Path: "/api/v1/things/{id}/", Summary: "Change", Tag: "Things",
			Permission: identity.ProjectsWrite, RequestExample: map[string]any{"name": "Gemini"}, ResponseExample: example},
			func(ctx context.Context, by identity.Caller, in *patchThing) (*Item[Thing], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				if err := in.Check(w.version); err != nil {
					return nil, err
				}
				return NewItem(w.version+1, w.thing), nil
			}),
		New(Spec{ID: "delete-thing", Method: "DELETE", Path: "/api/v1/things/{id}/", Summary: "Delete", Tag: "Things", Permission: identity.ProjectsDelete},
			func(ctx context.Context, by identity.Caller, in *deleteThing) (*Empty, error) {
				return nil, w.act(ctx, by, in)
			}),
		New(Spec{ID: "list-things", Method: "GET", Path: "/api/v1/things/", Summary: "List", Tag: "Things",
			Permission: identity.ProjectsRead, ResponseExample: ListBody[Thing]{Results: []Thing{example}}},
			func(ctx context.Context, by identity.Caller, in *listThings) (*List[Thing], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				pos := in.Position()
				rows, next, previous := page.Assemble(window(w.things, pos), pos, func(t Thing) (time.Time, ids.ID) { return t.CreatedAt, t.ID })
				return NewList(rows, next, previous), nil
			}),
		New(Spec{ID: "restore-thing", Method: "POST", Path: "/api/v1/things/{id}/restore/", Summary: "Restore", Tag: "Things",
			Permission: identity.Member, ResponseExample: example, OpenWhenSuspended: true, Essential: true},
			func(ctx context.Context, by identity.Caller, in *ByID) (*Item[Thing], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				return NewItem(w.version, w.thing), nil
			}),
		New(Spec{ID: "sign-in", Method: "POST", Path: "/api/v1/auth/login/", Summary: "Sign in", Tag: "Auth", Public: true, Sealed: true,
			IdempotencyKey: true, RequestExample: map[string]string{"email": "a@example.com"}, ResponseExample: Tokens{"x"}},
			func(ctx context.Context, by identity.Caller, in *struct {
				Body struct {
					Email string `json:"email" format:"email"`
				}
			}) (*Value[Tokens], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				return NewValue(Tokens{"secret"}), nil
			}),
		New(Spec{ID: "sign-out", Method: "POST", Path: "/api/v1/auth/logout/", Summary: "Sign out", Tag: "Auth", Permission: identity.SignedIn,
			RequestExample: map[string]string{"refresh_token": "x"}},
			func(ctx context.Context, by identity.Caller, in *struct {
				Body *struct {
					RefreshToken string `json:"refresh_token,omitempty"`
				}
			}) (*Empty, error) {
				return nil, w.act(ctx, by, in)
			}),
		New(Spec{ID: "internal-health", Method: "GET", Path: "/internal/health/", Summary: "Health", Tag: "Internal", Permission: identity.Internal,
			ResponseExample: map[string]string{"database": "ok"}},
			func(ctx context.Context, by identity.Caller, in *struct{}) (*Value[map[string]string], error) {
				if err := w.act(ctx, by, in); err != nil {
					return nil, err
				}
				return NewValue(map[string]string{"database": "ok"}), nil
			}),
		New(Spec{ID: "stream-things", Method: "GET", Path: "/api/v1/things/stream/", Summary: "Stream", Tag: "Things", Permission: identity.ProjectsRead},
			func(ctx context.Context, by identity.Caller, in *struct{}) (*Stream, error) {
				return NewStream("text/csv", func(ctx context.Context, out io.Writer) error {
					if _, err := io.WriteString(out, "a,b\n"); err != nil {
						return err
					}
					return w.act(ctx, by, in)
				}), nil
			}),
		New(Spec{ID: "authorize", Method: "GET", Path: "/api/v1/auth/sso/authorize/", Summary: "Go", Tag: "Auth", Public: true},
			func(ctx context.Context, by identity.Caller, in *struct{}) (*Redirect, error) {
				return NewRedirect("https://issuer.example.com/auth?a=1&b=2"), w.act(ctx, by, in)
			}),
	}}
}

// window reads what the SQL of a position would.
func window(all []Thing, pos page.Position) []Thing {
	var out []Thing
	for _, t := range all { // newest first
		if pos.From != nil {
			older := t.CreatedAt.Before(pos.From.Time)
			if pos.From.Backward == older || t.CreatedAt.Equal(pos.From.Time) {
				continue
			}
		}
		out = append(out, t)
	}
	if pos.From != nil && pos.From.Backward {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out[:min(len(out), pos.Limit())]
}

type verifier map[string]identity.Principal

func (v verifier) Verify(_ context.Context, raw string) (identity.Principal, error) {
	if raw == "down" {
		return identity.Principal{}, errs.New(errs.Unavailable, "unavailable", "Keys cannot be had.")
	}
	p, ok := v[raw]
	if !ok {
		return p, errs.New(errs.Unauthenticated, "token_expired", "The token has expired.")
	}
	return p, nil
}

type accesses map[ids.ID]identity.Access

func (a accesses) Resolve(_ context.Context, p identity.Principal) (identity.Access, error) {
	access, ok := a[p.UserID]
	if !ok {
		return access, errs.New(errs.Forbidden, "not_a_member", "You are not a member of this organization.")
	}
	return access, nil
}

type hops struct{}

func (hops) Verify(r *http.Request) (netip.Addr, error) {
	if r.Header.Get("X-Coditect-Hop") != "good" {
		return netip.Addr{}, errors.New("no hop")
	}
	return netip.MustParseAddr("203.0.113.9"), nil
}

// sealer turns bytes around, which is enough to see that it was used.
type sealer struct{}

func (sealer) Seal(_ context.Context, plain, _ []byte) ([]byte, error) {
	return []byte("sealed:" + string(plain)), nil
}
func (sealer) Open(_ context.Context, sealed, _ []byte) ([]byte, error) {
	return bytes.TrimPrefix(sealed, []byte("sealed:")), nil
}

func id(n byte) ids.ID {
	out := user
	out[15] = n
	return out
}

// People of the tests, by their token.
const (
	tokOwner, tokViewer, tokNoTenant, tokStranger, tokSuspended, tokDeleted = "owner", "viewer", "no-tenant", "stranger", "suspended", "deleted"
)

type bench struct {
	*world
	h    http.Handler
	logs *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func setup(t testing.TB, change ...func(*Deps)) *bench {
	t.Helper()
	w := &world{version: 7, thing: example}
	lines := &syncBuffer{}
	owner, _ := identity.Builtin(identity.RoleOwner)
	viewer, _ := identity.Builtin(identity.RoleViewer)
	people, rights := verifier{}, accesses{}
	for i, p := range []struct {
		token  string
		tenant ids.ID
		access *identity.Access
	}{
		{tokOwner, tenant, &identity.Access{Role: "owner", Permissions: owner, TenantStatus: identity.TenantActive}},
		{tokViewer, tenant, &identity.Access{Role: "viewer", Permissions: viewer, TenantStatus: identity.TenantActive}},
		{tokNoTenant, ids.Nil, nil},
		{tokStranger, tenant, nil},
		{tokSuspended, tenant, &identity.Access{Role: "owner", Permissions: owner, TenantStatus: identity.TenantSuspended}},
		{tokDeleted, tenant, &identity.Access{Role: "owner", Permissions: owner, TenantStatus: identity.TenantDeleted}},
	} {
		who := id(byte(i + 10))
		people[p.token] = identity.Principal{UserID: who, TenantID: p.tenant}
		if p.access != nil {
			rights[who] = *p.access
		}
	}
	people["nobody"] = identity.Principal{}
	deps := Deps{
		Verifier: people, Access: rights, Hop: hops{}, Sealer: sealer{},
		Cursors:        page.NewCodec(page.FixedKeys{{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")}}, nil),
		Logger:         logs.New(lines, logs.Config{}),
		CheckResponses: true,
	}
	for _, c := range change {
		c(&deps)
	}
	return &bench{world: w, h: Handler(w.function(), deps), logs: lines}
}

// ask is a request of a test: "METHOD /path", a body, and headers as pairs.
func (b *bench) ask(t testing.TB, line, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "token":
			r.Header.Set("Authorization", "Bearer "+headers[i+1])
		case headers[i+1] == "-":
			r.Header.Del(headers[i])
		default:
			r.Header.Add(headers[i], headers[i+1])
			if headers[i] == "Content-Type" {
				r.Header.Set(headers[i], headers[i+1])
			}
		}
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	return w
}

func problemOf(t testing.TB, w *httptest.ResponseRecorder) problem.Problem {
	t.Helper()
	var p problem.Problem
	if ct := w.Header().Get("Content-Type"); ct != problem.MediaType {
		t.Fatalf("%d content type %q: %s", w.Code, ct, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("problem: %v", err)
	}
	return p
}

// is checks status and code of an answer: "422 validation_failed".
func is(t testing.TB, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	got := fmt.Sprint(w.Code)
	if w.Code >= 400 {
		p := problemOf(t, w)
		got += " " + p.Code
		if p.Status != w.Code || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") || p.Instance == "" || p.Title == "" || p.Detail == "" {
			t.Errorf("incomplete problem: %+v", p)
		}
	}
	if got != want {
		t.Errorf("got %s, want %s: %s", got, want, w.Body)
	}
}

// ledger is a store of idempotent answers, with the locking of the real one.
type ledger struct {
	mu      sync.Mutex
	done    map[string]kept
	running map[string]bool
	fail    error
	effects int
}

type kept struct {
	sum [32]byte
	r   idempotency.Response
}

type heldTx struct {
	l    *ledger
	a    *idempotency.Attempt
	over bool
}

func (h *heldTx) Commit(ctx context.Context, r idempotency.Response) error {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	h.over = true
	delete(h.l.running, h.a.Key)
	if h.l.fail != nil {
		return h.l.fail
	}
	if h.a.Sealer != nil {
		r.Body, _ = h.a.Sealer.Seal(ctx, r.Body, nil)
	}
	h.l.done[h.a.Key] = kept{h.a.Fingerprint, r}
	h.l.effects++
	outbox.Committed(ctx, 1)
	return nil
}

func (h *heldTx) Rollback(context.Context) {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	if !h.over {
		h.over = true
		delete(h.l.running, h.a.Key)
	}
}

// write is what a db.Write does with the attempt in the context.
func (l *ledger) write(ctx context.Context) error {
	a := idempotency.Claim(ctx)
	if a == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running[a.Key] {
		return idempotency.ErrInFlight
	}
	if k, ok := l.done[a.Key]; ok {
		if k.sum != a.Fingerprint {
			return idempotency.ErrReused
		}
		if a.Sealer != nil {
			k.r.Body, _ = a.Sealer.Open(ctx, k.r.Body, nil)
		}
		return &idempotency.Replay{Response: k.r}
	}
	l.running[a.Key] = true
	a.Hold(&heldTx{l: l, a: a})
	a.OnFailure(func(_ context.Context, r idempotency.Response) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done[a.Key] = kept{a.Fingerprint, r}
		return nil
	})
	return nil
}

func newLedger() *ledger { return &ledger{done: map[string]kept{}, running: map[string]bool{}} }
