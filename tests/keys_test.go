package tests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// forge signs claims with the platform's own key, for tokens that the platform
// itself would never issue.
func forge(t testing.TB, keys *identity.KeySet, claims jwt.MapClaims) string {
	t.Helper()
	raw, err := keys.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ Kid, D string } }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	d, err := base64.RawURLEncoding.DecodeString(set.Keys[0].D)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"], token.Header["typ"] = set.Keys[0].Kid, "at+jwt"
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func claimsOf(who functest.Person, from, to time.Time) jwt.MapClaims {
	return jwt.MapClaims{
		"iss": functest.Issuer, "aud": identity.Audience, "sub": who.UserID.String(), "tenant_id": who.TenantID.String(),
		"roles": []string{"owner"}, "email": who.Email, "name": who.Name, "sid": who.SessionID.String(),
		"iat": from.Unix(), "exp": to.Unix(), "jti": ids.New().String(),
	}
}

func expiredToken(t testing.TB, keys *identity.KeySet, who functest.Person) string {
	t.Helper()
	return forge(t, keys, claimsOf(who, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)))
}
