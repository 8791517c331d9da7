package tests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// TestForgedTokens offers the router, and a function behind its back, every
// token that an attacker could make who has the public keys and nothing else,
// or a real key and wrong claims. All are 401.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	owner := p.Tenant(t)
	now := time.Now()
	good := claimsOf(owner, now, now.Add(time.Hour))
	changed := func(k string, v any) jwt.MapClaims {
		c := maps.Clone(good)
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
		return c
	}
	public := p.Keys.Public().Keys[0]
	document, err := json.Marshal(p.Keys.Public())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, header map[string]any) string {
		t.Helper()
		token := jwt.NewWithClaims(method, good)
		maps.Copy(token.Header, header)
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	genuine := forge(t, p.Keys, good)
	parts := strings.Split(genuine, ".")
	other := maps.Clone(good)
	other["tenant_id"] = p.Tenant(t).TenantID.String()
	payload, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	kid := map[string]any{"kid": public.Kid}
	attacks := map[string]string{
		"alg none":                       sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid),
		"alg None, signature kept":       b64(`{"alg":"None","kid":"`+public.Kid+`"}`) + "." + parts[1] + "." + parts[2],
		"HS256 with the public x":        sign(jwt.SigningMethodHS256, []byte(public.X), kid),
		"HS256 with the public document": sign(jwt.SigningMethodHS256, document, kid),
		"HS256 with an empty key":        sign(jwt.SigningMethodHS256, []byte{}, kid),
		"another key under our kid":      sign(jwt.SigningMethodES256, stranger, kid),
		"another key in a jwk header":    sign(jwt.SigningMethodES256, stranger, map[string]any{"kid": "mine", "jwk": map[string]string{"kty": "EC", "crv": "P-256"}}),
		"a jku to fetch":                 sign(jwt.SigningMethodES256, stranger, map[string]any{"kid": "mine", "jku": p.URL + "/.well-known/jwks.json"}),
		"kid is a path":                  sign(jwt.SigningMethodES256, stranger, map[string]any{"kid": "../../../../dev/null"}),
		"kid is SQL":                     sign(jwt.SigningMethodES256, stranger, map[string]any{"kid": "x' union select 'k"}),
		"kid is a URL":                   sign(jwt.SigningMethodES256, stranger, map[string]any{"kid": "http://127.0.0.1/key"}),
		"kid is a number":                sign(jwt.SigningMethodES256, stranger, map[string]any{"kid": 1}),
		"no kid":                         sign(jwt.SigningMethodES256, stranger, nil),
		"the payload of another tenant":  parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"a signature of zeros":           parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"wrong issuer":                   forge(t, p.Keys, changed("iss", "https://evil.example")),
		"no issuer":                      forge(t, p.Keys, changed("iss", nil)),
		"wrong audience":                 forge(t, p.Keys, changed("aud", "another-api")),
		"no audience":                    forge(t, p.Keys, changed("aud", nil)),
		"expired":                        forge(t, p.Keys, changed("exp", now.Add(-time.Minute).Unix())),
		"no expiry":                      forge(t, p.Keys, changed("exp", nil)),
		"issued tomorrow":                forge(t, p.Keys, changed("iat", now.Add(24*time.Hour).Unix())),
		"not yet valid":                  forge(t, p.Keys, changed("nbf", now.Add(time.Hour).Unix())),
		"a subject that is no id":        forge(t, p.Keys, changed("sub", "admin")),
		"a tenant that is no id":         forge(t, p.Keys, changed("tenant_id", "*")),
		"a session that never was":       forge(t, p.Keys, changed("sid", ids.New().String())),
		"no session":                     forge(t, p.Keys, changed("sid", nil)),
		"oversized":                      forge(t, p.Keys, changed("name", strings.Repeat("x", 9<<10))),
		"garbage":                        "a.b.c",
		"five parts":                     genuine + ".a.b",
		"empty":                          " ",
	}
	for name, token := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: token}).Want(t, http.StatusUnauthorized)
			// A function does not take the router's word for it; sessions are
			// the router's business.
			if !strings.Contains(name, "session that never was") {
				p.Do(t, p.Apps.Handler("projects"), functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: token}).Want(t, http.StatusUnauthorized)
			}
		})
	}
	t.Run("the real one", func(t *testing.T) {
		t.Parallel()
		p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: genuine}).Want(t, http.StatusOK)
	})
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestIdentityHeadersAreIgnored sends what another hop might have set.
func TestIdentityHeadersAreIgnored(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	victim := p.Tenant(t)
	headers := map[string]string{
		"X-User-ID": victim.UserID.String(), "X-Forwarded-User": victim.Email, "X-Coditect-User": victim.UserID.String(),
		"X-Coditect-Tenant": victim.TenantID.String(), "X-Serverless-Authorization": "Bearer " + victim.Token,
		"X-Forwarded-Authorization": "Bearer " + victim.Token, "X-Original-URL": "/internal/health/", "X-Rewrite-URL": "/internal/health/",
		"X-HTTP-Method-Override": "DELETE",
	}
	p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Header: headers}).WantCode(t, http.StatusUnauthorized, "token_missing")
	mine := p.Tenant(t)
	r := p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/tenants/me/", Token: mine.Token, Header: headers}).Want(t, http.StatusOK)
	if r.String(t, "id") != mine.TenantID.String() {
		t.Errorf("headers made me %s", r.Body)
	}
}
