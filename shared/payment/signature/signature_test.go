package signature_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/coditect/platform/shared/payment/signature"
)

const secret, other = "whsec_0123456789abcdef", "whsec_fedcba9876543210"

func signed(body string, by string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: by, Timestamp: at}).Header
}

// What Stripe's own client signs is taken, and nothing that was changed since.
func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	const body = `{"id":"evt_1"}`
	good := signed(body, secret, now)
	_, v1, _ := strings.Cut(good, "v1=")
	v1 = "v1=" + v1
	for name, c := range map[string]struct {
		body, header string
		secrets      []string
		ok           bool
	}{
		"Stripe's":                 {body, good, []string{secret}, true},
		"by the older secret":      {body, good, []string{other, secret}, true},
		"signed with both":         {body, good + "," + signed(body, other, now)[len("t=1800000000,"):], []string{other}, true},
		"beside an old scheme":     {body, good + ",v0=00", []string{secret}, true},
		"at the tolerance's end":   {body, signed(body, secret, now.Add(-300*time.Second)), []string{secret}, true},
		"too old":                  {body, signed(body, secret, now.Add(-301*time.Second)), []string{secret}, false},
		"of the future":            {body, signed(body, secret, now.Add(301*time.Second)), []string{secret}, false},
		"another body":             {body + " ", good, []string{secret}, false},
		"another secret":           {body, good, []string{other}, false},
		"no secret":                {body, good, nil, false},
		"an empty secret":          {body, signed(body, "", now), []string{""}, false},
		"a newer time":             {body, strings.Replace(good, "t=1800000000", "t=1800000001", 1), []string{secret}, false},
		"two times":                {body, "t=1800000000," + good, []string{secret}, false},
		"a time written otherwise": {body, strings.Replace(good, "t=", "t=+", 1), []string{secret}, false},
		"no time":                  {body, v1, []string{secret}, false},
		"no signature":             {body, "t=1800000000", []string{secret}, false},
		"the old scheme alone":     {body, strings.Replace(good, "v1=", "v0=", 1), []string{secret}, false},
		"half a signature":         {body, good[:len(good)-2], []string{secret}, false},
		"nothing":                  {body, "", []string{secret}, false},
		"words":                    {body, "t,v1", []string{secret}, false},
		"endless":                  {body, good + strings.Repeat(",v1=00", 1000), []string{secret}, false},
		"too many":                 {body, good + strings.Repeat(","+v1, 16), []string{secret}, false},
	} {
		if err := signature.Verify([]byte(c.body), c.header, c.secrets, now); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	if got, err := signature.ParseSecrets([]byte(secret + "\n" + other + "\n")); err != nil || len(got) != 2 || got[1] != other {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", " \n", "short"} {
		if _, err := signature.ParseSecrets([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// No header is taken that Stripe's client refuses.
func FuzzVerify(f *testing.F) {
	now := time.Now()
	f.Add("x", signed("x", secret, now))
	f.Add("x", "t="+strconv.FormatInt(now.Unix(), 10)+",v1=")
	f.Fuzz(func(t *testing.T, body, header string) {
		if signature.Verify([]byte(body), header, []string{secret}, time.Now()) == nil && webhook.ValidatePayload([]byte(body), header, secret) != nil {
			t.Errorf("taken: %q", header)
		}
	})
}
