package oidc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/identity"
)

func TestTokensVerifyWithWhatIsPublished(t *testing.T) {
	t.Parallel()
	now := time.Now()
	i, err := New("https://issuer.example")
	if err != nil {
		t.Fatal(err)
	}
	i.now = func() time.Time { return now }
	served := httptest.NewServer(i.Handler())
	t.Cleanup(served.Close)
	keys := identity.NewRemoteKeys(served.URL+KeysPath, nil)
	token, err := i.Token("sa@x", "http://mailer")
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.MapClaims
	_, err = jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(i.Name()), jwt.WithAudience("http://mailer"), jwt.WithExpirationRequired()).
		ParseWithClaims(token, &claims, func(parsed *jwt.Token) (any, error) {
			if parsed.Header["kid"] != i.KeyID() {
				t.Errorf("kid %v", parsed.Header["kid"])
			}
			key, err := keys.PublicKey(t.Context(), i.KeyID())
			return key.Key, err
		})
	if err != nil || claims["email"] != "sa@x" || claims["email_verified"] != true || claims["azp"] != "sa@x" || claims["sub"] == "" {
		t.Errorf("%v, %v", claims, err)
	}
	if again, _ := i.Token("sa@x", "http://mailer"); again != token {
		t.Error("signed again at once")
	}
	if other, _ := i.Token("sa@x", "http://reporter"); other == token {
		t.Error("one token for two audiences")
	}
	now = now.Add(renewal)
	if later, _ := i.Token("sa@x", "http://mailer"); later == token {
		t.Error("handed out when half its life is over")
	}
}

func TestDiscoveryAndMemory(t *testing.T) {
	t.Parallel()
	i, err := New("https://issuer.example/")
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	i.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, DiscoveryPath, nil))
	var doc map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil || doc["jwks_uri"] != "https://issuer.example"+KeysPath || doc["issuer"] != i.Name() {
		t.Errorf("%v %v", doc, err)
	}
	for n := range maxRemembered {
		i.tokens[subject{"a", string(rune(n))}] = signed{}
	}
	if _, err := i.Token("b", "c"); err != nil || len(i.tokens) != 1 {
		t.Errorf("%d remembered, %v", len(i.tokens), err)
	}
}
