package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
)

// SignInConfig holds the budgets of the doors at which passwords and refresh
// tokens are tried.
type SignInConfig struct {
	PairPerMinute    int `env:"SIGNIN_PAIR_PER_MINUTE" envDefault:"5"`
	IPPerMinute      int `env:"SIGNIN_IP_PER_MINUTE" envDefault:"100"`
	AccountPerHour   int `env:"SIGNIN_ACCOUNT_PER_HOUR" envDefault:"30"`
	KnownPerHour     int `env:"SIGNIN_KNOWN_PER_HOUR" envDefault:"30"`
	ProofPerMinute   int `env:"PASSWORD_PROOF_PER_MINUTE" envDefault:"5"`
	ProofPerHour     int `env:"PASSWORD_PROOF_PER_HOUR" envDefault:"30"`
	RefreshPerMinute int `env:"REFRESH_PER_MINUTE" envDefault:"120"`
	RefreshIPMinute  int `env:"REFRESH_IP_PER_MINUTE" envDefault:"600"`
}

// Validate refuses budgets that let nobody in.
func (c SignInConfig) Validate() error {
	var faults []error
	for name, v := range map[string]int{
		"SIGNIN_PAIR_PER_MINUTE": c.PairPerMinute, "SIGNIN_IP_PER_MINUTE": c.IPPerMinute, "SIGNIN_ACCOUNT_PER_HOUR": c.AccountPerHour,
		"SIGNIN_KNOWN_PER_HOUR": c.KnownPerHour, "PASSWORD_PROOF_PER_MINUTE": c.ProofPerMinute, "PASSWORD_PROOF_PER_HOUR": c.ProofPerHour,
		"REFRESH_PER_MINUTE": c.RefreshPerMinute, "REFRESH_IP_PER_MINUTE": c.RefreshIPMinute,
	} {
		if v < 1 {
			faults = append(faults, config.Invalid(name, "must be at least 1"))
		}
	}
	return errors.Join(faults...)
}

// SignIn guards sign-in and refresh, each by budgets of its own.
type SignIn struct {
	limiter                   *Limiter
	pair, ip, account, known  Policy
	proof, proofs             Policy
	refreshToken, refreshFrom Policy
}

// NewSignIn makes the guard.
func NewSignIn(l *Limiter, c SignInConfig) *SignIn {
	return &SignIn{
		limiter:      l,
		pair:         Policy{"signin-pair", c.PairPerMinute, time.Minute},
		ip:           Policy{"signin-ip", c.IPPerMinute, time.Minute},
		account:      Policy{"signin-account", c.AccountPerHour, time.Hour},
		known:        Policy{"signin-known", c.KnownPerHour, time.Hour},
		proof:        Policy{"password-proof", c.ProofPerMinute, time.Minute},
		proofs:       Policy{"password-proof-hour", c.ProofPerHour, time.Hour},
		refreshToken: Policy{"refresh", c.RefreshPerMinute, time.Minute},
		refreshFrom:  Policy{"refresh-ip", c.RefreshIPMinute, time.Minute},
	}
}

// ErrTooManyAttempts is the refusal, the same for an account that is there and
// one that is not.
var ErrTooManyAttempts = errs.New(errs.TooMany, "too_many_attempts", "Too many attempts. Wait a moment and try again.")

// Attempt charges one try at account (an email address as typed) from ip. The
// pair's budget stands first and a refused try is charged nowhere, so hammering
// from one address spends at most the pair's share of the account's hour, and a
// slot comes back as each try turns an hour old.
//
// Many addresses together can still spend the hour. So that nobody is locked
// out by strangers, a network that the account was signed in from before goes
// on with a budget of its own: known tells of one, and is asked only then. It
// must take as long for an account that is not there.
func (s *SignIn) Attempt(ctx context.Context, ip netip.Addr, account string, known func(context.Context) (bool, error)) (Decision, error) {
	from, who := AddressKey(ip), AccountKey(account)
	pair, source := Bucket{s.pair, from + ":" + who}, Bucket{s.ip, from}
	d := s.limiter.Take(ctx, pair, source, Bucket{s.account, who})
	const ofAccount = 2 // its place above
	if d.Allowed || d.Denied != ofAccount || known == nil {
		return verdict(d)
	}
	// Charged whether the network is known or not: asking costs the database.
	if own := s.limiter.Take(ctx, pair, source, Bucket{s.known, from + ":" + who}); !own.Allowed {
		return verdict(own)
	} else if is, err := known(ctx); err != nil {
		return own, err
	} else if is {
		return own, nil
	}
	return verdict(d)
}

// Proof charges one try of a signed-in person to show their password once more.
// Its budget is the session's and the person's own: whoever holds a stolen
// token can neither guess on nor keep the person from signing in. more is what
// the request is charged to besides.
func (s *SignIn) Proof(ctx context.Context, user, session string, more ...Bucket) (Decision, error) {
	return verdict(s.limiter.Take(ctx, append([]Bucket{{s.proof, user + ":" + session}, {s.proofs, user}}, more...)...))
}

// Refresh charges one use of a refresh token's session; session is any stable
// name of it that is not the token.
func (s *SignIn) Refresh(ctx context.Context, ip netip.Addr, session string) (Decision, error) {
	return verdict(s.limiter.Take(ctx, Bucket{s.refreshToken, session}, Bucket{s.refreshFrom, AddressKey(ip)}))
}

func verdict(d Decision) (Decision, error) {
	if d.Allowed {
		return d, nil
	}
	return d, ErrTooManyAttempts.WithRetry(d.RetryAfter())
}

// AddressKey names the network a client calls from: an IPv4 address, or the /64
// that an IPv6 host can roam in (RFC 4291 §2.5.4).
func AddressKey(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return "unknown"
	}
	if ip.Is6() {
		p, err := ip.Prefix(64)
		if err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// AccountKey names an account without showing it to who can read Redis.
func AccountKey(account string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(account))))
	return hex.EncodeToString(sum[:16])
}
