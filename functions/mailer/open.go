package mailer

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/mail"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

// settings are the mailer's own.
type settings struct {
	Mail mail.Config
	// App is the address of the application that people use: where the links in
	// mails lead.
	App string `env:"APP_URL,required"`
	// API is the platform's own public address, for what mail programs call
	// themselves; APP_URL without its path when it is not set.
	API string `env:"API_URL"`
	// PerHour is how many mails of a kind an address gets within an hour.
	PerHour int `env:"MAIL_PER_HOUR" envDefault:"20"`
}

// Validate refuses addresses that no link can begin with.
func (s settings) Validate() error {
	for name, address := range map[string]string{"APP_URL": s.App, "API_URL": s.API} {
		u, err := url.Parse(address)
		if address == "" && name == "API_URL" {
			continue
		}
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
			return config.Invalid(name, "must be an address such as https://app.example.com")
		}
	}
	if s.PerHour < 1 {
		return config.Invalid("MAIL_PER_HOUR", "must be above zero")
	}
	return nil
}

func (s settings) sender() mail.Address { a, _ := s.Mail.Addresses(); return a }

func (s settings) replyTo() mail.Address { _, a := s.Mail.Addresses(); return a }

// page is the address of a page of the application.
func (s settings) page(path string, query ...string) string {
	address := strings.TrimSuffix(s.App, "/") + path
	if len(query) == 0 {
		return address
	}
	q := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	return address + "?" + q.Encode()
}

// endpoint is the address of an operation of the API.
func (s settings) endpoint(path string) string {
	if s.API != "" {
		return strings.TrimSuffix(s.API, "/") + path
	}
	u, err := url.Parse(s.App)
	if err != nil {
		return path
	}
	return u.Scheme + "://" + u.Host + path
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup) }

func open(lookup config.Lookup, opts ...worker.Option) (*serve.App, error) {
	cfg, err := config.Load[settings](lookup)
	if err != nil {
		return nil, err
	}
	sender, err := mail.Open(cfg.Mail)
	if err != nil {
		return nil, err
	}
	base, err := worker.Open(lookup, "mailer", opts...)
	if err != nil {
		return nil, err
	}
	s := &service{
		db: base.DB, log: base.Log, sender: sender, cfg: cfg, now: time.Now,
		envelop: secrets.Parse(base.Secrets, secrets.EnvelopeKeys, secrets.ParseRing),
	}
	return base.App(
		worker.On(queue.MailVerification, s.verification),
		worker.On(queue.MailPasswordReset, s.passwordReset),
		worker.On(queue.MailEmailChange, s.emailChange),
		worker.On(queue.MailInvitation, s.invitation),
		worker.On(queue.MailTaskAssigned, s.taskAssigned),
		worker.On(queue.MailExportReady, s.exportReady),
		worker.On(queue.MailPaymentSucceeded, s.paymentSucceeded),
		worker.On(queue.MailPaymentFailed, s.paymentFailed),
		worker.On(queue.MailSubscriptionCanceled, s.subscriptionCanceled),
		worker.On(queue.MailUsageWarning, s.usageWarning),
		worker.On(queue.MailDigest, s.digest),
	), nil
}
