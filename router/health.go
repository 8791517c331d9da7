package router

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// healthLife spares the database a flood of health checks.
const healthLife = time.Second

type health struct {
	Status   string `json:"status"`
	Database string `json:"database"`
	Redis    string `json:"redis"`
	// Router is there only while this instance is ending.
	Router string `json:"router,omitempty"`
}

func (a *App) livez(x *exchange, r *http.Request) error {
	return writeJSON(x, r, http.StatusOK, map[string]string{"status": "alive"})
}

// healthy tells whether requests can be served: not without the database, and
// not by an instance that is ending. Without Redis they can.
func (a *App) healthy(x *exchange, r *http.Request) error {
	h, err := a.health.Get(x.ctx, struct{}{}, func(ctx context.Context) (health, time.Duration, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.Timeouts.Internal)
		defer cancel()
		h := health{Status: "healthy", Database: "ok", Redis: "ok"}
		if err := a.redis.Ping(ctx); err != nil {
			h.Redis = "degraded"
		}
		if err := a.upstreams.database(ctx); err != nil {
			a.log.WarnContext(ctx, "health: the database does not answer", "error", err)
			h.Status, h.Database = "unhealthy", "down"
		}
		return h, healthLife, nil
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if a.draining.Load() {
		h.Status, h.Router = "unhealthy", "draining"
	}
	if h.Status != "healthy" {
		status = http.StatusServiceUnavailable
		x.Header().Set("Retry-After", "5")
	}
	return writeJSON(x, r, status, h)
}

func writeJSON(x *exchange, r *http.Request, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	x.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = x.Write(data) // a client that left has nothing to be told
	}
	return nil
}
