package pages

import (
	"encoding/json"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	for _, name := range Files {
		have, want, err := Make("../..", name)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != string(want) {
			t.Errorf("%s is not what it is made of: make generate", name)
		}
		if !strings.Contains(string(want), "<!-- made: ") {
			t.Errorf("%s has no part that is made", name)
		}
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	before := math.Inf(1)
	for _, n := range Sizes {
		total := 0.0
		for _, l := range Costs(n) {
			if l.USD <= 0 {
				t.Errorf("%s costs nothing for %.0f tenants", l.Name, n)
			}
			total += l.USD
		}
		if each := total / n; each >= before {
			t.Errorf("a tenant of %.0f costs %f, more than one of fewer", n, each)
		} else {
			before = each
		}
	}
	// By hand. A million tenants make 2.1e10 calls with their messages, of 24 ms each,
	// four at a time; a hundred make 2.1 million, and hardly two of them meet, so that
	// each counts for a tenth of a second, less the 0.4 % that do.
	second := 0.000024 + 0.25*0.0000025
	if got, want := Costs(1_000_000)[0].USD, 2.1e10*0.006*second; math.Abs(got-want) > 1e-6 {
		t.Errorf("functions cost %f, not %f", got, want)
	}
	if got, want := Costs(100)[0].USD, 210_000*second; got > want || got < 0.995*want {
		t.Errorf("functions cost %f, not about %f", got, want)
	}
	// A million have 39 groups beside the coordinator's, 25 TB among them, and Cloud SQL
	// with its first 100 GB.
	if got, want := Costs(1_000_000)[6].USD, 40*596.83624+78*(25_000.0/39-500)*0.17+50.55921+394.492+100*0.34; math.Abs(got-want) > 1e-2 {
		t.Errorf("the database costs %f, not %f", got, want)
	}
	// 1 TiB, 9 TiB, and 100 GB.
	if got, want := egress(10_340), 1024*0.12+9216*0.11+100*0.085; math.Abs(got-want) > 1e-9 {
		t.Errorf("traffic costs %f, not %f", got, want)
	}
	if got, want := egress(10), 1.2; math.Abs(got-want) > 1e-9 {
		t.Errorf("traffic costs %f, not %f", got, want)
	}
	if got := grouped(1234567.891, 2); got != "1,234,567.89" {
		t.Error(got)
	}
}

// The page refers to charts that are drawn, and says of every line which it is.
func TestCostsReferToCharts(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../terraform/modules/monitoring/dashboards.tf")
	if err != nil {
		t.Fatal(err)
	}
	_, cost, ok := strings.Cut(string(raw), `title = "Cost", charts = [`)
	if !ok {
		t.Fatal("there is no dashboard Cost")
	}
	cost, _, _ = strings.Cut(cost, "] }\n  }")
	lines := map[string]bool{}
	for _, l := range Costs(Sizes[0]) {
		lines[l.Name] = true
	}
	for line, chart := range watched {
		if !lines[line] {
			t.Errorf("%s is no line of the bill", line)
		}
		if !strings.Contains(cost, `title = "`+chart+`"`) {
			t.Errorf("%s is watched on %s, which is no chart of the dashboard", line, chart)
		}
	}
	page, err := os.ReadFile("../../docs/COSTS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, signs, ok := strings.Cut(string(page), "## What costs more than it has to")
	if !ok {
		t.Fatal("the page has no signs any more")
	}
	charts := regexp.MustCompile("`((?:Bytes|Requests|Instances|Latency|Attempts|Processors) [^`]+)`").FindAllStringSubmatch(signs, -1)
	if len(charts) < 3 {
		t.Errorf("the signs name %d charts", len(charts))
	}
	for _, m := range charts {
		if !strings.Contains(cost, `title = "`+m[1]+`"`) {
			t.Errorf("the page refers to %s, which is no chart of the dashboard", m[1])
		}
	}
}

func TestDiagramNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	_, err := diagram(fstest.MapFS{"0001_a.sql": {Data: []byte("-- +goose Up\ncreate table app.plans (\n  id text\n);\n")}})
	if err == nil || !strings.Contains(err.Error(), "no migration creates") {
		t.Error(err)
	}
}

// By hand, from the list.
func TestWholes(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]float64{
		"router": 97.236, "ready": 8.2125, "sql": 394.492, "group": 596.83624, "consensus": 50.55921, "redis": 197.1, "plane": 91.25, "node": 165.97764, "edge": 34.25,
	} {
		if got := month(key); math.Abs(got-want) > 1e-4 {
			t.Errorf("%s costs %f, not %f", key, got, want)
		}
	}
	if len(wholes) != 9 {
		t.Errorf("%d wholes", len(wholes))
	}
}

