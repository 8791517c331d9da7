package tenants_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/shared/functest"
)

const domains = me + "domains/"

// add adds a domain and puts its record into the zone.
func (f *fixture) add(t *testing.T, who functest.Person, name string) (id string) {
	t.Helper()
	made := f.do(t, who, http.MethodPost, domains, map[string]any{"domain": name}).Want(t, http.StatusCreated)
	f.DNS.SetTXT(made.String(t, "verification.name"), "v=spf1 -all", made.String(t, "verification.value"))
	return made.String(t, "id")
}

// routes tells whose requests at a host are, as the router asks it.
func (f *fixture) routes(t *testing.T, host string) string {
	t.Helper()
	r := f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: "/internal/hosts/" + host + "/", Internal: true})
	if r.Status == http.StatusNotFound {
		return ""
	}
	return r.Want(t, http.StatusOK).String(t, "tenant_id")
}

func (f *fixture) verify(t *testing.T, who functest.Person, id string) functest.Response {
	t.Helper()
	return f.do(t, who, http.MethodPost, domains+id+"/verify/", nil)
}

func TestDomain(t *testing.T) {
	f := setup(t)
	admin := f.Member(t, f.owner.TenantID, "admin")
	made := f.do(t, admin, http.MethodPost, domains, map[string]any{"domain": "Work.Acme.com."}, "X-Request-Id", "add").Want(t, http.StatusCreated)
	at := made.Header.Get("Location")
	for path, want := range map[string]any{
		"domain": "work.acme.com", "is_primary": false, "verified": false, "verified_at": nil,
		"verification.type": "TXT", "verification.name": "_coditect-challenge.work.acme.com",
	} {
		if got := made.Get(t, path); got != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	if at != domains+made.String(t, "id")+"/" {
		t.Errorf("Location %q", at)
	}
	// It leads nowhere, whatever its record.
	f.verify(t, admin, made.String(t, "id")).WantCode(t, http.StatusConflict, "domain_not_verified")
	f.DNS.SetTXT(made.String(t, "verification.name"), "coditect-verification=other")
	f.verify(t, admin, made.String(t, "id")).WantCode(t, http.StatusConflict, "domain_not_verified")
	if f.routes(t, "work.acme.com") != "" {
		t.Error("a domain that is not verified leads here")
	}
	f.DNS.SetTXT(made.String(t, "verification.name"), made.String(t, "verification.value"))
	verified := f.do(t, admin, http.MethodPost, at+"verify/", nil, "X-Request-Id", "verify").Want(t, http.StatusOK)
	if verified.Get(t, "verified") != true || verified.Get(t, "verified_at") == nil || f.routes(t, "Work.acme.COM") != f.owner.TenantID.String() {
		t.Errorf("verified: %s", verified.Body)
	}
	again := f.verify(t, admin, made.String(t, "id")).Want(t, http.StatusOK)
	if again.Header.Get("ETag") != verified.Header.Get("ETag") {
		t.Error("verifying again changed something")
	}
	got := f.do(t, admin, http.MethodGet, at, nil).Want(t, http.StatusOK)
	if string(got.Body) != string(verified.Body) || got.Header.Get("ETag") != verified.Header.Get("ETag") {
		t.Errorf("read %s, verified %s", got.Body, verified.Body)
	}
	f.do(t, admin, http.MethodDelete, at, nil, "If-Match", made.Header.Get("ETag")).Want(t, http.StatusPreconditionFailed)
	f.do(t, admin, http.MethodDelete, at, nil, "If-Match", got.Header.Get("ETag"), "X-Request-Id", "delete").Want(t, http.StatusNoContent)
	f.do(t, admin, http.MethodGet, at, nil).Want(t, http.StatusNotFound)
	if f.routes(t, "work.acme.com") != "" {
		t.Error("a deleted domain leads here")
	}
	for request, action := range map[string]string{"add": "created", "verify": "updated", "delete": "deleted"} {
		if n := f.count(t, `select count(*) from app.activity where tenant_id = $1 and model = 'Domain' and action = $2 and request_id = $3 and user_id = $4`,
			f.owner.TenantID, action, request, admin.UserID); n != 1 {
			t.Errorf("%s: %d rows of activity", request, n)
		}
	}
	// Whose it was may have it again at once.
	if id := f.add(t, admin, "work.acme.com"); f.verify(t, admin, id).Want(t, http.StatusOK).Get(t, "verified") != true {
		t.Error("not verified again")
	}
}

func TestDomainNames(t *testing.T) {
	f := setup(t)
	for _, name := range []string{"localhost", "acme.localhost", "LOCALHOST", "acme", "127.0.0.1", "https://acme.com", "a_b.com", "bücher.example", "acme..com", "-a.com", ""} {
		f.do(t, f.owner, http.MethodPost, domains, map[string]any{"domain": name}).Want(t, http.StatusUnprocessableEntity)
	}
	f.do(t, f.owner, http.MethodPost, domains, map[string]any{"domain": "acme.com"}).Want(t, http.StatusCreated)
	f.do(t, f.owner, http.MethodPost, domains, map[string]any{"domain": "ACME.com"}).WantCode(t, http.StatusConflict, "domain_exists")
	// Until it is verified it is nobody's.
	f.do(t, f.Tenant(t), http.MethodPost, domains, map[string]any{"domain": "acme.com"}).Want(t, http.StatusCreated)
	f.do(t, f.Member(t, f.owner.TenantID, "manager"), http.MethodGet, domains, nil).WantCode(t, http.StatusForbidden, "permission_denied")

	f.SQL(t, `insert into app.tenant_hosts (tenant_id, id, domain, verification_token) select $1, gen_random_uuid(), 'd' || i || '.example.com', 'x' from generate_series(1, 48) i`, f.owner.TenantID)
	var all sync.WaitGroup
	answers := make([]functest.Response, 4)
	for i, name := range []string{"one.example.com", "two.example.com", "three.example.com", "four.example.com"} {
		all.Go(func() { answers[i] = f.do(t, f.owner, http.MethodPost, domains, map[string]any{"domain": name}) })
	}
	all.Wait()
	made := 0
	for _, r := range answers {
		if r.Status == http.StatusCreated {
			made++
			continue
		}
		r.WantCode(t, http.StatusConflict, "too_many_domains")
	}
	if made != 1 {
		t.Errorf("%d domains fit where one does", made)
	}
	seen := map[string]bool{}
	for path := domains + "?page_size=20&ordering=created_at"; path != ""; {
		var list struct {
			Results []struct{ Domain string }
			Next    *string
		}
		f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
		for _, d := range list.Results {
			seen[d.Domain] = true
		}
		path = ""
		if list.Next != nil {
			path = *list.Next
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d domains are listed", len(seen))
	}
}

// TestTrapT20cClaims holds that a domain is one organization's at a time: whoever
// shows it first has it, others are refused while it is held, and get it after.
func TestTrapT20cClaims(t *testing.T) {
	f := setup(t)
	other := f.Tenant(t)
	mine, theirs := f.add(t, f.owner, "acme.com"), f.add(t, other, "acme.com")
	// One token does not show it for another organization.
	f.verify(t, f.owner, mine).WantCode(t, http.StatusConflict, "domain_not_verified")
	var name, value string
	f.Scan(t, `select '_coditect-challenge.acme.com', 'coditect-verification=' || verification_token from app.tenant_hosts where tenant_id = $1`, []any{f.owner.TenantID}, &name, &value)
	var all string
	f.Scan(t, `select 'coditect-verification=' || verification_token from app.tenant_hosts where tenant_id = $1`, []any{other.TenantID}, &all)
	f.DNS.SetTXT(name, value, all)

	// Both show it at once: one gets it.
	var wg sync.WaitGroup
	var answers [2]functest.Response
	wg.Go(func() { answers[0] = f.verify(t, f.owner, mine) })
	wg.Go(func() { answers[1] = f.verify(t, other, theirs) })
	wg.Wait()
	winner, loser, won, lost := f.owner, other, mine, theirs
	if answers[0].Status != http.StatusOK {
		winner, loser, won, lost = other, f.owner, theirs, mine
		answers[0], answers[1] = answers[1], answers[0]
	}
	answers[0].Want(t, http.StatusOK)
	answers[1].WantCode(t, http.StatusConflict, "domain_taken")
	f.verify(t, loser, lost).WantCode(t, http.StatusConflict, "domain_taken")
	if f.routes(t, "acme.com") != winner.TenantID.String() {
		t.Error("it leads to nobody, or to the wrong one")
	}
	// Given up, it is held for a day, and not longer.
	f.do(t, winner, http.MethodDelete, domains+won+"/", nil).Want(t, http.StatusNoContent)
	f.verify(t, loser, lost).WantCode(t, http.StatusConflict, "domain_taken")
	var held time.Time
	f.Scan(t, `select held_until from app.host_claims where host = 'acme.com'`, nil, &held)
	if left := time.Until(held); left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("held for %s", left)
	}
	f.SQL(t, `update app.host_claims set held_until = now() - interval '1 second' where host = 'acme.com'`)
	f.verify(t, loser, lost).Want(t, http.StatusOK)
	if f.routes(t, "acme.com") != loser.TenantID.String() {
		t.Error("it leads to nobody, or to the wrong one")
	}
	// What the daily look took away, with its hold, its own organization shows again.
	f.SQL(t, `update app.tenant_hosts set verified_at = null where id = $1`, lost)
	f.SQL(t, `update app.host_claims set held_until = now() + interval '30 days' where host = 'acme.com'`)
	won = f.add(t, winner, "acme.com")
	f.verify(t, winner, won).WantCode(t, http.StatusConflict, "domain_taken")
	f.DNS.SetTXT(name, value, all)
	f.verify(t, loser, lost).Want(t, http.StatusOK)
	if f.routes(t, "acme.com") != loser.TenantID.String() {
		t.Error("mended, it does not lead to whose it was")
	}
}

func TestPrimaryDomain(t *testing.T) {
	f := setup(t)
	one, two := f.add(t, f.owner, "one.example.com"), f.add(t, f.owner, "two.example.com")
	primary := func(id string, on any, header ...string) functest.Response {
		return f.do(t, f.owner, http.MethodPatch, domains+id+"/", map[string]any{"is_primary": on}, header...)
	}
	primary(one, true).WantCode(t, http.StatusConflict, "domain_not_verified")
	f.verify(t, f.owner, one).Want(t, http.StatusOK)
	stale := f.verify(t, f.owner, two).Want(t, http.StatusOK).Header.Get("ETag")
	if primary(one, true).Want(t, http.StatusOK).Get(t, "is_primary") != true {
		t.Error("not primary")
	}
	primary(two, true, "If-Match", stale, "X-Request-Id", "move").Want(t, http.StatusOK)
	primary(two, false, "If-Match", stale).Want(t, http.StatusPreconditionFailed)
	primary(two, nil).Want(t, http.StatusUnprocessableEntity)
	primary(two, "yes").Want(t, http.StatusUnprocessableEntity)
	if n := f.count(t, `select count(*) from app.activity where request_id = 'move' and model = 'Domain' and changes->'is_primary' is not null`); n != 2 {
		t.Errorf("%d rows of activity for two domains", n)
	}
	before := f.count(t, `select count(*) from app.activity`)
	f.do(t, f.owner, http.MethodPatch, domains+two+"/", map[string]any{}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.activity`); n != before {
		t.Error("activity for no change")
	}
	var all sync.WaitGroup
	for range 4 {
		for _, id := range []string{one, two} {
			all.Go(func() {
				if r := primary(id, true); r.Status != http.StatusOK {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			})
		}
	}
	all.Wait()
	if n := f.count(t, `select count(*) from app.tenant_hosts where tenant_id = $1 and is_primary`, f.owner.TenantID); n != 1 {
		t.Errorf("%d domains are primary", n)
	}
	if primary(one, false).Want(t, http.StatusOK).Get(t, "is_primary") != false {
		t.Error("still primary")
	}
}

// TestDNSIsDown verifies while the servers are silent: nothing is known, and
// nothing is decided.
func TestDNSIsDown(t *testing.T) {
	f := setup(t)
	id := f.add(t, f.owner, "acme.com")
	f.DNS.Silence(true)
	f.Vars["DNS_RESOLVER"] = "127.0.0.1:1"
	deaf := f.Open(t, tenants.Open)
	r := f.Do(t, deaf, functest.Request{Method: http.MethodPost, Path: domains + id + "/verify/", Token: f.owner.Token}).WantCode(t, http.StatusConflict, "domain_not_verified")
	if !strings.Contains(string(r.Body), "did not answer") || strings.Contains(string(r.Body), "127.0.0.1") {
		t.Errorf("answered %s", r.Body)
	}
	f.DNS.Silence(false)
	f.verify(t, f.owner, id).Want(t, http.StatusOK)
}

// TestTrapT46TheDNSHoldsNoConnection verifies a domain of silent servers with one
// connection to the database: others go on with it meanwhile.
func TestTrapT46TheDNSHoldsNoConnection(t *testing.T) {
	f := setup(t)
	id := f.add(t, f.owner, "acme.com")
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f.Vars["DNS_RESOLVER"], f.Vars["DATABASE_MAX_CONNS"] = silent.LocalAddr().String(), "1"
	h := f.Open(t, tenants.Open)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Do(t, h, functest.Request{Method: http.MethodPost, Path: domains + id + "/verify/", Token: f.owner.Token, Context: ctx})
	}()
	if err := silent.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err) // nobody asked
	}
	f.Do(t, h, functest.Request{Method: http.MethodGet, Path: me, Token: f.owner.Token}).Want(t, http.StatusOK)
	select {
	case <-done:
		t.Error("the look was over: nothing is proved")
	default:
	}
	leave()
	<-done
}
