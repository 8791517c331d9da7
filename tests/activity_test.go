package tests

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// untold are the operations that change nothing that anybody would ask about
// later, each with the reason. An operation that is not among them and leaves no
// activity fails TestEveryChangeIsTold.
var untold = map[string]string{
	"refresh":              "a session goes on: its beginning and its end are told",
	"receive-stripe-event": "it is kept and no more: what it leads to is told by stripeevents, with the change",
}

// told is a row of activity: of the tenant, or of the person's own account.
type told struct {
	Action, Model string
	User          *ids.ID
	Changes       activity.Changes
}

// TestEveryChangeIsTold sends a success of every operation that writes, and wants
// it told under its request id: by whom, what it was before and after, and
// nothing that is secret.
func TestEveryChangeIsTold(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home := stage(t, p)
	for _, op := range public(t) {
		if op.Method == http.MethodGet {
			continue
		}
		t.Run(named(op), func(t *testing.T) {
			home.signIn(t)
			in := home.request(t, op)
			if op.ID == "update-me" { // which otherwise changes what the operation before it set
				in.Body = map[string]any{"first_name": ids.New().String()}
			}
			secret := append(secretsIn(in.Body), in.Token)
			id := "told-" + op.ID
			in.Header = with(in.Header, "X-Request-Id", id)
			r := p.Send(t, in)
			if r.Status != op.Status {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
			secret = append(secret, secretsIn(json.RawMessage(r.Body))...)
			rows := home.told(t, id)
			if reason := untold[op.ID]; (reason == "") != (len(rows) > 0) {
				t.Errorf("%d rows of activity; known exception: %q", len(rows), reason)
			}
			for _, row := range rows {
				if !op.Public && (row.User == nil || row.User.String() == ids.Nil.String()) {
					t.Errorf("%s of %s: nobody did it", row.Action, row.Model)
				}
				if row.Action == activity.ActionUpdated && len(row.Changes) == 0 {
					t.Errorf("%s was updated in nothing", row.Model)
				}
				for field, c := range row.Changes {
					if before, after := text(t, c.Old), text(t, c.New); row.Action == activity.ActionUpdated && before == after && before != text(t, activity.Hidden) {
						t.Errorf("%s of %s: %s is %s before and after", row.Action, row.Model, field, before)
					}
				}
				all := text(t, row)
				for _, s := range secret {
					if s != "" && strings.Contains(all, s) {
						t.Errorf("%s of %s tells a secret: %s", row.Action, row.Model, all)
					}
				}
			}
			home.objects(t, home.owner)
		})
	}
	// A secret of the settings has no example: it is sent here.
	const hush = "a secret that nobody reads"
	home.signIn(t)
	p.Send(t, functest.Request{Method: http.MethodPatch, Path: "/api/v1/tenants/me/settings/", Token: home.owner.Token, Header: map[string]string{"X-Request-Id": "hush"},
		Body: map[string]any{"sso_provider": "oidc", "sso_config": map[string]any{"issuer": "https://idp.example.com", "client_id": "x", "client_secret": hush}}}).Want(t, http.StatusOK)
	if rows := home.told(t, "hush"); len(rows) != 1 || strings.Contains(text(t, rows), hush) || !strings.Contains(text(t, rows), activity.Hidden) {
		t.Errorf("a secret is told as %s", text(t, rows))
	}
}

// told gives what was recorded under a request's id.
func (s *scene) told(t testing.TB, request string) (out []told) {
	t.Helper()
	var raw string
	s.Scan(t, `select coalesce(json_agg(r), '[]')::text from (
		select action as "Action", model as "Model", user_id as "User", changes as "Changes" from app.activity where request_id = $1
		union all
		select action, 'account', user_id, changes from app.user_events where request_id = $1) r`, []any{request}, &raw)
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// secretsIn gives the values of a body whose names say that nobody else may read
// them, and links that are as good as a token.
func secretsIn(body any) (out []string) {
	raw, err := json.Marshal(body)
	if err != nil || body == nil {
		return nil
	}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, member := range v {
				walk(k, member)
			}
		case []any:
			for _, member := range v {
				walk(name, member)
			}
		case string:
			for _, word := range []string{"password", "token", "secret", "url"} {
				if strings.Contains(name, word) && name != "token_type" {
					out = append(out, v)
				}
			}
		}
	}
	var v any
	if json.Unmarshal(raw, &v) == nil {
		walk("", v)
	}
	return out
}