// What is multiplied out is what would be deployed.
func TestCostsFollowTheModules(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(text)), " ")
	}
	for _, c := range []struct {
		file string
		says []string
	}{
		{"terraform/modules/router/main.tf", []string{`cpu = "2" memory = "512Mi"`, "cpu_idle = false", `owasp = ["sqli", "xss", "lfi", "rfi", "rce", "scannerdetection", "protocolattack", "sessionfixation"]`}},
		{"terraform/modules/function/main.tf", []string{"cpu_idle = true"}},
		{"terraform/modules/citus/variables.tf", []string{`default = "n2-highmem-4"`, `variable "disk_gb" { description = "The data disk of a node." type = number default = 500 validation {`}},
		{"terraform/modules/citus/main.tf", []string{`slice(var.zones, 0, 2)`, `type = "pd-ssd" size = var.disk_gb`, `size = 30 type = "pd-balanced"`, `machine_type = "e2-small"`, `size = 20 type = "pd-ssd"`}},
		{"terraform/modules/platform/main.tf", []string{`module "cloudsql" { source = "../cloudsql" project_id`}},
		{"terraform/modules/gke/variables.tf", []string{`machine = optional(string, "n2-standard-4")`}},
		{"terraform/modules/gke/main.tf", []string{`disk_type = "pd-balanced" disk_size_gb = 100`}},
		{"terraform/environments/production/variables.tf", []string{`default = "europe-west1"`}},
		{"terraform/environments/production/main.tf", []string{
			`tier = "db-custom-4-15360", highly_available = true, disk_gb = 100`, `redis = { memory_gb = 5, highly_available = true }`,
			`general = { min = 3, max = 94 }, pooler = { min = 2,`, `router = { min = 2,`,
		}},
	} {
		text := read(c.file)
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s no longer says %q: see wholes and Costs", c.file, want)
			}
		}
	}
	inside := strings.Count(read("terraform/kubernetes/base/hydra.yaml")+read("terraform/kubernetes/base/pgbouncer.yaml"), "type: LoadBalancer ") +
		strings.Count(read("terraform/modules/citus/main.tf"), `resource "google_compute_forwarding_rule"`)
	if inside != 3 {
		t.Errorf("%d load balancers inside, and the cluster's whole tells of three at the price of up to five", inside)
	}
	if rules := strings.Count(read("terraform/modules/router/main.tf"), " rule { "); rules != 3 {
		t.Errorf("the policy has %d rules beside OWASP's eight", rules)
	}

	var list struct {
		Functions []struct {
			Kind      string `json:"kind"`
			Resources struct {
				CPU    string `json:"cpu"`
				Memory string `json:"memory"`
				Min    int    `json:"min"`
			} `json:"resources"`
		} `json:"functions"`
	}
	if err := json.Unmarshal([]byte(read("functions/functions.json")), &list); err != nil {
		t.Fatal(err)
	}
	http, kept, small := 0, 0, 0
	for _, f := range list.Functions {
		kept += f.Resources.Min
		if f.Resources.CPU != "1" {
			t.Errorf("a function has %s CPU", f.Resources.CPU)
		}
		if f.Kind == "http" {
			http++
			if f.Resources.Memory == "256Mi" {
				small++
			}
		}
	}
	if http != answering || kept != ready || small < http-1 {
		t.Errorf("%d functions answer, %d of them with 256 MiB; %d instances are kept", http, small, kept)
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	list, err := readPrices(pricesFile)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("costs.go")
	if err != nil {
		t.Fatal(err)
	}
	table, open := priceTable(), openTable()
	for _, p := range list.Prices {
		with := strings.Join(p.Sources, ", ") + " | " + p.Read
		if p.Read == "" {
			with = "nothing: assumed | never"
		}
		if !strings.Contains(table, "| ["+p.Name+"](https://"+p.Page+") | "+p.Unit+" | ") || !strings.Contains(table, " | "+p.SKU+" | "+with+" |\n") {
			t.Errorf("the table does not say what %s is", p.Key)
		}
		if p.Open != "" && !strings.Contains(open, "| "+p.Name+" | "+p.Open+" |") {
			t.Errorf("the table does not say what is open about %s", p.Key)
		}
		if !strings.Contains(string(code), `"`+p.Key+`"`) {
			t.Errorf("nothing costs %s", p.Key)
		}
	}
	one := func(prices string) string { return `{"sources":[{"key":"s","name":"S"}],"prices":[` + prices + `]}` }
	const good = `{"key":"a","name":"A","unit":"u","usd":1,"region":"all","page":"p","sources":["s"],"read":"2026-05-01"}`
	if _, err := readPrices([]byte(one(good))); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"{": "prices.json",
		one(strings.Replace(good, `"usd"`, `"since":"x","usd"`, 1)):                "since",
		one(strings.Replace(good, `"page":"p"`, `"page":""`, 1)):                   "no key, name, unit, region or page",
		one(strings.Replace(good, `"region":"all"`, `"region":""`, 1)):             "no key, name, unit, region or page",
		one(strings.Replace(good, `"usd":1`, `"usd":0`, 1)):                        "nothing",
		one(strings.Replace(good, "2026-05-01", "May", 1)):                         "no day",
		one(strings.Replace(good, "2026-05-01", "", 1)):                            "a source without a day",
		one(strings.Replace(good, `["s"]`, `[]`, 1)):                               "a day without a source",
		one(strings.Replace(good, `["s"]`, `["t"]`, 1)):                            "no source",
		one(good + "," + good):                                                     "twice",
		one(""):                                                                    "nothing was compared with s",
		strings.Replace(one(good), `"name":"S"`, `"name":""`, 1):                   "no key or name",
		strings.Replace(one(good), `"}],"pr`, `"},{"key":"s","name":"S"}],"pr`, 1): "twice",
	} {
		if _, err := readPrices([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
