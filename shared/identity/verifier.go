package identity

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

const (
	// MaxToken is the longest access token that is looked at, in bytes. A longer
	// one is refused unread (CVE-2025-30204).
	MaxToken = 8 << 10

	leeway = 5 * time.Second
)

// The three ways in which a token fails. All are errs.Unauthenticated.
var (
	ErrTokenMissing = errs.New(errs.Unauthenticated, "token_missing", "This operation needs an access token.")
	ErrTokenInvalid = errs.New(errs.Unauthenticated, "token_invalid", "The access token is not valid.")
	ErrTokenExpired = errs.New(errs.Unauthenticated, "token_expired", "The access token has expired.")
)

// Config says whose tokens are accepted.
type Config struct {
	// Issuer is the iss of our own tokens.
	Issuer string `env:"TOKEN_ISSUER" envDefault:"http://localhost:8080"`
	// OIDCIssuer is a second issuer, an OpenID provider; empty means none.
	OIDCIssuer string `env:"OIDC_ISSUER"`
	// CacheSize is how many verified tokens are remembered, at about 1 KB each.
	CacheSize int `env:"TOKEN_CACHE_SIZE" envDefault:"4096"`
}

// Validate refuses what would make two issuers one.
func (c Config) Validate() error {
	var faults []error
	if c.OIDCIssuer != "" && c.OIDCIssuer == c.Issuer {
		faults = append(faults, config.Invalid("OIDC_ISSUER", "must not be our own issuer"))
	}
	if c.OIDCIssuer != "" && !strings.HasPrefix(c.OIDCIssuer, "https://") && !strings.HasPrefix(c.OIDCIssuer, "http://") {
		faults = append(faults, config.Invalid("OIDC_ISSUER", "must be an http or https address"))
	}
	if c.CacheSize < 0 {
		faults = append(faults, config.Invalid("TOKEN_CACHE_SIZE", "must not be negative"))
	}
	return errors.Join(faults...)
}

// trusted is an issuer, with what its tokens are checked by.
type trusted struct {
	name    string
	methods []string
	keys    PublicKeys
	// ours have every claim of the contract; another issuer's may lack some.
	ours   bool
	parser *jwt.Parser
}

// A Verifier checks access tokens. It pins the issuer, per issuer the
// algorithms, the audience and the times, takes keys only from where it was
// told, and remembers what it has verified for as long as cacheAge.
type Verifier struct {
	issuers map[string]*trusted
	peek    *jwt.Parser
	cache   *tokenCache
	now     func() time.Time
}

// An Option changes a Verifier from the ordinary.
type Option func(*Verifier, *options)

type options struct{ transport http.RoundTripper }

// WithClock replaces the clock, for tests.
func WithClock(now func() time.Time) Option { return func(v *Verifier, _ *options) { v.now = now } }

// WithTransport sets how the OpenID provider is reached.
func WithTransport(rt http.RoundTripper) Option {
	return func(_ *Verifier, o *options) { o.transport = rt }
}

// NewVerifier makes a Verifier that finds the keys of our own tokens in own. It
// fetches nothing yet.
func NewVerifier(cfg Config, own PublicKeys, opts ...Option) *Verifier {
	v := &Verifier{now: time.Now, issuers: make(map[string]*trusted, 2)}
	var o options
	for _, opt := range opts {
		opt(v, &o)
	}
	v.cache = newTokenCache(cfg.CacheSize)
	v.peek = jwt.NewParser(jwt.WithStrictDecoding())
	v.trust(&trusted{name: cfg.Issuer, methods: []string{algES256}, keys: own, ours: true})
	if cfg.OIDCIssuer != "" {
		v.trust(&trusted{name: cfg.OIDCIssuer, methods: []string{algRS256, algES256}, keys: NewIssuerKeys(cfg.OIDCIssuer, o.transport)})
	}
	return v
}

func (v *Verifier) trust(t *trusted) {
	t.parser = jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithValidMethods(t.methods), jwt.WithIssuer(t.name),
		jwt.WithAudience(Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return v.now() }))
	v.issuers[t.name] = t
}

