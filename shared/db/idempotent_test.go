package db_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/outbox"
)

func attempt(key string) *idempotency.Attempt {
	return &idempotency.Attempt{Key: key, Method: http.MethodPost, Path: "/x/", Fingerprint: [32]byte{1}}
}

// with runs a write that makes one project under an attempt.
func (f *fixture) with(t *testing.T, by identity.Principal, a *idempotency.Attempt) error {
	t.Helper()
	return db.Write(idempotency.With(t.Context(), a), f.db, by, func(tx *db.Tx) error { add(tx, a.Key); return nil })
}

func created(body string) idempotency.Response {
	return idempotency.Response{Status: http.StatusCreated, Header: http.Header{"Location": {"/x/1/"}}, Body: []byte(body)}
}

func wantReplay(t *testing.T, err error, want idempotency.Response) {
	t.Helper()
	var r *idempotency.Replay
	if !errors.As(err, &r) {
		t.Fatalf("err = %v, want a replay", err)
	}
	if r.Response.Status != want.Status || !bytes.Equal(r.Response.Body, want.Body) || r.Response.Header.Get("Location") != want.Header.Get("Location") {
		t.Errorf("replayed %d %v %s", r.Response.Status, r.Response.Header, r.Response.Body)
	}
}

// TestHeld holds that effect and answer become true together.
func TestHeld(t *testing.T) {
	f := setup(t)
	a := attempt("commit")
	if err := f.with(t, f.by, a); err != nil {
		t.Fatal(err)
	}
	if n := f.rows(t, "projects") + f.rows(t, "idempotency_keys"); n != 0 {
		t.Errorf("%d rows before the answer", n)
	}
	if err := f.with(t, f.by, attempt("commit")); !errors.Is(err, idempotency.ErrInFlight) {
		t.Errorf("a second one meanwhile: %v", err)
	}
	if err := a.Commit(t.Context(), created("one")); err != nil {
		t.Fatal(err)
	}
	a.Rollback(t.Context()) // too late to undo anything
	if f.rows(t, "projects") != 1 || f.rows(t, "activity") != 1 || f.rows(t, "idempotency_keys") != 1 {
		t.Error("effect, activity and answer are not there")
	}
	wantReplay(t, f.with(t, f.by, attempt("commit")), created("one"))
	other := attempt("commit")
	other.Fingerprint[0] = 2
	if err := f.with(t, f.by, other); !errors.Is(err, idempotency.ErrReused) {
		t.Errorf("with another body: %v", err)
	}

	for name, end := range map[string]func(a *idempotency.Attempt) error{
		"rolled back": func(a *idempotency.Attempt) error { a.Rollback(t.Context()); return nil },
		"not final":   func(a *idempotency.Attempt) error { return a.Commit(t.Context(), idempotency.Response{Status: 503}) },
		"the caller left": func(a *idempotency.Attempt) error {
			gone, stop := context.WithCancel(t.Context())
			stop()
			_ = a.Commit(gone, created("x"))
			return nil
		},
		"refused, at last": func(a *idempotency.Attempt) error {
			return a.Commit(t.Context(), idempotency.Response{Status: 409, Body: []byte("no")})
		},
	} {
		a := attempt(name)
		if err := f.with(t, f.by, a); err != nil {
			t.Fatal(err)
		}
		if err := end(a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := f.rows(t, "projects"); n != 1 {
			t.Errorf("%s: the effect stayed", name)
		}
		again := attempt(name)
		err := f.with(t, f.by, again)
		if name == "refused, at last" {
			wantReplay(t, err, idempotency.Response{Status: 409, Body: []byte("no")})
			continue
		}
		if err != nil {
			t.Errorf("%s: the key is not free: %v", name, err)
		}
		again.Rollback(t.Context())
	}
}

// TestKeptRefusal holds that a refusal is kept though its write is not, that a
// key is taken by the first write alone, and that its day ends.
func TestKeptRefusal(t *testing.T) {
	f := setup(t)
	a := attempt("refused")
	ctx := idempotency.With(t.Context(), a)
	stop := errs.New(errs.Conflict, "stop", "Stop.")
	if err := db.Write(ctx, f.db, f.by, func(tx *db.Tx) error { add(tx, "x"); return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if err := a.Commit(ctx, idempotency.Response{Status: 409}); err != nil {
		t.Fatal(err)
	}
	wantReplay(t, f.with(t, f.by, attempt("refused")), idempotency.Response{Status: 409})

	a = attempt("two writes")
	ctx = idempotency.With(t.Context(), a)
	for range 2 {
		if err := db.Write(ctx, f.db, f.by, func(tx *db.Tx) error { add(tx, "x"); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.rows(t, "projects"); n != 1 {
		t.Errorf("%d of two writes committed, want the second alone before the answer", n)
	}
	if err := a.Commit(ctx, created("")); err != nil {
		t.Fatal(err)
	}

	a = attempt("nothing changed")
	if err := db.Write(idempotency.With(t.Context(), a), f.db, f.by, func(tx *db.Tx) error { tx.Unchanged(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(t.Context(), created("same")); err != nil {
		t.Fatal(err)
	}
	wantReplay(t, f.with(t, f.by, attempt("nothing changed")), created("same"))

	f.SQL(t, `update app.idempotency_keys set expires_at = now()`)
	a = attempt("refused")
	if err := f.with(t, f.by, a); err != nil {
		t.Errorf("a day later: %v", err)
	}
	if err := a.Commit(t.Context(), created("anew")); err != nil {
		t.Fatal(err)
	}
	wantReplay(t, f.with(t, f.by, attempt("refused")), created("anew"))
}

// TestKeysAreTheirOwners holds whose keys are whose.
func TestKeysAreTheirOwners(t *testing.T) {
	f := setup(t)
	keep := func(by identity.Principal, a *idempotency.Attempt) error {
		if err := f.with(t, by, a); err != nil {
			return err
		}
		return a.Commit(t.Context(), created(by.UserID.String()+a.Method+a.Path))
	}
	method, path := attempt("k"), attempt("k")
	method.Method, path.Path = http.MethodPut, "/y/"
	elsewhere := f.Tenant(t).Principal
	colleague := f.Member(t, f.by.TenantID, "member").Principal
	both := f.by.InTenant(elsewhere.TenantID)
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, joined_at) values ($1, $2, 'x@example.com', 'member', now())`, both.TenantID, both.UserID)
	for name, c := range map[string]struct {
		by identity.Principal
		a  *idempotency.Attempt
	}{
		"first": {f.by, attempt("k")}, "another method": {f.by, method}, "another path": {f.by, path}, "another key": {f.by, attempt("K")},
		"another person": {colleague, attempt("k")}, "another tenant": {elsewhere, attempt("k")}, "the person elsewhere": {both, attempt("k")},
	} {
		if err := keep(c.by, c.a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fold is a sealer that shows in what it sealed.
type fold struct{ broken bool }

func (s fold) Seal(_ context.Context, plain, bound []byte) ([]byte, error) {
	if s.broken {
		return nil, errors.New("no key")
	}
	return append(append([]byte("sealed "), bound...), plain...), nil
}

func (s fold) Open(_ context.Context, sealed, bound []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, append([]byte("sealed "), bound...))
	if !ok {
		return nil, errors.New("not ours")
	}
	return plain, nil
}

// TestSealed holds that answers with secrets lie sealed with the person, bound
// to whom and what they answered.
func TestSealed(t *testing.T) {
	f := setup(t)
	sealed := func(key string) *idempotency.Attempt {
		a := attempt(key)
		a.Sealer = fold{}
		return a
	}
	write := func(a *idempotency.Attempt) error {
		return db.Span(idempotency.With(t.Context(), a), f.db, db.SpanRegister, f.by, func(tx *db.Tx) error {
			add(tx, "x")
			tx.EnqueueUser(outbox.New("mail", "", nil))
			return nil
		})
	}
	a := sealed("k")
	if err := write(a); err != nil {
		t.Fatal(err)
	}
	ctx, tracker := outbox.Track(t.Context())
	if err := a.Commit(ctx, created("token")); err != nil {
		t.Fatal(err)
	}
	if tracker.Count() != 1 {
		t.Error("the message is not known to have committed")
	}
	if f.rows(t, "idempotency_keys") != 0 || f.rows(t, "user_idempotency_keys") != 1 {
		t.Error("the answer is not with the person")
	}
	var body []byte
	f.Scan(t, `select body from app.user_idempotency_keys`, nil, &body)
	if !bytes.HasPrefix(body, []byte("sealed ")) {
		t.Errorf("it lies as %q", body)
	}
	wantReplay(t, write(sealed("k")), created("token"))

	// What registration asks: was this, of this person, answered before?
	wantReplay(t, db.Replayed(idempotency.With(t.Context(), sealed("k")), f.db, f.by), created("token"))
	for name, ctx := range map[string]context.Context{"without a key": t.Context(), "another key": idempotency.With(t.Context(), sealed("k2"))} {
		if err := db.Replayed(ctx, f.db, f.by); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := db.Replayed(idempotency.With(t.Context(), sealed("k")), f.db, f.Person(t).Principal); err != nil {
		t.Errorf("another person: %v", err)
	}
	if err := db.Replayed(idempotency.With(t.Context(), sealed("k")), f.db, identity.Principal{}); err == nil {
		t.Error("nobody was answered")
	}

	// An answer that was moved to another key does not open.
	f.SQL(t, `update app.user_idempotency_keys set key = 'moved'`)
	if err := write(sealed("moved")); err == nil || errors.As(err, new(*idempotency.Replay)) {
		t.Errorf("a moved answer: %v", err)
	}

	// One that cannot be sealed is not given, and its effect does not stay.
	before := f.rows(t, "projects")
	a = attempt("k3")
	a.Sealer = fold{broken: true}
	if err := write(a); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(t.Context(), created("token")); err == nil || f.rows(t, "projects") != before {
		t.Errorf("err = %v", err)
	}
	a = attempt("k4")
	a.Sealer = fold{broken: true}
	_ = db.Span(idempotency.With(t.Context(), a), f.db, db.SpanRegister, f.by, func(*db.Tx) error { return errs.ErrNotFound })
	if err := a.Commit(t.Context(), idempotency.Response{Status: 404}); err == nil {
		t.Error("a refusal that cannot be sealed was kept")
	}
}

// TestKeyAndFailure holds that a write which fails for good leaves its key to
// the next, and that the answer's own failure takes the effect along.
func TestKeyAndFailure(t *testing.T) {
	f := setup(t)
	a := attempt("k")
	err := db.Write(idempotency.With(t.Context(), a), f.db, f.by, func(tx *db.Tx) error { insert(tx, "x"); return nil })
	if err == nil {
		t.Error("a write without activity was held")
	}
	a.Rollback(t.Context())
	late := errors.New("late")
	a = attempt("k")
	err = db.Write(idempotency.With(t.Context(), a), f.db, f.by, func(tx *db.Tx) error {
		add(tx, "x")
		tx.OnCommit(func() error { return late })
		return nil
	})
	if !errors.Is(err, late) {
		t.Errorf("err = %v", err)
	}
	f.SQL(t, `alter table app.idempotency_keys add constraint no_more check (key <> 'k')`)
	a = attempt("k")
	err = db.Write(idempotency.With(t.Context(), a), f.db, f.by, func(tx *db.Tx) error {
		n := db.One(tx, pgx.RowTo[int], `select 7`)
		add(tx, "x")
		tx.OnCommit(func() error {
			if v, err := n.Value(); v != 7 || err != nil {
				t.Errorf("before the commit: %d, %v", v, err)
			}
			return nil
		})
		tx.Record(activity.Updated("X", f.by.UserID, nil))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(t.Context(), created("x")); err == nil {
		t.Error("the answer was kept")
	}
	if n := f.rows(t, "projects"); n != 0 {
		t.Errorf("%d effects without an answer", n)
	}
}
