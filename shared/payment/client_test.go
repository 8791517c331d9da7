package payment

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/errs"
)

// What Stripe's client says is told as what it means to ours: whether it was
// the card, the request, our key, or nobody knows. Only a card's refusal is told
// in Stripe's words.
func TestExplain(t *testing.T) {
	t.Parallel()
	const secretive = "No such key: sk_live_1"
	said := func(kind stripe.ErrorType, code stripe.ErrorCode, status int) error {
		return &stripe.Error{Type: kind, Code: code, HTTPStatusCode: status, Msg: secretive}
	}
	for name, c := range map[string]struct {
		err     error
		kind    errs.Kind
		code    string
		is      error // which of ours it is
		unknown bool  // it may have had its effect
	}{
		"a card":                       {said(stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined, 402), errs.Payment, "payment_declined", ErrDeclined, false},
		"an expired card":              {said(stripe.ErrorTypeCard, stripe.ErrorCodeExpiredCard, 402), errs.Payment, "payment_declined", ErrDeclined, false},
		"a payment, no card":           {said(stripe.ErrorTypeInvalidRequest, "", 402), errs.Payment, "payment_declined", ErrDeclined, false},
		"an absent object":             {said(stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, 404), errs.NotFound, "not_found", ErrMissing, false},
		"an absent parameter's object": {said(stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, 400), errs.NotFound, "not_found", ErrMissing, false},
		"an unknown parameter":         {said(stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeParameterUnknown, 400), errs.Internal, "internal", nil, false},
		"a key with another request":   {said(stripe.ErrorTypeIdempotency, "", 400), errs.Internal, "internal", nil, false},
		"a key in flight":              {said(stripe.ErrorTypeIdempotency, stripe.ErrorCodeIdempotencyKeyInUse, 409), errs.Unavailable, "billing_unavailable", ErrUnavailable, true},
		"a lock":                       {said(stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeLockTimeout, 429), errs.Unavailable, "billing_unavailable", ErrUnavailable, false},
		"too many requests":            {said(stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeRateLimit, 429), errs.Unavailable, "billing_unavailable", ErrUnavailable, false},
		"a wrong key":                  {said(stripe.ErrorTypeInvalidRequest, "", 401), errs.Unavailable, "billing_unavailable", ErrUnavailable, false},
		"a key without the right":      {said(stripe.ErrorTypeInvalidRequest, "", 403), errs.Unavailable, "billing_unavailable", ErrUnavailable, false},
		"Stripe's fault":               {said(stripe.ErrorTypeAPI, "", 500), errs.Unavailable, "billing_unavailable", ErrUnavailable, true},
		"Stripe's gateway":             {said(stripe.ErrorTypeAPI, "", 502), errs.Unavailable, "billing_unavailable", ErrUnavailable, true},
		"Stripe away":                  {said("", "", 503), errs.Unavailable, "billing_unavailable", ErrUnavailable, true},
		"the network":                  {errors.New("connection reset by peer"), errs.Unavailable, "billing_unavailable", ErrUnavailable, true},
		"time":                         {context.DeadlineExceeded, errs.Unavailable, "billing_unavailable", ErrUnavailable, true},
	} {
		for _, err := range []error{c.err, fmt.Errorf("subscribe: %w", c.err)} {
			got := Explain(err)
			var e *errs.Error
			if !errors.As(got, &e) || e.Kind != c.kind || e.Code != c.code || !errors.Is(got, c.err) || c.is != nil && !errors.Is(got, c.is) {
				t.Errorf("%s: %v", name, got)
				continue
			}
			if shown := strings.Contains(e.Detail, secretive); shown != (c.kind == errs.Payment) {
				t.Errorf("%s tells its client %q", name, e.Detail)
			}
			if (e.RetryAfter > 0) != (c.kind == errs.Unavailable) {
				t.Errorf("%s: come back after %s", name, e.RetryAfter)
			}
			if Unknown(err) != c.unknown {
				t.Errorf("%s: unknown is %t", name, !c.unknown)
			}
		}
	}
	if Explain(nil) != nil || Unknown(nil) {
		t.Error("no error is one")
	}
	// Who went away is not told that Stripe is.
	if err := Explain(fmt.Errorf("get: %w", context.Canceled)); errs.KindOf(err) != errs.Internal || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// Ours are not changed by what was told of one card.
	if err := Explain(&stripe.Error{Type: stripe.ErrorTypeCard, HTTPStatusCode: http.StatusPaymentRequired}); !strings.Contains(err.Error(), ErrDeclined.Detail) || strings.Contains(ErrDeclined.Detail, secretive) {
		t.Errorf("%v, %s", err, ErrDeclined.Detail)
	}
}

// Money is integers of minor units: nothing here, and nothing that it is told
// by, so much as names a number with a fraction.
func TestMoneyIsIntegers(t *testing.T) {
	t.Parallel()
	read := 0
	for _, dir := range []string{".", "../plans"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			read++
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.Ident:
					if x.Name == "float64" || x.Name == "float32" || x.Name == "ParseFloat" {
						t.Errorf("%s: %s", set.Position(x.Pos()), x.Name)
					}
				case *ast.BasicLit:
					if x.Kind == token.FLOAT {
						t.Errorf("%s: %s", set.Position(x.Pos()), x.Value)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 7 {
		t.Errorf("only %d files were read", read)
	}
}
