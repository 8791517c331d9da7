#!/usr/bin/env bash
# make test-stripe: the tests of billing that need nothing but Stripe's API, on the
# account that STRIPE_SECRET_KEY names, in test mode; STRIPE_API_URL is of another
# server, such as the stand-in of `make run`. They make customers, cards and
# subscriptions of test money, which stay in the account's test data.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${STRIPE_SECRET_KEY:-} in
  "")
    echo "STRIPE_SECRET_KEY is not set: take the secret key of an account in test mode, https://dashboard.stripe.com/test/apikeys (sk_test_…)." >&2
    echo "Without one, the same tests run on the stand-in: make test PKG=./functions/billing/..." >&2
    exit 2
    ;;
  sk_test_* | rk_test_*) ;;
  *)
    echo "STRIPE_SECRET_KEY is no key of test mode (sk_test_…): these tests charge cards." >&2
    exit 2
    ;;
esac

local=.local/bin/local
go build -o "$local" ./scripts/cmd/local
"$local" deps
export STRIPE_TEST_KEY=$STRIPE_SECRET_KEY
echo "billing on ${STRIPE_API_URL:-https://api.stripe.com}"
exec "$local" test-env -- go test -count=1 -timeout 20m -v -run '^TestAccount' ./functions/billing
