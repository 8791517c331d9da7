// Package users is the function that serves people: one's own profile, address
// and account; the members of an organization, and the roles that they have.
//
// What somebody may do follows from their membership. Whatever changes that
// tells shared/access, and leaves a message that tells it once more.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go
// or a store_*.go of their subject. `make generate` then updates the router's
// table and the OpenAPI document.
package users

import (
	"log/slog"
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
)

// service is what the operations share.
type service struct {
	cfg    Config
	db     *db.DB
	cache  *cache.Client
	access *access.Resolver
	// proofs guard the password of who is signed in.
	proofs *ratelimit.SignIn
	// limits guard addresses from being written to.
	limits *ratelimit.Limiter
	hasher *identity.Hasher
	// ring derives the secrets of mailed links.
	ring secrets.KeyRing
	log  *slog.Logger
	now  func() time.Time
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(meSpec, s.me),
		api.New(replaceMeSpec, s.replaceMe),
		api.New(updateMeSpec, s.updateMe),
		api.New(changeEmailSpec, s.changeEmail),
		api.New(confirmEmailSpec, s.confirmEmail),
		api.New(deleteMeSpec, s.deleteMe),
		api.New(unsubscribeSpec, s.unsubscribe),
		api.New(listMembersSpec, s.listMembers),
		api.New(getMemberSpec, s.getMember),
		api.New(updateMemberSpec, s.updateMember),
		api.New(removeMemberSpec, s.removeMember),
		api.New(listRolesSpec, s.listRoles),
		api.New(createRoleSpec, s.createRole),
		api.New(getRoleSpec, s.getRole),
		api.New(replaceRoleSpec, s.replaceRole),
		api.New(deleteRoleSpec, s.deleteRole),
		api.New(createMemberSpec, s.createMember),
		api.New(inviteSpec, s.invite),
		api.New(listInvitationsSpec, s.listInvitations),
		api.New(getInvitationSpec, s.getInvitation),
		api.New(deleteInvitationSpec, s.deleteInvitation),
		api.New(resendInvitationSpec, s.resendInvitation),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "users", Operations: (&service{}).operations()}
}
