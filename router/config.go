package router

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/secrets"
)

// Config is what an operator may set.
type Config struct {
	Cache    cache.Config
	Identity identity.Config
	Secrets  secrets.Config
	Logs     logs.Config

	// Environment is local, dev, staging or production. Outside local browsers
	// are told to insist on TLS.
	Environment string `env:"DEPLOYMENT_ENVIRONMENT" envDefault:"local"`
	// SecretsDir is where the platform mounts secrets as files, if it does.
	SecretsDir string `env:"SECRETS_DIR"`

	// BaseDomain is the host under which tenants have their subdomains.
	BaseDomain string `env:"BASE_DOMAIN" envDefault:"localhost"`
	// PlainHosts are further hosts that belong to no tenant, such as the
	// address that the platform gives a service.
	PlainHosts []string `env:"PLAIN_HOSTS" envSeparator:","`
	// Origins may call us from a browser.
	Origins []string `env:"ALLOWED_ORIGINS" envSeparator:"," envDefault:"http://localhost:3000,http://localhost:5173"`
	// TrustedHops is how many proxies of ours stand before the router: the
	// client is the address that the outermost of them added to
	// X-Forwarded-For. 0 believes the connection only.
	TrustedHops int `env:"TRUSTED_HOPS" envDefault:"0"`

	// Upstreams are the functions' addresses: auth=https://…,tenants=https://…
	Upstreams Upstreams `env:"UPSTREAMS"`
	// Nudge is the address of the function that relays the outbox. It is told,
	// by a signed POST /internal/relay/, as soon as a request left messages.
	// Empty leaves them to the schedule.
	Nudge Address `env:"ROUTER_NUDGE_URL"`

	Limits   LimitConfig
	Timeouts TimeoutConfig
}

// LimitConfig holds the budgets of the edge, in requests a minute.
type LimitConfig struct {
	// Tenant holds where the plan is not known.
	Tenant int `env:"RATE_TENANT_PER_MINUTE" envDefault:"300"`
	// UserPercent is one member's part of the tenant's budget.
	UserPercent int `env:"RATE_USER_PERCENT" envDefault:"100"`
	// User is the budget of a person without an organization.
	User int `env:"RATE_USER_PER_MINUTE" envDefault:"300"`
	// Essential is a person's budget for what the plan never blocks: auth,
	// billing, the tenant itself and its members, exports.
	Essential int `env:"RATE_ESSENTIAL_PER_MINUTE" envDefault:"600"`
	// IP is an address's budget for what needs no token. Sign-in has tighter
	// ones of its own.
	IP int `env:"RATE_IP_PER_MINUTE" envDefault:"3000"`
	// Hold is how long a caller that asks on after many refusals waits at most,
	// and Held how many requests may wait so at a time; 0 holds none.
	Hold time.Duration `env:"RATE_HOLD" envDefault:"1s"`
	Held int           `env:"RATE_HELD" envDefault:"64"`
	// Buckets bounds the limiter in process.
	Buckets int `env:"RATE_BUCKETS" envDefault:"50000"`
}

// TimeoutConfig bounds every side of a request.
type TimeoutConfig struct {
	// Total is a whole request, first byte to last.
	Total time.Duration `env:"ROUTER_TIMEOUT" envDefault:"30s"`
	// Header and Body are how long a client may take to send them, Idle how
	// long a connection may wait for its next request.
	Header time.Duration `env:"ROUTER_HEADER_TIMEOUT" envDefault:"5s"`
	Body   time.Duration `env:"ROUTER_BODY_TIMEOUT" envDefault:"15s"`
	Idle   time.Duration `env:"ROUTER_IDLE_TIMEOUT" envDefault:"120s"`
	// Dial and Answer bound a function: being reached, beginning to answer.
	Dial   time.Duration `env:"UPSTREAM_DIAL_TIMEOUT" envDefault:"2s"`
	Answer time.Duration `env:"UPSTREAM_ANSWER_TIMEOUT" envDefault:"28s"`
	// Internal bounds one of the router's own questions to a function.
	Internal time.Duration `env:"UPSTREAM_INTERNAL_TIMEOUT" envDefault:"2s"`
	// Nudge bounds one nudge of the relay.
	Nudge time.Duration `env:"ROUTER_NUDGE_TIMEOUT" envDefault:"10s"`
	// Failures in a row of a function open its circuit, for Cooldown.
	Failures uint32        `env:"UPSTREAM_CIRCUIT_FAILURES" envDefault:"5"`
	Cooldown time.Duration `env:"UPSTREAM_CIRCUIT_COOLDOWN" envDefault:"2s"`
}

