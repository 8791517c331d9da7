package auth

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

// charge takes one request out of every budget, or refuses.
func (s *service) charge(ctx context.Context, buckets ...ratelimit.Bucket) error {
	if d := s.limits.Take(ctx, buckets...); !d.Allowed {
		return ratelimit.ErrTooManyAttempts.WithRetry(d.RetryAfter())
	}
	return nil
}

// chargeLink takes one try of a mailed link. The secret cannot be guessed: this
// bounds what trying costs us.
func (s *service) chargeLink(ctx context.Context, by identity.Caller) error {
	return s.charge(ctx, ratelimit.Bucket{Policy: ratelimit.Policy{Name: "link-ip", Limit: s.cfg.LinkIP, Window: time.Minute}, Key: ratelimit.AddressKey(by.IP)})
}

// nobody stands for the accounts that are not there, where work is done for
// them as for any other. It is no person's id: those are version 7.
var nobody = ids.Must("00000000-0000-4000-8000-000000000000")

// knows tells whether the account of an address was signed in from the caller's
// network before. It is two round trips, with an account and without.
func (s *service) knows(by identity.Caller, email string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		if by.ClientIP == "" {
			return false, nil
		}
		var networks *db.Rows[string]
		err := db.Lookup(ctx, s.db, func(tx *db.Tx) error {
			id, err := claimedBy(tx, key(email)).Await(ctx)
			switch {
			case errors.Is(err, errs.ErrNotFound):
				id = nobody
			case err != nil:
				return err
			}
			if err := tx.As(identity.Principal{UserID: id}); err != nil {
				return err
			}
			networks = signedInFrom(tx)
			return nil
		})
		if err != nil {
			return false, err
		}
		seen, err := networks.Value()
		for _, text := range seen {
			if sameNetwork(text, by.IP) {
				return true, err
			}
		}
		return false, err
	}
}

// key is what an address is looked for by: blank is no key, and this is
// nobody's address.
func key(email string) string {
	if email == "" {
		return "-"
	}
	return email
}
