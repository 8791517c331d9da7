package queue

import "github.com/coditect/platform/shared/ids"

// The payloads. A message carries ids, never personal data and never a secret.
type (
	// EmailToken names a link that was made for a person: email_tokens.
	EmailToken struct {
		UserID       ids.ID `json:"user_id"`
		EmailTokenID ids.ID `json:"email_token_id"`
	}
	// Invitation names an invitation of the tenant.
	Invitation struct {
		InvitationID ids.ID `json:"invitation_id"`
	}
	// Assignment names a task and the member it was given to.
	Assignment struct {
		TaskID ids.ID `json:"task_id"`
		UserID ids.ID `json:"user_id"`
	}
	// Job names a job that somebody waits for.
	Job struct {
		JobID ids.ID `json:"job_id"`
	}
	// Invoice names an invoice of the tenant.
	Invoice struct {
		InvoiceID ids.ID `json:"invoice_id"`
	}
	// UsageWarning names a threshold (in percent) of a metric's limit that the
	// tenant came to in the month that begins with Period (YYYY-MM-DD).
	UsageWarning struct {
		Metric    string `json:"metric"`
		Period    string `json:"period"`
		Threshold int    `json:"threshold"`
	}
	// Digest is the summary of a day (YYYY-MM-DD, in the member's timezone).
	Digest struct {
		UserID ids.ID `json:"user_id"`
		Date   string `json:"date"`
	}
	// Person names a person.
	Person struct {
		UserID ids.ID `json:"user_id"`
	}
	// Access names whose rights in the tenant changed; nobody means everybody's.
	Access struct {
		UserID ids.ID `json:"user_id,omitzero"`
	}
	// StripeEvent names an event of Stripe: stripe_events.
	StripeEvent struct {
		EventID string `json:"event_id"`
	}
	// None is the payload of a kind that says everything by itself.
	None struct{}
)

// Mail, one by one: functions/mailer.
var (
	MailVerification         = Kind[EmailToken]{Route{Kind: "mail.verification", Owner: ForPerson, Consumer: "mailer", Exclusive: true}}
	MailPasswordReset        = Kind[EmailToken]{Route{Kind: "mail.password_reset", Owner: ForPerson, Consumer: "mailer", Exclusive: true}}
	MailEmailChange          = Kind[EmailToken]{Route{Kind: "mail.email_change", Owner: ForPerson, Consumer: "mailer", Exclusive: true}}
	MailInvitation           = Kind[Invitation]{Route{Kind: "mail.invitation", Consumer: "mailer", Exclusive: true}}
	MailTaskAssigned         = Kind[Assignment]{Route{Kind: "mail.task_assigned", Consumer: "mailer", Exclusive: true}}
	MailExportReady          = Kind[Job]{Route{Kind: "mail.export_ready", Consumer: "mailer", Exclusive: true}}
	MailPaymentSucceeded     = Kind[Invoice]{Route{Kind: "mail.payment_succeeded", Consumer: "mailer", Exclusive: true}}
	MailPaymentFailed        = Kind[Invoice]{Route{Kind: "mail.payment_failed", Consumer: "mailer", Exclusive: true}}
	MailSubscriptionCanceled = Kind[None]{Route{Kind: "mail.subscription_canceled", Consumer: "mailer", Exclusive: true}}
	MailUsageWarning         = Kind[UsageWarning]{Route{Kind: "mail.usage_warning", Consumer: "mailer", Exclusive: true}}
	MailDigest               = Kind[Digest]{Route{Kind: "mail.digest", Consumer: "mailer", Exclusive: true}}
)

// Jobs that people wait for: functions/reporter and functions/exporter.
var (
	ReportProject = Kind[Job]{Route{Kind: "report.project", Consumer: "reporter", Exclusive: true}}
	ExportTenant  = Kind[Job]{Route{Kind: "export.tenant", Consumer: "exporter", Exclusive: true}}
)

// What Stripe has to be asked about: functions/stripeevents. Their key is the
// customer, so that one is looked at by one message at a time.
var (
	BillingEvent = Kind[StripeEvent]{Route{Kind: "billing.event", Consumer: "stripeevents"}}
	BillingSync  = Kind[None]{Route{Kind: "billing.sync", Consumer: "stripeevents"}}
	BillingClose = Kind[None]{Route{Kind: "billing.close", Consumer: "stripeevents"}}
)

// Events, for whoever listens.
var (
	ProfileChanged = Kind[Person]{Route{Kind: "profile.changed", Owner: ForPerson, Topic: "events"}}
	AccessChanged  = Kind[Access]{Route{Kind: "access.changed", Topic: "events"}}
)

// kinds is every kind there is.
var kinds = []Route{
	MailVerification.Route, MailPasswordReset.Route, MailEmailChange.Route, MailInvitation.Route, MailTaskAssigned.Route,
	MailExportReady.Route, MailPaymentSucceeded.Route, MailPaymentFailed.Route, MailSubscriptionCanceled.Route, MailUsageWarning.Route,
	MailDigest.Route,
	ReportProject.Route, ExportTenant.Route,
	BillingEvent.Route, BillingSync.Route, BillingClose.Route,
	ProfileChanged.Route, AccessChanged.Route,
}