// Upstreams maps a function's name to its address.
type Upstreams map[string]*url.URL

// UnmarshalText reads name=url,name=url.
func (u *Upstreams) UnmarshalText(text []byte) error {
	out := Upstreams{}
	for _, pair := range strings.Split(string(text), ",") {
		name, address, ok := strings.Cut(strings.TrimSpace(pair), "=")
		var a Address
		if err := a.UnmarshalText([]byte(address)); !ok || name == "" || address == "" || err != nil {
			return errors.New("not name=http(s)://host pairs")
		}
		out[name] = a.URL
	}
	*u = out
	return nil
}

// Address is where one function is; its URL is nil where none was given.
type Address struct{ *url.URL }

// UnmarshalText reads http(s)://host.
func (a *Address) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		a.URL = nil
		return nil
	}
	u, err := url.Parse(string(text))
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("not http(s)://host")
	}
	a.URL = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// Validate refuses settings that would open the edge or close it for all.
func (c Config) Validate() error {
	var faults []error
	bad := func(name, reason string) { faults = append(faults, config.Invalid(name, reason)) }
	if !slices.Contains([]string{"local", "dev", "staging", "production"}, c.Environment) {
		bad("DEPLOYMENT_ENVIRONMENT", "must be local, dev, staging or production")
	}
	if !validHost(c.BaseDomain) {
		bad("BASE_DOMAIN", "must be a host name in lower case")
	}
	for _, h := range c.PlainHosts {
		if !validHost(h) {
			bad("PLAIN_HOSTS", "must be host names in lower case")
		}
	}
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != o {
			bad("ALLOWED_ORIGINS", "must be origins such as https://app.example.com")
		}
	}
	if c.TrustedHops < 0 || c.TrustedHops > 10 {
		bad("TRUSTED_HOPS", "must be from 0 to 10")
	}
	l, t := c.Limits, c.Timeouts
	for name, v := range map[string]int{
		"RATE_TENANT_PER_MINUTE": l.Tenant, "RATE_USER_PERCENT": l.UserPercent, "RATE_USER_PER_MINUTE": l.User,
		"RATE_ESSENTIAL_PER_MINUTE": l.Essential, "RATE_IP_PER_MINUTE": l.IP, "RATE_BUCKETS": l.Buckets, "UPSTREAM_CIRCUIT_FAILURES": int(t.Failures),
	} {
		if v < 1 {
			bad(name, "must be at least 1")
		}
	}
	if l.Held < 0 {
		bad("RATE_HELD", "must be at least 0")
	}
	if l.Hold < 0 {
		bad("RATE_HOLD", "must be at least 0")
	}
	for name, v := range map[string]time.Duration{
		"ROUTER_TIMEOUT": t.Total, "ROUTER_HEADER_TIMEOUT": t.Header, "ROUTER_BODY_TIMEOUT": t.Body, "ROUTER_IDLE_TIMEOUT": t.Idle,
		"UPSTREAM_DIAL_TIMEOUT": t.Dial, "UPSTREAM_ANSWER_TIMEOUT": t.Answer, "UPSTREAM_INTERNAL_TIMEOUT": t.Internal, "UPSTREAM_CIRCUIT_COOLDOWN": t.Cooldown, "ROUTER_NUDGE_TIMEOUT": t.Nudge,
	} {
		if v <= 0 {
			bad(name, "must be above 0")
		}
	}
	return errors.Join(faults...)
}

func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return false
	}
	name, ok := hostName(h)
	return ok && name == h
}
