package users

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/sessions"
)

var (
	errOnlyOwner = errs.New(errs.Conflict, "last_owner", "An organization always has an owner: make somebody else one first.")
	errNotJoined = errs.New(errs.Conflict, "not_joined", "They have not accepted their invitation yet.")
	errNoRole    = errs.InvalidField("body.role", "is not a role of the organization")
)

var updateMemberSpec = api.Spec{
	ID: "update-member", Method: http.MethodPatch, Path: "/api/v1/users/{id}/", Tag: "Members",
	Summary: "Change a member's role, deactivate them or let them in again",
	Description: "A JSON merge patch (RFC 7396). It takes effect at once, and everywhere within five seconds; who is deactivated is signed out " +
		"where they act in this organization. Nobody grants what they do not hold, or changes who holds more than they do.",
	Permission: identity.MembersWrite, Essential: true,
	Errors:          []errs.Error{*errNotHeld, *access.ErrNotMember, *errMembersOfPlan, *errOnlyOwner, *errNotJoined},
	RequestExample:  map[string]any{"role": "manager"},
	ResponseExample: exampleMember,
}

type updateMemberBody struct {
	Role     api.Optional[string] `json:"role,omitzero" minLength:"1" maxLength:"100" doc:"A built-in role, or one of the organization's own, by its name."`
	IsActive api.Optional[bool]   `json:"is_active,omitzero" doc:"false keeps them out, until it is true again."`
}

type updateMemberInput struct {
	api.ByID
	api.IfMatch
	Body updateMemberBody `contentType:"application/merge-patch+json"`
}

func (s *service) updateMember(ctx context.Context, by identity.Caller, in *updateMemberInput) (*api.Item[Member], error) {
	if in.ID == ids.Nil {
		return nil, errs.ErrNotFound // to the database it would be nobody's transaction
	}
	var after memberRow
	var changed bool
	var ended *db.Rows[ids.ID]
	act := func(tx *db.Tx) error {
		tx.Explain(memberBroken)
		if in.Body.IsActive.Or(false) {
			lockPlaces(tx)
		}
		found := findRole(tx, in.Body.Role)
		p, err := s.lockPair(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		role := p.target.role
		if in.Body.Role.Set {
			if role, err = found.value(); err != nil {
				return err
			}
		}
		if p.target.ID == ids.Nil {
			return errs.ErrNotFound
		}
		if err := grant(p.actor.role.set, identity.MembersWrite, p.target.role.set, role.set); err != nil {
			return err
		}
		if err := in.IfMatch.Check(p.target.version); err != nil {
			return err
		}
		after = p.target.memberRow
		after.Role, after.IsActive = role.name, in.Body.IsActive.Or(p.target.IsActive)
		diff := activity.Diff(p.target.values(), after.values())
		switch {
		case len(diff) == 0:
			tx.Unchanged()
			return nil
		case after.IsActive && after.JoinedAt == nil:
			return errNotJoined
		case p.last() && (!after.IsActive || role.builtin != identity.RoleOwner):
			return errOnlyOwner
		}
		changed = true
		if after.IsActive && !p.target.IsActive {
			requirePlace(tx)
		}
		version := updateMember(tx, in.ID, role, after.IsActive)
		if after.JoinedAt == nil {
			offerRole(tx, in.ID, role)
		}
		if p.target.IsActive && !after.IsActive {
			ended = endSessionsHere(tx, "member_deactivated")
			tx.RecordUser("tenant_deactivated", activity.Changes{"tenant_id": {Old: by.TenantID.String()}})
		}
		tx.Record(activity.Updated("Membership", in.ID, diff))
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{UserID: in.ID}))
		tx.OnCommit(func() (err error) {
			after.version, err = version.Value()
			return err
		})
		return nil
	}
	var err error
	if in.Body.IsActive.Or(true) {
		err = db.Write(ctx, s.db, by.Principal, act)
	} else { // what they have open is theirs, not the organization's
		err = db.SpanOther(ctx, s.db, db.SpanDeactivate, by.Principal, in.ID, act)
	}
	if err != nil {
		return nil, err
	}
	if changed {
		if err := s.shut(ctx, by, in.ID, ended); err != nil {
			return nil, err
		}
	}
	return api.NewItem(after.version, after.Member), nil
}

