package db

import (
	"context"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// Background runs fn in a transaction of a tenant in which a job notes how far
// it has come. Nobody did anything that activity would tell of, so it need not
// be recorded. What a job brings about belongs into [Consume].
func Background(ctx context.Context, d *DB, tenant ids.ID, fn func(*Tx) error) error {
	if tenant == ids.Nil {
		return ErrNoTenant
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: identity.Principal{TenantID: tenant}, scope: tenantScope, write: true, consumes: true}, fn)
}
