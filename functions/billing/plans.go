package billing

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/plans"
)

// Plan is what one can subscribe to, as clients see it.
type Plan struct {
	ID       string  `json:"id" doc:"The plan's name in requests."`
	Name     string  `json:"name" doc:"The plan's name for people."`
	Currency string  `json:"currency" doc:"Of the prices, ISO 4217 in small letters."`
	Prices   []Price `json:"prices" nullable:"false" doc:"What it costs."`
	Limits   Limits  `json:"limits" doc:"What it allows."`
	Metered  bool    `json:"metered" doc:"Whether requests beyond the month's go on, and are counted, instead of being refused."`
}

// Price is what a plan costs an interval.
type Price struct {
	Interval string `json:"interval" enum:"month,year" doc:"How often it is paid."`
	Amount   int64  `json:"amount" minimum:"0" doc:"In minor units of the currency."`
}

// Limits are a plan's.
type Limits struct {
	Members             *int64 `json:"members" doc:"Members; null for any number."`
	Projects            *int64 `json:"projects" doc:"Active projects; null for any number."`
	StorageBytes        *int64 `json:"storage_bytes" doc:"Bytes of attachments; null for any number."`
	APIRequestsPerMonth *int64 `json:"api_requests_per_month" doc:"Requests a month; null for any number."`
	RequestsPerMinute   *int64 `json:"requests_per_minute" doc:"Requests a minute of the whole organization; null for any number."`
}

func offered(p plans.Plan) Plan {
	return Plan{
		ID: p.ID, Name: p.Name, Currency: plans.Currency, Metered: p.Metered, Limits: Limits(p.Limits),
		Prices: []Price{{plans.Month, p.PriceMonth}, {plans.Year, p.PriceYear}},
	}
}

// PlanList is all of them.
type PlanList struct {
	Results []Plan `json:"results" nullable:"false" doc:"The plans, the smallest first."`
}

func planList() PlanList {
	var out PlanList
	for _, p := range plans.All() {
		out.Results = append(out.Results, offered(p))
	}
	return out
}

var plansSpec = api.Spec{
	ID: "list-plans", Method: http.MethodGet, Path: "/api/v1/billing/plans/", Tag: "Billing",
	Summary: "List the plans", Description: "With their prices and limits.",
	Public: true, ResponseExample: planList(),
}

type plansInput struct{}

func (s *service) plans(context.Context, identity.Caller, *plansInput) (*api.Value[PlanList], error) {
	return api.NewValue(planList()), nil
}
