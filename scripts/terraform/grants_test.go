package terraform

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/terraform/tree"
)

// What the matrix is to catch of Mutations, it says, and nothing else; terraform has
// no part in it.
func TestMatrixCatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copied(root, dir); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range Mutations {
		if !m.rights() {
			continue
		}
		want = append(want, m.Caught)
		if err := m.make(dir); err != nil {
			t.Fatal(err)
		}
	}
	if len(want) < 4 {
		t.Errorf("%d mutations of who may what, 4 at least", len(want))
	}
	got, err := Faults(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("nothing said %q", w)
		}
	}
	for _, g := range got {
		// One mutation is of two bindings.
		if !slices.Contains(want, g) && !strings.Contains(g, "smoke-test may roles/storage.objectCreator") {
			t.Errorf("said %q, too", g)
		}
	}
}

// Every module that binds something is part of an environment.
func TestEveryModuleIsSeen(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs(filepath.Join(root, EnvironmentsDir, "production"))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := tree.Folders(dir)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasSuffix(s, m) }) {
			t.Errorf("%s is part of nothing: what it binds is not in the matrix", m)
		}
	}
}

// An environment of one folder.
func environment(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, EnvironmentsDir, name, "main.tf")
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBound(t *testing.T) {
	t.Parallel()
	const who = `
variable "project_id" {
  type = string
}
resource "google_service_account" "a" {
  project      = var.project_id
  account_id   = "a"
  display_name = "It"
}
`
	for name, c := range map[string]struct {
		text string
		want []Grant
		err  string
	}{
		"a member": {`
resource "google_project_iam_member" "this" {
  for_each = toset(["roles/x", "roles/y"])
  project  = var.project_id
  role     = each.value
  member   = google_service_account.a.member
}`, []Grant{
			{"serviceAccount:a@PROJECT.iam.gserviceaccount.com", "roles/x", "the project", `google_project_iam_member.this["roles/x"]`},
			{"serviceAccount:a@PROJECT.iam.gserviceaccount.com", "roles/y", "the project", `google_project_iam_member.this["roles/y"]`},
		}, ""},
		"several at once": {`
resource "google_storage_bucket_iam_binding" "this" {
  bucket  = "b"
  role    = "roles/x"
  members = ["allUsers", "serviceAccount:${google_service_account.a.email}"]
}`, []Grant{
			{"allUsers", "roles/x", "bucket b", "google_storage_bucket_iam_binding.this"},
			{"serviceAccount:a@PROJECT.iam.gserviceaccount.com", "roles/x", "bucket b", "google_storage_bucket_iam_binding.this"},
		}, ""},
		"another project": {`
resource "google_project_iam_member" "this" {
  project = "theirs"
  role    = "roles/x"
  member  = "allUsers"
}`, []Grant{{"allUsers", "roles/x", "the project theirs", "google_project_iam_member.this"}}, ""},
		"no check of callers": {`
resource "google_cloud_run_v2_service" "this" {
  name                 = "s"
  invoker_iam_disabled = true
}`, []Grant{{"allUsers", "roles/run.invoker", "service s", "google_cloud_run_v2_service.this"}}, ""},
		"a check": {`
resource "google_cloud_run_v2_service" "this" {
  name = "s"
}`, nil, ""},
		"a member that Google makes up": {`
resource "google_project_iam_member" "this" {
  role   = "roles/x"
  member = google_other.this.identity
}
resource "google_other" "this" {
}`, nil, "google_project_iam_member.this: member is not known"},
		"members that Google makes up": {`
resource "google_project_iam_binding" "this" {
  role    = "roles/x"
  members = [google_other.this.identity]
}
resource "google_other" "this" {
}`, nil, "its members are not known"},
		"as many as Google makes up": {`
resource "google_project_iam_member" "this" {
  for_each = google_other.this.identities
  role     = "roles/x"
  member   = each.value
}
resource "google_other" "this" {
}`, nil, "how often it is there is not known"},
		"a whole policy": {`
resource "google_project_iam_policy" "this" {
  policy_data = "{}"
}`, nil, "that the matrix cannot show"},
		"a key": {`
resource "google_service_account_key" "this" {
  service_account_id = "a"
}`, nil, "that the matrix cannot show"},
		"on something new": {`
resource "google_new_thing_iam_member" "this" {
  role   = "roles/x"
  member = "allUsers"
}`, nil, "has no word for"},
	} {
		grants, accounts, err := Bound(environment(t, "one", who+c.text), "one", inputs)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || accounts["a"] != "It" || !slices.Equal(grants, c.want) {
			t.Errorf("%s: %v\n%v\n%v", name, err, grants, c.want)
		}
	}
}

