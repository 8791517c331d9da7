package stripe

import "encoding/json"

// ref is the id of another object, null when there is none.
type ref string

// MarshalJSON writes nothing as null.
func (r ref) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(r))
}

// moment is a time in Unix seconds, null when there is none.
type moment int64

// MarshalJSON writes no time as null.
func (m moment) MarshalJSON() ([]byte, error) {
	if m == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(int64(m))
}

// The objects, with the members that the platform or a person could look for.
// What is json:"-" is the stand-in's own.
type (
	// Clock is a test clock.
	Clock struct {
		ID         string `json:"id"`
		Object     string `json:"object"`
		Created    int64  `json:"created"`
		FrozenTime int64  `json:"frozen_time"`
		Livemode   bool   `json:"livemode"`
		Name       ref    `json:"name"`
		Status     string `json:"status"`
	}
	// Customer is who pays.
	Customer struct {
		ID              string            `json:"id"`
		Object          string            `json:"object"`
		Created         int64             `json:"created"`
		Name            ref               `json:"name"`
		Email           ref               `json:"email"`
		Balance         int64             `json:"balance"`
		Currency        ref               `json:"currency"`
		Delinquent      bool              `json:"delinquent"`
		InvoiceSettings InvoiceSettings   `json:"invoice_settings"`
		Livemode        bool              `json:"livemode"`
		Metadata        map[string]string `json:"metadata"`
		TestClock       ref               `json:"test_clock"`
		InvoicePrefix   string            `json:"invoice_prefix"`
		NextInvoice     int64             `json:"next_invoice_sequence"`
	}
	// InvoiceSettings are a customer's.
	InvoiceSettings struct {
		DefaultPaymentMethod ref `json:"default_payment_method"`
	}
	// PaymentMethod is a card.
	PaymentMethod struct {
		ID       string            `json:"id"`
		Object   string            `json:"object"`
		Created  int64             `json:"created"`
		Type     string            `json:"type"`
		Card     Card              `json:"card"`
		Customer ref               `json:"customer"`
		Livemode bool              `json:"livemode"`
		Metadata map[string]string `json:"metadata"`
		Behavior string            `json:"-"` // of which test card it is
		SetUp    bool              `json:"-"` // authenticated for payments without its person
	}
	// Card is what may be seen of one.
	Card struct {
		Brand       string `json:"brand"`
		Last4       string `json:"last4"`
		ExpMonth    int64  `json:"exp_month"`
		ExpYear     int64  `json:"exp_year"`
		Country     string `json:"country"`
		Funding     string `json:"funding"`
		Fingerprint string `json:"fingerprint"`
	}
	// PaymentIntent is one payment.
	PaymentIntent struct {
		ID               string            `json:"id"`
		Object           string            `json:"object"`
		Created          int64             `json:"created"`
		Amount           int64             `json:"amount"`
		AmountReceived   int64             `json:"amount_received"`
		Currency         string            `json:"currency"`
		ClientSecret     string            `json:"client_secret"`
		Customer         ref               `json:"customer"`
		Invoice          ref               `json:"invoice"`
		LatestCharge     ref               `json:"latest_charge"`
		LastPaymentError *declined         `json:"last_payment_error"`
		Livemode         bool              `json:"livemode"`
		Metadata         map[string]string `json:"metadata"`
		NextAction       *nextAction       `json:"next_action"`
		PaymentMethod    ref               `json:"payment_method"`
		Status           string            `json:"status"`
		Charges          int64             `json:"-"` // how often money moved
	}
	// SetupIntent prepares a card for later payments.
	SetupIntent struct {
		ID             string            `json:"id"`
		Object         string            `json:"object"`
		Created        int64             `json:"created"`
		ClientSecret   string            `json:"client_secret"`
		Customer       ref               `json:"customer"`
		LastSetupError *declined         `json:"last_setup_error"`
		Livemode       bool              `json:"livemode"`
		Metadata       map[string]string `json:"metadata"`
		NextAction     *nextAction       `json:"next_action"`
		PaymentMethod  ref               `json:"payment_method"`
		Status         string            `json:"status"`
		Usage          string            `json:"usage"`
	}
	declined struct {
		Type        string `json:"type"`
		Code        string `json:"code"`
		DeclineCode string `json:"decline_code,omitempty"`
		Message     string `json:"message"`
	}
	nextAction struct {
		Type string `json:"type"`
	}
	// Product is what is sold.
	Product struct {
		ID       string            `json:"id"`
		Object   string            `json:"object"`
		Active   bool              `json:"active"`
		Created  int64             `json:"created"`
		Livemode bool              `json:"livemode"`
		Metadata map[string]string `json:"metadata"`
		Name     string            `json:"name"`
	}
	// Price is for how much.
	Price struct {
		ID         string            `json:"id"`
		Object     string            `json:"object"`
		Active     bool              `json:"active"`
		Created    int64             `json:"created"`
		Currency   string            `json:"currency"`
		Livemode   bool              `json:"livemode"`
		LookupKey  ref               `json:"lookup_key"`
		Metadata   map[string]string `json:"metadata"`
		Product    ref               `json:"product"`
		Recurring  Recurring         `json:"recurring"`
		Type       string            `json:"type"`
		UnitAmount int64             `json:"unit_amount"`
	}
	// Recurring is how often.
	Recurring struct {
		Interval      string `json:"interval"`
		IntervalCount int64  `json:"interval_count"`
		UsageType     string `json:"usage_type"`
	}
	// Subscription is a price that is paid again and again.
	Subscription struct {
		ID                   string            `json:"id"`
		Object               string            `json:"object"`
		BillingCycleAnchor   int64             `json:"billing_cycle_anchor"`
		CancelAtPeriodEnd    bool              `json:"cancel_at_period_end"`
		CanceledAt           moment            `json:"canceled_at"`
		CancelAt             moment            `json:"cancel_at"`
		CollectionMethod     string            `json:"collection_method"`
		Created              int64             `json:"created"`
		Currency             string            `json:"currency"`
		CurrentPeriodEnd     int64             `json:"current_period_end"`
		CurrentPeriodStart   int64             `json:"current_period_start"`
		Customer             ref               `json:"customer"`
		DefaultPaymentMethod ref               `json:"default_payment_method"`
		EndedAt              moment            `json:"ended_at"`
		Items                itemList          `json:"items"`
		LatestInvoice        ref               `json:"latest_invoice"`
		Livemode             bool              `json:"livemode"`
		Metadata             map[string]string `json:"metadata"`
		PendingUpdate        *pendingUpdate    `json:"pending_update"`
		Schedule             ref               `json:"schedule"`
		StartDate            int64             `json:"start_date"`
		Status               string            `json:"status"`
		TestClock            ref               `json:"test_clock"`
		TrialEnd             moment            `json:"trial_end"`
	}
	itemList struct {
		Object  string  `json:"object"`
		Data    []*Item `json:"data"`
		HasMore bool    `json:"has_more"`
		URL     string  `json:"url"`
	}
	// Item is one price of a subscription.
	Item struct {
		ID           string `json:"id"`
		Object       string `json:"object"`
		Created      int64  `json:"created"`
		Price        *Price `json:"price"`
		Quantity     int64  `json:"quantity"`
		Subscription ref    `json:"subscription"`
	}
	pendingUpdate struct {
		BillingCycleAnchor moment  `json:"billing_cycle_anchor"`
		ExpiresAt          int64   `json:"expires_at"`
		SubscriptionItems  []*Item `json:"subscription_items"`
		Invoice            string  `json:"-"`
	}
	// Schedule changes a subscription at the end of a period.
	Schedule struct {
		ID           string            `json:"id"`
		Object       string            `json:"object"`
		Created      int64             `json:"created"`
		CurrentPhase *phaseDates       `json:"current_phase"`
		Customer     ref               `json:"customer"`
		EndBehavior  string            `json:"end_behavior"`
		Livemode     bool              `json:"livemode"`
		Metadata     map[string]string `json:"metadata"`
		Phases       []*phase          `json:"phases"`
		ReleasedAt   moment            `json:"released_at"`
		Released     ref               `json:"released_subscription"`
		Status       string            `json:"status"`
		Subscription ref               `json:"subscription"`
	}
	phaseDates struct {
		StartDate int64 `json:"start_date"`
		EndDate   int64 `json:"end_date"`
	}
	phase struct {
		StartDate         int64        `json:"start_date"`
		EndDate           int64        `json:"end_date"`
		Items             []*phaseItem `json:"items"`
		ProrationBehavior string       `json:"proration_behavior"`
	}
	phaseItem struct {
		Price    ref   `json:"price"`
		Quantity int64 `json:"quantity"`
	}
	// Invoice is a bill.
	Invoice struct {
		ID                 string            `json:"id"`
		Object             string            `json:"object"`
		AmountDue          int64             `json:"amount_due"`
		AmountPaid         int64             `json:"amount_paid"`
		AmountRemaining    int64             `json:"amount_remaining"`
		AttemptCount       int64             `json:"attempt_count"`
		Attempted          bool              `json:"attempted"`
		AutoAdvance        bool              `json:"auto_advance"`
		BillingReason      string            `json:"billing_reason"`
		CollectionMethod   string            `json:"collection_method"`
		Created            int64             `json:"created"`
		Currency           string            `json:"currency"`
		Customer           ref               `json:"customer"`
		EndingBalance      int64             `json:"ending_balance"`
		HostedInvoiceURL   ref               `json:"hosted_invoice_url"`
		InvoicePDF         ref               `json:"invoice_pdf"`
		Lines              lineList          `json:"lines"`
		Livemode           bool              `json:"livemode"`
		Metadata           map[string]string `json:"metadata"`
		NextPaymentAttempt moment            `json:"next_payment_attempt"`
		Number             ref               `json:"number"`
		Paid               bool              `json:"paid"`
		PaymentIntent      ref               `json:"payment_intent"`
		PeriodEnd          int64             `json:"period_end"`
		PeriodStart        int64             `json:"period_start"`
		StartingBalance    int64             `json:"starting_balance"`
		Status             string            `json:"status"`
		StatusTransitions  transitions       `json:"status_transitions"`
		Subscription       ref               `json:"subscription"`
		Subtotal           int64             `json:"subtotal"`
		Total              int64             `json:"total"`
		FinalizeAt         int64             `json:"-"`
	}
	transitions struct {
		FinalizedAt moment `json:"finalized_at"`
		PaidAt      moment `json:"paid_at"`
		VoidedAt    moment `json:"voided_at"`
	}
	lineList struct {
		Object  string  `json:"object"`
		Data    []*Line `json:"data"`
		HasMore bool    `json:"has_more"`
		URL     string  `json:"url"`
	}
	// Line is one sum of an invoice.
	Line struct {
		ID          string     `json:"id"`
		Object      string     `json:"object"`
		Amount      int64      `json:"amount"`
		Currency    string     `json:"currency"`
		Description string     `json:"description"`
		Period      linePeriod `json:"period"`
		Price       *Price     `json:"price"`
		Proration   bool       `json:"proration"`
		Quantity    int64      `json:"quantity"`
	}
	linePeriod struct {
		Start int64 `json:"start"`
		End   int64 `json:"end"`
	}
	// Meter adds events up.
	Meter struct {
		ID              string            `json:"id"`
		Object          string            `json:"object"`
		Created         int64             `json:"created"`
		CustomerMapping map[string]string `json:"customer_mapping"`
		Aggregation     map[string]string `json:"default_aggregation"`
		DisplayName     string            `json:"display_name"`
		EventName       string            `json:"event_name"`
		Livemode        bool              `json:"livemode"`
		Status          string            `json:"status"`
		ValueSettings   map[string]string `json:"value_settings"`
	}
	// MeterEvent is something that was used.
	MeterEvent struct {
		Object     string            `json:"object"`
		Created    int64             `json:"created"`
		EventName  string            `json:"event_name"`
		Identifier string            `json:"identifier"`
		Livemode   bool              `json:"livemode"`
		Payload    map[string]string `json:"payload"`
		Timestamp  int64             `json:"timestamp"`
		Customer   string            `json:"-"`
		Value      int64             `json:"-"`
	}
	// Endpoint is where webhooks go.
	Endpoint struct {
		ID            string            `json:"id"`
		Object        string            `json:"object"`
		APIVersion    ref               `json:"api_version"`
		Created       int64             `json:"created"`
		Description   ref               `json:"description"`
		EnabledEvents []string          `json:"enabled_events"`
		Livemode      bool              `json:"livemode"`
		Metadata      map[string]string `json:"metadata"`
		Status        string            `json:"status"`
		URL           string            `json:"url"`
		Secret        string            `json:"-"`
	}
	// Event is something that happened.
	Event struct {
		ID              string       `json:"id"`
		Object          string       `json:"object"`
		APIVersion      string       `json:"api_version"`
		Created         int64        `json:"created"`
		Data            eventData    `json:"data"`
		Livemode        bool         `json:"livemode"`
		PendingWebhooks int64        `json:"pending_webhooks"`
		Request         eventRequest `json:"request"`
		Type            string       `json:"type"`
	}
	eventData struct {
		Object             json.RawMessage `json:"object"`
		PreviousAttributes json.RawMessage `json:"previous_attributes,omitempty"`
	}
	eventRequest struct {
		ID             ref `json:"id"`
		IdempotencyKey ref `json:"idempotency_key"`
	}
)
