package users

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/queue"
)

// Role is a role as clients see it.
type Role struct {
	ID          ids.ID   `json:"id" format:"uuid" doc:"The role's id. Those of the built-in roles are the same everywhere."`
	Name        string   `json:"name" minLength:"1" maxLength:"100" doc:"What it is called, and how members name it."`
	Permissions []string `json:"permissions" nullable:"false" doc:"What it lets its members do, sorted."`
	BuiltIn     bool     `json:"built_in" doc:"Whether every organization has it as it is."`
}

// roleRow is a role as the database has it.
type roleRow struct {
	Role
	version              int64
	createdAt, updatedAt time.Time
}

func (r Role) values() map[string]any {
	return map[string]any{"name": r.Name, "permissions": r.Permissions}
}

func (r Role) set() identity.Set { return setOf(r.Permissions) }

// maxRoles is how many roles of its own an organization may have: what a
// function remembers of an organization holds all of them.
const maxRoles = 100

var (
	errRoleTaken    = errs.New(errs.Conflict, "role_name_taken", "The organization has a role of that name.")
	errRoleInUse    = errs.New(errs.Conflict, "role_in_use", "Members have the role, or are invited to it. Give them another one first.")
	errRoleBuiltIn  = errs.New(errs.Conflict, "role_built_in", "Built-in roles stay as they are.")
	errTooManyRoles = errs.New(errs.Conflict, "too_many_roles", "An organization has at most 100 roles of its own.")
	errRoleReserved = errs.InvalidField("body.name", "is the name of a built-in role")
)

// builtins are the roles that every organization has, as old as can be, and
// never changed. Their ids are fixed.
var builtins = func() (out []roleRow) {
	for i, name := range []string{identity.RoleOwner, identity.RoleAdmin, identity.RoleMember, identity.RoleViewer} {
		set, _ := identity.Builtin(name)
		at := time.Unix(0, 0).UTC()
		out = append(out, roleRow{
			Role:      Role{ID: ids.ID{6: 0x70, 8: 0x80, 15: byte(i + 1)}, Name: name, Permissions: set.Strings(), BuiltIn: true},
			createdAt: at, updatedAt: at,
		})
	}
	return out
}()

func builtinRole(id ids.ID) (roleRow, bool) {
	i := slices.IndexFunc(builtins, func(r roleRow) bool { return r.ID == id })
	if i < 0 {
		return roleRow{}, false
	}
	return builtins[i], true
}

var exampleRole = Role{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073992"), Name: "auditor", Permissions: []string{"activity:read", "projects:read", "tasks:read"},
}

var listRolesSpec = api.Spec{
	ID: "list-roles", Method: http.MethodGet, Path: "/api/v1/roles/", Tag: "Roles",
	Summary:         "List the roles that members may have",
	Description:     "The built-in ones are the oldest; manager and developer are there from the start, and the organization's own to change.",
	Permission:      identity.MembersRead,
	ResponseExample: api.ListBody[Role]{Results: []Role{exampleRole, builtins[3].Role}},
}

type listRolesInput struct {
	api.PageInput
}

func (s *service) listRoles(ctx context.Context, by identity.Caller, in *listRolesInput) (*api.List[Role], error) {
	at := in.Position()
	var rows *db.Rows[roleRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listRoles(tx, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	place := func(r roleRow) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return r.updatedAt, r.ID
		}
		return r.createdAt, r.ID
	}
	cut, next, previous := page.Assemble(withBuiltins(found, at, place), at, place)
	results := make([]Role, len(cut))
	for i := range cut {
		results[i] = cut[i].Role
	}
	return api.NewList(results, next, previous), nil
}