var removeMemberSpec = api.Spec{
	ID: "remove-member", Method: http.MethodDelete, Path: "/api/v1/users/{id}/", Tag: "Members",
	Summary: "Remove a member",
	Description: "What they did stays. They are out at once, and everywhere within five seconds, and signed out where they act in this organization. " +
		"Of who has not come yet, the invitation is withdrawn. Nobody removes who holds more than they do.",
	Permission: identity.MembersWrite, Essential: true, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotHeld, *access.ErrNotMember, *errOnlyOwner},
}

type removeMemberInput struct {
	api.ByID
	api.IfMatch
}

func (s *service) removeMember(ctx context.Context, by identity.Caller, in *removeMemberInput) (*api.Empty, error) {
	if in.ID == ids.Nil {
		return nil, errs.ErrNotFound // to the database it would be nobody's transaction
	}
	var ended *db.Rows[ids.ID]
	err := db.SpanOther(ctx, s.db, db.SpanRemove, by.Principal, in.ID, func(tx *db.Tx) error {
		p, err := s.lockPair(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if p.target.ID == ids.Nil {
			return errs.ErrNotFound
		}
		if err := grant(p.actor.role.set, identity.MembersWrite, p.target.role.set); err != nil {
			return err
		}
		if err := in.IfMatch.Check(p.target.version); err != nil {
			return err
		}
		if p.last() {
			return errOnlyOwner
		}
		endMembership(tx, in.ID)
		if p.target.JoinedAt == nil {
			withdrawInvitation(tx, in.ID)
		} else {
			leaveOnTheirSide(tx)
			ended = endSessionsHere(tx, "member_removed")
			tx.RecordUser("tenant_removed", activity.Changes{"tenant_id": {Old: by.TenantID.String()}})
		}
		tx.Record(activity.Deleted("Membership", in.ID, activity.Changes{
			"role": {Old: p.target.Role}, "is_active": {Old: p.target.IsActive, New: false},
		}))
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{UserID: in.ID}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, s.shut(ctx, by, in.ID, ended)
}

// shut tells what remembers rights and sessions that they ended or changed.
func (s *service) shut(ctx context.Context, by identity.Caller, user ids.ID, ended *db.Rows[ids.ID]) error {
	s.access.DropMember(ctx, by.TenantID, user)
	if ended == nil {
		return nil
	}
	all, err := ended.Value()
	if err != nil {
		return err
	}
	sessions.Announce(ctx, s.cache, s.log, s.cfg.Sessions.AccessLife, all...)
	return nil
}

// pair is who changes a member, and the member, both locked until the commit,
// and how many owners there are.
type pair struct {
	actor, target standing // the target without an id is none
	owners        int
}

// last tells that the target is the only owner that the organization has.
func (p pair) last() bool {
	return p.target.IsActive && p.target.role.builtin == identity.RoleOwner && p.owners == 1
}

// lockPair reads both in one exchange, with what was queued before. The owners
// are locked too, so that of two who go at the same time one stays.
func (s *service) lockPair(ctx context.Context, tx *db.Tx, target ids.ID) (p pair, err error) {
	queued := lockOwners(tx)
	rows, err := lockMembers(tx, tx.User(), target).Await(ctx)
	if err != nil {
		return p, err
	}
	owners, err := queued.Value()
	if err != nil {
		return p, err
	}
	p.owners = len(owners)
	for _, m := range rows {
		if m.ID == tx.User() {
			p.actor = m
		}
		if m.ID == target {
			p.target = m
		}
	}
	if !p.actor.IsActive {
		return p, access.ErrNotMember // deactivated or removed since their rights were read
	}
	return p, nil
}
