package tenants

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

var listSpec = api.Spec{
	ID: "list-tenants", Method: http.MethodGet, Path: "/api/v1/tenants/", Tag: "Tenants",
	Summary:         "List one's organizations",
	Description:     "Those the caller is an active member of, sorted by when they joined (created_at) or by when that changed (updated_at).",
	Permission:      identity.SignedIn,
	ResponseExample: api.ListBody[Mine]{Results: []Mine{{Organization: example, Role: identity.RoleOwner}}},
}

type listInput struct {
	api.PageInput
}

// list reads which organizations first, from the person's shard, and then each
// under its own policy: two round trips, however many there are.
func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[Mine], error) {
	at := in.Position()
	var joined *db.Rows[joining]
	err := db.ReadUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		joined = listJoined(tx, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := joined.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(j joining) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return j.updatedAt, j.tenant
		}
		return j.joinedAt, j.tenant
	})
	tenants := make([]ids.ID, len(cut))
	for i, j := range cut {
		tenants[i] = j.tenant
	}
	rows := make(map[ids.ID]*db.Row[row], len(tenants)) // by tenant: a read may be tried again
	err = db.ReadEach(ctx, s.db, by.Principal, tenants, func(tx *db.Tx) error {
		rows[tx.Tenant()] = getMine(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	results := make([]Mine, 0, len(rows))
	for _, tenant := range tenants {
		// One that was left or deleted since is not listed: the membership is
		// the truth, and the person's side of it may lag.
		if o, ok := rows[tenant].Found(); ok {
			results = append(results, Mine{o.Organization, o.role})
		}
	}
	return api.NewList(results, next, previous), nil
}
