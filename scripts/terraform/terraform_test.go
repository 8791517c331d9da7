package terraform

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/deployables"
)

const root = "../.."

func TestRepository(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func() ([]string, error){
		"values":  func() ([]string, error) { return Validated(root) },
		"shape":   func() ([]string, error) { return Shape(root) },
		"format":  func() ([]string, error) { return Format(root, false) },
		"readmes": func() ([]string, error) { return Readmes(root, false) },
		"matrix":  func() ([]string, error) { return Matrix(root, false) },
		"rights":  func() ([]string, error) { return Faults(root) },
	} {
		faults, err := check()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, f := range faults {
			t.Errorf("%s: %s (make generate)", name, f)
		}
	}
}

// The tests of Terraform say at least so much, each sentence once in its run, so
// that a failure names one thing.
func TestAssertions(t *testing.T) {
	t.Parallel()
	all, err := Assertions(root)
	if err != nil {
		t.Fatal(err)
	}
	said, files, asserted := map[Assertion]bool{}, map[string]bool{}, 0
	for _, a := range all {
		files[filepath.Dir(filepath.Dir(a.File))] = true
		if a.Refusal {
			continue
		}
		asserted++
		if said[a] {
			t.Errorf("%s: run %s says %q twice", a.File, a.Run, a.Says)
		}
		said[a] = true
	}
	if asserted < 200 {
		t.Errorf("%d assertions, 200 at least", asserted)
	}
	modules, err := Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		// What wires the others is asserted on by the environments.
		if !files[m] && m != ModulesDir+"/platform" {
			t.Errorf("%s is tested by nothing", m)
		}
	}
}

// Each mutation is one that the tree has a place for and that some assertion names;
// that it does catch it, make terraform-check shows.
func TestMutations(t *testing.T) {
	t.Parallel()
	if len(Mutations) < 40 {
		t.Errorf("%d mutations, 40 at least", len(Mutations))
	}
	all, err := Assertions(root)
	if err != nil {
		t.Fatal(err)
	}
	mutated := map[string]bool{}
	for _, m := range Mutations {
		mutated[m.Module] = true
		text, err := os.ReadFile(filepath.Join(root, ModulesDir, m.Module, m.File))
		if err != nil {
			t.Fatal(err)
		}
		if m.Old == m.New || !strings.Contains(string(text), m.Old) {
			t.Errorf("%s/%s: %q is not there to become %q", m.Module, m.File, m.Old, m.New)
		}
		if m.rights() { // TestMatrixCatches
			continue
		}
		refuser, refusal := strings.CutSuffix(m.Caught, ", was expected")
		if !slices.ContainsFunc(all, func(a Assertion) bool {
			return strings.HasPrefix(a.File, tests(m.Module)+"/") && a.Refusal == refusal && a.Says == refuser
		}) {
			t.Errorf("no test of %s says %q", m.Module, m.Caught)
		}
	}
	modules, err := Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if !mutated[filepath.Base(m)] {
			t.Errorf("%s is never mutated", m)
		}
	}
}

// A tree of one module, whose test is a program that looks for what it should say.
func small(t *testing.T, main string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("functions/functions.json", "{}", 0o600)
	write("functions/functions.schema.json", "{}", 0o600)
	write("functions/tasks/deps.txt", "one\n", 0o600)
	write("terraform/modules/store/main.tf", main, 0o600)
	write("scripts/terraform.sh", `#!/bin/bash
[ "$1" = test ] && [ -f "$2/../../../functions/tasks/deps.txt" ] || { echo "called with $*"; exit 1; }
status=0
grep -q 'tls = true' "$2/main.tf" || { echo "│ TLS   is
│ off."; status=1; }
exit $status
`, 0o700)
	return dir
}

