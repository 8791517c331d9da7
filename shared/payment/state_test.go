package payment

import (
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/plans"
)

func priceOf(plan string, every stripe.PriceRecurringInterval) *stripe.Price {
	return &stripe.Price{ID: "price_" + plan, Metadata: map[string]string{MetaPlan: plan}, Recurring: &stripe.PriceRecurring{Interval: every}}
}

func subscriptionOf(id string, status stripe.SubscriptionStatus, created int64) *stripe.Subscription {
	return &stripe.Subscription{
		ID: id, Status: status, Created: created, CurrentPeriodStart: 1_800_000_000, CurrentPeriodEnd: 1_802_592_000,
		Items: &stripe.SubscriptionItemList{Data: []*stripe.SubscriptionItem{{ID: "si_" + id, Price: priceOf("pro", stripe.PriceRecurringIntervalMonth)}}},
	}
}

// Every status of Stripe has one here, and is known to go on or not.
func TestStatus(t *testing.T) {
	t.Parallel()
	for theirs, want := range map[stripe.SubscriptionStatus]struct {
		ours string
		live bool
	}{
		stripe.SubscriptionStatusActive:            {StatusActive, true},
		stripe.SubscriptionStatusTrialing:          {StatusTrialing, true},
		stripe.SubscriptionStatusPastDue:           {StatusPastDue, true},
		stripe.SubscriptionStatusUnpaid:            {StatusPastDue, true},
		stripe.SubscriptionStatusPaused:            {StatusPastDue, true},
		stripe.SubscriptionStatusIncomplete:        {StatusIncomplete, false},
		stripe.SubscriptionStatusIncompleteExpired: {StatusCanceled, false},
		stripe.SubscriptionStatusCanceled:          {StatusCanceled, false},
		"of tomorrow":                              {StatusCanceled, false}, // gives nothing away
	} {
		if s := Describe(subscriptionOf("sub_1", theirs, 1)); s.Status != want.ours || s.Live() != want.live {
			t.Errorf("%s is %s here, live %t", theirs, s.Status, s.Live())
		}
	}
	if (*Subscription)(nil).Live() {
		t.Error("none goes on")
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	v := subscriptionOf("sub_1", stripe.SubscriptionStatusActive, 1)
	v.Metadata = map[string]string{MetaTenant: "of", MetaRequest: "by"}
	v.Items.Data[0].Price = priceOf("enterprise", stripe.PriceRecurringIntervalYear)
	v.TrialEnd, v.CanceledAt, v.CancelAtPeriodEnd = 1_800_000_001, 1_800_000_002, true
	v.DefaultPaymentMethod = &stripe.PaymentMethod{ID: "pm_1"}
	v.LatestInvoice = &stripe.Invoice{ID: "in_1", PaymentIntent: &stripe.PaymentIntent{Status: stripe.PaymentIntentStatusRequiresAction, ClientSecret: "pi_1_secret", LastPaymentError: &stripe.Error{Msg: "No."}}}
	v.PendingUpdate = &stripe.SubscriptionPendingUpdate{}
	phase := func(start int64) *stripe.SubscriptionSchedulePhase {
		return &stripe.SubscriptionSchedulePhase{StartDate: start, Items: []*stripe.SubscriptionSchedulePhaseItem{{Price: &stripe.Price{ID: "price_x"}}}}
	}
	v.Schedule = &stripe.SubscriptionSchedule{ID: "sub_sched_1", Metadata: map[string]string{MetaPlan: "pro", MetaInterval: "month"}, Phases: []*stripe.SubscriptionSchedulePhase{phase(v.CurrentPeriodStart), phase(v.CurrentPeriodEnd)}}
	s := Describe(v)
	if s.Plan != "enterprise" || s.Interval != plans.Year || s.TenantID != "of" || s.Request != "by" || s.ItemID != "si_sub_1" || s.PriceID != "price_enterprise" ||
		s.TrialEnd.Unix() != 1_800_000_001 || s.CanceledAt.Unix() != 1_800_000_002 || !s.CancelAtPeriodEnd || s.PaymentMethod != "pm_1" || s.LatestInvoice != "in_1" ||
		s.PaymentStatus != "requires_action" || s.Secret != "pi_1_secret" || s.PaymentError != "No." || !s.Upgrading || s.ScheduleID != "sub_sched_1" ||
		s.PendingPlan != "pro" || s.PendingInterval != "month" || !s.Start.Equal(time.Unix(1_800_000_000, 0)) || s.End.Location() != time.UTC {
		t.Errorf("%+v", s)
	}
	// A schedule that was made and not filled in changes nothing.
	v.Schedule.Phases = v.Schedule.Phases[:1]
	if s := Describe(v); s.PendingPlan != "" || s.ScheduleID != "sub_sched_1" {
		t.Errorf("%+v", s)
	}
	// What is over has nothing to come.
	v.Schedule.Phases, v.Status = []*stripe.SubscriptionSchedulePhase{phase(v.CurrentPeriodEnd)}, stripe.SubscriptionStatusCanceled
	if s := Describe(v); s.PendingPlan != "" {
		t.Errorf("%+v", s)
	}
	if s := Describe(&stripe.Subscription{Items: &stripe.SubscriptionItemList{}}); s.Plan != "" || s.TrialEnd != nil || s.CanceledAt != nil {
		t.Errorf("%+v", s)
	}
}

// Of several subscriptions one counts: the first that goes on, else the newest
// that waits, else the newest that was; others that go on are mistakes, and told.
func TestChoose(t *testing.T) {
	t.Parallel()
	over, waits, live := stripe.SubscriptionStatusCanceled, stripe.SubscriptionStatusIncomplete, stripe.SubscriptionStatusActive
	for name, c := range map[string]struct {
		all    []*stripe.Subscription
		want   string
		others int
	}{
		"none":                  {nil, "", 0},
		"the newest of old":     {[]*stripe.Subscription{subscriptionOf("a", over, 1), subscriptionOf("b", over, 3), subscriptionOf("c", over, 2)}, "b", 0},
		"one waits":             {[]*stripe.Subscription{subscriptionOf("a", over, 9), subscriptionOf("b", waits, 3)}, "b", 0},
		"the newest that waits": {[]*stripe.Subscription{subscriptionOf("a", waits, 2), subscriptionOf("b", waits, 3)}, "b", 0},
		"one goes on":           {[]*stripe.Subscription{subscriptionOf("a", over, 9), subscriptionOf("b", waits, 8), subscriptionOf("c", live, 1)}, "c", 0},
		"two go on":             {[]*stripe.Subscription{subscriptionOf("a", live, 2), subscriptionOf("b", stripe.SubscriptionStatusPastDue, 1), subscriptionOf("c", over, 3)}, "b", 1},
	} {
		s := &State{}
		s.choose(c.all)
		got := ""
		if s.Subscription != nil {
			got = s.Subscription.ID
		}
		if got != c.want || len(s.Others) != c.others {
			t.Errorf("%s: %q counts, others %v", name, got, s.Others)
		}
	}
}

func TestBillAndMethod(t *testing.T) {
	t.Parallel()
	b := bill(&stripe.Invoice{
		ID: "in_1", Number: "A-1", Status: stripe.InvoiceStatusOpen, Currency: "usd", AmountDue: 9_007_199_254_740_993, AmountPaid: 1, AttemptCount: 2,
		BillingReason: stripe.InvoiceBillingReasonSubscriptionCreate, Created: 5, StatusTransitions: &stripe.InvoiceStatusTransitions{FinalizedAt: 6},
	})
	if b.Due != 9_007_199_254_740_993 || b.Paid != 1 || !b.First || b.IssuedAt.Unix() != 6 || b.PaidAt != nil || b.Status != "open" { // no double holds that sum
		t.Errorf("%+v", b)
	}
	if b := bill(&stripe.Invoice{BillingReason: stripe.InvoiceBillingReasonSubscriptionCycle}); b.First || b.IssuedAt != nil {
		t.Errorf("%+v", b)
	}
	m := method(&stripe.PaymentMethod{ID: "pm_1", Card: &stripe.PaymentMethodCard{Brand: "visa", Last4: "4242", ExpMonth: 2, ExpYear: 2030}}, "pm_1")
	if !m.Default || m.Last4 != "4242" || m.ExpYear != 2030 {
		t.Errorf("%+v", m)
	}
	if m := method(&stripe.PaymentMethod{ID: "pm_2"}, "pm_1"); m.Default || m.Brand != "" {
		t.Errorf("%+v", m)
	}
}

// What is owed keeps its plan until the time of grace is over, and not a moment
// longer.
func TestEffective(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status string
		since  *time.Time
		at     time.Time
		want   string
	}{
		"active":            {StatusActive, nil, since, "pro"},
		"on trial":          {StatusTrialing, nil, since, "pro"},
		"owes since now":    {StatusPastDue, &since, since, "pro"},
		"owes, nobody knew": {StatusPastDue, nil, since, "pro"},
		"the last moment":   {StatusPastDue, &since, since.Add(plans.Grace - time.Nanosecond), "pro"},
		"grace is over":     {StatusPastDue, &since, since.Add(plans.Grace), plans.Free},
		"waits":             {StatusIncomplete, nil, since, plans.Free},
		"over":              {StatusCanceled, nil, since, plans.Free},
		"of tomorrow":       {"paused", nil, since, plans.Free},
	} {
		if got := (Row{Plan: "pro", Status: c.status, PastDueSince: c.since}).Effective(c.at); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A state makes the next row; the time of grace begins once for a debt.
func TestNext(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	before := Row{Customer: "cus_1", Plan: plans.Free, Status: StatusActive, Interval: plans.Month}
	if got, err := before.next(&State{}, at); err != nil || got != before {
		t.Errorf("a customer without a subscription: %+v, %v", got, err)
	}
	sub := &Subscription{ID: "sub_1", Plan: "pro", Interval: plans.Year, Status: StatusPastDue, Start: at, End: at.AddDate(1, 0, 0), live: true, PendingPlan: "pro", PendingInterval: plans.Month}
	owes, err := before.next(&State{Subscription: sub}, at)
	if err != nil || owes.Plan != "pro" || owes.PastDueSince == nil || !owes.PastDueSince.Equal(at) || !owes.NextInvoiceAt.Equal(sub.End) || owes.PendingInterval != plans.Month || before.equal(owes) {
		t.Errorf("%+v, %v", owes, err)
	}
	later, err := owes.next(&State{Subscription: sub}, at.AddDate(0, 0, 3))
	if err != nil || !later.PastDueSince.Equal(at) || !later.equal(owes) {
		t.Errorf("three days later: %+v, %v", later, err)
	}
	// Another subscription that owes owes since now.
	other := *sub
	other.ID = "sub_2"
	if got, err := owes.next(&State{Subscription: &other}, at.AddDate(0, 0, 3)); err != nil || !got.PastDueSince.Equal(at.AddDate(0, 0, 3)) {
		t.Errorf("%+v, %v", got, err)
	}
	paid := *sub
	paid.Status, paid.CancelAtPeriodEnd = StatusActive, true
	if got, err := owes.next(&State{Subscription: &paid}, at); err != nil || got.PastDueSince != nil || got.NextInvoiceAt != nil || !got.CancelAtPeriodEnd {
		t.Errorf("%+v, %v", got, err)
	}
	for _, plan := range []string{"", "gold", plans.Free} {
		strange := *sub
		strange.Plan = plan
		if got, err := owes.next(&State{Subscription: &strange}, at); err == nil || !got.equal(owes) {
			t.Errorf("%q: %+v, %v", plan, got, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for timeout, ok := range map[time.Duration]bool{0: false, -1: false, time.Second: true} {
		if err := (Config{Timeout: timeout}).Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", timeout, err)
		}
	}
}
