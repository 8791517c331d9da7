package sessions_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/sessions"
)

func TestAnnounce(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	cfg, err := config.Load[cache.Config](config.Map(map[string]string{"REDIS_URL": "redis://" + redis.Addr(), "REDIS_TIMEOUT": "200ms"}))
	if err != nil {
		t.Fatal(err)
	}
	client, err := cache.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the client hung up
	one, two := ids.New(), ids.New()
	_ = redis.Set(sessions.Key(one), sessions.Live)
	sessions.Announce(gone, client, log, time.Hour)
	sessions.Announce(gone, client, log, time.Hour, one, two)
	for _, id := range []ids.ID{one, two} {
		if v, _ := redis.Get(sessions.Key(id)); v != sessions.Revoked {
			t.Errorf("Redis says %q", v)
		}
		if ttl := redis.TTL(sessions.Key(id)); ttl <= time.Hour {
			t.Errorf("for %s: an access token outlives it", ttl)
		}
	}
	redis.Close()
	sessions.Announce(t.Context(), client, log, time.Hour, one)
	if !strings.Contains(text.String(), "did not reach Redis") {
		t.Error("nobody is told that Redis was not")
	}
}
