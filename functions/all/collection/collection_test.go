package collection

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/coditect/platform/functions/all/openapi"
)

type item struct {
	Name    string
	Item    []item
	Request struct {
		Method string
		URL    struct{ Raw string }
		Auth   *struct{ Type string }
		Body   *struct{ Raw string }
	}
	Event []struct {
		Listen string
		Script struct{ Exec []string }
	}
}

// TestCollection finds every operation in it, after what it needs, with its
// tests.
func TestCollection(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../router/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	raw, env, err := Write(text)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Item []item }
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	set := map[string]bool{"base_url": true, "$guid": true}
	var e struct{ Values []struct{ Key string } }
	if err := json.Unmarshal(env, &e); err != nil {
		t.Fatal(err)
	}
	for _, v := range e.Values {
		set[v.Key] = true
	}
	for i, f := range c.Item {
		for j, r := range f.Item {
			if i == 0 && j < 2 && []string{"/api/v1/auth/register/", "/api/v1/auth/login/"}[j] != strings.TrimPrefix(r.Request.URL.Raw, "{{base_url}}") {
				t.Errorf("request %d is %s", j+1, r.Request.URL.Raw)
			}
			path, _, _ := strings.Cut(strings.TrimPrefix(r.Request.URL.Raw, "{{base_url}}"), "?")
			seen[r.Request.Method+" "+shape(path)] = true
			var scripts string
			for _, ev := range r.Event {
				scripts += strings.Join(ev.Script.Exec, "\n")
			}
			for _, word := range []string{"answers ", "pm.response.code", "jsonSchema", "X-Request-Id"} {
				if !strings.Contains(scripts, word) {
					t.Errorf("%s tests no %s", r.Name, word)
				}
			}
			sent := r.Request.URL.Raw
			if r.Request.Body != nil {
				sent += r.Request.Body.Raw
				if !json.Valid([]byte(r.Request.Body.Raw)) {
					t.Errorf("%s sends %s", r.Name, r.Request.Body.Raw)
				}
			}
			if strings.Contains(sent, "{{_id}}") {
				t.Errorf("%s names a thing of no kind: %s", r.Name, sent)
			}
		}
	}
	for _, op := range doc.Operations {
		if !seen[op.Method+" "+shape(op.Path)] {
			t.Errorf("%s is not in the collection", op.ID)
		}
	}
	again, _, err := Write(text)
	if err != nil || string(again) != string(raw) {
		t.Errorf("written twice, it differs (%v)", err)
	}
}

// shape is a path without what stands in its braces.
func shape(path string) string {
	steps := strings.Split(path, "/")
	for i, s := range steps {
		if strings.HasPrefix(s, "{") {
			steps[i] = "*"
		}
	}
	return strings.Join(steps, "/")
}

func TestWriteRefusesADocumentWithoutItsOperations(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", `{"paths":{"/a/":{"get":{"operationId":"a","responses":{"200":{}}}}}}`} {
		if _, _, err := Write([]byte(text)); err == nil {
			t.Errorf("%q makes a collection", text)
		}
	}
}
