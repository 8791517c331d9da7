package auth

import (
	"errors"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ratelimit"
)

// Config is what an operator may set.
type Config struct {
	// AccessLife is how long an access token holds.
	AccessLife time.Duration `env:"ACCESS_TOKEN_LIFE" envDefault:"1h"`
	// SessionLife, RememberedLife and ForgottenLife are how long a session
	// lives from sign-in, whatever is done with it: without remember_me, with
	// true, with false.
	SessionLife    time.Duration `env:"SESSION_LIFE" envDefault:"168h"`
	RememberedLife time.Duration `env:"SESSION_LIFE_REMEMBERED" envDefault:"720h"`
	ForgottenLife  time.Duration `env:"SESSION_LIFE_FORGOTTEN" envDefault:"24h"`

	// SignIn holds the budgets of sign-in and refresh.
	SignIn ratelimit.SignInConfig
	// Registrations: a minute for an address, an hour for an email address.
	RegisterIP    int `env:"REGISTER_LIMIT_IP_PER_MINUTE" envDefault:"60"`
	RegisterEmail int `env:"REGISTER_LIMIT_EMAIL_PER_HOUR" envDefault:"10"`
	// Resets of a password: requests a minute from an address, and an hour for
	// an email address, which is as many mails as it gets.
	ResetIP    int `env:"RESET_LIMIT_IP_PER_MINUTE" envDefault:"20"`
	ResetEmail int `env:"RESET_LIMIT_EMAIL_PER_HOUR" envDefault:"5"`
	// LinkIP is how many mailed links are tried a minute from an address.
	LinkIP int `env:"LINK_LIMIT_IP_PER_MINUTE" envDefault:"60"`

	// Hashers is how many passwords one instance hashes at once; 0 means one
	// per core.
	Hashers int `env:"PASSWORD_HASHERS" envDefault:"0"`
}

// Validate refuses what would lock everybody out or let anybody stay.
func (c Config) Validate() error {
	var faults []error
	for name, life := range map[string]time.Duration{
		"ACCESS_TOKEN_LIFE": c.AccessLife, "SESSION_LIFE": c.SessionLife,
		"SESSION_LIFE_REMEMBERED": c.RememberedLife, "SESSION_LIFE_FORGOTTEN": c.ForgottenLife,
	} {
		if life < time.Minute {
			faults = append(faults, config.Invalid(name, "must be at least a minute"))
		}
	}
	if c.AccessLife > 24*time.Hour {
		faults = append(faults, config.Invalid("ACCESS_TOKEN_LIFE", "must be at most a day: signing keys are kept for little longer"))
	}
	for name, limit := range map[string]int{
		"REGISTER_LIMIT_IP_PER_MINUTE": c.RegisterIP, "REGISTER_LIMIT_EMAIL_PER_HOUR": c.RegisterEmail,
		"RESET_LIMIT_IP_PER_MINUTE": c.ResetIP, "RESET_LIMIT_EMAIL_PER_HOUR": c.ResetEmail, "LINK_LIMIT_IP_PER_MINUTE": c.LinkIP,
	} {
		if limit < 1 {
			faults = append(faults, config.Invalid(name, "must be at least 1"))
		}
	}
	if c.Hashers < 0 {
		faults = append(faults, config.Invalid("PASSWORD_HASHERS", "must not be negative"))
	}
	return errors.Join(faults...)
}

// life is how long a session lives, by what remember_me said.
func (c Config) life(remember *bool) time.Duration {
	switch {
	case remember == nil:
		return c.SessionLife
	case *remember:
		return c.RememberedLife
	}
	return c.ForgottenLife
}
