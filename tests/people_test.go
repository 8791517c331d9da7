package tests

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	maillink "github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/tests/platform"
)

// newcomer registers somebody and gives their address.
func (s *scene) newcomer(t testing.TB) string {
	t.Helper()
	email := ids.New().String() + "@example.com"
	s.register(t, email).Want(t, http.StatusCreated)
	return email
}

func (s *scene) ring(t testing.TB) *secrets.Ring {
	t.Helper()
	ring, err := secrets.ParseRing([]byte(s.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// mailed gives the token of the newest link of a kind that was made for an
// address, as the mailer derives it.
func (s *scene) mailed(t testing.TB, email string, kind identity.Kind, of string) string {
	t.Helper()
	var user, id ids.ID
	var hash []byte
	s.Scan(t, `select user_id, id, secret_hash from app.email_tokens where email = $1 and kind = $2 order by created_at desc limit 1`, []any{email, of}, &user, &id, &hash)
	token, ok := maillink.Recover(s.ring(t), kind, user, id, hash)
	if !ok {
		t.Fatal("the link cannot be made again")
	}
	return token.Reveal()
}

// hashed is the tests' password as it is stored. One for all: it takes long.
var hashed = sync.OnceValues(func() (string, error) { return identity.NewHasher(1).Hash(context.Background(), password) })

// equip gives the owner the password of the tests.
func (s *scene) equip(t testing.TB) {
	t.Helper()
	hash, err := hashed()
	if err != nil {
		t.Fatal(err)
	}
	s.SQL(t, `insert into app.credentials (user_id, password_hash) values ($1, $2) on conflict (user_id) do update set password_hash = excluded.password_hash`, s.owner.UserID, hash)
}

// TestEndedSessionsAreRefusedEverywhere ends a session in every way there is,
// at one instance of the platform, and finds its access token refused by every
// function at another within five seconds.
func TestEndedSessionsAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	here, there := &scene{Platform: platform.Mount(t, e, nil)}, platform.Mount(t, e, nil)
	var paths []string
	for _, f := range all.Functions() {
		for _, op := range f.Operations {
			if op.Method == http.MethodGet && !op.Public && op.Permission != identity.Internal && !strings.Contains(op.Path, "{") {
				paths = append(paths, op.Path)
				break
			}
		}
	}
	if len(paths) < 6 {
		t.Fatalf("only %v", paths)
	}
	for name, end := range map[string]func(t *testing.T, email, session, other string){
		"a password that was reset": func(t *testing.T, email, _, _ string) {
			t.Helper()
			here.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/password-reset/", Body: map[string]any{"email": email}}).Want(t, http.StatusAccepted)
			token := here.mailed(t, email, identity.PasswordToken, "password_reset")
			here.Send(t, functest.Request{
				Method: http.MethodPost, Path: "/api/v1/auth/password-reset/confirm/", Body: map[string]any{"token": token, "password": password + " 2"},
			}).Want(t, http.StatusNoContent)
		},
		"a password that was changed": func(t *testing.T, _, _, other string) {
			t.Helper()
			here.Send(t, functest.Request{
				Method: http.MethodPost, Path: "/api/v1/auth/password/", Token: other, Body: map[string]any{"current_password": password, "new_password": password + " 2"},
			}).Want(t, http.StatusNoContent)
		},
		"a device that was signed out": func(t *testing.T, _, session, other string) {
			t.Helper()
			here.Send(t, functest.Request{Method: http.MethodDelete, Path: "/api/v1/auth/sessions/" + session + "/", Token: other}).Want(t, http.StatusNoContent)
		},
		"signing out everywhere": func(t *testing.T, _, _, other string) {
			t.Helper()
			here.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/revoke/", Token: other}).Want(t, http.StatusOK)
		},
		"an account that was deleted": func(t *testing.T, email, _, other string) {
			t.Helper()
			// Its organization first: the last owner may not go.
			here.SQL(t, `update app.memberships set role = 'member' where email = $1`, email)
			here.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/users/me/delete/", Token: other, Body: map[string]any{"confirm": email}}).Want(t, http.StatusAccepted)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			email := here.newcomer(t)
			signIn := func() string {
				return here.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/login/", Body: map[string]any{"email": email, "password": password}}).
					Want(t, http.StatusOK).String(t, "access_token")
			}
			token, other := signIn(), signIn()
			for _, path := range paths {
				there.Send(t, functest.Request{Method: http.MethodGet, Path: path, Token: token}).Want(t, http.StatusOK)
			}
			var session ids.ID
			here.Scan(t, `select s.session_id from app.sessions s join app.users u on u.user_id = s.user_id
				where u.email = $1 order by s.created_at desc offset 1 limit 1`, []any{email}, &session)
			end(t, email, session.String(), other)
			deadline := time.Now().Add(5 * time.Second)
			for _, path := range paths {
				status := func() int {
					return there.Send(t, functest.Request{Method: http.MethodGet, Path: path, Token: token}).Status
				}
				for at := status(); at != http.StatusUnauthorized; at = status() {
					if time.Now().After(deadline) {
						t.Fatalf("%s answers %d after five seconds", path, at)
					}
				}
			}
		})
	}
}