func TestGranted(t *testing.T) {
	t.Parallel()
	dir := environment(t, "one", `
resource "google_service_account" "a" {
  account_id = "a"
}
resource "google_project_iam_member" "a" {
  role   = "roles/x"
  member = "serviceAccount:a@PROJECT.iam.gserviceaccount.com"
}
resource "google_project_iam_member" "pod" {
  role   = "roles/x"
  member = "serviceAccount:PROJECT.svc.id.goog[spaces-one/a]"
}
`)
	file := filepath.Join(dir, EnvironmentsDir, "two", "main.tf")
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`
resource "google_service_account" "a" {
  account_id = "a"
}
resource "google_service_account" "b" {
  account_id = "b"
}
resource "google_project_iam_member" "pod" {
  role   = "roles/x"
  member = "serviceAccount:PROJECT.svc.id.goog[spaces-two/a]"
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Granted(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Account{
		"a":                        {May: map[string][]string{"roles/x": {"the project in one"}}},
		"b":                        {In: []string{"two"}, May: map[string][]string{}},
		"pod spaces-ENVIRONMENT/a": {May: map[string][]string{"roles/x": {"the project"}}},
	}
	if d := differences(got, want); len(d) > 0 || !slices.Equal(got["b"].In, want["b"].In) {
		t.Errorf("%v\n%v", d, got)
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	has := func(on ...string) map[string]Account {
		return map[string]Account{"a": {May: map[string][]string{"roles/x": on}}}
	}
	for name, c := range map[string]struct {
		granted, written map[string]Account
		want             []string
	}{
		"none":       {has("the project"), has("the project"), nil},
		"more":       {has("bucket b", "the project"), has("the project"), []string{"a may roles/x on bucket b, and terraform/access.json does not say so"}},
		"less":       {has("the project"), has("bucket b", "the project"), []string{"terraform/access.json says that a may roles/x on bucket b, and nothing grants it"}},
		"an account": {has(), nil, []string{"a is there, and terraform/access.json does not know it"}},
		"none such":  {nil, has(), []string{"terraform/access.json knows a, which is not there"}},
	} {
		if got := differences(c.granted, c.written); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOvermighty(t *testing.T) {
	t.Parallel()
	reasons := []Strong{{"a", "roles/viewer", "the project", "it looks"}}
	for name, c := range map[string]struct {
		may  map[string][]string
		want string
	}{
		"with a reason":      {map[string][]string{"roles/viewer": {"the project"}}, ""},
		"no longer":          {nil, "Strongs has a reason for a as roles/viewer"},
		"owner":              {map[string][]string{"roles/viewer": {"the project"}, "roles/owner": {"the project"}}, "a has the strong role roles/owner on the project"},
		"administers":        {map[string][]string{"roles/viewer": {"the project"}, "roles/storage.objectAdmin": {"bucket b"}}, "a has the strong role roles/storage.objectAdmin on bucket b"},
		"acts as everybody":  {map[string][]string{"roles/viewer": {"the project"}, "roles/iam.serviceAccountUser": {"the project"}}, "roles/iam.serviceAccountUser"},
		"acts as one":        {map[string][]string{"roles/viewer": {"the project"}, "roles/iam.serviceAccountUser": {"account b"}}, ""},
		"reads all secrets":  {map[string][]string{"roles/viewer": {"the project"}, "roles/secretmanager.secretAccessor": {"the project"}}, "secretAccessor"},
		"a role of our own":  {map[string][]string{"roles/viewer": {"the project"}, "projects/p/roles/x": {"bucket b"}}, "projects/p/roles/x"},
		"the reason's place": {map[string][]string{"roles/viewer": {"the project", "the project theirs"}}, "on the project theirs"},
	} {
		got := Overmighty(map[string]Account{"a": {May: c.may}}, reasons)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q", name, got)
		}
	}
	empty := []Strong{{"a", "roles/viewer", "the project", ""}}
	if got := Overmighty(map[string]Account{"a": {May: map[string][]string{"roles/viewer": {"the project"}}}}, empty); len(got) != 2 {
		t.Errorf("without a because: %q", got)
	}
}

func TestDisagreements(t *testing.T) {
	t.Parallel()
	list := []deployables.Function{{Name: "tasks", Secrets: []string{"hop-key"}}}
	whole := func(change func(accounts map[string]Account)) Whole {
		accounts := map[string]Account{
			"allUsers":   {May: map[string][]string{"roles/run.invoker": {"service router"}}},
			"fn-tasks":   {May: map[string][]string{"roles/secretmanager.secretAccessor": {"secret hop-key"}, "roles/storage.objectUser": {"bucket PROJECT-objects"}, "roles/iam.serviceAccountTokenCreator": {"account fn-tasks"}}},
			"router":     {May: map[string][]string{"roles/run.invoker": {"service tasks"}}},
			"smoke-test": {May: map[string][]string{"roles/run.invoker": {"service tasks"}}},
		}
		change(accounts)
		return Whole{Functions: map[string]Access{"tasks": {Account: "fn-tasks", Callers: []string{"router"}, May: []string{"use objects"}, Secrets: []string{"hop-key"}}}, Accounts: accounts}
	}
	for name, c := range map[string]struct {
		change func(map[string]Account)
		want   string
	}{
		"none": {func(map[string]Account) {}, ""},
		"a secret too many": {func(a map[string]Account) {
			a["fn-tasks"].May["roles/secretmanager.secretAccessor"] = []string{"secret hop-key", "secret signing-keys"}
		}, "fn-tasks may roles/secretmanager.secretAccessor on secret signing-keys, which does not follow"},
		"no objects": {func(a map[string]Account) { delete(a["fn-tasks"].May, "roles/storage.objectUser") }, "fn-tasks needs roles/storage.objectUser on bucket PROJECT-objects"},
		"called by everyone": {func(a map[string]Account) {
			a["allUsers"].May["roles/run.invoker"] = []string{"service router", "service tasks"}
		}, "allUsers may roles/run.invoker on service tasks, which does not follow"},
		"not asked":      {func(a map[string]Account) { delete(a["smoke-test"].May, "roles/run.invoker") }, "smoke-test needs roles/run.invoker on service tasks"},
		"called by more": {func(a map[string]Account) { a["citus"] = a["router"] }, "citus may call service tasks"},
	} {
		got := disagreements(list, whole(c.change))
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestReadPlan(t *testing.T) {
	t.Parallel()
	plan := func(changes string) string {
		return `{"type":"version"}
{"@testrun":"list","test_plan":{"resource_changes":[]}}
{"@testrun":"plan","test_plan":{"resource_changes":[` + changes + `]}}
`
	}
	found := []Grant{{"m", "roles/x", "bucket b", "a"}}
	for name, c := range map[string]struct{ said, want string }{
		"the same":      {plan(`{"address":"a","type":"google_storage_bucket_iam_member","change":{"after":{"role":"roles/x","member":"m","bucket":"b"}}}`), ""},
		"not yet known": {plan(`{"address":"a","type":"google_storage_bucket_iam_member","change":{"after":{"role":"roles/x","member":"m"}}}`), ""},
		"elsewhere":     {plan(`{"address":"a","type":"google_storage_bucket_iam_binding","change":{"after":{"role":"roles/x","members":["m"],"bucket":"c"}}}`), "terraform plans a: m is roles/x on bucket c, and the matrix has bucket b"},
		"another": {plan(`{"address":"a","type":"google_storage_bucket_iam_binding","change":{"after":{"role":"roles/x","members":["m","n"],"bucket":"b"}}}`),
			"one: terraform plans what the matrix does not find: a: n is roles/x"},
		"open": {plan(`{"address":"a","type":"google_storage_bucket_iam_member","change":{"after":{"role":"roles/x","member":"m","bucket":"b"}}},{"address":"s","type":"google_cloud_run_v2_service","change":{"after":{"invoker_iam_disabled":true}}}`),
			"terraform plans what the matrix does not find: s: allUsers is roles/run.invoker"},
		"a policy": {plan(`{"address":"a","type":"google_storage_bucket_iam_member","change":{"after":{"role":"roles/x","member":"m","bucket":"b"}}},{"address":"p","type":"google_project_iam_policy","change":{"after":{}}}`),
			"terraform plans what the matrix does not find: p: "},
		"nothing": {plan(""), "the matrix has what terraform does not plan: a: m is roles/x"},
	} {
		planned, err := readPlan([]byte(c.said))
		if err != nil {
			t.Fatal(err)
		}
		got := compared("one", found, planned)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, said := range []string{"", "no json", `{"@testrun":"list","test_plan":{"resource_changes":[]}}`} {
		if _, err := readPlan([]byte(said)); err == nil {
			t.Errorf("%q is no plan", said)
		}
	}
}
