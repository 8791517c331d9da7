package compatible

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

type object = map[string]any

func document(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../router/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// at walks into a document, and fails the test where it ends.
func at(t *testing.T, v any, steps ...string) object {
	t.Helper()
	for _, s := range steps {
		m, ok := v.(object)
		if !ok {
			t.Fatalf("no %s", s)
		}
		v = m[s]
	}
	m, ok := v.(object)
	if !ok {
		t.Fatalf("%v is no object", steps)
	}
	return m
}

// TestBreaking changes the real document in every way that clients would
// notice, and in ways that they would not.
func TestBreaking(t *testing.T) {
	t.Parallel()
	text := document(t)
	schema := func(name string) []string { return []string{"components", "schemas", name} }
	operation := func(path, method string) []string { return []string{"paths", path, method} }
	const tasks = "/api/v1/projects/{id}/tasks/"
	for name, c := range map[string]struct {
		change func(t *testing.T, doc object)
		want   string // a word of the complaint; "" if there must be none
	}{
		"nothing": {func(*testing.T, object) {}, ""},
		"a member of an answer removed": {func(t *testing.T, doc object) {
			t.Helper()
			delete(at(t, doc, append(schema("Task"), "properties")...), "due_date")
		}, "due_date"},
		"a member of a body removed": {func(t *testing.T, doc object) {
			t.Helper()
			delete(at(t, doc, append(schema("ProjectsCreateBody"), "properties")...), "description")
		}, "description"},
		"a member of a body required": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, schema("ProjectsCreateBody")...)["required"] = []any{"name", "description"}
		}, "description"},
		"a type changed": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, append(schema("Project"), "properties", "name")...)["type"] = "integer"
		}, "name"},
		"a shorter text": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, append(schema("ProjectsCreateBody"), "properties", "name")...)["maxLength"] = 10
		}, "name"},
		"an operation removed": {func(t *testing.T, doc object) {
			t.Helper()
			delete(at(t, doc, "paths", tasks), "get")
		}, tasks},
		"a path removed": {func(t *testing.T, doc object) {
			t.Helper()
			delete(at(t, doc, "paths"), tasks)
		}, tasks},
		"a filter removed": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, operation(tasks, "get")...)["parameters"] = []any{}
		}, "parameter"},
		"a status renamed": {func(t *testing.T, doc object) {
			t.Helper()
			r := at(t, doc, append(operation(tasks, "post"), "responses")...)
			r["202"] = r["201"]
			delete(r, "201")
		}, "201"},

		"a member added to an answer": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, append(schema("Task"), "properties")...)["labels"] = object{"type": "string"}
		}, ""},
		"an optional member added to a body": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, append(schema("ProjectsCreateBody"), "properties")...)["color"] = object{"type": "string"}
		}, ""},
		"an operation added": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, "paths")["/api/v1/labels/"] = object{"get": object{"operationId": "list-labels", "responses": object{"200": object{"description": "OK"}}}}
		}, ""},
		"a longer text": {func(t *testing.T, doc object) {
			t.Helper()
			at(t, doc, append(schema("ProjectsCreateBody"), "properties", "name")...)["maxLength"] = 400
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var doc object
			if err := json.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			c.change(t, doc)
			changed, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			found, err := Breaking(text, changed)
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Join(found, "\n"); (c.want == "") != (told == "") || !strings.Contains(told, c.want) {
				t.Errorf("found %q, want %q", told, c.want)
			}
		})
	}
}

func TestBreakingNeedsDocuments(t *testing.T) {
	t.Parallel()
	text := document(t)
	for _, pair := range [][2][]byte{{nil, text}, {text, []byte("{")}, {[]byte("[]"), text}} {
		if _, err := Breaking(pair[0], pair[1]); err == nil {
			t.Errorf("%.10q was compared with %.10q", pair[0], pair[1])
		}
	}
}

// TestTheReleaseHolds is the check itself, so that nobody waits for CI to learn
// of it.
func TestTheReleaseHolds(t *testing.T) {
	t.Parallel()
	released, err := os.ReadFile("../../docs/openapi/released.json")
	if err != nil {
		t.Fatal(err)
	}
	found, err := Breaking(released, document(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}