func TestMutate(t *testing.T) {
	t.Parallel()
	const main = "tls = true\npublic = false\n"
	off := Mutation{"store", "main.tf", "tls = true", "tls = false", "off."}
	public := Mutation{"store", "main.tf", "public = false", "public = true", "It is public."}
	for name, c := range map[string]struct {
		all    []Mutation
		missed string // what the finding says; none is caught
		err    string
	}{
		"caught":             {[]Mutation{off}, "", ""},
		"not caught":         {[]Mutation{off, public}, `no test says "It is public."`, ""},
		"nothing failed":     {[]Mutation{public}, `no test says "It is public."`, ""},
		"another module's":   {[]Mutation{{"other", "main.tf", "x", "y", "z"}}, "", ""},
		"the text is gone":   {[]Mutation{{"store", "main.tf", "tls = yes", "tls = no", "off."}}, "", "does not contain"},
		"the file is gone":   {[]Mutation{{"store", "gone.tf", "x", "y", "z"}}, "", "gone.tf"},
		"each has its place": {[]Mutation{off, {"store", "main.tf", "tls = true", "tls = 1", "off."}}, "", "does not contain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := small(t, main)
			missed, err := mutate(t.Context(), dir, "store", c.all)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(missed, "\n"); c.missed == "" && got != "" || !strings.Contains(got, c.missed) {
				t.Errorf("missed %q", got)
			}
			if have, err := os.ReadFile(filepath.Join(dir, "terraform/modules/store/main.tf")); err != nil || string(have) != main {
				t.Errorf("the tree itself was mutated: %q %v", have, err)
			}
		})
	}
	if got := tests("platform"); got != "terraform/environments/production" {
		t.Errorf("platform is tested by %s", got)
	}
	broken := small(t, main)
	if err := os.Remove(filepath.Join(broken, "scripts/terraform.sh")); err != nil {
		t.Fatal(err)
	}
	if _, err := mutate(t.Context(), broken, "store", []Mutation{off}); err == nil {
		t.Error("without a program nothing can be caught")
	}
}

