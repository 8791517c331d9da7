package openapi

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDocument reads the committed document and finds in it what programs that
// are written from it go by.
func TestDocument(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../router/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range d.Operations {
		if o.ID == "" || o.Tag == "" || o.Success < 200 || o.Responses[o.Success] == nil || o.Public == (o.Permission != "") {
			t.Errorf("%s %s reads as %+v", o.Method, o.Path, o)
		}
		for status, r := range o.Responses {
			for media, m := range r.Content {
				if m.Schema == nil || status >= 400 && (media != Problem || len(m.Codes) == 0) {
					t.Errorf("%s: %d %s is %+v", o.ID, status, media, m)
				}
			}
		}
		if o.Body != nil && (o.Body.Schema == nil || strings.Contains(o.Body.Media[0], "json") && o.Body.Example == nil || len(o.Body.Media) == 0) {
			t.Errorf("%s takes %+v", o.ID, o.Body)
		}
		for _, p := range o.Parameters {
			if p.In == "path" && o.Kind(p.Name) == "" {
				t.Errorf("%s: nobody knows what {%s} is", o.ID, p.Name)
			}
		}
	}
	create := d.Operation("create-task")
	if create == nil || create.Kind("id") != "project" || create.Collection() != "task" || create.Success != 201 || create.Permission != "tasks:write" {
		t.Errorf("create-task reads as %+v", create)
	}
	if d.Operation("none") != nil {
		t.Error("there is an operation that nobody made")
	}
}

func TestMade(t *testing.T) {
	t.Parallel()
	const a, b = "0192f0c1-7b7e-7cc3-98c4-dc0c0c073991", "0192f0c1-7b7e-7cc3-98c4-dc0c0c073992"
	for _, c := range []struct {
		method, path, location, body string
		want                         []Found
	}{
		{"POST", "/api/v1/projects/", "/api/v1/projects/" + a + "/", `{"id":"` + a + `"}`, []Found{{"project", a}}},
		{"POST", "/api/v1/projects/{id}/report/", "/api/v1/jobs/" + b + "/", `{"id":"` + b + `"}`, []Found{{"job", b}}},
		{"GET", "/api/v1/tasks/{id}/comments/", "", `{"results":[{"id":"` + a + `"},{"id":"` + b + `"}]}`, []Found{{"comment", a}, {"comment", b}}},
		{"POST", "/api/v1/projects/{id}/tasks/bulk/", "", `{"results":[{"id":"` + a + `"}]}`, []Found{{"task", a}}},
		{"POST", "/api/v1/users/invite/", "", `{"id":"` + a + `"}`, []Found{{"invitation", a}}},
		{"POST", "/api/v1/tasks/{id}/assign/", "", `{"id":"` + a + `"}`, nil},
		{"POST", "/api/v1/auth/register/", "", `{"user":{"id":"` + a + `"},"tenant":{"id":"` + b + `"}}`, []Found{{"tenant", b}, {"user", a}}},
		{"GET", "/api/v1/tenants/me/", "", `{"id":"` + a + `"}`, nil},
		{"PUT", "/api/v1/projects/{id}/", "", `{"id":"` + a + `"}`, nil},
		{"GET", "/api/v1/auth/sso/authorize/", "https://issuer.example/authorize/" + a, `no JSON`, nil},
	} {
		o := &Operation{Method: c.method, Path: c.path}
		if got := o.Made(c.location, []byte(c.body)); !slices.Equal(got, c.want) {
			t.Errorf("%s %s made %v, want %v", c.method, c.path, got, c.want)
		}
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"user_id": "user", "assignee_id": "user", "tenant_id": "tenant", "role_id": "role", "owner": "user", "assignee": "user",
		"object_id": "", "name": "", "payment_method_id": "", "status": "",
	} {
		if got := Reference(name); got != want {
			t.Errorf("%s names a %q, want %q", name, got, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "{}", `{"paths":[]}`, "[]"} {
		if _, err := Read([]byte(raw)); err == nil {
			t.Errorf("%q was read", raw)
		}
	}
}
