package stripe

// endpoint is what serves a method and path, with the parameters it takes.
type endpoint struct {
	act    func(*request) (any, error)
	params []string
}

// pages are the parameters of lists.
var pages = []string{"limit", "starting_after"}

func with(more ...string) []string { return append(more, pages...) }

// routes are the endpoints. Parameters are those of the API of the version,
// as far as they are implemented; expand is everybody's.
var routes = map[string]endpoint{
	"POST /v1/customers":                             {(*request).createCustomer, []string{"name", "email", "metadata.*", "test_clock"}},
	"GET /v1/customers":                              {(*request).listCustomers, with("email", "test_clock")},
	"GET /v1/customers/{id}":                         {(*request).getCustomer, nil},
	"POST /v1/customers/{id}":                        {(*request).updateCustomer, []string{"name", "email", "metadata", "metadata.*", "invoice_settings.default_payment_method"}},
	"POST /v1/payment_methods":                       {(*request).createMethod, []string{"type", "card.token"}},
	"GET /v1/payment_methods":                        {(*request).listMethods, with("customer", "type")},
	"GET /v1/payment_methods/{id}":                   {(*request).getMethod, nil},
	"POST /v1/payment_methods/{id}/attach":           {(*request).attachMethod, []string{"customer"}},
	"POST /v1/payment_methods/{id}/detach":           {(*request).detachMethod, nil},
	"POST /v1/setup_intents":                         {(*request).createSetup, []string{"customer", "payment_method", "payment_method_types.*", "usage", "confirm", "metadata.*"}},
	"GET /v1/setup_intents/{id}":                     {(*request).getSetup, nil},
	"GET /v1/payment_intents/{id}":                   {(*request).getIntent, nil},
	"POST /v1/payment_intents/{id}/confirm":          {(*request).confirmIntent, []string{"payment_method"}},
	"POST /v1/products":                              {(*request).createProduct, []string{"id", "name", "metadata.*"}},
	"GET /v1/products/{id}":                          {(*request).getProduct, nil},
	"POST /v1/products/{id}":                         {(*request).updateProduct, []string{"name", "active", "metadata", "metadata.*"}},
	"POST /v1/prices":                                {(*request).createPrice, []string{"product", "currency", "unit_amount", "recurring.interval", "lookup_key", "transfer_lookup_key", "metadata.*"}},
	"GET /v1/prices":                                 {(*request).listPrices, with("lookup_keys.*", "active", "product")},
	"GET /v1/prices/{id}":                            {(*request).getPrice, nil},
	"POST /v1/prices/{id}":                           {(*request).updatePrice, []string{"active", "lookup_key", "transfer_lookup_key", "metadata", "metadata.*"}},
	"POST /v1/subscriptions":                         {(*request).createSubscription, []string{"customer", itemPrice, "payment_behavior", "default_payment_method", "metadata.*"}},
	"GET /v1/subscriptions":                          {(*request).listSubscriptions, with("customer", "status")},
	"GET /v1/subscriptions/{id}":                     {(*request).getSubscription, nil},
	"POST /v1/subscriptions/{id}":                    {(*request).updateSubscription, []string{itemID, itemPrice, "proration_behavior", "payment_behavior", "cancel_at_period_end", "default_payment_method", "metadata", "metadata.*"}},
	"DELETE /v1/subscriptions/{id}":                  {(*request).cancelSubscription, []string{"prorate", "invoice_now"}},
	"POST /v1/subscription_schedules":                {(*request).createSchedule, []string{"from_subscription"}},
	"GET /v1/subscription_schedules/{id}":            {(*request).getSchedule, nil},
	"POST /v1/subscription_schedules/{id}":           {(*request).updateSchedule, []string{"end_behavior", "proration_behavior", "metadata.*", "phases.0.start_date", "phases.0.end_date", "phases.*.items.0.price", "phases.1.iterations"}},
	"POST /v1/subscription_schedules/{id}/release":   {(*request).releaseSchedule, nil},
	"GET /v1/invoices":                               {(*request).listInvoices, with("customer", "subscription", "status")},
	"GET /v1/invoices/{id}":                          {(*request).getInvoice, nil},
	"POST /v1/invoices/{id}/pay":                     {(*request).payInvoice, nil},
	"POST /v1/invoices/{id}/void":                    {(*request).voidInvoice, nil},
	"POST /v1/billing/meters":                        {(*request).createMeter, []string{"event_name", "display_name", "default_aggregation.formula", "customer_mapping.type", "customer_mapping.event_payload_key", "value_settings.event_payload_key"}},
	"GET /v1/billing/meters":                         {(*request).listMeters, with("status")},
	"POST /v1/billing/meter_events":                  {(*request).createMeterEvent, []string{"event_name", "identifier", "timestamp", "payload.*"}},
	"GET /v1/billing/meters/{id}/event_summaries":    {(*request).summaries, with("customer", "start_time", "end_time", "value_grouping_window")},
	"POST /v1/webhook_endpoints":                     {(*request).createEndpoint, []string{"url", "enabled_events.*", "api_version", "description", "metadata.*"}},
	"GET /v1/webhook_endpoints":                      {(*request).listEndpoints, pages},
	"POST /v1/webhook_endpoints/{id}":                {(*request).updateEndpoint, []string{"url", "enabled_events.*", "description", "disabled", "metadata", "metadata.*"}},
	"GET /v1/events":                                 {(*request).listEvents, with("type")},
	"GET /v1/events/{id}":                            {(*request).getEvent, nil},
	"POST /v1/test_helpers/test_clocks":              {(*request).createClock, []string{"frozen_time", "name"}},
	"GET /v1/test_helpers/test_clocks/{id}":          {(*request).getClock, nil},
	"POST /v1/test_helpers/test_clocks/{id}/advance": {(*request).advanceClock, []string{"frozen_time"}},
}
