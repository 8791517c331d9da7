package auth_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
)

// TestTrapT19SameTime measures how long the answer takes for accounts that are
// there and for those that are not, in one run and in random order, and compares
// the two distributions: how often one of the one sort takes longer than one of
// the other (the Mann-Whitney statistic over all pairs). A half is what an
// attacker cannot tell apart; one is what a missing hash would give. No time is
// compared with a constant, so that the machine does not matter.
func TestTrapT19SameTime(t *testing.T) {
	const million = "1000000"
	f := setup(t, "SIGNIN_PAIR_PER_MINUTE", million, "SIGNIN_IP_PER_MINUTE", million, "SIGNIN_ACCOUNT_PER_HOUR", million,
		"RESET_LIMIT_IP_PER_MINUTE", million, "RESET_LIMIT_EMAIL_PER_HOUR", million)
	f.register(t, "known@example.com")
	f.register(t, "closed@example.com")
	f.SQL(t, `update app.users set is_active = false where email = 'closed@example.com'`)
	for _, c := range []struct {
		path    string
		body    object
		status  int
		samples int
	}{
		{"login/", object{"password": "wrong-password-1"}, http.StatusUnauthorized, 60},
		{"password-reset/", object{}, http.StatusAccepted, 400},
	} {
		for _, other := range []string{"unknown@example.com", "closed@example.com"} {
			took := map[string][]time.Duration{}
			ask := func(email string) time.Duration {
				in := functest.Request{Method: http.MethodPost, Path: base + c.path, Body: with(c.body, "email", email)}
				start := time.Now()
				f.Do(t, f.handler, in).Want(t, c.status)
				return time.Since(start)
			}
			for range 5 { // connections, caches
				ask("known@example.com")
				ask(other)
			}
			for range c.samples {
				pair := []string{"known@example.com", other}
				rand.Shuffle(2, func(i, j int) { pair[i], pair[j] = pair[j], pair[i] })
				for _, email := range pair {
					took[email] = append(took[email], ask(email))
				}
			}
			known, unknown := took["known@example.com"], took[other]
			p := longer(known, unknown)
			report := fmt.Sprintf("%s %s: P(known > other) = %.3f, medians %s and %s", c.path, other, p, median(known), median(unknown))
			t.Log(report)
			if p < 0.25 || p > 0.75 {
				t.Error(report)
			}
		}
	}
}

// longer is the share of pairs in which the one of a is the greater.
func longer(a, b []time.Duration) float64 {
	wins := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				wins++
			case x == y:
				wins += 0.5
			}
		}
	}
	return wins / float64(len(a)*len(b))
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