// files of a module that has everything.
func module(t *testing.T, change map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"main.tf": "", "versions.tf": "", "examples/basic/main.tf": "", "tests/m.tftest.hcl": "",
		"variables.tf": "variable \"size\" {\n  description = \"How | big.\"\n  type        = number\n  default     = 1\n}\n\nvariable \"name\" {\n  description = \"Whose.\"\n  type        = string\n}\n",
		"outputs.tf":   "output \"id\" {\n  description = \"Which.\"\n  value       = 1\n}\n",
		"README.md":    "# m\n\nWhat it is.\n",
	}
	maps.Copy(files, change)
	for name, text := range files {
		if text == "none" {
			continue
		}
		file := filepath.Join(dir, ModulesDir, "m", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestShape(t *testing.T) {
	t.Parallel()
	if faults, err := Shape(module(t, nil)); err != nil || len(faults) > 0 {
		t.Errorf("%v %v", faults, err)
	}
	faults, err := Shape(module(t, map[string]string{"examples/basic/main.tf": "none", "versions.tf": "none"}))
	if want := []string{"terraform/modules/m has no versions.tf", "terraform/modules/m has no examples/basic/main.tf"}; err != nil || !slices.Equal(faults, want) {
		t.Errorf("%v %v", faults, err)
	}
	if _, err := Shape(t.TempDir()); err == nil {
		t.Error("without modules there is nothing to check")
	}
}

func TestValidated(t *testing.T) {
	t.Parallel()
	checked := "variable \"size\" {\n  description = \"How big.\"\n  type        = number\n  validation {\n    condition     = var.size > 0\n    error_message = \"Above 0.\"\n  }\n}\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"none":           {checked, nil},
		"a string":       {checked + "variable \"name\" {\n  description = \"Whose.\"\n  type        = string\n}\n", []string{"terraform/modules/m: variable name takes any string"}},
		"a number":       {checked + "variable \"most\" {\n  description = \"How many.\"\n  type        = number\n  default     = 1\n}\n", []string{"terraform/modules/m: variable most takes any number"}},
		"of other types": {checked + "variable \"on\" {\n  description = \"Whether.\"\n  type        = bool\n}\nvariable \"all\" {\n  description = \"Which.\"\n  type        = list(string)\n}\n", nil},
	} {
		dir := module(t, map[string]string{"variables.tf": c.text})
		if err := os.MkdirAll(filepath.Join(dir, EnvironmentsDir), 0o750); err != nil {
			t.Fatal(err)
		}
		if faults, err := Validated(dir); err != nil || !slices.Equal(faults, c.want) {
			t.Errorf("%s: %v %v", name, faults, err)
		}
	}
	if _, err := Validated(t.TempDir()); err == nil {
		t.Error("without modules there is nothing to check")
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{"main.tf": "locals {\na=1\n  bb = 2\n}\n"})
	for _, write := range []bool{false, true} {
		changed, err := Format(dir, write)
		if err != nil || !slices.Equal(changed, []string{"terraform/modules/m/main.tf"}) {
			t.Errorf("%v %v", changed, err)
		}
	}
	have, err := os.ReadFile(filepath.Join(dir, ModulesDir, "m", "main.tf"))
	if err != nil || string(have) != "locals {\n  a  = 1\n  bb = 2\n}\n" {
		t.Errorf("%q %v", have, err)
	}
	if changed, err := Format(dir, false); err != nil || len(changed) > 0 {
		t.Errorf("%v %v", changed, err)
	}
}

func TestReadmes(t *testing.T) {
	t.Parallel()
	dir := module(t, nil)
	if changed, err := Readmes(dir, true); err != nil || !slices.Equal(changed, []string{"terraform/modules/m/README.md"}) {
		t.Errorf("%v %v", changed, err)
	}
	have, err := os.ReadFile(filepath.Join(dir, ModulesDir, "m", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# m\n\nWhat it is.\n\n" + mark, "| `size` | How \\| big. | `number` | `1` |", "| `name` | Whose. | `string` | required |", "| `id` | Which. |"} {
		if !strings.Contains(string(have), want) {
			t.Errorf("no %q in\n%s", want, have)
		}
	}
	if changed, err := Readmes(dir, false); err != nil || len(changed) > 0 {
		t.Errorf("%v %v", changed, err)
	}
	for name, c := range map[string][2]string{
		"description": {"variables.tf", "variable \"a\" {\n  type = string\n}\n"},
		"type":        {"variables.tf", "variable \"a\" {\n  description = \"x\"\n}\n"},
		"outputs.tf":  {"outputs.tf", "output {{"},
		"README.md":   {"README.md", "none"},
	} {
		if _, err := Readmes(module(t, map[string]string{c[0]: c[1]}), false); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestAssertionsThatSayNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"run \"a\" {\n  assert {\n    condition = true\n  }\n}\n":                                       "without a condition or a message",
		"run \"a\" {\n  assert {\n    error_message = \"x\"\n  }\n}\n":                                  "without a condition or a message",
		"run \"a\" {\n  expect_failures = var.a\n}\n":                                                   "no list",
		"run \"a\" {\n  assert {\n    condition     = true\n    error_message = \"${var.a}\"\n  }\n}\n": "run a",
		"run {{": "m.tftest.hcl",
	} {
		if _, err := Assertions(module(t, map[string]string{"tests/m.tftest.hcl": text})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	links := func(names ...string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	for name, c := range map[string]struct {
		f     deployables.Function
		links func(string) bool
		want  Access
	}{
		"a function of clients": {
			deployables.Function{Name: "tasks", Invokers: []string{"router"}, Secrets: []string{"hop-key", "cursor-key"}, Database: "app"},
			links("shared/cache"),
			Access{"fn-tasks", []string{"router"}, []string{}, []string{"cursor-key", "database-ca", "database-url", "hop-key", "redis-ca", "redis-url"}},
		},
		"who signs people in": {
			deployables.Function{Name: "auth", Kind: deployables.KindHTTP, Invokers: []string{"router"}, Secrets: []string{"signing-keys"}, Database: "none"},
			links(),
			Access{"fn-auth", []string{"router"}, []string{"administer Hydra"}, []string{"signing-keys"}},
		},
		"the relay": {
			deployables.Function{Name: "outboxrelay", Invokers: []string{"scheduler", "router"}, Secrets: []string{"hop-key"}, Database: "both"},
			links("shared/queue/tasks", "shared/queue/events"),
			Access{"fn-outboxrelay", []string{"push-scheduler", "router"}, []string{"make tasks", "publish"}, []string{"database-ca", "database-url", "hop-key", "system-database-url"}},
		},
		"a job that leaves messages": {
			deployables.Function{Name: "mailer", Invokers: []string{"cloudtasks"}, Secrets: []string{"hop-key"}, Database: "none"},
			links("shared/nudge", "shared/blob"),
			Access{"fn-mailer", []string{"push-cloudtasks"}, []string{"call the relay", "use objects"}, []string{"hop-key"}},
		},
		"a schedule that leaves none": {
			deployables.Function{Name: "retention", Invokers: []string{"scheduler"}, Secrets: []string{}, Database: "system"},
			links("shared/nudge"),
			Access{"fn-retention", []string{"push-scheduler"}, []string{}, []string{"database-ca", "system-database-url"}},
		},
		"the rotation": {
			deployables.Function{Name: "rotation", Kind: deployables.KindSchedule, Invokers: []string{"scheduler"}, Secrets: []string{"hop-key", "signing-keys"}, Database: "none"},
			links("shared/nudge", "shared/secrets/manager"),
			Access{"fn-rotation", []string{"push-scheduler"}, []string{"add versions of its keys"}, []string{"hop-key", "signing-keys"}},
		},
	} {
		got := access(c.f, c.links)
		if got.Account != c.want.Account || !slices.Equal(got.Callers, c.want.Callers) || !slices.Equal(got.May, c.want.May) || !slices.Equal(got.Secrets, c.want.Secrets) {
			t.Errorf("%s:\n%+v\n%+v", name, got, c.want)
		}
	}
	if _, err := matrix([]byte("a page without a place"), Whole{}); err == nil {
		t.Error("the matrix was put nowhere")
	}
}
