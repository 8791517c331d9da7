// Package push is the door of a consumer: it lets in the requests that Cloud
// Tasks and Pub/Sub make for the platform, and nobody else's, and reads the
// message they carry.
//
// Both services sign an OIDC token as a service account. A valid signature alone
// says only that Google made the token for somebody: the audience says that it
// was made for this function, and the e-mail address that it was the platform
// that asked. All are checked, and nothing of the request, its headers included,
// is believed before.
//
// On AWS there is no token: SQS and EventBridge invoke a function where IAM
// permits it, and shared/serve/lambda vouches for those calls in their context
// (queue.Vouch), which nothing in a request can do.
//
// A function that imports this links no client of a cloud service. Another
// service that pushes is another case in message.go.
package push

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/queue"
)

// Config says whose requests are let in.
type Config struct {
	// Audience is what tokens are made for; {name} stands for the function.
	Audience string `env:"PUSH_AUDIENCE" envDefault:"http://{name}"`
	// Issuer signs the tokens.
	Issuer string `env:"PUSH_ISSUER" envDefault:"https://accounts.google.com"`
	// JWKSURL is where the issuer's keys are.
	JWKSURL string `env:"PUSH_JWKS_URL" envDefault:"https://www.googleapis.com/oauth2/v3/certs"`
	// ServiceAccounts are the e-mail addresses that the services push as. On
	// AWS Lambda nobody pushes, and none is needed.
	ServiceAccounts []string `env:"PUSH_SERVICE_ACCOUNTS"`
	// Lambda is the function's name there, set by AWS.
	Lambda string `env:"AWS_LAMBDA_FUNCTION_NAME"`
	// PlatformVerifies is set where the platform checks the token itself before
	// it lets a request through, and takes the signature out of what the program
	// sees, as Cloud Run does for services that are not public. Set anywhere
	// else it lets everybody in.
	// Source: docs.cloud.google.com/run/docs/authenticating/service-to-service.
	PlatformVerifies bool `env:"PUSH_PLATFORM_VERIFIES"`
}

// Validate refuses what would let in nobody or too many.
func (c Config) Validate() error {
	var faults []error
	if at, err := url.Parse(c.JWKSURL); err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		faults = append(faults, config.Invalid("PUSH_JWKS_URL", "must be an http or https address"))
	}
	if c.Audience == "" {
		faults = append(faults, config.Invalid("PUSH_AUDIENCE", "must not be empty"))
	}
	if c.Issuer == "" {
		faults = append(faults, config.Invalid("PUSH_ISSUER", "must not be empty"))
	}
	if len(c.ServiceAccounts) == 0 && c.Lambda == "" {
		faults = append(faults, config.Invalid("PUSH_SERVICE_ACCOUNTS", "must name who pushes"))
	}
	if slices.ContainsFunc(c.ServiceAccounts, func(s string) bool { return !strings.Contains(s, "@") }) {
		faults = append(faults, config.Invalid("PUSH_SERVICE_ACCOUNTS", "must be e-mail addresses, separated by commas"))
	}
	return errors.Join(faults...)
}

// The ways in which a request is refused before its body is read. The causes
// are for the log; a stranger learns nothing more.
var (
	ErrTokenMissing = errs.New(errs.Unauthenticated, "token_missing", "This address takes messages of the platform's queues only.")
	ErrTokenInvalid = errs.New(errs.Unauthenticated, "token_invalid", "The token is not valid here.")
	ErrForbidden    = errs.New(errs.Forbidden, "forbidden", "This service account may not deliver messages here.")
	// ErrMisdirected is for a schedule's call where messages are awaited, and
	// the other way round.
	ErrMisdirected = errs.New(errs.Malformed, "misdirected", "This address awaits another sort of call.")
)

const (
	algorithm = "RS256"
	leeway    = 10 * time.Second
	// removed is what Cloud Run puts in place of a signature that it checked.
	removed = "SIGNATURE_REMOVED_BY_GOOGLE"
)

// Door checks and reads push requests. It is safe for concurrent use.
type Door struct {
	cfg    Config
	keys   identity.PublicKeys
	parser *jwt.Parser
	rules  *jwt.Validator
}

// An Option changes a Door from the ordinary.
type Option func(*options)

type options struct {
	keys      identity.PublicKeys
	transport http.RoundTripper
	now       func() time.Time
}

