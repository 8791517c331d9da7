// Package membersync is the function that carries changes to where copies of
// them are kept. It listens to the topic events:
//
//   - profile.changed: memberships repeat the name and the address of their
//     person, in every organization that they are or were in. Each is made equal
//     to the truth, which is read under a lock in the same transaction, so that
//     messages may come late, twice and in any order.
//   - access.changed: what Redis remembers of somebody's rights is dropped once
//     more. Whoever changed them did so after the commit; this is for the time
//     that Redis was down, or that they died, just then.
//
// A refreshed copy leaves no activity: nobody did anything in the organization,
// and the person's own events tell of what they changed. The membership's
// version goes up if, and only if, it came to differ, as its ETag must.
//
// A new kind of event is a line in open.go.
package membersync

import (
	"context"
	"errors"
	"fmt"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/worker"
)

type service struct {
	db     *db.DB
	access *access.Resolver
}

// profileChanged refreshes a person's memberships, each in a transaction of its
// own. One that fails keeps none of the others from being tried; the message
// then comes again.
func (s *service) profileChanged(ctx context.Context, d worker.Delivery[queue.Person]) error {
	if d.Payload.UserID != d.Envelope.UserID {
		return worker.Permanent(errors.New("the message is not of its own person"))
	}
	tenants, err := s.tenants(ctx, d.Payload.UserID)
	if err != nil {
		return err
	}
	if len(tenants) == 0 {
		return worker.Skip("in no organization")
	}
	var faults []error
	for _, tenant := range tenants {
		by := identity.Principal{UserID: d.Payload.UserID, TenantID: tenant}
		err := s.refresh(ctx, by)
		if errs.KindOf(err) == errs.NotFound {
			return worker.Skip("the person is gone")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("organization %s: %w", tenant, err))
		}
	}
	return errors.Join(faults...)
}

// accessChanged drops what is remembered of a member's rights, or of the
// organization's state and plan. While Redis is down the message waits for it.
func (s *service) accessChanged(ctx context.Context, d worker.Delivery[queue.Access]) error {
	if d.Payload.UserID == ids.Nil {
		return s.access.ForgetTenant(ctx, d.Envelope.TenantID)
	}
	return s.access.ForgetMember(ctx, d.Envelope.TenantID, d.Payload.UserID)
}
