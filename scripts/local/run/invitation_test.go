package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/shared/dbtest"
	"github.com/coditect/platform/shared/standin/dns"
)

// visitor is somebody with a browser at `make run`.
type visitor struct{ url string }

// ask sends a request and decodes the answer, which must have the status.
func (v visitor) ask(t *testing.T, method, path, token string, body any, status int) (out map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, v.url+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, answer, err)
	}
	if err := json.Unmarshal(answer, &out); err != nil && len(answer) > 0 {
		t.Fatalf("%s %s: %s", method, path, answer)
	}
	return out
}

// mail waits for the newest mail of so many to an address and gives the link in
// it that leads to a page.
func (v visitor) mail(t *testing.T, to, page string, count int) *url.URL {
	t.Helper()
	var link *url.URL
	err := process.Poll(t.Context(), 60*time.Second, func() bool {
		list, _ := v.ask(t, http.MethodGet, "/_local/mail/api/messages/?to="+url.QueryEscape(to), "", nil, http.StatusOK)["results"].([]any)
		found := 0
		for _, m := range list {
			links, _ := m.(map[string]any)["links"].([]any)
			for _, l := range links {
				text, _ := l.(string)
				if u, err := url.Parse(text); err == nil && strings.HasSuffix(u.Path, page) {
					found++
					if found == 1 { // the newest comes first
						link = u
					}
				}
			}
		}
		return found >= count
	})
	if err != nil {
		t.Fatalf("no mail with a link to %s came to %s", page, to)
	}
	return link
}

// TestInvitationByMail is a person's way into an organization on the platform
// as `make run` runs it: the invitation goes through outbox, relay, queue and
// mailer into the mailbox, and its link brings them in.
func TestInvitationByMail(t *testing.T) {
	t.Parallel()
	functions, err := deployables.Load("../../..")
	if err != nil {
		t.Fatal(err)
	}
	d := dbtest.New(t)
	p := port(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &screen{}, make(chan error, 1)
	o := options(home(t), map[string]string{
		"PORT": p, "DATABASE_URL": d.URL, "SYSTEM_DATABASE_URL": d.SystemURL, "MIGRATE_DATABASE_URL": d.OwnerURL, "LOG_LEVEL": "error",
	})
	o.Out, o.Compose, o.Functions = out, Whole, functions
	go func() { done <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := process.Poll(ctx, 60*time.Second, func() bool { return len(done) > 0 || strings.Contains(out.String(), "ready\n") }); err != nil || len(done) > 0 {
		t.Fatalf("not ready: %v\n%s", err, out)
	}
	v := visitor{"http://127.0.0.1:" + p}
	const password = "difference-engine-2"
	owner, _ := v.ask(t, http.MethodPost, "/api/v1/auth/register/", "", map[string]any{
		"email": "ada@example.com", "password": password, "first_name": "Ada", "last_name": "Lovelace", "organization_name": "Analytical Engines",
	}, http.StatusCreated)["access_token"].(string)
	v.ask(t, http.MethodPost, "/api/v1/users/", owner, map[string]any{
		"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper", "role": "developer",
	}, http.StatusCreated)

	link := v.mail(t, "grace@example.com", "/accept-invitation", 1)
	if resp, err := http.Get(link.String()); err != nil { //nolint:noctx // the page behind the mail's button
		t.Error(err)
	} else {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte("/api/v1/users/invitations/accept/")) {
			t.Errorf("the link leads to %d %s", resp.StatusCode, text)
		}
	}
	list, _ := v.ask(t, http.MethodGet, "/api/v1/users/invitations/", owner, nil, http.StatusOK)["results"].([]any)
	waiting, _ := list[0].(map[string]any)
	if waiting["status"] != "pending" || waiting["email"] != "grace@example.com" {
		t.Errorf("the invitation is %v", waiting)
	}
	// Sent again, and withdrawn and made anew: the last mail's link is the one that works.
	at, _ := waiting["id"].(string)
	v.ask(t, http.MethodPost, "/api/v1/users/invitations/"+at+"/resend/", owner, nil, http.StatusOK)
	v.mail(t, "grace@example.com", "/accept-invitation", 2)
	v.ask(t, http.MethodDelete, "/api/v1/users/invitations/"+at+"/", owner, nil, http.StatusNoContent)
	body := map[string]any{"token": link.Query().Get("token"), "password": password}
	v.ask(t, http.MethodPost, "/api/v1/users/invitations/accept/", "", body, http.StatusUnprocessableEntity)
	v.ask(t, http.MethodPost, "/api/v1/users/invite/", owner, map[string]any{"email": "grace@example.com", "role": "developer"}, http.StatusCreated)
	body["token"], body["first_name"] = v.mail(t, "grace@example.com", "/accept-invitation", 3).Query().Get("token"), "Grace"

	came := v.ask(t, http.MethodPost, "/api/v1/users/invitations/accept/", "", body, http.StatusOK)
	grace, _ := came["access_token"].(string)
	project := v.ask(t, http.MethodPost, "/api/v1/projects/", grace, map[string]any{"name": "Compiler"}, http.StatusCreated)
	id, _ := project["id"].(string)
	got := v.ask(t, http.MethodGet, "/api/v1/projects/"+id+"/", owner, nil, http.StatusOK)
	if by, _ := got["owner"].(map[string]any); by["email"] != "grace@example.com" || by["first_name"] != "Grace" {
		t.Errorf("the project is %v", got)
	}
	v.ask(t, http.MethodPost, "/api/v1/users/invitations/accept/", "", body, http.StatusUnprocessableEntity)
	v.domain(t, owner)
}

// domain proves a domain by the record that the page of the DNS stand-in sets.
func (v visitor) domain(t *testing.T, owner string) {
	t.Helper()
	const domains = "/api/v1/tenants/me/domains/"
	made := v.ask(t, http.MethodPost, domains, owner, map[string]any{"domain": "work.acme.example"}, http.StatusCreated)
	id, _ := made["id"].(string)
	v.ask(t, http.MethodPost, domains+id+"/verify/", owner, nil, http.StatusConflict)
	proof, _ := made["verification"].(map[string]any)
	name, _ := proof["name"].(string)
	value, _ := proof["value"].(string)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, v.url+dns.Prefix+name+"/", strings.NewReader(value+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusNoContent {
		t.Errorf("the record was not taken: %d", resp.StatusCode)
	}
	if got := v.ask(t, http.MethodPost, domains+id+"/verify/", owner, nil, http.StatusOK); got["verified"] != true {
		t.Errorf("the domain is %v", got)
	}
}