// WithTransport sets how the issuer's keys are fetched.
func WithTransport(rt http.RoundTripper) Option { return func(o *options) { o.transport = rt } }

// WithKeys takes the issuer's keys from elsewhere than PUSH_JWKS_URL.
func WithKeys(k identity.PublicKeys) Option { return func(o *options) { o.keys = k } }

// WithClock replaces the clock, for tests.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// New makes the door of the function of that name. It fetches nothing yet.
func New(cfg Config, function string, opts ...Option) *Door {
	o := options{now: time.Now}
	for _, opt := range opts {
		opt(&o)
	}
	if o.keys == nil {
		o.keys = identity.NewRemoteKeys(cfg.JWKSURL, o.transport)
	}
	rules := []jwt.ParserOption{
		jwt.WithStrictDecoding(), jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(cfg.Issuer),
		jwt.WithAudience(strings.ReplaceAll(cfg.Audience, "{name}", function)),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(o.now),
	}
	return &Door{cfg: cfg, keys: o.keys, parser: jwt.NewParser(rules...), rules: jwt.NewValidator(rules...)}
}

// Receive lets a request in and reads its message. It fails with one of the
// errors of [Door.Verify], with a body over the limit, or with kind
// errs.Malformed and queue.ErrMalformed for a body that will never be a message.
func (d *Door) Receive(w http.ResponseWriter, r *http.Request) (queue.Delivery, error) {
	if call, ok := queue.Vouched(r.Context()); ok {
		if call.Attempt == 0 {
			return queue.Delivery{}, ErrMisdirected
		}
		return readVouched(r, call)
	}
	if err := d.Verify(r.Context(), r.Header); err != nil {
		return queue.Delivery{}, err
	}
	return read(w, r)
}

// claims are those of a Google ID token for a service account.
type claims struct {
	jwt.RegisteredClaims

	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
}

// Verify checks who makes a request with these headers: [ErrTokenMissing],
// [ErrTokenInvalid], [ErrForbidden], or kind errs.Unavailable when the issuer's
// keys are not to be had.
//
// A call that the platform itself vouches for needs no token, but has to be a
// schedule's: messages are for [Door.Receive].
func (d *Door) Verify(ctx context.Context, h http.Header) error {
	if call, ok := queue.Vouched(ctx); ok {
		if call.Attempt != 0 {
			return ErrMisdirected
		}
		return nil
	}
	raw, err := bearer(h)
	if err != nil {
		return err
	}
	var c claims
	if err := d.check(ctx, raw, &c); err != nil {
		if errs.KindOf(err) == errs.Unavailable {
			var public *errs.Error
			errors.As(err, &public)
			return public
		}
		return ErrTokenInvalid.WithCause(err)
	}
	// An address that was not verified is whatever its owner typed.
	if !c.EmailVerified || !slices.Contains(d.cfg.ServiceAccounts, c.Email) {
		return ErrForbidden.WithCause(errors.New("not a service account that pushes"))
	}
	return nil
}

func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", ErrTokenMissing
	}
	scheme, raw, ok := strings.Cut(values[0], " ")
	switch {
	case len(values) > 1:
		return "", ErrTokenInvalid.WithCause(errors.New("two Authorization headers"))
	case !ok || !strings.EqualFold(scheme, "Bearer") || raw == "":
		return "", ErrTokenMissing
	case len(raw) > identity.MaxToken:
		return "", ErrTokenInvalid.WithCause(errors.New("token over the limit of length"))
	}
	return raw, nil
}

func (d *Door) check(ctx context.Context, raw string, c *claims) error {
	if d.cfg.PlatformVerifies && strings.HasSuffix(raw, "."+removed) {
		t, _, err := d.parser.ParseUnverified(raw, c)
		if err != nil {
			return err
		}
		if t.Method.Alg() != algorithm {
			return errors.New("not the algorithm of the issuer")
		}
		return d.rules.Validate(c)
	}
	_, err := d.parser.ParseWithClaims(raw, c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok {
			return nil, errors.New("critical extensions are not understood")
		}
		kid, _ := t.Header["kid"].(string)
		key, err := d.keys.PublicKey(ctx, kid)
		if err != nil {
			return nil, err
		}
		// The key says what it is for, never the token.
		if key.Algorithm != algorithm {
			return nil, errors.New("the key is for another algorithm")
		}
		return key.Key, nil
	})
	return err
}
