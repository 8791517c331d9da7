package projects

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/listcache"
	"github.com/coditect/platform/shared/page"
)

var errSeesDeleted = errs.New(errs.Forbidden, "permission_denied", "Only those who may delete any project see deleted ones.")

var errOwner = &errs.Error{Kind: errs.Malformed, Code: "invalid_request", Detail: "A parameter or header of the request is not valid.",
	Fields: []errs.Field{{Location: "query.owner", Message: "must be a member's id"}}}

var listSpec = api.Spec{
	ID: "list-projects", Method: http.MethodGet, Path: "/api/v1/projects/", Tag: "Projects",
	Summary:         "List projects",
	Description:     "A page may be remembered for a minute; whatever is written to a project or its tasks is seen at once.",
	Permission:      identity.ProjectsRead,
	Errors:          []errs.Error{*errSeesDeleted},
	ResponseExample: api.ListBody[Project]{Results: []Project{example}},
}

// asked is everything that decides about a page besides the tenant. Whether the
// caller may see deleted projects is decided before anybody looks for the page.
type asked struct {
	Status, Search string
	Owner          *ids.ID
	Deleted        bool
	At             page.Position
}

// pageOf is a page as it is remembered: with its borders unsigned, since cursors
// are made for whom they are given to.
type pageOf struct {
	Results        []Project
	Next, Previous *page.Cursor
}

type listInput struct {
	api.PageInput
	Status         string `query:"status" enum:"active,archived,deleted" doc:"Only projects in this state."`
	Owner          string `query:"owner" format:"uuid" doc:"Only projects of this member."`
	Search         string `query:"search" maxLength:"200" doc:"Words that name or description hold, whatever the case."`
	IncludeDeleted bool   `query:"include_deleted" doc:"Deleted ones too; for administrators."`
}

func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[Project], error) {
	if (in.IncludeDeleted || in.Status == statusDeleted) && !by.May(identity.ProjectsDelete) {
		return nil, errSeesDeleted
	}
	at := in.Position()
	f := filter{status: in.Status, search: in.Search, includeDeleted: in.IncludeDeleted}
	if in.Owner != "" {
		// Not read as an id: the nil UUID would pass for an absent filter.
		id, err := ids.Parse(in.Owner)
		if err != nil {
			return nil, errOwner
		}
		f.owner = &id
	}
	var kept pageOf
	known, place := s.lists.Get(ctx, listcache.Projects, by.TenantID, asked{f.status, f.search, f.owner, f.includeDeleted, at}, &kept)
	if known {
		return api.NewList(kept.Results, kept.Next, kept.Previous), nil
	}
	var rows *db.Rows[row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listProjects(tx, f, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(p row) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return p.UpdatedAt, p.ID
		}
		return p.CreatedAt, p.ID
	})
	results := make([]Project, len(cut))
	for i := range cut {
		results[i] = cut[i].Project
	}
	s.lists.Keep(ctx, place, pageOf{results, next, previous})
	return api.NewList(results, next, previous), nil
}
