// Package link makes the secrets of links that go out by mail. A secret is
// derived from the ids in the link under the envelope keys: whoever makes the
// row ([New]) stores its hash and enqueues ids alone, and the mailer derives
// the same secret again ([Recover]). So nothing that lies in the database or in
// a queue opens an account, and a mail that is sent twice carries one link.
//
// The row of a link: email_tokens for identity.EmailToken and
// identity.PasswordToken (owner: the person), invitations for
// identity.InvitationToken (owner: the tenant). A link that must stop working
// gets a new id, or its row is voided.
package link

import (
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/secrets"
)

// New is the token of a row that is about to be written: store its Hash.
func New(ring *secrets.Ring, now time.Time, kind identity.Kind, owner, id ids.ID) identity.Opaque {
	return derive(kind, owner, id, ring.Current(now))
}

// Recover finds the token whose hash a row holds. It finds none when the key
// that made it has been dropped from the ring, or the hash is of a secret that
// was not derived.
func Recover(ring *secrets.Ring, kind identity.Kind, owner, id ids.ID, hash []byte) (identity.Opaque, bool) {
	for _, key := range ring.Keys() {
		if o := derive(kind, owner, id, key); o.Matches(hash) {
			return o, true
		}
	}
	return identity.Opaque{}, false
}

func derive(kind identity.Kind, owner, id ids.ID, key secrets.Key) identity.Opaque {
	return identity.Opaque{Kind: kind, Owner: owner, ID: id}.Successor(key.Bytes)
}

// Unsubscription is the kind of the links in the footer of summaries. They have
// no row: the token itself is the proof that a mail of ours was read, and it
// can do no more than switch summaries on and off.
const Unsubscription identity.Kind = "un"

// Unsubscribe is the token by which the reader of a summary of a tenant
// switches them off.
func Unsubscribe(ring *secrets.Ring, now time.Time, user, tenant ids.ID) identity.Opaque {
	return New(ring, now, Unsubscription, user, tenant)
}

// Unsubscribing reads such a token and tells whose it is.
func Unsubscribing(ring *secrets.Ring, text string) (user ids.ID, ok bool) {
	given, err := identity.ParseOpaque(Unsubscription, text)
	if err != nil {
		return ids.Nil, false
	}
	_, ok = Recover(ring, Unsubscription, given.Owner, given.ID, given.Hash())
	return given.Owner, ok
}
