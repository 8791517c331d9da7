package identity

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// provider is an OpenID provider whose answers the test sets.
type provider struct {
	*httptest.Server
	fetches atomic.Int32
	keys    atomic.Pointer[http.HandlerFunc]
	claimed atomic.Value // the issuer it says it is, if not its address
	jwks    atomic.Value // the jwks_uri, if not its own
}

func newProvider(t *testing.T, set JWKS) *provider {
	t.Helper()
	p := new(provider)
	p.serve(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(set) })
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		doc := map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}
		if c, ok := p.claimed.Load().(string); ok {
			doc["issuer"] = c
		}
		if c, ok := p.jwks.Load().(string); ok {
			doc["jwks_uri"] = c
		}
		json.NewEncoder(w).Encode(doc)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		(*p.keys.Load())(w, r)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serve(h http.HandlerFunc) { p.keys.Store(&h) }

type testClock struct{ at atomic.Int64 }

func newTestClock() *testClock {
	c := new(testClock)
	c.at.Store(time.Now().UnixNano())
	return c
}
func (c *testClock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *testClock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestTrapT30UnknownKidFloodIsBounded(t *testing.T) {
	t.Parallel()
	set := GenerateKeySet(time.Now())
	p := newProvider(t, set.Public())
	c := newTestClock()
	r := NewRemoteKeys(p.URL+"/keys", nil)
	r.now = c.now
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := r.PublicKey(t.Context(), ids.New().String()); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	if _, err := r.PublicKey(t.Context(), set.keys[0].ID); err != nil {
		t.Errorf("the flood hides the good key: %v", err)
	}

	// A key that appears is found once the cool-down is over, at the cost of one fetch.
	rotated := set.Rotate(c.now(), time.Hour)
	p.serve(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(rotated.Public()) })
	if _, err := r.PublicKey(t.Context(), rotated.keys[0].ID); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("fetched inside the cool-down: %v", err)
	}
	c.advance(remoteCool)
	if _, err := r.PublicKey(t.Context(), rotated.keys[0].ID); err != nil || p.fetches.Load() != 2 {
		t.Errorf("%v after %d fetches", err, p.fetches.Load())
	}
	for _, kid := range []string{"", strings.Repeat("k", maxKid+1)} {
		c.advance(remoteCool)
		if _, err := r.PublicKey(t.Context(), kid); !errors.Is(err, ErrUnknownKey) || p.fetches.Load() != 2 {
			t.Errorf("an impossible kid is asked for: %v", err)
		}
	}
}

func TestKeysServeWhileTheirServerIsDown(t *testing.T) {
	t.Parallel()
	set := GenerateKeySet(time.Now())
	p := newProvider(t, set.Public())
	c := newTestClock()
	r := NewRemoteKeys(p.URL+"/keys", nil)
	r.now = c.now
	kid := set.keys[0].ID
	if _, err := r.PublicKey(t.Context(), kid); err != nil {
		t.Fatal(err)
	}
	p.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.advance(remoteFresh)
	for range 3 {
		if _, err := r.PublicKey(t.Context(), kid); err != nil || p.fetches.Load() != 2 {
			t.Errorf("%v after %d fetches", err, p.fetches.Load())
		}
	}
	c.advance(remoteStale)
	if _, err := r.PublicKey(t.Context(), kid); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("a day later: %v", err)
	}
}

func TestNoKeysYetIsUnavailableAndTriedAgain(t *testing.T) {
	t.Parallel()
	set := GenerateKeySet(time.Now())
	p := newProvider(t, set.Public())
	c := newTestClock()
	r := NewRemoteKeys(p.URL+"/keys", nil)
	r.now = c.now
	good := *p.keys.Load()
	for name, h := range map[string]http.HandlerFunc{
		"status":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"not JSON":     func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"nothing":      func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) },
		"too large":    func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat(" ", remoteBody+1))) },
		"another host": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		p.serve(h)
		c.advance(remoteRetry)
		before := p.fetches.Load()
		for range 2 {
			if _, err := r.PublicKey(t.Context(), set.keys[0].ID); errs.KindOf(err) != errs.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p.fetches.Load() != before+1 {
			t.Errorf("%s: %d fetches", name, p.fetches.Load()-before)
		}
	}
	p.serve(good)
	c.advance(remoteRetry)
	if _, err := r.PublicKey(t.Context(), set.keys[0].ID); err != nil {
		t.Errorf("never recovered: %v", err)
	}
}

func TestWaitingForKeysEndsWithTheContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	set := GenerateKeySet(time.Now())
	p := newProvider(t, set.Public())
	good := *p.keys.Load()
	p.serve(func(w http.ResponseWriter, r *http.Request) { <-release; good(w, r) })
	r := NewRemoteKeys(p.URL+"/keys", nil)
	first := make(chan error, 1)
	go func() { _, err := r.PublicKey(t.Context(), set.keys[0].ID); first <- err }()
	for p.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.PublicKey(ctx, set.keys[0].ID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestOIDCIssuer(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const kid = "public:hydra.openid.1"
	public := JWK{Kty: "RSA", Use: "sig", Alg: "RS256", Kid: kid, N: b64.EncodeToString(key.N.Bytes()), E: b64.EncodeToString(big.NewInt(int64(key.E)).Bytes())}
	enc := public
	enc.Use, enc.Kid = "enc", "for-encryption"
	p := newProvider(t, JWKS{Keys: []JWK{public, enc, {Kty: "OKP", Kid: "ed"}}})
	own := GenerateKeySet(time.Now())
	v := NewVerifier(Config{Issuer: issuer, OIDCIssuer: p.URL, CacheSize: 16}, OwnKeys(fixedKeys{own}))

	user, tenant := ids.New(), ids.New()
	token := func(kid string, change map[string]any) string {
		return sign(t, key, jwt.SigningMethodRS256, `{"alg":"RS256","typ":"JWT","kid":"`+kid+`"}`, payload(change))
	}
	theirs := map[string]any{"iss": p.URL, "sub": user.String(), "sid": nil, "tenant_id": nil, "email": nil, "jti": nil,
		"aud": []string{"other", Audience}, "ext": map[string]any{"tenant_id": tenant.String(), "email": "h@y.dra"}}
	got, err := v.Verify(t.Context(), token(kid, theirs))
	if err != nil || got.UserID != user || got.TenantID != tenant || got.Email != "h@y.dra" || got.Issuer != p.URL {
		t.Errorf("%+v %v", got, err)
	}

	// Each issuer's keys are good for its own tokens only.
	if _, err := v.Verify(t.Context(), token(kid, nil)); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("their key, our issuer: %v", err)
	}
	crossed := sign(t, own.keys[0].private, jwt.SigningMethodES256, `{"alg":"ES256","kid":"`+own.keys[0].ID+`"}`, payload(theirs))
	if _, err := v.Verify(t.Context(), crossed); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("our key, their issuer: %v", err)
	}
	if _, err := v.Verify(t.Context(), token("for-encryption", theirs)); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("an encryption key: %v", err)
	}
	wrong := sign(t, own.keys[0].private, jwt.SigningMethodES256, `{"alg":"ES256","kid":"`+kid+`"}`, payload(theirs))
	if _, err := v.Verify(t.Context(), wrong); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("ES256 under an RS256 kid: %v", err)
	}
	twice := sign(t, key, jwt.SigningMethodRS256, `{"alg":"RS256","kid":"`+kid+`"}`, strings.Replace(payload(theirs), `"ext":{`, `"ext":{"email":"x","email":"y",`, 1))
	if _, err := v.Verify(t.Context(), twice); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("a claim twice, nested: %v", err)
	}
	if _, err := v.Verify(t.Context(), token(kid, map[string]any{"iss": p.URL, "aud": "my-client"})); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("an ID token's audience: %v", err)
	}
}

func TestDiscoveryIsNotBelievedBlindly(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(p *provider){
		"another issuer": func(p *provider) { p.claimed.Store("https://evil.test") },
		"file URL":       func(p *provider) { p.jwks.Store("file:///etc/passwd") },
		"no host":        func(p *provider) { p.jwks.Store("/keys") },
		"not a URL":      func(p *provider) { p.jwks.Store("http://[") },
	} {
		p := newProvider(t, GenerateKeySet(time.Now()).Public())
		set(p)
		if _, err := NewIssuerKeys(p.URL, nil).PublicKey(t.Context(), "k"); errs.KindOf(err) != errs.Unavailable || p.fetches.Load() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := newProvider(t, JWKS{})
	p.Close()
	if _, err := NewIssuerKeys(p.URL, nil).PublicKey(t.Context(), "k"); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("down: %v", err)
	}
	if _, err := NewRemoteKeys("http://[", nil).PublicKey(t.Context(), "k"); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("no address: %v", err)
	}
}

func TestKeysThatAreNotUsed(t *testing.T) {
	t.Parallel()
	ec := GenerateKeySet(time.Now()).Public().Keys[0]
	n := b64.EncodeToString(append([]byte{1}, make([]byte, 255)...))
	for name, change := range map[string]func(k *JWK){
		"no kid":            func(k *JWK) { k.Kid = "" },
		"ES384":             func(k *JWK) { k.Alg = "ES384" },
		"short coordinate":  func(k *JWK) { k.X = "AA" },
		"not on the curve":  func(k *JWK) { k.Y = k.X },
		"symmetric":         func(k *JWK) { *k = JWK{Kty: "oct", Kid: "k"} },
		"RSA of 1024 bits":  func(k *JWK) { *k = JWK{Kty: "RSA", Kid: "k", N: n[:170], E: "AQAB"} },
		"RSA exponent 1":    func(k *JWK) { *k = JWK{Kty: "RSA", Kid: "k", N: n, E: "AQ"} },
		"RSA even exponent": func(k *JWK) { *k = JWK{Kty: "RSA", Kid: "k", N: n, E: "BA"} },
		"RSA no exponent":   func(k *JWK) { *k = JWK{Kty: "RSA", Kid: "k", N: n} },
		"RSA PSS":           func(k *JWK) { *k = JWK{Kty: "RSA", Kid: "k", N: n, E: "AQAB", Alg: "PS256"} },
	} {
		k := ec
		change(&k)
		if _, err := k.parse(); err == nil {
			t.Errorf("%s: used", name)
		}
	}
	if _, err := (JWK{Kty: "RSA", Kid: "k", N: n, E: "AQAB"}).parse(); err != nil {
		t.Errorf("a plain RSA key: %v", err)
	}
}
