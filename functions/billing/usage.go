package billing

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/usage"
)

// Usage is what an organization used in the present month.
type Usage struct {
	PeriodStart time.Time `json:"period_start" doc:"The month's first moment, in UTC."`
	PeriodEnd   time.Time `json:"period_end" doc:"The next month's."`
	Metrics     []Metric  `json:"metrics" nullable:"false" doc:"The sums, beside what the plan allows."`
	Daily       []Daily   `json:"daily" nullable:"false" doc:"Every day of the month until today, in UTC."`
}

// Metric is a sum.
type Metric struct {
	Metric      string   `json:"metric" enum:"api_requests,storage_gb" doc:"api_requests of the month; storage_gb at this moment, in GiB."`
	Quantity    float64  `json:"quantity" doc:"How much."`
	Limit       *float64 `json:"limit" doc:"What the plan allows; null for any amount."`
	PercentUsed *float64 `json:"percent_used" doc:"Of the limit; null without one."`
}

// Daily is a day.
type Daily struct {
	Date        string  `json:"date" format:"date" doc:"The day, in UTC."`
	APIRequests int64   `json:"api_requests" doc:"Requests on the day."`
	StorageGB   float64 `json:"storage_gb" doc:"What was stored at its end, in GiB."`
}

var usageSpec = api.Spec{
	ID: "get-usage", Method: http.MethodGet, Path: "/api/v1/billing/usage/", Tag: "Billing",
	Summary:     "Get the usage of the month",
	Description: "Requests that were answered 401, 429 or 5xx do not count, nor those that were refused with `quota_exceeded`. What was counted a moment ago is in it.",
	Permission:  identity.BillingRead, OpenWhenSuspended: true, Essential: true,
	ResponseExample: Usage{
		PeriodStart: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), PeriodEnd: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		Metrics: []Metric{
			{"api_requests", 41_250, new(100_000.0), new(41.3)}, {"storage_gb", 0.25, new(1.0), new(25.0)},
		},
		Daily: []Daily{{"2026-11-01", 1_250, 0.2}, {"2026-11-02", 40_000, 0.25}},
	},
}

type usageInput struct{}

func (s *service) usage(ctx context.Context, by identity.Caller, _ *usageInput) (*api.Value[Usage], error) {
	now := s.now().UTC()
	start, _ := usage.Month(now)
	days := now.Day()
	counters := s.counters(ctx, by, start, days)
	var org *db.Row[organization]
	var requests *db.Rows[requested]
	var changes *db.Rows[movedBytes]
	var bytes *db.Row[int64]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		org, requests, changes, bytes = getOrganization(tx), listRequests(tx, start, epochs(counters)), listChanges(tx, start), storedBytes(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	o, err := org.Value()
	if err != nil {
		return nil, err
	}
	counted, err := requests.Value()
	if err != nil {
		return nil, err
	}
	came, err := changes.Value()
	if err != nil {
		return nil, err
	}
	stored, err := bytes.Value()
	if err != nil {
		return nil, err
	}
	perDay, moved := make([]int64, days), make([]int64, days)
	for _, r := range counted {
		if day := int(r.day.Sub(start) / (24 * time.Hour)); day >= 0 && day < days {
			perDay[day] += r.before
			counters[day].N = max(counters[day].N, r.here)
		}
	}
	for i, c := range counters {
		perDay[i] += c.N
	}
	for _, c := range came {
		if day := int(c.day.Sub(start) / (24 * time.Hour)); day >= 0 && day < days {
			moved[day] += c.bytes
		}
	}
	plan, _ := plans.Get(o.plan)
	return api.NewValue(report(start, plan.Limits, perDay, moved, stored)), nil
}

// report puts the days together. What was stored at a day's end is what is
// stored now without what came and went since.
func report(start time.Time, limits plans.Limits, requests, moved []int64, stored int64) Usage {
	u := Usage{PeriodStart: start, PeriodEnd: start.AddDate(0, 1, 0), Daily: make([]Daily, len(requests))}
	total, at := int64(0), stored
	for i := len(requests) - 1; i >= 0; i-- {
		u.Daily[i] = Daily{Date: start.AddDate(0, 0, i).Format(time.DateOnly), APIRequests: requests[i], StorageGB: gib(max(0, at))}
		at -= moved[i]
		total += requests[i]
	}
	u.Metrics = []Metric{metric("api_requests", float64(total), number(limits.APIRequestsPerMonth, 1)), metric("storage_gb", gib(stored), number(limits.StorageBytes, 1<<30))}
	return u
}

func number(limit *int64, unit float64) *float64 {
	if limit == nil {
		return nil
	}
	return new(float64(*limit) / unit)
}

func metric(name string, quantity float64, limit *float64) Metric {
	m := Metric{Metric: name, Quantity: quantity, Limit: limit}
	if limit != nil && *limit > 0 {
		m.PercentUsed = new(math.Round(1000*quantity / *limit) / 10)
	}
	return m
}

// gib is a number of bytes in GiB, to six places: a kilobyte shows.
func gib(bytes int64) float64 { return math.Round(float64(bytes)/(1<<30)*1e6) / 1e6 }

// counters is what the edge has counted by day and nobody may have moved into
// the records yet. It is read before the records are: what is moved in between
// is in both, and counts once, as each is known by its epoch. While Redis is down
// it is unknown, and left out.
func (s *service) counters(ctx context.Context, by identity.Caller, start time.Time, days int) []usage.Counter {
	all := make([]usage.Day, days)
	for i := range all {
		all[i] = usage.DayOf(start.AddDate(0, 0, i))
	}
	out, err := usage.Read(ctx, s.redis, by.TenantID, all)
	if err != nil {
		return make([]usage.Counter, days)
	}
	return out
}

func epochs(counters []usage.Counter) []string {
	out := []string{}
	for _, c := range counters {
		if c.Epoch != ids.Nil {
			out = append(out, c.Epoch.String())
		}
	}
	return out
}
