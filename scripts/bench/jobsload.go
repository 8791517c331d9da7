package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/coditect/platform/scripts/bench/peer"
	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/secrets"
)

// loader leaves jobs as a function does, and nudges the relay as the router
// does: beside the answers, and once more for all that came while it did.
type loader struct {
	db      *db.DB
	hops    *hop.Keys
	relay   string
	tenants int

	mu             sync.Mutex
	running, again bool
	idle           sync.WaitGroup
	fault          error
}

func newLoader(j *jobs) (*loader, error) {
	cfg, err := config.Load[db.Config](config.Map(map[string]string{"DATABASE_URL": j.p.env("DATABASE_URL"), "DATABASE_MAX_CONNS": strconv.Itoa(j.o.Conns)}))
	if err != nil {
		return nil, err
	}
	store := secrets.New(secrets.Directory(os.DirFS(filepath.Clean(j.p.env("SECRETS_DIR")))), secrets.Config{Refresh: time.Hour, Timeout: 5 * time.Second})
	l := &loader{hops: hop.New(secrets.Parse(store, secrets.HopKey, secrets.ParseRing)), relay: j.relay.URL(), tenants: j.o.Size.Tenants}
	l.db, err = db.Open(cfg, slog.New(slog.DiscardHandler))
	return l, err
}

func (l *loader) close() { l.db.Close() }

// load leaves jobs for a while, so many a second, or as fast as they go when
// rate is 0, and gives when each was committed.
func (l *loader) load(ctx context.Context, length time.Duration, callers int, rate float64) (map[string]time.Time, error) {
	var (
		mu     sync.Mutex
		left   = map[string]time.Time{}
		faults []error
		all    sync.WaitGroup
		begun  = time.Now()
	)
	for caller := range callers {
		all.Go(func() {
			mine := map[string]time.Time{}
			var err error
			for i := caller; err == nil && time.Since(begun) < length && ctx.Err() == nil; i += callers {
				if rate > 0 {
					due := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
					if due.Sub(begun) >= length {
						break
					}
					pause := time.NewTimer(time.Until(due))
					<-pause.C
				}
				err = l.one(ctx, i%l.tenants, mine)
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(left, mine)
			if err != nil {
				faults = append(faults, err)
			}
		})
	}
	all.Wait()
	l.idle.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return left, errors.Join(append(faults, l.fault)...)
}

// one leaves a job of a tenant and notes when it was committed.
func (l *loader) one(ctx context.Context, tenant int, left map[string]time.Time) error {
	by := identity.Principal{TenantID: stage.Tenant(tenant), UserID: stage.User(tenant, 0)}
	id := ids.New()
	err := db.Write(ctx, l.db, by, func(tx *db.Tx) error {
		db.Exec(tx, `insert into bench.orders (id, tenant_id) values ($1, $2)`, id, by.TenantID)
		tx.Record(activity.Created("Order", id, nil))
		tx.Enqueue(peer.Job.Message("", peer.JobPayload{ID: id}))
		return nil
	})
	if err != nil {
		return err
	}
	left[id.String()] = time.Now()
	l.poke(ctx)
	return nil
}

func (l *loader) poke(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		l.again = true
		return
	}
	l.running = true
	l.idle.Go(func() {
		for {
			err := l.nudge(ctx)
			l.mu.Lock()
			l.fault = errors.Join(l.fault, err)
			if !l.again || err != nil {
				l.running = false
				l.mu.Unlock()
				return
			}
			l.again = false
			l.mu.Unlock()
		}
	})
}

func (l *loader) nudge(ctx context.Context) error {
	const path = "/internal/relay/"
	id := ids.New().String()
	signature, err := l.hops.Sign(ctx, http.MethodPost, path, netip.Addr{}, id)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.relay+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set(hop.Header, signature)
	req.Header.Set("X-Request-Id", id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the relay answered %s", resp.Status)
	}
	return nil
}
