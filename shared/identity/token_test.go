package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

const issuer = "https://api.test"

type fixedKeys struct{ set *KeySet }

func (f fixedKeys) Get(context.Context) (*KeySet, error) {
	if f.set == nil {
		return nil, errs.New(errs.Unavailable, "secret_unavailable", "Try again.")
	}
	return f.set, nil
}

func person() Principal {
	return Principal{UserID: ids.New(), TenantID: ids.New(), SessionID: ids.New(), Email: "a@b.c", Name: "A B", Roles: []string{"admin"}}
}

// pair gives a signer and a verifier that shares its keys.
func pair(t testing.TB) (*Signer, *Verifier, *KeySet) {
	t.Helper()
	set := GenerateKeySet(time.Now())
	keys := fixedKeys{set}
	return NewSigner(keys, issuer), NewVerifier(Config{Issuer: issuer, CacheSize: 64}, OwnKeys(keys)), set
}

func TestAccessRoundTrip(t *testing.T) {
	t.Parallel()
	s, v, set := pair(t)
	want := person()
	token, exp, err := s.Access(t.Context(), want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // once verified, once remembered
		got, err := v.Verify(t.Context(), token)
		if err != nil || got.UserID != want.UserID || got.TenantID != want.TenantID || got.SessionID != want.SessionID ||
			got.Email != want.Email || got.Name != want.Name || len(got.Roles) != 1 || got.TokenID == "" ||
			got.Issuer != issuer || !got.ExpiresAt.Equal(exp) || exp.Sub(got.IssuedAt) != time.Hour {
			t.Errorf("%+v, %v", got, err)
		}
	}

	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil || parsed.Header["kid"] != set.keys[0].ID || parsed.Header["typ"] != "at+jwt" || parsed.Header["alg"] != "ES256" {
		t.Errorf("header %v, %v", parsed.Header, err)
	}
	c := parsed.Claims.(jwt.MapClaims)
	for _, name := range []string{"iss", "aud", "sub", "tenant_id", "roles", "email", "name", "sid", "iat", "exp", "jti"} {
		if c[name] == nil {
			t.Errorf("no %s", name)
		}
	}

	alone := want
	alone.TenantID, alone.Roles, alone.TokenID = ids.Nil, nil, "given"
	token, _, err = s.Access(t.Context(), alone, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := jwt.NewParser().ParseUnverified(token, c); err != nil || c["jti"] != "given" {
		t.Errorf("jti %v %v", c["jti"], err)
	}
	if payload, _ := b64.DecodeString(strings.Split(token, ".")[1]); strings.Contains(string(payload), "tenant_id") || !strings.Contains(string(payload), `"roles":[]`) {
		t.Errorf("payload %s", payload)
	}
	if got, err := v.Verify(t.Context(), token); err != nil || got.HasTenant() {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAccessRefuses(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	noUser, noSession := person(), person()
	noUser.UserID, noSession.SessionID = ids.Nil, ids.Nil
	for _, p := range []Principal{noUser, noSession} {
		if _, _, err := s.Access(t.Context(), p, time.Hour); err == nil {
			t.Error("signed for nobody")
		}
	}
	if _, _, err := s.Access(t.Context(), person(), 0); err == nil {
		t.Error("signed for no time")
	}
	if _, _, err := NewSigner(fixedKeys{}, issuer).Access(t.Context(), person(), time.Hour); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("without keys: %v", err)
	}
}

// sign makes a token of any header and payload with the key of set.
func sign(t testing.TB, key any, method jwt.SigningMethod, header, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sig, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func payload(change map[string]any) string {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": issuer, "aud": Audience, "sub": ids.New().String(), "tenant_id": ids.New().String(), "sid": ids.New().String(),
		"roles": []string{}, "email": "a@b.c", "name": "A", "iat": now, "exp": now + 600, "jti": "1",
	}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestTrapT31TokenAttacks(t *testing.T) {
	t.Parallel()
	_, v, set := pair(t)
	key := set.keys[0]
	head := func(extra string) string { return `{"alg":"ES256","typ":"at+jwt","kid":"` + key.ID + `"` + extra + `}` }
	ours := func(header, payload string) string {
		return sign(t, key.private, jwt.SigningMethodES256, header, payload)
	}
	good := ours(head(""), payload(nil))
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatalf("the good token: %v", err)
	}

	public, err := key.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	hs := func(secret []byte) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT","kid":"`+key.ID+`"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload(nil)))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	jwks, err := json.Marshal(set.Public())
	if err != nil {
		t.Fatal(err)
	}
	none := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","kid":"`+key.ID+`"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload(nil))) + "."
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kid := func(id string) string {
		b, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT", "kid": id})
		if err != nil {
			t.Fatal(err)
		}
		return ours(string(b), payload(nil))
	}
	now := time.Now().Unix()
	parts := strings.Split(good, ".")

	for name, raw := range map[string]string{
		"alg none":                     none("none"),
		"alg None":                     none("None"),
		"alg nOnE":                     none("nOnE"),
		"alg empty":                    none(""),
		"no alg":                       ours(`{"kid":"`+key.ID+`"}`, payload(nil)),
		"HS256 with the public point":  hs(public),
		"HS256 with the key document":  hs(jwks),
		"HS256 with nothing":           hs(nil),
		"RS256 for an issuer of ES256": sign(t, rsaKey, jwt.SigningMethodRS256, `{"alg":"RS256","kid":"`+key.ID+`"}`, payload(nil)),
		"another's key, our kid":       sign(t, stranger, jwt.SigningMethodES256, head(""), payload(nil)),
		"its own key inside":           sign(t, stranger, jwt.SigningMethodES256, head(`,"jwk":{"kty":"EC"},"jku":"http://127.0.0.1/","x5u":"http://127.0.0.1/"`), payload(nil)),
		"kid path":                     kid("../../../../dev/null"),
		"kid file URL":                 kid("file:///etc/passwd"),
		"kid URL":                      kid("http://127.0.0.1/jwks"),
		"kid SQL":                      kid("x' UNION SELECT 'AAAA' --"),
		"kid command":                  kid("x|/bin/true"),
		"kid NUL":                      kid(key.ID + "\x00"),
		"kid empty":                    kid(""),
		"kid long":                     kid(strings.Repeat("k", maxKid+1)),
		"kid a number":                 ours(`{"alg":"ES256","kid":1}`, payload(nil)),
		"no kid":                       ours(`{"alg":"ES256"}`, payload(nil)),
		"critical extension":           ours(head(`,"crit":["exp"]`), payload(nil)),
		"typ of an ID token":           ours(`{"alg":"ES256","typ":"id+jwt","kid":"`+key.ID+`"}`, payload(nil)),
		"typ a number":                 ours(`{"alg":"ES256","typ":1,"kid":"`+key.ID+`"}`, payload(nil)),
		"alg twice":                    ours(`{"alg":"none","alg":"ES256","kid":"`+key.ID+`"}`, payload(nil)),
		"wrong issuer":                 ours(head(""), payload(map[string]any{"iss": "https://evil.test"})),
		"issuer with a slash":          ours(head(""), payload(map[string]any{"iss": issuer + "/"})),
		"no issuer":                    ours(head(""), payload(map[string]any{"iss": nil})),
		"wrong audience":               ours(head(""), payload(map[string]any{"aud": "other"})),
		"no audience":                  ours(head(""), payload(map[string]any{"aud": nil})),
		"audience an object":           ours(head(""), payload(map[string]any{"aud": map[string]any{"x": Audience}})),
		"not yet valid":                ours(head(""), payload(map[string]any{"nbf": now + 60})),
		"issued in the future":         ours(head(""), payload(map[string]any{"iat": now + 60})),
		"no exp":                       ours(head(""), payload(map[string]any{"exp": nil})),
		"no iat":                       ours(head(""), payload(map[string]any{"iat": nil})),
		"exp a word":                   ours(head(""), payload(map[string]any{"exp": "never"})),
		"no sub":                       ours(head(""), payload(map[string]any{"sub": nil})),
		"sub not an id":                ours(head(""), payload(map[string]any{"sub": "admin"})),
		"sub nil id":                   ours(head(""), payload(map[string]any{"sub": ids.Nil.String()})),
		"sub in braces":                ours(head(""), payload(map[string]any{"sub": "{" + ids.New().String() + "}"})),
		"tenant not an id":             ours(head(""), payload(map[string]any{"tenant_id": "x"})),
		"tenant nil id":                ours(head(""), payload(map[string]any{"tenant_id": ids.Nil.String()})),
		"sid not an id":                ours(head(""), payload(map[string]any{"sid": "x"})),
		"no sid":                       ours(head(""), payload(map[string]any{"sid": nil})),
		"no jti":                       ours(head(""), payload(map[string]any{"jti": nil})),
		"roles an object":              ours(head(""), payload(map[string]any{"roles": map[string]any{}})),
		"sub twice":                    ours(head(""), strings.Replace(payload(nil), `{`, `{"sub":"`+ids.New().String()+`",`, 1)),
		"sub only as SUB":              ours(head(""), strings.Replace(payload(nil), `"sub"`, `"SUB"`, 1)),
		"payload an array":             ours(head(""), `[`+payload(nil)+`]`),
		"payload nested in itself":     ours(head(""), `{"claims":`+payload(nil)+`}`),
		"payload null":                 ours(head(""), `null`),
		"payload deep":                 ours(head(""), `{"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`),
		"signature cut":                good[:len(good)-4],
		"signature gone":               parts[0] + "." + parts[1] + ".",
		"payload changed":              parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payload(nil))) + "." + parts[2],
		"padded":                       good + "==",
		"four parts":                   good + ".x",
		"JWE in five parts":            strings.Repeat("e30.", 4) + "e30",
		"two parts":                    parts[0] + "." + parts[1],
		"dots":                         strings.Repeat(".", 8000),
		"one part":                     "x",
		"not base64":                   "!!.!!.!!",
		"over the limit":               ours(head(""), payload(map[string]any{"name": strings.Repeat("n", MaxToken)})),
		"a scheme too many":            "Bearer " + good,
	} {
		_, err := v.Verify(t.Context(), raw)
		if errs.KindOf(err) != errs.Unauthenticated || errs.CodeOf(err) != "token_invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}

	if _, err := v.Verify(t.Context(), ""); !errors.Is(err, ErrTokenMissing) {
		t.Errorf("no token: %v", err)
	}
	old := ours(head(""), payload(map[string]any{"iat": now - 700, "exp": now - 100}))
	if _, err := v.Verify(t.Context(), old); !errors.Is(err, ErrTokenExpired) || errs.KindOf(err) != errs.Unauthenticated {
		t.Errorf("expired: %v", err)
	}
	if _, err := v.Verify(t.Context(), old[:len(old)-8]+"AAAAAAAA"); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("expired and forged tells that it expired: %v", err)
	}
	for name, typ := range map[string]string{"JWT": "JWT", "at+jwt": "at+jwt", "full": "application/at+JWT"} {
		if _, err := v.Verify(t.Context(), ours(`{"alg":"ES256","typ":"`+typ+`","kid":"`+key.ID+`"}`, payload(nil))); err != nil {
			t.Errorf("typ %s: %v", name, err)
		}
	}
}

func TestKeysAwayIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	token, _, err := s.Access(t.Context(), person(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(Config{Issuer: issuer}, OwnKeys(fixedKeys{}))
	if _, err := v.Verify(t.Context(), token); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestRememberedTokens(t *testing.T) {
	t.Parallel()
	set := GenerateKeySet(time.Now())
	keys := &fixedKeys{set}
	now := time.Now()
	clock := func() time.Time { return now }
	s := NewSigner(keys, issuer)
	v := NewVerifier(Config{Issuer: issuer, CacheSize: 16}, OwnKeys(keys), WithClock(clock))
	token, exp, err := s.Access(t.Context(), person(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	verify := func() error { _, err := v.Verify(t.Context(), token); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	keys.set = nil
	if err := verify(); err != nil {
		t.Errorf("not remembered: %v", err)
	}
	now = now.Add(cacheAge)
	if err := verify(); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("remembered for too long: %v", err)
	}
	keys.set = set
	now = exp.Add(-time.Minute)
	if err := verify(); err != nil {
		t.Error(err)
	}
	now = exp.Add(leeway + time.Second)
	if err := verify(); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("remembered past its end: %v", err)
	}

	for range 200 {
		token, _, err := NewSigner(keys, issuer).Access(t.Context(), person(), 2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for i := range v.cache {
		held += v.cache[i].lru.Len()
	}
	if held > 16 {
		t.Errorf("%d tokens remembered", held)
	}
}

func TestKeySetRotation(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := GenerateKeySet(now)
	both := old.Rotate(now, 2*time.Hour)
	if len(both.Public().Keys) != 2 || both.Current(now).ID != old.keys[0].ID {
		t.Error("the coming key signs before it is known")
	}
	if both.Current(now.Add(KeyLead)).ID == old.keys[0].ID {
		t.Error("the coming key never signs")
	}
	if old.Current(now.Add(-time.Hour)).ID != old.keys[0].ID {
		t.Error("a wrong clock leaves no key")
	}
	data, err := json.Marshal(both)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseKeySet(data)
	if err != nil || len(back.keys) != 2 || back.keys[0].ID != both.keys[0].ID {
		t.Fatalf("%v %v", back, err)
	}

	// A token of the older key holds while the key is in the set.
	token, _, err := NewSigner(fixedKeys{old}, issuer).Access(t.Context(), person(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewVerifier(Config{Issuer: issuer}, StaticKeys(back.Public())).Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	later := both.Rotate(now.Add(KeyLead+3*time.Hour), 2*time.Hour)
	if _, ok := later.find(old.keys[0].ID); ok || len(later.keys) != 2 {
		t.Errorf("the replaced key stays: %d", len(later.keys))
	}
	if _, err := NewVerifier(Config{Issuer: issuer}, OwnKeys(fixedKeys{later})).Verify(t.Context(), token); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("a dropped key verifies: %v", err)
	}
	if printed := fmt.Sprintf("%v %#v", both, both); strings.Contains(printed, "D:") || len(printed) > 100 {
		t.Error("printing shows the keys")
	}
	public, err := json.Marshal(both.Public())
	if err != nil || strings.Contains(string(public), `"d"`) {
		t.Errorf("the public document: %s %v", public, err)
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(GenerateKeySet(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(GenerateKeySet(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	var a, b struct{ Keys []jsonSigningKey }
	if json.Unmarshal(data, &a) != nil || json.Unmarshal(other, &b) != nil {
		t.Fatal("no JSON")
	}
	with := func(change func(k *jsonSigningKey)) string {
		k := a.Keys[0]
		change(&k)
		out, err := json.Marshal(map[string]any{"keys": []jsonSigningKey{k}})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	twice, err := json.Marshal(map[string]any{"keys": []jsonSigningKey{a.Keys[0], a.Keys[0]}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": `{"keys":[]}`, "null": `null`, "not JSON": "x", "unknown field": `{"keys":[],"x":1}`, "trailing": string(data) + "{}",
		"twice":          string(twice),
		"other curve":    with(func(k *jsonSigningKey) { k.Crv = "P-384" }),
		"not base64":     with(func(k *jsonSigningKey) { k.D = "!" }),
		"not a key":      with(func(k *jsonSigningKey) { k.D = "AAAA" }),
		"another public": with(func(k *jsonSigningKey) { k.X, k.Y = b.Keys[0].X, b.Keys[0].Y }),
		"another kid":    with(func(k *jsonSigningKey) { k.Kid = b.Keys[0].Kid }),
	} {
		if _, err := ParseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: read", name)
		} else if strings.Contains(err.Error(), a.Keys[0].D) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if c, err := config.Load[Config](config.Map(nil)); err != nil || c.CacheSize != 4096 || c.OIDCIssuer != "" {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []map[string]string{
		{"TOKEN_ISSUER": "https://x", "OIDC_ISSUER": "https://x"}, {"OIDC_ISSUER": "ftp://x"}, {"TOKEN_CACHE_SIZE": "-1"},
	} {
		if _, err := config.Load[Config](config.Map(bad)); err == nil {
			t.Errorf("%v accepted", bad)
		}
	}
}

func TestBearerAndContext(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "Bearer": "", "Bearer ": "", "Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc ": "abc", "Basic abc": "", "Bearerabc": "",
	} {
		if got := Bearer(header); got != want {
			t.Errorf("%q: %q", header, got)
		}
	}
	if _, ok := FromContext(t.Context()); ok {
		t.Error("a principal from nowhere")
	}
	p := person()
	if got, ok := FromContext(NewContext(t.Context(), p)); !ok || got.UserID != p.UserID {
		t.Errorf("%+v", got)
	}
}

func FuzzVerify(f *testing.F) {
	s, v, set := pair(f)
	token, _, err := s.Access(f.Context(), person(), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(token[:len(token)-1])
	f.Add("e30.e30.e30")
	f.Add(`eyJhbGciOiJub25lIn0.e30.`)
	f.Add("..")
	f.Add(sign(f, set.keys[0].private, jwt.SigningMethodES256, `{"alg":"ES256","kid":"`+set.keys[0].ID+`"}`, `{"iss":"`+issuer+`"}`))
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := v.Verify(t.Context(), raw)
		if err == nil && p.UserID == ids.Nil {
			t.Error("a token for nobody holds")
		}
		// Line breaks inside base64 are skipped, so they may vary.
		if err == nil && strings.NewReplacer("\r", "", "\n", "").Replace(raw) != token {
			t.Errorf("a forgery holds: %q", raw)
		}
		if err != nil && errs.KindOf(err) != errs.Unauthenticated {
			t.Errorf("%v", err)
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add(payload(nil))
	f.Add(`{"ext":{"tenant_id":"x"},"aud":["a","b"]}`)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		var c, again claims
		if json.Unmarshal([]byte(text), &c) != nil {
			return
		}
		if trimmed := strings.TrimSpace(text); trimmed != "null" && trimmed[0] != '{' {
			t.Errorf("claims out of %q", text)
		}
		if err := json.Unmarshal([]byte(text), &again); err != nil || again.Subject != c.Subject || again.Tenant != c.Tenant {
			t.Errorf("%q reads two ways: %v", text, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for name, size := range map[string]int{"remembered": 4096, "each time": 0} {
		b.Run(name, func(b *testing.B) {
			keys := fixedKeys{GenerateKeySet(time.Now())}
			token, _, err := NewSigner(keys, issuer).Access(context.Background(), person(), time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			v := NewVerifier(Config{Issuer: issuer, CacheSize: size}, OwnKeys(keys))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := v.Verify(context.Background(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkSign(b *testing.B) {
	s, _, _ := pair(b)
	p := person()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Access(context.Background(), p, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
