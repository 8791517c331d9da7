package function_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
)

type thing struct {
	Email string `json:"email" doc:"Whose it is."`
	IP    string `json:"ip" doc:"Where they call from."`
}

type listInput struct{ api.PageInput }

// things is a function with one operation of each kind that the base serves.
func things(opts ...function.Option) serve.Open {
	return func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		base, err := function.Open(lookup, "things", opts...)
		if err != nil {
			return nil, err
		}
		get := func(ctx context.Context, by identity.Caller, _ *struct{}) (*api.Value[thing], error) {
			var email *db.Row[string]
			err := db.ReadUser(ctx, base.DB, by.Principal, func(tx *db.Tx) error {
				email = db.One(tx, pgx.RowTo[string], `select email from app.users where user_id = $1`, tx.User())
				return nil
			})
			if err != nil {
				return nil, err
			}
			v, err := email.Value()
			return api.NewValue(thing{Email: v, IP: by.IP.String()}), err
		}
		list := func(_ context.Context, _ identity.Caller, in *listInput) (*api.List[thing], error) {
			next := page.Cursor{Order: in.Position().Order, Time: time.Unix(1, 0), ID: ids.New()}
			return api.NewList([]thing{}, &next, nil), nil
		}
		making := func(ctx context.Context, by identity.Caller, _ *struct{}) (*api.Value[thing], error) {
			err := db.WriteUser(ctx, base.DB, by.Principal, func(tx *db.Tx) error { tx.RecordUser("made", nil); return nil })
			return api.NewValue(thing{Email: "token-" + ids.New().String()}), err
		}
		inside := func(_ context.Context, by identity.Caller, _ *struct{}) (*api.Value[thing], error) {
			return api.NewValue(thing{IP: by.IP.String()}), nil
		}
		spec := api.Spec{ID: "get-thing", Method: http.MethodGet, Path: "/api/v1/thing/", Tag: "T", Summary: "Get", Permission: identity.SignedIn, ResponseExample: thing{}}
		listSpec, makeSpec, insideSpec := spec, spec, spec
		listSpec.ID, listSpec.Path, listSpec.ResponseExample = "list-things", "/api/v1/things/", api.ListBody[thing]{Results: []thing{{}}}
		makeSpec.ID, makeSpec.Method, makeSpec.Status, makeSpec.Sealed = "make-thing", http.MethodPost, http.StatusOK, true
		insideSpec.ID, insideSpec.Path, insideSpec.Permission = "internal-thing", "/internal/thing/", identity.Internal
		return base.App(api.New(spec, get), api.New(listSpec, list), api.New(makeSpec, making), api.New(insideSpec, inside)), nil
	}
}

func get(t *testing.T, e *functest.Env, h http.Handler, token, path string) functest.Response {
	t.Helper()
	return e.Do(t, h, functest.Request{Method: http.MethodGet, Path: path, Token: token})
}

// TestServes holds that what the base puts together works: database, tokens,
// hops, sealed answers.
func TestServes(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	who := e.Tenant(t)
	h := e.Open(t, things())
	if got := get(t, e, h, who.Token, "/api/v1/thing/").Want(t, http.StatusOK); got.String(t, "email") != who.Email || got.String(t, "ip") != "invalid IP" {
		t.Errorf("%s", got.Body)
	}
	get(t, e, h, "", "/api/v1/thing/").Want(t, http.StatusUnauthorized)
	get(t, e, h, who.Token, "/internal/thing/").Want(t, http.StatusNotFound)
	in := functest.Request{Method: http.MethodGet, Path: "/internal/thing/", Internal: true}
	if got := e.Do(t, h, in).Want(t, http.StatusOK); got.String(t, "ip") != "192.0.2.7" {
		t.Errorf("the client's address is %s", got.Body)
	}

	post := functest.Request{Method: http.MethodPost, Path: "/api/v1/thing/", Token: who.Token, Header: map[string]string{"Idempotency-Key": "k"}}
	first, again := e.Do(t, h, post).Want(t, http.StatusOK), e.Do(t, h, post).Want(t, http.StatusOK)
	if string(first.Body) != string(again.Body) {
		t.Errorf("%s, then %s", first.Body, again.Body)
	}
	var kept []byte
	e.Scan(t, `select body from app.user_idempotency_keys`, nil, &kept)
	if len(kept) == 0 || bytes.Contains(kept, []byte("token")) {
		t.Errorf("the answer lies open: %q", kept)
	}
}

