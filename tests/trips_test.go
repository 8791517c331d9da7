package tests

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/trips"
	"github.com/coditect/platform/tests/platform"
)

// exchanges is what an operation may cost in round trips to PostgreSQL where
// that is not the rule's: one to read, one to create, two to change what has to
// be read first. Each exception says why.
var exchanges = map[string]int{
	"register":               1,
	"login":                  4, // whose address it is, who they are, where they may act, and the session: four shards, each known from the one before
	"refresh":                1,
	"logout":                 1,
	"revoke-sessions":        1,
	"confirm-password-reset": 3, // the link before the password is hashed, its use, and what hangs on it
	"switch-tenant":          3, // who they are, what they are there, and the session: two shards and a write
	"create-tenant":          2, // the person first, on their own shard
	"list-tenants":           2, // which, then each under its own policy
	"accept-invitation":      4, // the invitation, whose its address is, who they are, and the acceptance: three shards, each known from the one before
	"resend-invitation":      3, // whom it goes to, whose budget is charged outside of transactions
	"verify-domain":          3, // what to ask the DNS for, which no transaction waits for, and then the change
	"complete-attachment":    3, // what to look for in the storage, which no transaction waits for, and then the change
	// What there is, the subscription to oneself, Stripe, what is here now under a lock, and what that makes of it: no
	// transaction is open while Stripe is asked. And the caller's rights, which a change of plan before has dropped.
	"subscribe":             6,
	"change-plan":           6,
	"cancel-subscription":   6,
	"resume-subscription":   6,
	"add-payment-method":    6,
	"delete-payment-method": 7, // and whether it is one of ours, before Stripe hears of it
}

// redisExchanges is the same for Redis, where it is not one.
var redisExchanges = map[string]int{
	"change-password":        2, // the budget before, and the sessions that ended after
	"confirm-password-reset": 2, // the same
	"accept-invitation":      2, // the budget before, and the rights that somebody who left had
	"delete-me":              2, // the sessions that ended, and the rights in the organization that was left
	"remove-member":          2, // the same
	// The rights, read, kept again, and dropped when the plan is another.
	"subscribe": 3, "change-plan": 3, "cancel-subscription": 3, "resume-subscription": 3, "add-payment-method": 3, "delete-payment-method": 3,
}

func budget(method, id string) int {
	if n, ok := exchanges[id]; ok {
		return n
	}
	switch method {
	case http.MethodGet:
		return 1
	case http.MethodPost:
		return 2
	}
	return 2
}

// TestRoundTrips counts what every operation costs once its caches are warm:
// rule 4 of the house.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	apps, err := all.Open(context.Background(), config.Map(p.Vars))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apps.Close(context.Background()) })
	home := stage(t, p)
	for _, f := range all.Functions() {
		handler := apps.Handler(f.Name)
		for _, op := range f.Operations {
			if op.Permission == identity.Internal {
				continue
			}
			t.Run(named(op), func(t *testing.T) {
				// What is remembered of rights and sessions is asked for again after
				// seconds, which a busy machine can let pass between the warming and
				// the counting. Only then is it counted again.
				for again := 2; ; again-- {
					begun := time.Now()
					rows, keys := home.trips(t, op, handler)
					warm := time.Since(begun) < 4*time.Second
					t.Logf("PostgreSQL %d, Redis %d", rows, keys)
					most, mostKeys := budget(op.Method, op.ID), max(redisExchanges[op.ID], 1)
					if rows <= most && keys <= mostKeys {
						return
					}
					if warm || again == 0 {
						t.Fatalf("%d round trips to PostgreSQL, at most %d; %d to Redis, at most %d", rows, most, keys, mostKeys)
					}
				}
			})
		}
	}
}

// trips are the round trips to PostgreSQL and to Redis of an operation whose
// caches are warm.
func (s *scene) trips(t *testing.T, op api.Operation, handler http.Handler) (postgres, redis int) {
	t.Helper()
	s.objects(t, s.owner)
	first := s.Do(t, handler, s.request(t, op))
	s.objects(t, s.owner)
	in := s.request(t, op)
	if op.ID == "refresh" { // the same person again, whose rights are known by now
		in.Body = map[string]any{"refresh_token": first.String(t, "refresh_token")}
	}
	for _, path := range []string{"/api/v1/tenants/me/", "/api/v1/users/"} { // whichever it serves: rights that the first one dropped
		s.Do(t, handler, functest.Request{Method: http.MethodGet, Path: path, Token: in.Token})
	}
	ctx, count := trips.Count(t.Context())
	in.Context = ctx
	if r := s.Do(t, handler, in); r.Status != op.Status {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	return count.Postgres(), count.Redis()
}

// TestCreationIsOneRoundTrip holds creating to one exchange, checks included.
func TestCreationIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home := stage(t, p)
	apps, err := all.Open(context.Background(), config.Map(p.Vars))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apps.Close(context.Background()) })
	for _, tc := range []struct{ function, path string }{
		{"projects", "/api/v1/projects/"},
		{"tasks", "/api/v1/projects/" + home.project.String() + "/tasks/"},
	} {
		// The first request resolves what the person may do.
		p.Do(t, apps.Handler(tc.function), functest.Request{Method: http.MethodGet, Path: tc.path, Token: home.owner.Token}).Want(t, http.StatusOK)
		ctx, count := trips.Count(t.Context())
		body := map[string]any{"name": "x"}
		if tc.function == "tasks" {
			body = map[string]any{"title": "x", "assignee_id": home.owner.UserID}
		}
		p.Do(t, apps.Handler(tc.function), functest.Request{Method: http.MethodPost, Path: tc.path, Token: home.owner.Token, Context: ctx, Body: body}).Want(t, http.StatusCreated)
		if count.Postgres() != 1 {
			t.Errorf("POST %s: %d round trips", tc.path, count.Postgres())
		}
	}
}
