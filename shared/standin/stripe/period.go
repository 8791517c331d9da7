package stripe

import "time"

// boundary is the n-th end of a period that is anchored at a moment. A month
// without the anchor's day ends on its last (docs.stripe.com/billing/
// subscriptions/billing-cycle), in UTC: daylight saving moves nothing.
func boundary(anchor int64, interval string, n int) int64 {
	a := time.Unix(anchor, 0).UTC()
	months := n
	if interval == "year" {
		months = 12 * n
	}
	first := time.Date(a.Year(), a.Month()+time.Month(months), 1, a.Hour(), a.Minute(), a.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(a.Day(), last)-1).Unix()
}

// after is the first boundary after a moment.
func after(anchor int64, interval string, at int64) int64 {
	for n := 1; ; n++ {
		if b := boundary(anchor, interval, n); b > at {
			return b
		}
	}
}

// prorate is what an amount is worth for the rest of a period, from at on:
// amount × (end − at) ÷ (end − start), to the nearest minor unit.
func prorate(amount, start, end, at int64) int64 {
	whole, left := end-start, end-at
	if whole <= 0 || left <= 0 {
		return 0
	}
	return (2*amount*left + whole) / (2 * whole)
}
