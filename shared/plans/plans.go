// Package plans is what the platform sells: plans.json, the one list of plans,
// prices, limits and meters. Billing offers it, scripts/stripe-sync makes it
// true at Stripe, and app.plans repeats it for the database, which a test
// compares.
//
// To change a plan, change plans.json, write a migration that changes app.plans
// the same way, and run stripe-sync: a changed price is a new price at Stripe,
// and who subscribed keeps the old one.
package plans

import (
	_ "embed"
	"encoding/json"
	"slices"
	"time"
)

//go:embed plans.json
var file []byte

// Free is the plan of whoever pays nothing.
const Free = "free"

// The intervals that plans are paid by.
const (
	Month = "month"
	Year  = "year"
)

// Plan is something one can subscribe to, or the free one. Prices are in minor
// units of [Currency].
type Plan struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	PriceMonth int64  `json:"price_month"`
	PriceYear  int64  `json:"price_year"`
	// Metered plans go on beyond the requests of a month.
	Metered bool   `json:"metered"`
	Limits  Limits `json:"limits"`
}

// Limits are a plan's; nil is none.
type Limits struct {
	Members             *int64 `json:"members"`
	Projects            *int64 `json:"projects"`
	StorageBytes        *int64 `json:"storage_bytes"`
	APIRequestsPerMonth *int64 `json:"api_requests_per_month"`
	RequestsPerMinute   *int64 `json:"requests_per_minute"`
}

// Meter is a meter at Stripe.
type Meter struct {
	Event  string `json:"event"` // the events' name
	Name   string `json:"name"`
	Metric string `json:"metric"` // what of a tenant's usage it counts
}

type catalogue struct {
	Currency  string  `json:"currency"`
	GraceDays int     `json:"grace_days"`
	Plans     []Plan  `json:"plans"`
	Meters    []Meter `json:"meters"`
}

var all = func() (c catalogue) {
	if err := json.Unmarshal(file, &c); err != nil {
		panic("plans: plans.json: " + err.Error()) // the tests would have seen it
	}
	return c
}()

// Currency of all prices.
var Currency = all.Currency

// Grace is how long a plan stays after a payment failed.
var Grace = time.Duration(all.GraceDays) * 24 * time.Hour

// All lists the plans, the smallest first.
func All() []Plan { return slices.Clone(all.Plans) }

// Meters lists the meters.
func Meters() []Meter { return slices.Clone(all.Meters) }

// Get finds a plan.
func Get(id string) (Plan, bool) {
	if i := rank(id); i >= 0 {
		return all.Plans[i], true
	}
	return Plan{}, false
}

func rank(id string) int {
	return slices.IndexFunc(all.Plans, func(p Plan) bool { return p.ID == id })
}

// Price is what the plan costs an interval.
func (p Plan) Price(interval string) int64 {
	if interval == Year {
		return p.PriceYear
	}
	return p.PriceMonth
}

// LookupKey names the present price of a plan at Stripe.
func LookupKey(plan, interval string) string { return "coditect_" + plan + "_" + interval }

// ProductID is a plan's product at Stripe.
func ProductID(plan string) string { return "coditect_" + plan }

// Upgrade reports whether going from one plan and interval to another gives
// more at once: a higher plan, or the same for a longer time. Everything else
// waits for the end of what is paid for.
func Upgrade(fromPlan, fromInterval, toPlan, toInterval string) bool {
	from, to := rank(fromPlan), rank(toPlan)
	return to > from || to == from && fromInterval == Month && toInterval == Year
}
