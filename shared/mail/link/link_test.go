package link_test

import (
	"testing"
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
)

func TestLink(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ring := secrets.GenerateRing(now.Add(-time.Hour))
	rotated := ring.Rotate(now.Add(-time.Hour), 0)
	for _, kind := range []identity.Kind{identity.EmailToken, identity.PasswordToken, identity.InvitationToken} {
		owner, id := ids.New(), ids.New()
		made := link.New(ring, now, kind, owner, id)
		got, ok := link.Recover(rotated, kind, owner, id, made.Hash())
		if !ok || got.Reveal() != made.Reveal() {
			t.Errorf("%s: not found after a rotation", kind)
		}
		if parsed, err := identity.ParseOpaque(kind, got.Reveal()); err != nil || !parsed.Matches(made.Hash()) {
			t.Errorf("%s: whoever reads the link does not find the row: %v", kind, err)
		}
		for name, found := range map[string]func() (identity.Opaque, bool){
			"another row":   func() (identity.Opaque, bool) { return link.Recover(ring, kind, owner, ids.New(), made.Hash()) },
			"another owner": func() (identity.Opaque, bool) { return link.Recover(ring, kind, ids.New(), id, made.Hash()) },
			"a random one": func() (identity.Opaque, bool) {
				return link.Recover(ring, kind, owner, id, identity.NewOpaque(kind, owner, id).Hash())
			},
			"a dropped key": func() (identity.Opaque, bool) {
				return link.Recover(secrets.GenerateRing(now), kind, owner, id, made.Hash())
			},
			"nothing stored": func() (identity.Opaque, bool) { return link.Recover(ring, kind, owner, id, nil) },
		} {
			if _, ok := found(); ok {
				t.Errorf("%s: found with %s", kind, name)
			}
		}
	}
}

func TestUnsubscribing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ring := secrets.GenerateRing(now.Add(-time.Hour))
	user, tenant := ids.New(), ids.New()
	text := link.Unsubscribe(ring, now, user, tenant).Reveal()
	if got, ok := link.Unsubscribing(ring.Rotate(now, 0), text); !ok || got != user {
		t.Error("the link does not hold")
	}
	other := link.Unsubscribe(ring, now, ids.New(), tenant).Reveal()
	for name, bad := range map[string]string{
		"empty": "", "cut": text[:len(text)-1], "another's secret": text[:49] + other[49:], "another person": other[:25] + text[25:],
		"another kind": link.New(ring, now, identity.EmailToken, user, tenant).Reveal(),
	} {
		if _, ok := link.Unsubscribing(ring, bad); ok {
			t.Errorf("%s holds", name)
		}
	}
	if _, ok := link.Unsubscribing(secrets.GenerateRing(now), text); ok {
		t.Error("holds without its key")
	}
}
