package auth

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/identity"
)

var jwksSpec = api.Spec{
	ID: "jwks", Method: http.MethodGet, Path: "/.well-known/jwks.json", Tag: "Auth",
	Summary:     "The keys that verify access tokens",
	Description: "RFC 7517. A new key is published before it first signs, and an old one stays for as long as tokens of its hand live.",
	Public:      true,
	ResponseExample: identity.JWKS{Keys: []identity.JWK{{
		Kty: "EC", Crv: "P-256", Alg: "ES256", Use: "sig", Kid: "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
		X: "WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis", Y: "y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE",
	}}},
}

func (s *service) jwks(ctx context.Context, _ identity.Caller, _ *struct{}) (*api.Value[identity.JWKS], error) {
	set, err := s.keys.Get(ctx)
	if err != nil {
		return nil, err
	}
	return api.NewValue(set.Public()), nil
}
