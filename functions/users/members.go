package users

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// Member is somebody in the organization, as the others see them. Who was
// invited and has not come yet is one too, inactive and without JoinedAt.
type Member struct {
	ID        ids.ID     `json:"id" format:"uuid" doc:"The person's id."`
	Email     string     `json:"email" format:"email" doc:"Their address."`
	FirstName string     `json:"first_name" maxLength:"150" doc:"Their first name."`
	LastName  string     `json:"last_name" maxLength:"150" doc:"Their last name."`
	Role      string     `json:"role" maxLength:"100" doc:"Their role: a built-in one, or one of the organization's own."`
	IsActive  bool       `json:"is_active" doc:"Whether they may act in the organization."`
	JoinedAt  *time.Time `json:"joined_at" doc:"When they came; null while an invitation waits for them."`
}

// memberRow is a member as the database has it.
type memberRow struct {
	Member
	version              int64
	createdAt, updatedAt time.Time
}

// values are the fields that a change is recorded of.
func (m Member) values() map[string]any {
	return map[string]any{"role": m.Role, "is_active": m.IsActive}
}

var exampleMember = Member{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073991"), Email: "grace@example.com", FirstName: "Grace", LastName: "Hopper",
	Role: "manager", IsActive: true, JoinedAt: new(time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)),
}

var listMembersSpec = api.Spec{
	ID: "list-members", Method: http.MethodGet, Path: "/api/v1/users/", Tag: "Members",
	Summary:     "List the organization's members",
	Description: "Who was invited and has not come yet is among them; who left or was removed is not.",
	Permission:  identity.MembersRead, Essential: true,
	ResponseExample: api.ListBody[Member]{Results: []Member{exampleMember}},
}

type listMembersInput struct {
	api.PageInput
	Role     string `query:"role" maxLength:"100" doc:"Only members with this role, by its name."`
	IsActive string `query:"is_active" enum:"true,false" doc:"Only members who may act, or only those who may not."`
	Search   string `query:"search" maxLength:"200" doc:"Words that the address or the name hold, whatever the case."`
}

func (s *service) listMembers(ctx context.Context, by identity.Caller, in *listMembersInput) (*api.List[Member], error) {
	at := in.Position()
	f := memberFilter{role: in.Role, search: in.Search}
	if in.IsActive != "" {
		f.active = new(in.IsActive == "true")
	}
	var rows *db.Rows[memberRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listMembers(tx, f, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(m memberRow) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return m.updatedAt, m.ID
		}
		return m.createdAt, m.ID
	})
	results := make([]Member, len(cut))
	for i := range cut {
		results[i] = cut[i].Member
	}
	return api.NewList(results, next, previous), nil
}

var getMemberSpec = api.Spec{
	ID: "get-member", Method: http.MethodGet, Path: "/api/v1/users/{id}/", Tag: "Members",
	Summary:    "Get one of the organization's members",
	Permission: identity.MembersRead, Essential: true, ResponseExample: exampleMember,
}

type getMemberInput struct {
	api.ByID
}

func (s *service) getMember(ctx context.Context, by identity.Caller, in *getMemberInput) (*api.Item[Member], error) {
	var found *db.Row[memberRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getMember(tx, in.ID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	m, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(m.version, m.Member), nil
}

// What keeps somebody from changing another member, or a role.
var (
	errNotAllowed = errs.New(errs.Forbidden, "permission_denied", "Your role does not allow this.")
	errNotHeld    = errs.New(errs.Forbidden, "permission_not_held", "Nobody grants rights that they do not hold, or changes who holds more.")
)

// grant refuses unless who acts may change what is there and grant what comes:
// they must hold all of it, as their membership says in this transaction.
func grant(actor identity.Set, permission identity.Permission, sets ...identity.Set) error {
	if !actor.Has(permission) {
		return errNotAllowed // it was theirs when the request came in
	}
	for _, set := range sets {
		if !actor.Covers(set) {
			return errNotHeld
		}
	}
	return nil
}
