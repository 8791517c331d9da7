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

// Forget drops what Redis holds of the organization's status, so that the
// functions see the change within seconds. Where Redis cannot be told, log says
// how long the old status may last.
func Forget(ctx context.Context, redis string, id uuid.UUID, log *slog.Logger) error {
	client, err := cache.Open(cache.Config{URL: config.Secret(redis), Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	access.New(nil, client, log).DropTenant(ctx, id)
	return client.Close()
}
