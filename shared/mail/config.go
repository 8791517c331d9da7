package mail

import (
	"crypto/tls"
	"errors"
	netmail "net/mail"
	"net/url"
	"time"

	"github.com/coditect/platform/shared/config"
)

// Config says through whom mail goes and in whose name.
type Config struct {
	// URL is smtp://[user:password@]host[:587] (STARTTLS), smtps://…[:465]
	// (TLS from the start) or sendgrid://key@api.sendgrid.com. It holds a
	// secret, as a mounted secret or a variable.
	URL config.Secret `env:"MAIL_URL,required"`
	// From is who mail is from: "Coditect <no-reply@example.com>".
	From string `env:"MAIL_FROM,required"`
	// ReplyTo is where answers go; empty is From.
	ReplyTo string `env:"MAIL_REPLY_TO"`
	// Environment "local" allows connections without TLS: to the mailbox on
	// the same machine.
	Environment string `env:"DEPLOYMENT_ENVIRONMENT"`
	// Timeout bounds each exchange with the server.
	Timeout time.Duration `env:"MAIL_TIMEOUT" envDefault:"15s"`
}

const local = "local"

// Validate refuses what would send in clear, or in nobody's name.
func (c Config) Validate() error {
	var faults []error
	if _, err := netmail.ParseAddress(c.From); err != nil {
		faults = append(faults, config.Invalid("MAIL_FROM", "must be an address such as Name <name@example.com>"))
	}
	if c.ReplyTo != "" {
		if _, err := netmail.ParseAddress(c.ReplyTo); err != nil {
			faults = append(faults, config.Invalid("MAIL_REPLY_TO", "must be an address such as name@example.com"))
		}
	}
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		faults = append(faults, config.Invalid("MAIL_TIMEOUT", "must be between 1s and 1m"))
	}
	if fault := c.urlFault(); fault != "" {
		faults = append(faults, config.Invalid("MAIL_URL", fault))
	}
	return errors.Join(faults...)
}

func (c Config) urlFault() string {
	u, err := url.Parse(c.URL.Reveal())
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return "must be smtp://host, smtps://host or sendgrid://key@host"
	}
	switch u.Scheme {
	case "smtp", "smtps":
		if _, has := u.User.Password(); u.User != nil && !has {
			return "must have a password beside its user"
		}
		for name := range u.Query() {
			if name != "tls" {
				return "must have no parameter other than tls"
			}
		}
		switch mode := u.Query().Get("tls"); {
		case mode != "" && mode != "none":
			return "may only say tls=none"
		case mode == "none" && u.Scheme == "smtps":
			return "must not be smtps with tls=none"
		case mode == "none" && c.Environment != local:
			return "must not be without TLS where DEPLOYMENT_ENVIRONMENT is not local"
		}
	case "sendgrid", "sendgrid+http":
		if u.User.Username() == "" {
			return "must have the API key before its host"
		}
		if u.Scheme == "sendgrid+http" && c.Environment != local {
			return "must not be without TLS where DEPLOYMENT_ENVIRONMENT is not local"
		}
	default:
		return "must be smtp://host, smtps://host or sendgrid://key@host"
	}
	return ""
}

// Addresses are the sender and the reply address of every mail. Validate has
// parsed both.
func (c Config) Addresses() (from, reply Address) {
	if a, err := netmail.ParseAddress(c.From); err == nil {
		from = *a
	}
	if a, err := netmail.ParseAddress(c.ReplyTo); err == nil {
		reply = *a
	}
	return from, reply
}

// An Option changes a Sender from the ordinary.
type Option func(*options)

type options struct{ tls *tls.Config }

// WithTLS replaces the settings of TLS, to trust a certificate of one's own.
func WithTLS(c *tls.Config) Option { return func(o *options) { o.tls = c } }

// Open makes the sender of a valid cfg, whose mail is from MAIL_FROM unless a
// message says otherwise. It dials nothing.
func Open(cfg Config, opts ...Option) (Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	u, err := url.Parse(cfg.URL.Reveal())
	if err != nil {
		return nil, errors.New("mail: MAIL_URL cannot be read") // the cause would quote it
	}
	var to Sender
	switch u.Scheme {
	case "smtp", "smtps":
		if to, err = newSMTP(u, cfg.Timeout, o.tls); err != nil {
			return nil, err
		}
	default:
		to = newSendGrid(u, cfg.Timeout, o.tls)
	}
	from, reply := cfg.Addresses()
	return named{to, from, reply}, nil
}
