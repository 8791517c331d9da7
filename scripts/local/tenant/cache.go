package tenant

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
)

// Forget drops what Redis holds of the organization, and of the member that the
// command added, so that the functions see the change within seconds. Where
// Redis cannot be told, log says how long the old may last.
func Forget(ctx context.Context, redis string, done Outcome, log *slog.Logger) error {
	client, err := cache.Open(cache.Config{URL: config.Secret(redis), Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	known := access.New(nil, client, log)
	known.DropTenant(ctx, done.TenantID)
	if done.UserID != uuid.Nil {
		known.DropMember(ctx, done.TenantID, done.UserID)
	}
	return client.Close()
}