// Verify says who raw, a bearer token without its scheme, speaks for. It fails
// with [ErrTokenMissing], [ErrTokenInvalid] or [ErrTokenExpired], which carry
// the reason for the log, or with kind errs.Unavailable when the keys are not to
// be had: that is no reason to make a client sign in anew. The principal's
// Roles are shared and must not be changed.
func (v *Verifier) Verify(ctx context.Context, raw string) (Principal, error) {
	switch {
	case raw == "":
		return Principal{}, ErrTokenMissing
	case len(raw) > MaxToken:
		return Principal{}, invalid("token over the limit of length")
	}
	now := v.now()
	name := nameOf(raw)
	if p, ok := v.cache.get(name, now); ok {
		return p, nil
	}
	p, err := v.verify(ctx, raw)
	if err != nil {
		return Principal{}, err
	}
	v.cache.put(name, p, now)
	return p, nil
}

func (v *Verifier) verify(ctx context.Context, raw string) (Principal, error) {
	var unverified claims
	if _, _, err := v.peek.ParseUnverified(raw, &unverified); err != nil {
		return Principal{}, ErrTokenInvalid.WithCause(err)
	}
	issuer := v.issuers[unverified.Issuer]
	if issuer == nil {
		return Principal{}, invalid("not an issuer that we trust")
	}
	var c claims
	_, err := issuer.parser.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) { return issuer.key(ctx, t) })
	switch {
	case err == nil:
		return issuer.principal(&c)
	case errs.KindOf(err) == errs.Unavailable:
		var public *errs.Error
		errors.As(err, &public)
		return Principal{}, public
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenInvalidAudience) && !errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return Principal{}, ErrTokenExpired.WithCause(err)
	}
	return Principal{}, ErrTokenInvalid.WithCause(err)
}

// key runs after the algorithm was found among the issuer's, and before the
// signature is checked: nothing of t is to be believed.
func (i *trusted) key(ctx context.Context, t *jwt.Token) (any, error) {
	// "crit" names extensions that must be understood (RFC 7515, 4.1.11); there
	// are none that we do.
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("critical extensions are not understood")
	}
	if typ, ok := t.Header["typ"]; ok {
		s, _ := typ.(string)
		s = strings.TrimPrefix(strings.ToLower(s), "application/")
		if s != "jwt" && s != "at+jwt" {
			return nil, errors.New("not the type of an access token")
		}
	}
	header, _, _ := strings.Cut(t.Raw, ".")
	text, err := b64.DecodeString(header)
	if err != nil {
		return nil, err
	}
	if _, err := members(text); err != nil {
		return nil, err
	}
	kid, _ := t.Header["kid"].(string)
	if kid == "" || len(kid) > maxKid {
		return nil, errors.New("no kid")
	}
	key, err := i.keys.PublicKey(ctx, kid)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != t.Method.Alg() || !slices.Contains(i.methods, key.Algorithm) {
		return nil, errors.New("the key is for another algorithm")
	}
	return key.Key, nil
}

func (i *trusted) principal(c *claims) (Principal, error) {
	p := Principal{Email: c.Email, Name: c.Name, Roles: c.Roles, TokenID: c.ID, Issuer: c.Issuer, ExpiresAt: c.ExpiresAt.UTC()}
	if c.IssuedAt == nil {
		return Principal{}, invalid("no iat")
	}
	p.IssuedAt = c.IssuedAt.UTC()
	var err error
	if p.UserID, err = ids.Parse(c.Subject); err != nil || p.UserID == ids.Nil {
		return Principal{}, invalid("sub is not a user id")
	}
	if c.Tenant != "" {
		if p.TenantID, err = ids.Parse(c.Tenant); err != nil || p.TenantID == ids.Nil {
			return Principal{}, invalid("tenant_id is not an id")
		}
	}
	if c.Session != "" {
		if p.SessionID, err = ids.Parse(c.Session); err != nil || p.SessionID == ids.Nil {
			return Principal{}, invalid("sid is not an id")
		}
	}
	if i.ours && (p.SessionID == ids.Nil || c.ID == "") {
		return Principal{}, invalid("sid or jti is missing")
	}
	return p, nil
}

func invalid(reason string) error { return ErrTokenInvalid.WithCause(errors.New(reason)) }
