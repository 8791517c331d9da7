package tests

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// counts is how many rows a scene's tenant and owner have, table by table.
func (s *scene) counts(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for table, group := range migrations.Tables {
		var id ids.ID
		switch group.Key() {
		case "tenant_id":
			id = s.owner.TenantID
		case "user_id":
			id = s.owner.UserID
		default:
			continue
		}
		var n int
		s.Scan(t, fmt.Sprintf(`select count(*) from app.%s where %s = $1`, strings.TrimPrefix(table, "app."), group.Key()), []any{id}, &n)
		out[table] = n
	}
	return out
}

// atOnce sends a request n times at the same moment.
func (s *scene) atOnce(t *testing.T, n int, in functest.Request) []functest.Response {
	t.Helper()
	out := make([]functest.Response, n)
	var all sync.WaitGroup
	for i := range out {
		all.Go(func() { out[i] = s.Send(t, in) })
	}
	all.Wait()
	return out
}

// TestFiftyRepeatsDoItOnce sends each operation that makes something fifty
// times at the same moment under one Idempotency-Key: the rows that come of it
// are those that come of one request.
func TestFiftyRepeatsDoItOnce(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, func(vars map[string]string) {
		for _, limit := range []string{"PASSWORD_PROOF_PER_MINUTE", "PASSWORD_PROOF_PER_HOUR", "EMAIL_CHANGE_LIMIT_PER_HOUR", "EMAIL_CHANGE_LIMIT_EMAIL_PER_HOUR", "INVITE_LIMIT_PER_DAY", "INVITE_LIMIT_FREE_PER_DAY", "INVITE_LIMIT_EMAIL_PER_DAY"} {
			vars[limit] = "1000"
		}
	})
	home := stage(t, p)
	p.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, home.owner.TenantID)
	tried := 0
	for _, op := range public(t) {
		if op.Method != http.MethodPost || op.Public || op.Status != http.StatusCreated && op.Status != http.StatusAccepted || slices.Contains(endings, op.ID) {
			continue
		}
		tried++
		t.Run(named(op), func(t *testing.T) {
			var grown [2]map[string]int
			for i, times := range []int{1, 50} {
				home.objects(t, home.owner)
				in := home.request(t, op)
				in.Header = with(in.Header, "Idempotency-Key", ids.New().String())
				before := home.counts(t)
				bodies, waited := map[string]int{}, 0
				for _, r := range home.atOnce(t, times, in) {
					switch r.Status {
					case op.Status:
						bodies[string(r.Body)]++
					case http.StatusConflict:
						r.WantCode(t, http.StatusConflict, "idempotency_in_progress")
						waited++
					default:
						t.Errorf("%d %s", r.Status, r.Body)
					}
				}
				if len(bodies) != 1 {
					t.Fatalf("%d different answers, %d told to wait", len(bodies), waited)
				}
				again := home.Send(t, in).Want(t, op.Status)
				if again.Header.Get("Idempotent-Replayed") != "true" || bodies[string(again.Body)] == 0 {
					t.Errorf("the repeat is %v %s", again.Header, again.Body)
				}
				grown[i] = home.counts(t)
				for table := range grown[i] {
					grown[i][table] -= before[table]
				}
			}
			for table, once := range grown[0] {
				if grown[1][table] != once {
					t.Errorf("one request makes %d rows of %s, fifty make %d", once, table, grown[1][table])
				}
			}
		})
	}
	if tried < 8 {
		t.Errorf("only %d operations make something", tried)
	}
}

// TestTrapT45EveryEditOnOneVersion sends each change of a resource many times
// at the same moment, all on the version that is there: one is taken, and the
// others are told that they are late.
func TestTrapT45EveryEditOnOneVersion(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home := stage(t, p)
	p.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, home.owner.TenantID)
	ops := public(t)
	tried := 0
	for _, op := range ops {
		if !slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, op.Method) || strings.HasPrefix(op.Path, "/api/v1/auth/") {
			continue
		}
		tried++
		t.Run(named(op), func(t *testing.T) {
			home.objects(t, home.owner)
			in := home.request(t, op)
			if op.ID == "update-me" {
				in.Body = map[string]any{"bio": ids.New()} // what its example says was said by replace-me's
			}
			tag := `"1.x"` // the version of what was made just now
			if slices.ContainsFunc(ops, func(o api.Operation) bool { return o.Method == http.MethodGet && o.Path == op.Path }) {
				tag = p.Send(t, functest.Request{Method: http.MethodGet, Path: in.Path, Token: in.Token}).Want(t, http.StatusOK).Header.Get("ETag")
			}
			in.Header = with(in.Header, "If-Match", tag)
			won := 0
			for _, r := range home.atOnce(t, 8, in) {
				if strings.HasPrefix(op.Path, "/api/v1/billing/") && r.Status == http.StatusConflict {
					r.WantCode(t, http.StatusConflict, "billing_busy")
					r = home.Send(t, in) // as it is told
				}
				switch {
				case r.Status == op.Status:
					won++
				case r.Status == http.StatusPreconditionFailed:
				case r.Status == http.StatusNotFound && op.Method == http.MethodDelete:
				default:
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
			if won != 1 {
				t.Errorf("%d of 8 were taken on one version", won)
			}
		})
	}
	if tried < 10 {
		t.Errorf("only %d operations change something", tried)
	}
}
