package usagesync

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
)

// told lists the thresholds that owners had a mail of, in order.
func (f *fixture) told(t *testing.T, who functest.Person, metric string) (out []int) {
	t.Helper()
	f.Scan(t, `select coalesce(array_agg((payload->>'threshold')::int order by created_at, id), '{}') from app.outbox
		where tenant_id = $1 and kind = 'mail.usage_warning' and payload->>'metric' = $2`, []any{who.TenantID, metric}, &out)
	return out
}

func (f *fixture) store(t *testing.T, who functest.Person, bytes int64) {
	t.Helper()
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity, created_at) values ($1, $2, 'storage_bytes', $3::date, $4, $5)`,
		who.TenantID, ids.New(), f.now.Format(time.DateOnly), bytes, f.now)
}

// Owners are told once a month of each threshold, of the highest only when
// several are passed at once.
func TestThresholds(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct {
		plan  string
		steps []int64
		told  []int
	}{
		"below":                {"free", []int64{49_999}, []int{}},
		"half":                 {"free", []int64{49_999, 1, 1, 29_998}, []int{50}},
		"one after another":    {"free", []int64{50_000, 30_000, 20_000, 100_000}, []int{50, 80, 100}},
		"all at once":          {"free", []int64{100_000, 1}, []int{100}},
		"two at once":          {"free", []int64{85_000, 15_000}, []int{80, 100}},
		"a paid plan has more": {"pro", []int64{100_000, 2_400_000}, []int{50}},
	} {
		who := f.Tenant(t)
		f.SQL(t, `update app.organizations set plan = $2 where tenant_id = $1`, who.TenantID, c.plan)
		for _, n := range c.steps {
			f.count(t, f.now, who.TenantID, n)
			f.syncOn(t)
		}
		f.syncOn(t)
		if got := f.told(t, who, "api_requests"); !slices.Equal(got, c.told) {
			t.Errorf("%s: %v, want %v", name, got, c.told)
		}
		var rows int
		f.Scan(t, `select count(*) from app.usage_warnings where tenant_id = $1`, []any{who.TenantID}, &rows)
		if highest := len(c.told); highest > 0 && rows != slices.Index(thresholds, c.told[highest-1])+1 {
			t.Errorf("%s: %d rows", name, rows)
		}
	}
}

// Storage is told of by what lies there now, in every month anew; suspended
// organizations, and days of a month that is over, are let alone.
func TestMonthsAndStorage(t *testing.T) {
	f := setup(t)
	files, closed, idle := f.Tenant(t), f.Tenant(t), f.Tenant(t)
	f.SQL(t, `update app.organizations set status = 'suspended' where tenant_id = $1`, closed.TenantID)
	f.store(t, files, 1<<29)
	f.store(t, closed, 1<<30)
	f.count(t, f.now, closed.TenantID, 100_000)
	f.syncOn(t)
	f.now = f.now.Add(5 * time.Minute)
	f.store(t, files, 1<<29)
	f.store(t, files, -(1 << 28)) // three quarters
	f.syncOn(t)
	f.now = f.now.Add(5 * time.Minute)
	f.store(t, files, 1<<28)
	f.count(t, f.now, idle.TenantID, 60_000)
	f.syncOn(t)
	f.now = time.Date(2026, 12, 1, 0, 0, 1, 0, time.UTC)
	f.count(t, noon, idle.TenantID, 40_000) // late, of a month that is over
	f.count(t, f.now, idle.TenantID, 49_999)
	f.syncOn(t)
	f.syncOn(t)
	if got := f.told(t, files, "storage_gb"); !slices.Equal(got, []int{50, 100, 100}) {
		t.Errorf("storage: %v", got)
	}
	if got := f.told(t, idle, "api_requests"); !slices.Equal(got, []int{50}) {
		t.Errorf("requests: %v", got)
	}
	f.count(t, f.now, idle.TenantID, 1)
	f.syncOn(t)
	if got := f.told(t, idle, "api_requests"); !slices.Equal(got, []int{50, 50}) {
		t.Errorf("requests of the next month: %v", got)
	}
	if f.mails(t, closed) != 0 {
		t.Error("a suspended organization was told")
	}
}

// Two runs at once tell once.
func TestToldOnce(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	f.count(t, noon, who.TenantID, 90_000)
	var both sync.WaitGroup
	for _, s := range []*service{f.service(t), f.service(t)} {
		both.Go(func() {
			for range 5 {
				if err := s.run(context.Background(), &schedule.Run{Now: noon}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	if got := f.told(t, who, "api_requests"); !slices.Equal(got, []int{80}) {
		t.Errorf("%v", got)
	}
}

// One organization that cannot be told keeps none of the others, and is told
// when it can.
func TestOneCannotBeTold(t *testing.T) {
	f := setup(t)
	bad, good := f.Tenant(t), f.Tenant(t)
	for _, who := range []functest.Person{bad, good} {
		f.count(t, noon, who.TenantID, 90_000)
	}
	f.SQL(t, `alter table app.outbox add constraint outbox_broken check (tenant_id <> '`+bad.TenantID.String()+`') not valid`)
	f.sync(t).Want(t, http.StatusInternalServerError)
	if f.mails(t, good) != 1 {
		t.Error("the other one was not told")
	}
	f.want(t, noon, bad.TenantID, 90_000)
	f.SQL(t, `alter table app.outbox drop constraint outbox_broken`)
	f.syncOn(t)
	f.syncOn(t)
	if f.mails(t, good) != 1 || f.mails(t, bad) != 1 {
		t.Errorf("%d and %d mails", f.mails(t, good), f.mails(t, bad))
	}
}
