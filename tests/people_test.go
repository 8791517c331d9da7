package tests

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	maillink "github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
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
