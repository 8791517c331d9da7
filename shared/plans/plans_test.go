package plans_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/dbtest"
	"github.com/coditect/platform/shared/plans"
)

// The database's plans are those of the file, to the last limit.
func TestDatabaseHasTheSame(t *testing.T) {
	t.Parallel()
	db := dbtest.New(t)
	rows, err := db.Owner(t).Query(t.Context(), `select id, name, price_month, price_year, metered,
		max_members::bigint, max_projects::bigint, max_storage_bytes, api_requests_per_month, requests_per_minute::bigint, currency from app.plans order by position`)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		plans.Plan
		currency string
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (p row, err error) {
		l := &p.Limits
		err = r.Scan(&p.ID, &p.Name, &p.PriceMonth, &p.PriceYear, &p.Metered, &l.Members, &l.Projects, &l.StorageBytes, &l.APIRequestsPerMonth, &l.RequestsPerMinute, &p.currency)
		return p, err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := plans.All()
	if len(found) != len(want) {
		t.Fatalf("%d plans, want %d", len(found), len(want))
	}
	value := func(v *int64) int64 {
		if v == nil {
			return -1
		}
		return *v
	}
	for i, p := range found {
		w := want[i]
		a, b := p.Limits, w.Limits
		if p.ID != w.ID || p.Name != w.Name || p.PriceMonth != w.PriceMonth || p.PriceYear != w.PriceYear || p.Metered != w.Metered || p.currency != plans.Currency ||
			value(a.Members) != value(b.Members) || value(a.Projects) != value(b.Projects) || value(a.StorageBytes) != value(b.StorageBytes) ||
			value(a.APIRequestsPerMonth) != value(b.APIRequestsPerMonth) || value(a.RequestsPerMinute) != value(b.RequestsPerMinute) {
			t.Errorf("app.plans has %+v, plans.json %+v", p, w)
		}
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, interval, to, toInterval string
		want                           bool
	}{
		{"pro", plans.Month, "enterprise", plans.Month, true},
		{"pro", plans.Year, "enterprise", plans.Month, true},
		{"pro", plans.Month, "pro", plans.Year, true},
		{"pro", plans.Year, "pro", plans.Month, false},
		{"enterprise", plans.Month, "pro", plans.Year, false},
		{"pro", plans.Month, "pro", plans.Month, false},
		{"pro", plans.Month, plans.Free, plans.Month, false},
	} {
		if got := plans.Upgrade(c.from, c.interval, c.to, c.toInterval); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if p, ok := plans.Get("pro"); !ok || p.Price(plans.Month) != 2900 || p.Price(plans.Year) != 29000 {
		t.Errorf("%+v", p)
	}
	if _, ok := plans.Get("gold"); ok || len(plans.Meters()) != 2 || plans.LookupKey("pro", plans.Year) != "coditect_pro_year" || plans.ProductID("pro") != "coditect_pro" {
		t.Error("names")
	}
}
