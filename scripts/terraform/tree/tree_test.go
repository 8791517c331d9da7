package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// A configuration of files by their path; the root module is root/.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "root")
}

// said is what an attribute is: its text, "unknown", or "none".
func said(t *testing.T, r Resource, name string) string {
	t.Helper()
	v, err := r.Attribute(name)
	switch {
	case err != nil:
		t.Fatal(err)
	case v == cty.NilVal:
		return "none"
	case !v.IsKnown():
		return "unknown"
	case v.IsNull():
		return "null"
	}
	return v.AsString()
}

// Each case is an expression that a resource's attribute is; what is around it is
// the same for all.
func TestExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`"a"`:                                    "a",
		`var.given`:                              "given",
		`var.fallback`:                           "fallback",
		`var.missing`:                            "unknown",
		`"x-${var.missing}"`:                     "unknown",
		`local.twice`:                            "given given",
		`var.thing.name`:                         "n",
		`var.thing.optional`:                     "o",
		`path.module == "" ? "" : "in a folder"`: "in a folder",
		`file("note.txt")`:                       "noted",
		`jsondecode(file("${path.module}/list.json")).all[1].name`: "second",

		`google_one.this.name`:                            "one",
		`google_one.this.id`:                              "one",
		`google_one.this.address`:                         "unknown",
		`google_each.this["b"].name`:                      "each b",
		`join(",", keys(google_each.this))`:               "a,b",
		`join(",", [for e in google_each.this : e.name])`: "each a,each b",
		`google_count.this[1].name`:                       "count 1",
		`join(",", google_count.this[*].name)`:            "count 0,count 1",
		`google_none.this[0].name`:                        "Invalid index",
		`one([for n in google_none.this : n.name])`:       "null",
		`data.google_any.this.name`:                       "unknown",
		`google_service_account.this.email`:               "who@given.iam.gserviceaccount.com",
		`google_service_account.this.member`:              "serviceAccount:who@given.iam.gserviceaccount.com",
		`google_service_account.this.name`:                "projects/given/serviceAccounts/who@given.iam.gserviceaccount.com",
		`google_service_account.elsewhere.email`:          "unknown",

		`module.child.echo`:                            "echo of given",
		`module.many["x"].echo`:                        "echo of x",
		`join(",", [for m in module.many : m.echo])`:   "echo of x,echo of y",
		`length(module.never) == 0 ? "never" : "once"`: "never",
		`module.back.name`:                             "echo of echo of given",

		`lookup({ a = "A" }, "a", "B")`: "A",
		`lookup({ a = "A" }, "b", "B")`: "B",
		`lookup({ a = "A" }, "b")`:      "no such key",
		`one(["a"])`:                    "a",
		`one(["a", "b"])`:               "more than one",
		`"${length("abc")}${length({ a = 1 })}${length([1, 2])}"`:        "312",
		`startswith("abc", "ab") && endswith("abc", "bc") ? "both" : ""`: "both",
		`substr(sha256("a"), 0, 8)`:                                      "ca978112",
		`cidrhost("10.0.0.0/8", 1)`:                                      "unknown",
		`try(google_none.this[0].name, "no")`:                            "no",
		`sort(tolist(toset(["b", "a"])))[0]`:                             "a",

		`nosuch("a")`:       "nosuch",
		`var.nothing`:       "var.nothing is not there",
		`local.nothing`:     "local.nothing is not there",
		`local.circle`:      "needs itself",
		`google_not.there`:  "google_not.there is not there",
		`module.nothing.a`:  "there is no module nothing",
		`module.child.no`:   "output.no is not there",
		`module.wrong.echo`: "module.wrong.var.text",
		`var.wrong`:         "var.wrong",
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			dir := written(t, map[string]string{
				"root/note.txt":  "noted",
				"root/list.json": `{"all":[{"name":"first"},{"name":"second"}]}`,
				"root/main.tf": `
variable "given" {}
variable "fallback" {
  type    = string
  default = "fallback"
}
variable "missing" {
  type = string
}
variable "wrong" {
  type    = number
  default = "many"
}
variable "thing" {
  type    = object({ name = string, optional = optional(string, "o") })
  default = { name = "n" }
}
locals {
  twice  = "${var.given} ${var.given}"
  circle = local.round
  round  = local.circle
}
resource "google_one" "this" {
  name = "one"
}
resource "google_each" "this" {
  for_each = toset(["a", "b"])
  name     = "each ${each.key}"
}
resource "google_count" "this" {
  count = 2
  name  = "count ${count.index}"
}
resource "google_none" "this" {
  count = 0
  name  = "none"
}
resource "google_service_account" "this" {
  project    = var.given
  account_id = "who"
}
resource "google_service_account" "elsewhere" {
  account_id = "who"
}
module "child" {
  source = "../child"
  text   = var.given
  back   = module.back.name
}
module "back" {
  source = "../child"
  text   = module.child.echo
}
module "many" {
  source   = "../child"
  for_each = { x = 1, y = 2 }
  text     = each.key
}
module "never" {
  source = "../child"
  count  = var.given == "" ? 1 : 0
  text   = "never"
}
module "wrong" {
  source = "../child"
  text   = ["a list"]
}
`,
				"root/asked.tf": "resource \"google_asked\" \"this\" {\n  value = " + expression + "\n}\n",
				"child/main.tf": `
variable "text" {
  type = string
}
variable "back" {
  default = null
}
output "echo" {
  value = "echo of ${var.text}"
}
output "name" {
  value = google_named.this.name
}
resource "google_named" "this" {
  name = "echo of ${var.text}"
}
`,
			})
			all, err := Resources(dir, map[string]cty.Value{"given": cty.StringVal("given")}, func(kind string) bool { return kind == "google_asked" })
			if err != nil || len(all) != 1 || all[0].Address != "google_asked.this" {
				t.Fatalf("%v %v", all, err)
			}
			if _, err := all[0].Attribute("value"); err != nil {
				if text := strings.ReplaceAll(err.Error(), "does not have an element with this index", "Invalid index"); !strings.Contains(text, want) {
					t.Errorf("%v", err)
				}
				return
			}
			if got := said(t, all[0], "value"); got != want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	dir := written(t, map[string]string{
		"root/main.tf": `
resource "google_a" "this" {
  for_each = { "x/y" = "v" }
  name     = each.value
}
resource "google_b" "this" {
}
module "m" {
  source = "../m"
  count  = 2
}
`,
		"m/main.tf": `
resource "google_a" "that" {
}
`,
	})
	all, err := Resources(dir, nil, func(kind string) bool { return kind == "google_a" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range all {
		got = append(got, r.Address+" "+said(t, r, "name"))
	}
	if want := `google_a.this["x/y"] v, module.m[0].google_a.that none, module.m[1].google_a.that none`; strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
	folders, err := Folders(dir)
	if err != nil || len(folders) != 2 {
		t.Errorf("%v %v", folders, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`module "m" {}`: "has no source",
		"module \"m\" {\n  source = \"hashicorp/m/x\"\n}": "comes from elsewhere",
		"module \"m\" {\n  source = \"../nowhere\"\n}":    "has no configuration",
		"module \"m\" {\n  source = var.a\n}":             "Variables not allowed",
		"resource {{":                                     "main.tf",
		"resource \"google_a\" \"this\" {\n  count = var.unknown\n}\nvariable \"unknown\" {}":    "how often it is there is not known",
		"resource \"google_a\" \"this\" {\n  for_each = var.unknown\n}\nvariable \"unknown\" {}": "how often it is there is not known",
		"resource \"google_a\" \"this\" {\n  for_each = null\n}":                                 "neither a map nor a set",
		"resource \"google_a\" \"this\" {\n  for_each = [\"a\"]\n}":                              "keys that are no strings",
		"resource \"google_a\" \"this\" {\n  count = \"many\"\n}":                                "count is no number",
	} {
		if _, err := Resources(written(t, map[string]string{"root/main.tf": text}), nil, func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
