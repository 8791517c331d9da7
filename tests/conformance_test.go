package tests

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all/openapi"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/tests/conformance"
	"github.com/coditect/platform/tests/platform"
)

var (
	conformanceRequests = flag.Int("conformance.requests", conformanceDefault, "how many requests TestConformance makes")
	conformanceSeed     = flag.Uint64("conformance.seed", 1, "what decides them; another seed, others")
)

// TestConformance holds the whole platform, through the router, against its
// OpenAPI document: what is sent and what must hold is in tests/conformance.
//
//	make conformance N=1000000 SEED=7
func TestConformance(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../router/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	p := platform.Start(t, func(vars map[string]string) {
		// What is tried thousands of times an hour here, nobody else tries.
		for _, limit := range []string{
			"SIGNIN_PAIR_PER_MINUTE", "SIGNIN_ACCOUNT_PER_HOUR", "SIGNIN_KNOWN_PER_HOUR", "PASSWORD_PROOF_PER_MINUTE", "PASSWORD_PROOF_PER_HOUR",
			"REFRESH_PER_MINUTE", "REFRESH_IP_PER_MINUTE", "REGISTER_LIMIT_EMAIL_PER_HOUR", "RESET_LIMIT_EMAIL_PER_HOUR", "EMAIL_CHANGE_LIMIT_PER_HOUR", "EMAIL_CHANGE_LIMIT_EMAIL_PER_HOUR",
		} {
			vars[limit] = "1000000"
		}
	})
	const workers = 4
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	table := map[string]api.Operation{}
	for _, op := range public(t) {
		table[op.ID] = op
	}
	began := time.Now()
	result, err := conformance.Run(t.Context(), conformance.Options{
		Document: document, URL: p.URL, Client: client, Seed: *conformanceSeed, Requests: *conformanceRequests, Workers: workers,
		Open: func(int) (conformance.Actor, error) { return inhabit(t, p, table), nil },
		// They hash a password or end a session, after which there must be another.
		Rare: func(op *openapi.Operation) bool {
			return slices.Contains(endings, op.ID) || op.Tag == "Auth" && op.Method != http.MethodGet || op.ID == "change-email" || op.ID == "accept-invitation"
		},
	})
	if err != nil {
		t.Fatalf("seed %d: %v", *conformanceSeed, err)
	}
	t.Logf("seed %d, %s: %s", *conformanceSeed, time.Since(began).Round(time.Millisecond), result.Summary())
	if testing.Verbose() {
		t.Log("\n" + result.Table())
	}
	for _, fault := range result.Faults {
		t.Error(fault)
	}
	if silent := result.Silent(); len(silent) > 0 && len(result.Faults) == 0 {
		t.Errorf("never succeeded: %s", strings.Join(silent, ", "))
	}
	if len(result.Statuses) != len(table) {
		t.Errorf("the document has %d operations, the functions %d", len(result.Statuses), len(table))
	}
}

// citizen is the owner of a scene's organization, for the conformance suite.
type citizen struct {
	*scene
	t     *testing.T
	table map[string]api.Operation
}

func inhabit(t *testing.T, p *platform.Platform, table map[string]api.Operation) *citizen {
	t.Helper()
	c := &citizen{t: t, table: table}
	c.move(p)
	return c
}

// move gives them an organization, whose plan is large enough.
func (c *citizen) move(p *platform.Platform) {
	c.scene = stage(c.t, p)
	c.SQL(c.t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, c.owner.TenantID)
}

func (c *citizen) Token() string { return c.owner.Token }

// Renew signs them in again, or moves them when more than a session has ended.
func (c *citizen) Renew() (moved bool, err error) {
	var settled bool
	c.Scan(c.t, `select o.status = 'active' and m.role = 'owner' and m.is_active and m.left_at is null
		from app.organizations o join app.memberships m on m.tenant_id = o.tenant_id and m.user_id = $2 where o.tenant_id = $1`,
		[]any{c.owner.TenantID, c.owner.UserID}, &settled)
	var live bool
	c.Scan(c.t, `select exists (select from app.sessions where user_id = $1 and session_id = $2 and revoked_at is null)`, []any{c.owner.UserID, c.owner.SessionID}, &live)
	if !settled || live { // refused although all is well: something is remembered of them
		c.move(c.Platform)
		return true, nil
	}
	c.signIn(c.t)
	return false, nil
}

// Valid gives the scene's request, which succeeds, in the suite's form.
func (c *citizen) Valid(op *openapi.Operation) (conformance.Request, error) {
	known, ok := c.table[op.ID]
	if !ok {
		return conformance.Request{}, fmt.Errorf("no function serves %s", op.ID)
	}
	c.objects(c.t, c.owner)
	in := c.request(c.t, known)
	out := conformance.Request{Method: op.Method, Path: op.Path, Arguments: map[string]string{}, Token: in.Token, Header: http.Header{}}
	path, query, _ := strings.Cut(in.Path, "?")
	filled, pattern := strings.Split(path, "/"), strings.Split(op.Path, "/")
	for i, step := range pattern {
		if name, ok := strings.CutPrefix(step, "{"); ok && i < len(filled) {
			out.Arguments[strings.TrimSuffix(name, "}")] = filled[i]
		}
	}
	var err error
	if out.Query, err = url.ParseQuery(query); err != nil {
		return out, err
	}
	for name, value := range in.Header {
		out.Header.Set(name, value)
	}
	if in.Body != nil {
		out.HasBody, out.Media = true, "application/json"
		if kind := out.Header.Get("Content-Type"); kind != "" {
			out.Media = kind
			out.Header.Del("Content-Type")
		}
		if text, ok := in.Body.(string); ok { // signed as it is
			out.Raw = []byte(text)
			return out, nil
		}
		raw, err := json.Marshal(in.Body)
		if err != nil {
			return out, err
		}
		return out, json.Unmarshal(raw, &out.Body)
	}
	return out, nil
}