// withBuiltins puts the built-in roles where they belong in a page as it was
// read.
func withBuiltins(rows []roleRow, at page.Position, place func(roleRow) (time.Time, ids.ID)) []roleRow {
	ordering, border, borderID := at.Exclusive()
	compare := func(aTime time.Time, aID ids.ID, bTime time.Time, bID ids.ID) int {
		c := aTime.Compare(bTime)
		if c == 0 {
			c = bytes.Compare(aID[:], bID[:])
		}
		if strings.HasPrefix(ordering, "-") {
			return -c
		}
		return c
	}
	after, bounded := border.(time.Time)
	afterID, _ := borderID.(ids.ID)
	for _, b := range builtins {
		if t, id := place(b); !bounded || compare(t, id, after, afterID) > 0 {
			rows = append(rows, b)
		}
	}
	slices.SortFunc(rows, func(a, b roleRow) int {
		aTime, aID := place(a)
		bTime, bID := place(b)
		return compare(aTime, aID, bTime, bID)
	})
	return rows[:min(len(rows), at.Limit())]
}

var getRoleSpec = api.Spec{
	ID: "get-role", Method: http.MethodGet, Path: "/api/v1/roles/{id}/", Tag: "Roles",
	Summary:    "Get a role",
	Permission: identity.MembersRead, ResponseExample: exampleRole,
}

type getRoleInput struct {
	api.ByID
}