// TestCursorsOutliveRotation holds that the keys before the present one still
// read, and that a withdrawn one does not.
func TestCursorsOutliveRotation(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	who := e.Tenant(t)
	old, err := secrets.ParseRing([]byte(e.Vars["CURSOR_KEY"]))
	if err != nil {
		t.Fatal(err)
	}
	next := get(t, e, e.Open(t, things()), who.Token, "/api/v1/things/").Want(t, http.StatusOK).String(t, "next")
	fresh := secrets.GenerateRing(time.Now().Add(-time.Minute))
	both, err := secrets.NewRing(append(fresh.Keys(), old.Keys()...)...)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		ring   *secrets.Ring
		status int
	}{"beside a newer key": {both, 200}, "beside one that is not yet in use": {old.Rotate(time.Now(), 0), 200}, "withdrawn": {fresh, 400}} {
		text, err := tc.ring.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		e.Vars["CURSOR_KEY"] = string(text)
		h := e.Open(t, things())
		if got := get(t, e, h, who.Token, next); got.Status != tc.status {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	delete(e.Vars, "CURSOR_KEY")
	h := e.Open(t, things())
	for _, path := range []string{"/api/v1/things/", next} {
		if got := get(t, e, h, who.Token, path); got.Status != http.StatusServiceUnavailable {
			t.Errorf("without a key: %d %s", got.Status, got.Body)
		}
	}
}

// TestSecrets holds where secrets come from: the environment, then files, which
// are read again.
func TestSecrets(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	who := e.Tenant(t)
	dir := t.TempDir()
	for name, variable := range map[string]string{"signing-keys": "SIGNING_KEYS", "hop-key": "HOP_KEY", "cursor-key": "CURSOR_KEY", "envelope-keys": "ENVELOPE_KEYS"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(e.Vars[variable]), 0o600); err != nil {
			t.Fatal(err)
		}
		delete(e.Vars, variable)
	}
	get(t, e, e.Open(t, things()), who.Token, "/api/v1/things/").Want(t, http.StatusServiceUnavailable)
	e.Vars["SECRETS_DIR"] = dir
	get(t, e, e.Open(t, things()), who.Token, "/api/v1/things/").Want(t, http.StatusOK)

	// auth verifies with the keys themselves and needs no address of them.
	delete(e.Vars, "JWKS_URL")
	get(t, e, e.Open(t, things(function.WithOwnKeys())), who.Token, "/api/v1/things/").Want(t, http.StatusOK)

	// A rotation of the signing keys is followed without another start.
	e.Vars["SECRETS_REFRESH"] = "1ms"
	h := e.Open(t, things(function.WithOwnKeys()))
	get(t, e, h, who.Token, "/api/v1/things/").Want(t, http.StatusOK)
	others, err := identity.GenerateKeySet(time.Now().Add(-time.Hour)).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "signing-keys"), others, 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := functest.Person{Principal: who.Principal}
	stranger.SessionID = ids.New() // a token that no verification remembers
	stranger.Token = e.Token(t, stranger.Principal)
	for begun := time.Now(); ; {
		if get(t, e, h, stranger.Token, "/api/v1/things/").Status == http.StatusUnauthorized {
			return
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the keys withdrawn still hold")
		}
		stranger.SessionID = ids.New()
		stranger.Token = e.Token(t, stranger.Principal)
	}
}

// TestOpenRefuses holds that a wrong configuration is refused whole, in words
// that name the variable and quote no secret.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := map[string]string{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0", "JWKS_URL": "http://127.0.0.1:1/", "TOKEN_ISSUER": functest.Issuer}
	app, err := things()(t.Context(), config.Map(good)) // dials nothing
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct{ variable, value, word string }{
		"no database":           {"DATABASE_URL", "", "DATABASE_URL"},
		"no database's address": {"DATABASE_URL", "postgres://u:hunter2@h:x/y", "database address"},
		"no Redis":              {"REDIS_URL", "", "REDIS_URL"},
		"no Redis's address":    {"REDIS_URL", "http://u:hunter2@h", "REDIS_URL"},
		"no keys":               {"JWKS_URL", "", "JWKS_URL"},
		"no time":               {"REQUEST_TIMEOUT", "soon", "REQUEST_TIMEOUT"},
		"an unheard collector":  {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"},
	} {
		vars := maps.Clone(good)
		if vars[tc.variable] = tc.value; tc.value == "" {
			delete(vars, tc.variable)
		}
		_, err := things()(t.Context(), config.Map(vars))
		if err == nil || !strings.Contains(err.Error(), tc.word) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRedisDownIsNoOutage holds that a function serves on without Redis, and
// with it again.
func TestRedisDownIsNoOutage(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	who := e.Tenant(t)
	e.Vars["REDIS_CIRCUIT_FAILURES"], e.Vars["REDIS_CIRCUIT_COOLDOWN"] = "1", "1ms"
	var base *function.Base
	h := e.Open(t, func(_ context.Context, lookup config.Lookup) (app *serve.App, err error) {
		if base, err = function.Open(lookup, "member"); err != nil {
			return nil, err
		}
		spec := api.Spec{ID: "get-thing", Method: http.MethodGet, Path: "/api/v1/thing/", Tag: "T", Summary: "Get", Permission: identity.Member, ResponseExample: thing{}}
		return base.App(api.New(spec, func(context.Context, identity.Caller, *struct{}) (*api.Value[thing], error) {
			return api.NewValue(thing{}), nil
		})), nil
	})
	for _, fault := range []string{"LOADING down", "", "LOADING down"} {
		e.Redis.SetError(fault)
		base.Access.DropMember(t.Context(), who.TenantID, who.UserID)
		get(t, e, h, who.Token, "/api/v1/thing/").Want(t, http.StatusOK)
	}
}