func (s *service) getRole(ctx context.Context, by identity.Caller, in *getRoleInput) (*api.Item[Role], error) {
	if r, builtin := builtinRole(in.ID); builtin {
		return api.NewItem(r.version, r.Role), nil
	}
	var found *db.Row[roleRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getRole(tx, in.ID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(r.version, r.Role), nil
}

type roleBody struct {
	Name        string   `json:"name" minLength:"1" maxLength:"100" doc:"What it is called: unlike any other role's, whatever the case."`
	Permissions []string `json:"permissions" nullable:"false" maxItems:"100" enum:"activity:read,billing:read,billing:write,comments:write,exports:create,members:read,members:write,projects:delete,projects:manage,projects:read,projects:write,reports:create,roles:write,tasks:delete,tasks:read,tasks:write,tenant:own,tenant:write" doc:"What it lets its members do: nothing that you may not do yourself."`
}

// role reads the body. Permissions are kept sorted and once each.
func (b roleBody) role(id ids.ID) (Role, error) {
	r := Role{ID: id, Name: b.Name, Permissions: setOf(b.Permissions).Strings()}
	if b.Name != strings.TrimSpace(b.Name) {
		return r, errs.InvalidField("body.name", "must not begin or end with a space")
	}
	if _, builtin := identity.Builtin(strings.ToLower(b.Name)); builtin {
		return r, errRoleReserved
	}
	return r, nil
}

var createRoleSpec = api.Spec{
	ID: "create-role", Method: http.MethodPost, Path: "/api/v1/roles/", Tag: "Roles",
	Summary:     "Create a role",
	Description: "Nobody puts into it what they do not hold.",
	Permission:  identity.RolesWrite, Status: http.StatusCreated,
	Errors:          []errs.Error{*errNotHeld, *errRoleTaken, *errTooManyRoles},
	RequestExample:  roleBody{Name: "auditor", Permissions: []string{"activity:read", "projects:read", "tasks:read"}},
	ResponseExample: exampleRole,
}

type createRoleInput struct {
	Body roleBody
}

func (s *service) createRole(ctx context.Context, by identity.Caller, in *createRoleInput) (*api.Item[Role], error) {
	r, err := in.Body.role(ids.New())
	if err != nil {
		return nil, err
	}
	if err := grant(by.Permissions, identity.RolesWrite, r.set()); err != nil {
		return nil, err
	}
	err = db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(roleBroken)
		insertRole(tx, r)
		tx.Record(activity.Created("Role", r.ID, r.values()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	// So that what is known of the organization has the role before anybody gets it.
	s.access.DropTenant(ctx, by.TenantID)
	return api.Created("/api/v1/roles/"+r.ID.String()+"/", 1, r), nil
}

var replaceRoleSpec = api.Spec{
	ID: "replace-role", Method: http.MethodPut, Path: "/api/v1/roles/{id}/", Tag: "Roles",
	Summary: "Replace a role",
	Description: "Its members may do what it says at once, and everywhere within five seconds. Nobody puts into it what they do not hold, " +
		"or changes a role that gives more than they hold. Built-in roles stay as they are.",
	Permission:      identity.RolesWrite,
	Errors:          []errs.Error{*errNotHeld, *errRoleTaken, *errRoleBuiltIn},
	RequestExample:  roleBody{Name: "auditor", Permissions: []string{"activity:read", "projects:read", "tasks:read"}},
	ResponseExample: exampleRole,
}

type replaceRoleInput struct {
	api.ByID
	api.IfMatch
	Body roleBody
}

func (s *service) replaceRole(ctx context.Context, by identity.Caller, in *replaceRoleInput) (*api.Item[Role], error) {
	r, err := in.Body.role(in.ID)
	if err != nil {
		return nil, err
	}
	if _, builtin := builtinRole(in.ID); builtin {
		return nil, errRoleBuiltIn
	}
	after, changed := roleRow{Role: r}, false
	err = db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(roleBroken)
		before, err := s.mayChangeRole(ctx, tx, in.ID, in.IfMatch, r.set())
		if err != nil {
			return err
		}
		after.version = before.version
		diff := activity.Diff(before.values(), r.values())
		if len(diff) == 0 {
			tx.Unchanged()
			return nil
		}
		changed = true
		version := updateRole(tx, r)
		tx.Record(activity.Updated("Role", in.ID, diff))
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{})) // everybody's who has it
		tx.OnCommit(func() (err error) {
			after.version, err = version.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if changed {
		s.access.DropTenant(ctx, by.TenantID)
	}
	return api.NewItem(after.version, after.Role), nil
}

var deleteRoleSpec = api.Spec{
	ID: "delete-role", Method: http.MethodDelete, Path: "/api/v1/roles/{id}/", Tag: "Roles",
	Summary:     "Delete a role",
	Description: "One that nobody has and nobody is invited to. Nobody deletes a role that gives more than they hold.",
	Permission:  identity.RolesWrite, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotHeld, *errRoleInUse, *errRoleBuiltIn},
}

type deleteRoleInput struct {
	api.ByID
	api.IfMatch
}

func (s *service) deleteRole(ctx context.Context, by identity.Caller, in *deleteRoleInput) (*api.Empty, error) {
	if _, builtin := builtinRole(in.ID); builtin {
		return nil, errRoleBuiltIn
	}
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(roleBroken)
		used := roleUsed(tx, in.ID)
		before, err := s.mayChangeRole(ctx, tx, in.ID, in.IfMatch)
		if err != nil {
			return err
		}
		if inUse, err := used.Value(); err != nil || inUse {
			return orElse(err, errRoleInUse)
		}
		deleteRole(tx, in.ID)
		tx.Record(activity.Deleted("Role", in.ID, activity.Changes{
			"name": {Old: before.Name}, "permissions": {Old: before.Permissions},
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.access.DropTenant(ctx, by.TenantID)
	return &api.Empty{}, nil
}

// orElse is err, or what is to be said when there is none.
func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// mayChangeRole reads the role under a lock and refuses who may not change it,
// or make it give more.
func (s *service) mayChangeRole(ctx context.Context, tx *db.Tx, id ids.ID, match api.IfMatch, more ...identity.Set) (roleRow, error) {
	mine := getGrade(tx)
	before, err := lockRole(tx, id).Await(ctx)
	if err != nil {
		return before, err
	}
	actor, found := mine.Found()
	if !found {
		return before, access.ErrNotMember // removed since their rights were read
	}
	if err := grant(actor.set, identity.RolesWrite, append(more, before.set())...); err != nil {
		return before, err
	}
	return before, match.Check(before.version)
}
